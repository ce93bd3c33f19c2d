"""Another configuration while the service runs: it takes effect whole and without a gap, or not at all."""

import contextlib
import io
import itertools
import json
import os
import re
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis import Redis

from cticache import cli
from cticache.access.passwords import hashed
from kit.proxy import Proxy
from kit.samples import PASSWORD, basic
from kit.serving import Running, until
from kit.sites import port_of, workers_of
from kit.talk import CALLS, Answer, Talk, asked

if sys.platform == "win32":
    pytest.skip("there the imitation serves alone, and no command can ask it", allow_module_level=True)

OTHER = "another:password"
HASHES = {text: hashed(text) for text in (PASSWORD, OTHER)}
"""Made once: each takes as long as a login."""
NUMBERS = "200-299"
BROKEN = {
    "[server\n": "line 1: stands before the first section",
    "[pool:system-y]\nnumbers = 1\nnumbers = 2\n": "line 3: [pool:system-y] numbers is given a second time",
    "[pool:system-y]\nnumbers = 200\n": "there is no user any more",
}


class Done(NamedTuple):
    """A command that was run."""

    returncode: int
    stdout: str
    stderr: str


class Service:
    """One that runs on a file, which can be written anew."""

    def __init__(self, folder: Path, redis_url: str, name: str = "config") -> None:
        self.file = folder / f"{name}.ini"
        self.redis = redis_url
        self._errors = folder / f"errors-{name}"
        self._running: Running | None = None

    def start(self, *, ready: bool = True) -> "Service":
        self._running = Running(self.file, self._errors)
        self.port = port_of(self._running)
        if ready:
            until(lambda: self.ask("GET", "/readyz").status == 200)
        return self

    @property
    def running(self) -> Running:
        assert self._running
        return self._running

    def write(
        self, pools: str = NUMBERS, *, server: str = "", users: str = "", more: str = "", redis: str = ""
    ) -> None:
        """A file with these numbers in one pool, or with these pools, and more lines under the sections."""
        user = f"[user:username]\npassword = {HASHES[PASSWORD]}\nroles = lease, read, take, watch\n"
        sections = pools if "[" in pools else f"[pool:system-y]\nnumbers = {pools}\n"
        self.file.write_text(
            f"[server]\nport = 0\nworkers = 2\nauth_wait = 30\nauth_failures = 1000\nfigures_age = 0.001\n{server}\n"
            f"[redis]\nurl = {self.redis}\nsync_interval = 0.1\n{redis}\n[watch]\ninterval = 1\n"
            f"{users or user}\n{sections}\n{more}\n",
            "utf-8",
        )

    def reload(self, said: str = "the configuration was read again") -> None:
        """Send the signal, and wait for the line that says what became of it."""
        before = self.running.said().count(said)
        self.running.process.send_signal(signal.SIGHUP)
        until(lambda: self.running.said().count(said) > before)

    def command(self, *more: str) -> Done:
        """`cticache reload` on its file."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = cli.main(["reload", "--config", str(self.file), *more])
        return Done(code, out.getvalue(), err.getvalue())

    def ask(
        self, method: str, path: str, body: str = "", *, password: str = PASSWORD, user: str = "username"
    ) -> Answer:
        return asked(self.port, said(method, path, body, user=user, password=password, more="Connection: close\r\n"))

    def lease(self, ani: str, **more: Any) -> str:
        """The number that this caller is lent, by whichever process."""
        answer = self.ask("POST", CALLS, json.dumps({"value": f"of {ani}", "ani": ani, **more}))
        assert answer.status == 201, answer
        return str(answer.json["dnis"])

    def found(self, dnis: str, ani: str) -> int:
        """What all processes, asked in turn, answer for this call."""
        (status,) = {self.ask("GET", f"{CALLS}/{dnis}:{ani}").status for _ in range(8)}
        return status

    def status(self) -> Any:
        return self.ask("GET", "/cticache/status").json

    def close(self) -> None:
        if self._running:
            self._running.close()


def said(
    method: str, path: str, body: str = "", *, user: str = "username", password: str = PASSWORD, more: str = ""
) -> bytes:
    """A request as its bytes."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(user, password)}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@pytest.fixture
