"""Two services of different numbers that take over from each other, on one Redis that loses its data and the time."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from multiprocessing.pool import AsyncResult, Pool, ThreadPool
from pathlib import Path
from typing import NamedTuple

from redis import Redis

from cticache.data import keys
from kit import soak
from kit.clock import Clock, server_with_a_clock
from kit.running import until
from kit.servers import as_admin
from kit.soak_services import KNOWN_AFTER, NUMBERS, Plan, Stage, pools, work

CLIENTS = 4
HOUR = 3600
COOLDOWN_S = {"A": 0, "B": 1}
"""What holds in both is the shorter one."""


class Form(NamedTuple):
    """How long it takes, and how much is asked."""

    operations: int
    seconds: float
    ttls_s: tuple[int, ...]
    after_loss_s: int
    least_leased: float
    """The share of the leases that were served at least, or little was tried."""
    workers: int
    """The processes of each service."""
    clients: Callable[[int], Pool]
    """Makes so many at once: threads, for they mostly wait, or processes, which are slow to start and ask more."""


SHORT = Form(3_000, 7.5, (1, 2), 3, 0.2, 1, ThreadPool)
LONG = Form(200_000, 240.0, (1, 2, 5), 8, 0.3, 2, multiprocessing.get_context("spawn").Pool)
Step = tuple[float, Callable[[], None]]
"""What befalls, and how many seconds after the first call."""


class Upheaval:
    """What befalls the services and their Redis."""

    def __init__(self, stage: Stage, client: Redis, clock: Clock | None, after_loss_s: int) -> None:
        self.stage = stage
        self._client = client
        self._clock = clock
        self._careful = after_loss_s * 1000 * soak.MS

    def flush(self) -> None:
        with self.stage.noting("flushed", self._careful):
            self._client.flushall()

    def turn(self, seconds: int) -> None:
        if self._clock:
            with self.stage.noting(
                "ahead" if seconds > 0 else "back", self._careful if seconds > 0 else -seconds * 10**9
            ):
                self._clock.turn(seconds)

    def has_calls(self) -> bool:
        """Whether the clients have begun."""
        return any(self._client.scan_iter("cti:*:call:*"))

    def restart(self, name: str) -> None:
        self.stage.stop(name)
        self.stage.start(name)

    def short(self) -> Iterator[Step]:
        yield 0.5, partial(self.stage.start, "B")
        yield 2.0, self.flush
        yield 4.5, partial(self.stage.stop, "B")
        yield 6.0, partial(self.turn, HOUR)

    def long(self) -> Iterator[Step]:
        """For ever: by turns a service comes or goes, and Redis loses its data or the time."""
        yield 1.0, partial(self.stage.start, "B")
        for lap in count():
            at = 15.0 + 60.0 * lap
            yield at, partial(self.restart, "A")
            yield at + 7.5, self.flush
            yield at + 15, partial(self.restart, "B")
            yield at + 22.5, partial(self.turn, HOUR)
            yield at + 30, partial(self.stage.stop, "B")
            yield at + 34, partial(self.stage.start, "B")
            yield at + 37.5, partial(self.turn, -HOUR)
            yield at + 45, partial(self.stage.stop, "B", "kill")
            yield at + 50, partial(self.stage.start, "B")
            yield at + 52.5, partial(self.turn, -10)


def _run(steps: Iterator[Step], clients: "AsyncResult[list[list[soak.Entry]]]", over: Path) -> list[soak.Entry]:
    """All that the clients were told while one step after the other was taken; they may end when all were."""
    began = time.monotonic()
    for at, step in steps:
        clients.wait(max(began + at - time.monotonic(), 0))
        if clients.ready():
            break
        step()
    over.touch()
    return [entry for entries in clients.get() for entry in entries]


def test_services_of_different_numbers_take_over_in_turn_and_nobody_gets_what_is_anothers(
    redis_url: str, tmp_path: Path, tell: Callable[[str], None], long: bool
) -> None:
    form = LONG if long else SHORT
    services = {name: pools(form.after_loss_s, COOLDOWN_S[name], numbers) for name, numbers in NUMBERS.items()}
    with ExitStack() as stack:
        clock = stack.enter_context(server_with_a_clock())
        url = clock.url if clock else redis_url
        client = stack.enter_context(Redis.from_url(as_admin(url), decode_responses=True))
        client.flushall()
        stage = stack.enter_context(closing(Stage(tmp_path, url, services, form.workers)))
        upheaval = Upheaval(stage, client, clock, form.after_loss_s)
        stage.start("A")
        numbers = sorted({dnis for service in services.values() for pool in service.values() for dnis in pool.numbers})
        over = tmp_path / "over"
        plan = Plan(stage.ports, numbers, form.ttls_s, form.operations // CLIENTS, form.seconds, over)
        if long:  # where steps never end
            over.touch()
        asking = stack.enter_context(form.clients(CLIENTS))
        began = time.monotonic()
        clients = asking.starmap_async(work, [(plan, seed) for seed in range(CLIENTS)], chunksize=1)
        until(upheaval.has_calls)
        log = _run(upheaval.long() if long else upheaval.short(), clients, over)
        seconds = time.monotonic() - began
        immortal = {key for key in client.keys("cti:*") if client.ttl(key) == -1}
    found = soak.faults(log, soak.Course(services["A"], services, stage.events, KNOWN_AFTER))
    befell = Counter(event.what for event in stage.events)
    answers = Counter(f"{entry.what} {'replayed' if entry.replayed else entry.answer}" for entry in log)
    clocks = "" if clock else "; the clock was left alone, for there is no libfaketime or no Valkey of a package here"
    tell(f"soak of two services: {len(log):,} operations in {seconds:.0f} s, {len(found)} violations{clocks}")
    tell(f"soak of two services: {', '.join(f'{what} {count}' for what, count in sorted(befell.items()))}")
    tell(f"soak of two services: {', '.join(f'{answer} {count:,}' for answer, count in sorted(answers.items()))}")
    assert not found[:10], stage.said()
    assert len(log) >= form.operations
    assert "Traceback" not in stage.said()
    assert all(keys.PERMANENT.fullmatch(key) for key in immortal)
    assert answers["lease leased"] > form.least_leased * sum(entry.what == "lease" for entry in log)
    assert befell["flushed"] >= 1
    assert not clock or befell["ahead"] >= 1
