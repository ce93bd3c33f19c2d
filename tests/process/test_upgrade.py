"""The release before this one and this one on one Redis, under load: upgraded and rolled back, and no wrong answer."""

import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis import Redis

from cticache.access.passwords import hashed
from kit import former
from kit.samples import PASSWORD, basic
from kit.serving import STOP, WAIT_S, Running, until
from kit.sites import port_of
from kit.talk import CALLS

NUMBERS = range(5_551_234_000, 5_551_234_200)
CONFIGURATION = (
    "[server]\nport = 0\nworkers = 1\n[redis]\nurl = {url}\nsync_interval = 0.5\n"
    f"[pool:system-y]\nnumbers = {NUMBERS[0]}-{NUMBERS[-1]}\ncooldown = 1\nremember = 1\nmatch = suffix\n"
    f"[user:bob]\npassword = {hashed(PASSWORD)}\n"
)
ROLES = {"former": "lease, read, take, watch", "this": "lease, read, take, watch, admin"}
"""The last one is of this release alone: the one before would call it a mistake."""

Start = Callable[..., "Service"]


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


class Service:
    """One of either release."""

    def __init__(self, release: str, running: Running) -> None:
        self.release = release
        self.running = running
        self.port = port_of(running)

    def ask(self, method: str, path: str, said: Mapping[str, str] | None = None, key: str = "") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            headers = {"Authorization": basic("bob"), "Connection": "close"}
            headers |= {"Content-Type": "application/json"} if said else {}
            headers |= {"Idempotency-Key": key} if key else {}
            connection.request(method, path, json.dumps(said) if said else None, headers)
            with connection.getresponse() as answer:
                return Answer(answer.status, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.ask("GET", "/readyz").status == 200

    def counted(self) -> dict[str, int]:
        """The totals of the pool."""
        (pool,) = self.ask("GET", "/cticache/pools").body["pools"]
        return {name: count for name, count in pool.items() if name.endswith("_total")}

    def stop(self) -> None:
        self.running.process.send_signal(STOP)
        assert self.running.ended() == 0, self.running.said()


class Load:
    """Callers whose calls are leased at one service and handled at another; all answers are known beforehand."""

    def __init__(self, clients: int = 3) -> None:
        self.pairs: list[tuple[Service, Service]] = []
        """Where a call is leased, and where it is asked for."""
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._numbers = itertools.count(2_000_000_000)
        self._choice = itertools.count()
        self._ended = threading.Event()
        self._busy = threading.Condition()
        self._under_way: Counter[Service] = Counter()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def among(self, *services: Service, calls: int) -> None:
        """So many calls more at least of each of these to each of these; the others have nothing more to do."""
        with self._busy:
            self.pairs = [*itertools.product(services, services)]
            self._busy.wait_for(lambda: not any(self._under_way[each] for each in self._under_way.keys() - {*services}))
        wanted = {f"{one.release} to {two.release}": 0 for one, two in self.pairs}
        wanted = {pair: self.done[pair] + calls for pair in wanted}
        until(lambda: self.wrong or all(self.done[pair] >= count for pair, count in wanted.items()))

    def _run(self) -> None:
        while not self._ended.is_set():
            with self._busy:
                pair = self.pairs[next(self._choice) % len(self.pairs)] if self.pairs else None
                self._under_way.update(pair or ())
            if not pair:
                self._ended.wait(0.01)
                continue
            try:
                self._call(*pair, str(next(self._numbers)))
                self.done[f"{pair[0].release} to {pair[1].release}"] += 1
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{pair[0].release} to {pair[1].release}: {error!r}")
            finally:
                with self._busy:
                    self._under_way.subtract(pair)
                    self._busy.notify_all()

    def _call(self, one: Service, two: Service, ani: str) -> None:
        """All that may be done with a call, from its lease to a question for it after its end."""
        said, key = {"value": f"of {ani}", "ani": ani}, f"key-{ani}"
        leased = one.ask("POST", CALLS, said, key)
        assert leased.status == 201, leased
        again = two.ask("POST", CALLS, said, key)
        assert (again.status in (200, 201), again.body["dnis"]) == (True, leased.body["dnis"]), again
        path = f"{CALLS}/{leased.body['dnis']}:{ani}"
        read = two.ask("GET", path)
        assert (read.status, read.body["value"]) == (200, f"of {ani}"), read
        renewed = two.ask("PUT", path, {"value": f"more of {ani}"})
        assert (renewed.status, renewed.body["value"]) == (200, f"more of {ani}"), renewed
        assert one.ask("GET", path).body["value"] == f"more of {ani}"
        taken = two.ask("DELETE", path, key=key)
        assert (taken.status, taken.body["value"]) == (200, f"more of {ani}"), taken
        assert one.ask("DELETE", path, key=key) == taken
        assert one.ask("GET", path).status == 410
        assert two.ask("POST", CALLS, said, key).status == 410, "its key leased another call"


@pytest.fixture
def start(redis_url: str, client: object, tmp_path: Path) -> Iterator[Start]:
    """Starts a service of a release; it is ready."""
    program = former.unpacked(tmp_path / "former")
    started: list[Running] = []

    def begin(release: str, *, is_ready: bool = True) -> Service:
        file = tmp_path / f"{release}.ini"
        file.write_text(f"{CONFIGURATION.format(url=redis_url)}roles = {ROLES[release]}\n", "utf-8")
        started.append(Running(file, tmp_path / f"errors-{len(started)}", *([program] if release == "former" else [])))
        service = Service(release, started[-1])
        if is_ready:
            until(service.is_ready)
        return service

    yield begin
    for running in started:
        running.close()


def lease(service: Service, ani: str) -> str:
    leased = service.ask("POST", CALLS, {"value": f"of {ani}", "ani": ani})
    assert leased.status == 201
    return f"{CALLS}/{leased.body['dnis']}:{ani}"


def ends(service: Service, path: str) -> str:
    """An operator releases the call."""
    dnis, _, ani = path.rpartition("/")[2].partition(":")
    assert service.ask("POST", "/cticache/release", {"dnis": dnis, "ani": ani}).body == {"released": 1, "more": False}
    return path


def takes(service: Service, path: str) -> bool:
    taken = service.ask("DELETE", path)
    return (taken.status, taken.body.get("value")) == (200, f"of {path.rpartition(':')[2]}")


@pytest.mark.parametrize("first", ["former", "this"])
def test_releases_take_turns_on_one_redis_and_every_answer_is_right(
    start: Start, first: str, tell: Callable[[str], None], *, long: bool
) -> None:
    """From the one to the other and, in the long form, back; with calls that live through it all."""
    then = "this" if first == "former" else "former"
    calls = 100 if long else 2
    one = start(first)
    with Load() as load:
        load.among(one, calls=calls)
        early, late = lease(one, "3000000001"), lease(one, "3000000002")
        other = start(then)
        load.among(one, other, calls=calls)
        released = ends(one if first == "this" else other, lease(one, "3000000003"))
        for service in (one, other):
            assert service.ask("DELETE", released).status == 410
        load.among(other, calls=calls)
        one.stop()
        assert takes(other, early)
        meanwhile = lease(other, "3000000004")
        if long:
            other, before = start(first), other
            load.among(before, other, calls=calls)
            load.among(other, calls=calls)
            before.stop()
        assert takes(other, late)
        assert takes(other, meanwhile)
    assert load.wrong == []
    done, counted = sum(load.done.values()), other.counted()
    assert (counted["leased_total"], counted["taken_total"]) == (done + 4, done + 3)
    assert (counted["shared_total"], counted["unclaimed_total"], counted["losses_total"]) == (0, 0, 0)
    assert not [service for service in (one, other) if " ERROR " in service.running.said()]
    back = f", both, {first}" if long else ""
    tell(f"{first}, both, {then}{back}: {done:,} calls, {9 * done:,} requests, no wrong answer")


def test_a_service_on_data_of_a_release_to_come_serves_nobody_and_says_why(start: Start, client: Redis) -> None:
    client.hset("cti:{@all}:format", mapping={"format": 9, "least_reader": 9, "release": "9.0.0"})
    service = start("this", is_ready=False)
    ready = service.ask("GET", "/readyz")
    assert (ready.status, ready.body["error"]) == (503, "redis_unavailable")
    assert "of format 9, made by cticache 9.0.0" in ready.body["detail"]
    for method, path, said in (
        ("POST", CALLS, {"value": "x", "ani": "3000000001"}),
        ("GET", f"{CALLS}/{NUMBERS[0]}:3000000001", None),
        ("DELETE", f"{CALLS}/{NUMBERS[0]}:3000000001", None),
    ):
        assert service.ask(method, path, said).status == 503
    service.stop()
    assert client.keys() == ["cti:{@all}:format"]