def service(tmp_path: Path, redis_url: str, client: Redis) -> Iterator[Service]:
    made = Service(tmp_path, redis_url)
    made.write()
    yield made
    made.close()


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_numbers_users_passwords_and_limits_take_effect_on_connections_that_are_open(
    service: Service, dispatch: str
) -> None:
    both = "".join(
        f"[user:{name}]\npassword = {HASHES[PASSWORD]}\nroles = lease, watch\n" for name in ("username", "gone")
    )
    service.write(server=f"dispatch = {dispatch}\nmax_body = 100", users=both)
    service.start()
    pids = workers_of(service.running)
    first, second = f"of {service.lease('5550000001')}", service.lease("5550000002")
    assert first
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(closing(Talk(service.port))) for _ in range(6)]  # some at each of the processes
        for talk in talks:
            for user in ("username", "gone"):
                assert talk.send(said("GET", "/cticache/version", user=user)).answer().status == 200
        users = (
            f"[user:username]\npassword = {HASHES[OTHER]}\nroles = lease, read\n"
            f"[user:new]\npassword = {HASHES[PASSWORD]}\nroles = watch\n"
        )
        service.write("300-399", users=users, server=f"dispatch = {dispatch}\nmax_body = 5000")
        service.reload()
        for talk in talks:
            for user in ("username", "gone"):
                assert talk.send(said("GET", "/cticache/version", user=user)).answer().status == 401
            assert talk.send(said("GET", "/cticache/version", user="new")).answer().status == 200
            ani = f"555{talks.index(talk):07}9"
            body = json.dumps({"value": "v", "ani": ani})
            answer = talk.send(said("POST", CALLS, body, password=OTHER)).answer()
            assert answer.json["dnis"].startswith("3")
            held = talk.send(said("GET", f"{CALLS}/{second}:5550000002", password=OTHER)).answer()
            assert held.json == {"value": "of 5550000002"}  # on a number that is in no pool any more
            long = json.dumps({"value": "v" * 200, "ani": ani})
            assert talk.send(said("POST", CALLS, long, password=OTHER)).answer().status == 201
    assert workers_of(service.running) == pids
    assert re.search(r"1 pool, 100 numbers \(100 more, 100 fewer\), 2 users\n", service.running.said())


def test_a_user_takes_the_place_of_the_one_that_was_invented(service: Service) -> None:
    service.write(users=" ")
    service.start(ready=False)
    command = service.running.command()
    password = command[command.index("--user") + 1].partition(":")[2]
    service.write("300-399", users=" ")
    service.reload()
    until(lambda: service.ask("GET", "/readyz").status == 200)
    assert service.ask("GET", "/cticache/version", password=password).status == 200
    service.write("300-399")
    service.reload()
    assert service.ask("GET", "/cticache/version", password=password).status == 401
    assert service.lease("5550000001").startswith("3")


def test_a_broken_file_is_refused_in_one_line_and_the_old_one_stays(service: Service) -> None:
    service.start()
    right = service.file.read_text("utf-8")
    wrong = f"{service.file}: [pool:system-y] ttl = soon: must be a whole number of seconds, 1 to 86400"
    service.write(more="ttl = soon")
    service.reload("the configuration is refused")
    lines = [line for line in service.running.said().splitlines() if " ERROR " in line or " WARNING " in line]
    assert len(lines) == 1
    assert lines[0].endswith(
        f" ERROR cticache.reloading: the configuration is refused, and the one before holds on: {wrong}"
    )
    assert service.lease("5550000001").startswith("2")
    until(lambda: [each["kind"] for each in service.status()["attention"]] == ["config"])
    (attention,) = service.status()["attention"]
    assert (attention["level"], attention["hint"]) == ("WARN", "log")
    assert re.fullmatch(
        rf"{re.escape(str(service.file))} was refused at \S+ \S+Z, and the configuration before it holds on: "
        rf"{re.escape(wrong)}\. Mend the file, and run `cticache reload`\.",
        attention["says"],
    )
    assert b"cticache_config_refused 1.0" in service.ask("GET", "/metrics").content
    for broken, wrong in BROKEN.items():
        service.file.write_text(broken, "utf-8")
        service.reload("the configuration is refused")
        assert wrong in service.running.said()
    service.file.unlink()
    service.reload("the configuration is refused")
    assert "cannot be read: No such file or directory" in service.running.said()
    assert service.lease("5550000002").startswith("2")
    service.file.write_text(right, "utf-8")
    service.reload()
    until(lambda: not service.status()["attention"])
    assert b"cticache_config_refused 0.0" in service.ask("GET", "/metrics").content


def test_what_a_running_service_cannot_change_is_named_and_the_rest_takes_effect(service: Service) -> None:
    service.start()
    service.write(
        "300-399",
        server="threads = 3\nconnections = 300",
        redis="retry_after = 9\nprefix = other\n[log]\nfile_count = 3",
    )
    service.reload()
    warned = [line for line in service.running.said().splitlines() if " WARNING " in line]
    assert [line.partition(": ")[2] for line in warned] == [
        f"{service.file}: what is read at the start alone stays as before until the service is restarted: "
        "[server] threads, [redis] prefix, [redis] retry_after, [log] file_count"
    ]
    assert service.lease("5550000001").startswith("3")
    assert b'cticache_limit{name="connections"} 300.0' in service.ask("GET", "/metrics").content
    assert b'cticache_limit{name="threads"} 16.0' in service.ask("GET", "/metrics").content


def test_calls_on_the_way_are_found_whatever_becomes_of_their_pool(service: Service) -> None:
    service.start()
    anis = [f"55500000{at:02}" for at in range(5)]
    calls = {ani: service.lease(ani) for ani in anis}
    for pools in (
        "200-205, 290-399",  # some have gone
        "[pool:first]\nnumbers = 500-509\n[pool:system-y]\nnumbers = 290-399\n",  # a new one is the default
        "[pool:renamed]\nnumbers = 200-299\n[pool:first]\nnumbers = 500\n",  # all are another pool's by now
        "200-299",
    ):
        service.write(pools)
        service.reload()
        assert {service.found(dnis, ani) for ani, dnis in calls.items()} == {200}
        ani = f"5551{len(calls):06}"
        calls[ani] = service.lease(ani)
        assert service.found(calls[ani], ani) == 200
    assert service.ask("GET", "/readyz").status == 200


def test_a_worker_that_dies_is_replaced_by_one_with_the_latest_configuration(service: Service) -> None:
    service.start()
    service.write("300-399")
    service.reload()
    before = workers_of(service.running)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: service.running.said().count(" serves") == 4)
    assert service.lease("5550000001").startswith("3")
    service.write("400-499")
    service.reload()
    assert service.lease("5550000002").startswith("4")
    assert service.found("400", "5550000002") == 200


def test_several_at_once_are_one_after_the_other_and_one_while_it_stops_is_nothing(service: Service) -> None:
    service.write(server="drain = 600")
    service.start()
    for first in range(3, 9):
        service.write(f"{first}00-{first}49", server="drain = 600")
        service.running.process.send_signal(signal.SIGHUP)
    until(lambda: service.lease("5550000001").startswith("8"))
    service.running.process.send_signal(signal.SIGTERM)
    until(lambda: "SIGTERM was heard" in service.running.said())
    service.running.process.send_signal(signal.SIGHUP)
    assert service.running.end(signal.SIGINT) == 0
    assert "Traceback" not in service.running.said()


def test_while_redis_is_away_users_take_effect_and_numbers_once_it_is_back(
    service: Service, redis_url: str, client: Redis
) -> None:
    proxy = Proxy(redis_url)
    try:
        service.redis = proxy.url
        service.write()
        service.start()
        dnis = service.lease("5550000001")
        proxy.cut()
        users = f"[user:new]\npassword = {HASHES[OTHER]}\nroles = lease, read\n"
        service.write("300-399", users=users)
        service.reload()
        assert "the numbers are not in place yet: " in service.running.said()
        assert service.ask("GET", "/cticache/version").status == 401
        assert service.ask("GET", "/cticache/version", user="new", password=OTHER).status == 200
        proxy.restore()
        until(lambda: service.ask("GET", "/readyz").status == 200)
        until(lambda: client.zcard("cti:{system-y}:numbers") == 100)
        held = service.ask("GET", f"{CALLS}/{dnis}:5550000001", user="new", password=OTHER)
        assert held.json == {"value": "of 5550000001"}
    finally:
        proxy.close()


def test_the_command_asks_all_services_and_both_lend_the_new_numbers(service: Service, tmp_path: Path) -> None:
    service.start()
    other = Service(tmp_path, service.redis, "other")
    try:
        other.write()
        other.start()
        for each in (service, other):
            each.write("300-399")
        done = service.command()
        assert done.returncode == 0, done
        assert len(done.stdout.splitlines()) == 2
        for each in (service, other):
            until(lambda each=each: each.ask("GET", "/readyz").status == 200)
        dnis = service.lease("5550000001")
        assert dnis.startswith("3")
        assert other.found(dnis, "5550000001") == 200
        other.write("400-410", more="ttl = soon")
        done = service.command()
        assert done.returncode == 1
        assert sorted(line.split(": ")[1].split(",")[0] for line in done.stdout.splitlines()) == ["refused", "reloaded"]
    finally:
        other.close()


def test_the_command_tells_what_was_said_and_looks_at_the_file_itself_first(service: Service, tmp_path: Path) -> None:
    done = service.command()
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("no service is registered on this Redis, so none was told.")
    service.start()
    service.write("200-305", more="[pool:other]\nnumbers = 500\n")
    done = service.command()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"process \d+ on \S+: reloaded: 2 pools, 107 numbers \(7 more\), 1 user\n", done.stdout)
    assert service.lease("5550000001", pool="other") == "500"
    told = json.loads(service.command("--json").stdout)
    assert told["well"] is True
    assert [each["says"] for each in told["services"]] == ["reloaded: 2 pools, 107 numbers, 1 user"]
    right = service.file.read_text("utf-8")
    service.file.write_text("[foo]\n" + right, "utf-8")
    done = service.command()
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cticache: {service.file}: [foo] is not a section known here" in done.stderr
    copy = tmp_path / "copy.ini"
    copy.write_text(right, "utf-8")
    its, service.file = service.file, copy
    done = service.command("--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["well"] is False
    (answer,) = told["services"]
    assert answer["says"].startswith(
        f"refused, and the configuration before it holds on: {its}: [foo] is not a section"
    )


class Load:
    """Clients that hand calls over without a pause, and what went wrong."""

    def __init__(self, service: Service, kept: int, new: int) -> None:
        """``kept``: so many keep their connection; ``new``: so many have a new one for each request."""
        self._service = service
        self._callers = itertools.count(5_550_000_000)
        self._stop = threading.Event()
        self.wrong: list[str] = []
        self.done = 0
        self._threads = [threading.Thread(target=self._keeping) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._anew) for _ in range(new)]

    def __enter__(self) -> "Load":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(60)

    def _keeping(self) -> None:
        with closing(Talk(self._service.port)) as talk:
            self._hand_over(lambda asked: talk.send(asked).answer())

    def _anew(self) -> None:
        self._hand_over(lambda sent: asked(self._service.port, sent))

    def _hand_over(self, ask: Callable[[bytes], Answer]) -> None:
        """POST, GET and DELETE of one call after the other."""
        while not self._stop.is_set():
            ani = str(next(self._callers))
            try:
                leased = ask(said("POST", CALLS, json.dumps({"value": f"of {ani}", "ani": ani})))
                answers = [leased]
                if leased.status == 201:
                    key = f"{CALLS}/{leased.json['dnis']}:{ani}"
                    answers += [ask(said("GET", key)), ask(said("DELETE", key))]
                if [(each.status, each.json.get("value")) for each in answers] != [
                    (201, f"of {ani}"), (200, f"of {ani}"), (200, f"of {ani}")
                ]:  # fmt: skip
                    self.wrong.append(f"{ani}: {answers}")
            except Exception as error:  # noqa: BLE001 - a connection that was refused or cut off
                self.wrong.append(f"{ani}: {error!r}")
                if len(self.wrong) > 20:
                    return
            self.done += 1


RESTS = "cooldown = 1\nremember = 2\n"
"""Short: how many numbers are on their way out is soon as it stays, and with it what the parent keeps of them."""
VARIANTS = (
    {"pools": "10000-14999", "more": RESTS},
    {"pools": "10000-14999, 20000-24999", "server": "connections = 300\nmax_body = 5000", "more": RESTS},
    {"pools": "20000-24999", "more": f"ttl = 100\n{RESTS}"},
    {"pools": f"[pool:first]\nnumbers = 30000-32999\n{RESTS}[pool:system-y]\nnumbers = 20000-24999, 40000\n{RESTS}"},
    {
        "pools": f"[pool:system-y]\nnumbers = 22000-24999, 40000-40999\n{RESTS}"
        f"[pool:first]\nnumbers = 20000-21999\n{RESTS}"
    },
)
"""One after the other: numbers come, go, all are others, a new pool is the default, some are another pool's."""


class Size:
    """What a service takes of the system, in its processes."""

    def __init__(self, running: Running) -> None:
        pids = [running.process.pid, *workers_of(running)[:2]]
        status = [Path(f"/proc/{pid}/status").read_text("utf-8") for pid in pids]
        self.kb = [int(re.findall(r"VmRSS:\s+(\d+)", each)[0]) for each in status]
        self.threads = sum(int(re.findall(r"Threads:\s+(\d+)", each)[0]) for each in status)
        self.files = sum(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids)


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_under_load_no_request_sees_an_error_and_nothing_grows(service: Service, long: bool, dispatch: str) -> None:
    long = long and dispatch == "batch"
    count, kept, new = (500, 6, 2) if long else (len(VARIANTS), 3, 1)
    always = f"audit = no\ndispatch = {dispatch}\n"
    service.write(**VARIANTS[0], server=always)  # type: ignore[arg-type]
    service.start()
    sizes = []
    with Load(service, kept, new) as load:
        until(lambda: load.done > 20)
        for nth in range(1, count + 1):
            variant = dict(VARIANTS[nth % len(VARIANTS)])
            variant["server"] = always + variant.get("server", "")
            service.write(**variant)  # type: ignore[arg-type]
            service.reload()
            before = load.done
            until(lambda before=before: load.done > before + 5 or load.wrong)
            sizes.append(Size(service.running))
    assert not load.wrong, load.wrong[:3]
    assert " ERROR " not in service.running.said()
    assert len(workers_of(service.running)) == 2, "a worker has been replaced"
    if not long:
        return
    for name, of in (
        ("parent, KB", lambda size: size.kb[0]),
        ("workers, KB", lambda size: sum(size.kb[1:])),
        ("threads", lambda size: size.threads),
        ("descriptors", lambda size: size.files),
    ):
        early = statistics.median(of(size) for size in sizes[50:150])
        late = statistics.median(of(size) for size in sizes[-100:])
        print(f"{name}: {early:,.0f} after 50 to 150 reloads, {late:,.0f} after the last hundred")
        assert late <= early * 1.05, name
    print(f"{load.done:,} calls were handed over during {count} reloads")
