"""Processes that do everything at random on a few pools, and what must be true of all that they were answered.

An answer was right at some moment between its request and its arrival. So a call is certainly live from the arrival of
its lease's answer to the first moment at which it may have ended; what is told as a fault is one at every moment.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from cticache.data.keys import Keys
from cticache.data.replies import Held, Lease
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.errors import Refusal
from cticache.numbering.pools import Pool
from cticache.server import new_runner
from kit.clusters import redis_config
from kit.model import outcome, same_tail
from kit.running import Served, Watched
from kit.samples import at, make_pool
from kit.talk import Talk, get

MS = 1_000_000
"""Times are in nanoseconds of the monotonic clock, which all processes share."""
MARGIN = 5 * MS
"""Redis counts whole milliseconds."""
REMEMBER_MS = 50
POOLS = {
    pool.name: pool
    for pool in (
        make_pool("100-103", "exact", max_callers=3, cooldown_ms=10, remember_ms=REMEMBER_MS),
        make_pool(
            "200-205", "suffix", max_callers=3, cooldown_ms=10, remember_ms=REMEMBER_MS, match="suffix", match_digits=3
        ),
        make_pool("300-305", "sole", exhausted="reject", cooldown_ms=10, remember_ms=REMEMBER_MS, match="sole"),
    )
}
ANIS = ["", "12", "7123", "5123", "15123", "7456", "456", "789", "3789"]
_SLOT = 5 * MS
"""Within such a time all processes use the same idempotency keys for the same requests."""
_LIVES_MS = (10, 50, 200, 500)


class Entry(NamedTuple):
    """What was asked and answered, and when."""

    begin: int
    end: int
    what: str
    pool: str
    dnis: str
    """The number asked for; of a lease, the number that was lent."""
    ani: str
    user: str
    key: str
    ttl_ms: int
    written: str
    """The value that was sent, if any."""
    answer: str
    """The outcome of a lease, the grade of a call, a refusal's code, or 'none'."""
    value: str = ""
    token: str = ""
    replayed: bool = False


CLIENTS = 20
"""Of each process that serves in batches."""


def work(url: str, seed: int, operations: int) -> list[Entry]:
    """What one process does."""
    with ExitStack() as stack:
        runner = new_runner(url, redis_config(url, 20.0), stack)
        scripts = Scripts(runner, read_scripts())
        scripts.load()
        worker = _Worker(Store(scripts, Keys("cti"), retry_after=2), seed)
        return [worker.step() for _ in range(operations)]


def work_in_batches(url: str, seed: int, operations: int) -> list[Entry]:
    """What a process does that serves many clients on one loop, the calls of a turn in one write."""
    hub, log = Watched(), list[Entry]()
    with ExitStack() as stack:
        runner = new_runner(url, redis_config(url, 20.0), stack, hub)
        scripts = Scripts(runner, read_scripts())
        scripts.load()
        store = Store(scripts, Keys("cti"), retry_after=2)
        workers = [_Worker(store, seed * CLIENTS + number) for number in range(CLIENTS)]

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
            log.append(workers[int(environ["PATH_INFO"][1:])].step())
            start_response("200 OK", [("content-type", "text/plain"), ("content-length", "0")])
            return []

        served = Served(app, hub)
        stack.callback(served.stop)
        talks = [stack.enter_context(closing(Talk(served.port))) for _ in workers]
        left = operations // CLIENTS
        while left:
            now = min(left, 100)
            left -= now
            for number, talk in enumerate(talks):
                talk.send(get(*[f"/{number}"] * now))
            for talk in talks:
                for _ in range(now):
                    assert talk.answer().status == 200
        assert max(hub.started) > CLIENTS // 2
    return log


class _Worker:
    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._seed = seed
        self._random = Random(seed)
        self._count = 0

    def step(self) -> Entry:
        """One operation."""
        self._count += 1
        what = self._random.choices(["lease", "take", "read", "renew"], [35, 30, 20, 15])[0]
        slot = time.monotonic_ns() // _SLOT
        together = self._random.random() < 0.3  # with the other processes
        random = Random(f"{what} {slot}") if together else self._random
        key = f"{what}-{slot}" if together and what in ("lease", "take") else ""
        pool = random.choice(list(POOLS.values()))
        value = f'"{key or f"{self._seed}-{self._count}"}"'
        ani, ttl_ms = random.choice(ANIS), random.choice(_LIVES_MS)
        if what == "lease":
            return self._lease(pool, ani, value, ttl_ms, key)
        dnis = random.choice(list(pool.numbers))
        presented = random.choice([ani] * 4 + ["1" + ani, ani[1:], "888"])
        value = value if random.random() < 0.5 else ""
        return self._ask(what, pool, dnis, presented, value=value, ttl_ms=ttl_ms, key=key)

    def _lease(self, pool: Pool, ani: str, value: str, ttl_ms: int, key: str) -> Entry:
        begin = time.monotonic_ns()
        user = self._random.choice("xz")
        got = outcome(lambda: self._store.lease(pool, ani, value, user, ttl_ms, key=key))
        end = time.monotonic_ns()
        sent = ("lease", pool.name, got.dnis if isinstance(got, Lease) else "", ani, user, key, ttl_ms, value)
        if isinstance(got, Lease):
            return Entry(begin, end, *sent, got.outcome, value, got.token, got.outcome == "replayed")
        return Entry(begin, end, *sent, got.code)

    def _ask(self, what: str, pool: Pool, dnis: str, ani: str, *, value: str, ttl_ms: int, key: str) -> Entry:
        place, user = at(pool, dnis), self._random.choice("yw")
        value = value if what == "renew" else ""
        begin = time.monotonic_ns()
        if what == "take":
            got = outcome(lambda: self._store.take(place, ani, user, key=key))
        elif what == "read":
            got = outcome(lambda: self._store.read(place, ani, user))
        else:
            got = outcome(lambda: self._store.renew(place, ani, ttl_ms, value or None))
        end = time.monotonic_ns()
        sent = (what, pool.name, dnis, ani, user, key, ttl_ms, value)
        if isinstance(got, Held):
            return Entry(begin, end, *sent, got.grade, got.value, got.token, got.replayed)
        return Entry(begin, end, *sent, got.code if isinstance(got, Refusal) else "none")


@dataclass
class Life:
    """One call as the log tells it."""

    lease: Entry
    renewals: list[Entry] = field(default_factory=list)
    takes: list[Entry] = field(default_factory=list)

    def writes(self, begin: int, end: int, only_values: bool = False) -> list[Entry]:
        """The lease and renewals that may have been the last one at some moment from begin to end."""
        done = [entry for entry in (self.lease, *self.renewals) if entry.written or not only_values]
        return [
            entry
            for entry in done
            if entry.begin <= end and not any(entry.end < other.begin and other.end < begin for other in done)
        ]

    def is_surely_live(self, begin: int, end: int) -> bool:
        """The call was live at every moment from begin to end."""
        return (
            self.lease.end < begin
            and not any(take.begin <= end for take in self.takes)
            and all(entry.begin + entry.ttl_ms * MS - MARGIN > end for entry in self.writes(begin, end))
        )

    def first_end(self) -> int:
        """The first moment at which it may have ended."""
        last = self.writes(2**63, 2**63)
        return min([entry.begin + entry.ttl_ms * MS for entry in last] + [take.begin for take in self.takes]) - MARGIN

    def last_end(self) -> int:
        """The last moment at which it may have ended."""
        if self.takes:
            return self.takes[0].end
        return max(entry.end + entry.ttl_ms * MS for entry in (self.lease, *self.renewals)) + MARGIN


def faults(log: Iterable[Entry]) -> list[str]:
    """Everything in the log that no order of its operations explains."""
    entries = sorted(log)
    leases = [entry for entry in entries if entry.what == "lease" and entry.token and not entry.replayed]
    lives = {entry.token: Life(entry) for entry in leases}
    found = list(_strangers(entries, lives))
    found += _kept_keys(entries, lives)
    on_number: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.dnis:
            on_number[entry.pool, entry.dnis].append(entry)
    for (name, dnis), own in on_number.items():
        found += _on_one_number(POOLS[name], dnis, own, lives)
    return found


def _strangers(entries: list[Entry], lives: dict[str, Life]) -> Iterator[str]:
    """Answers that belong to no lease, refusals that must not be, and values taken twice; fills in the lives."""
    for entry in entries:
        if entry.answer in ("ambiguous", "key_reused", "stale", "redis_unavailable"):
            yield f"refused: {entry}"
        if not entry.token:
            continue
        life = lives.get(entry.token)
        if not life or (entry.pool, entry.dnis) != (life.lease.pool, life.lease.dnis):
            yield f"of no lease of this number: {entry}"
        elif entry.what == "renew":
            life.renewals.append(entry)
        elif entry.what == "take" and not entry.replayed:
            life.takes.append(entry)
    for life in lives.values():
        if len(life.takes) > 1:
            yield f"taken more than once: {life.takes}"


def _kept_keys(entries: list[Entry], lives: dict[str, Life]) -> Iterator[str]:
    """Repeated requests: a key is one lease, replayed while that lasts, or one take while that is remembered."""
    originals: dict[tuple[str, str, str, str], list[Entry]] = defaultdict(list)
    keyed = (
        entry for entry in entries if entry.key and (entry.token or (entry.what, entry.answer) == ("lease", "gone"))
    )
    for entry in sorted(keyed, key=lambda entry: entry.replayed or not entry.token):
        under = originals[entry.what, entry.pool, entry.user, entry.key]
        if entry.token and not entry.replayed:
            if any(max(entry.end, other.end) < _kept_until(min(entry, other), lives) for other in under):
                yield f"done twice under one key: {entry} after {under}"
            under.append(entry)
        elif not entry.token:
            if any(lives[other.token].is_surely_live(entry.begin, entry.end) for other in under):
                yield f"told that it is over, and it was live: {entry} of {under}"
        elif not any(_may_repeat(entry, other, lives) for other in under):
            yield f"replayed, and not what was answered before: {entry} after {under}"


def _kept_until(entry: Entry, lives: dict[str, Life]) -> int:
    """Until when the answer is kept under its key, for certain."""
    ends = lives[entry.token].first_end() if entry.what == "lease" else entry.begin
    return ends + REMEMBER_MS * MS - MARGIN


def _may_repeat(entry: Entry, other: Entry, lives: dict[str, Life]) -> bool:
    """The one may be the other's answer again: a lease's while its call lives, a take's while that is remembered."""
    life = lives[other.token]
    kept_until = life.last_end() if entry.what == "lease" else other.end + REMEMBER_MS * MS + MARGIN
    same = (entry.value, entry.token) == (other.value, other.token)
    return same and other.begin < entry.end and entry.begin < kept_until


def _on_one_number(pool: Pool, dnis: str, entries: list[Entry], lives: dict[str, Life]) -> Iterator[str]:
    coming = [lives[entry.token] for entry in entries if entry.what == "lease" and not entry.replayed]
    rest = pool.pair_rest_ms * MS
    active: list[Life] = []
    for entry in entries:
        while coming and coming[0].lease.begin <= entry.end:
            active.append(coming.pop(0))
        active = [life for life in active if life.last_end() + rest + MARGIN >= entry.begin]
        sure = [life for life in active if life.is_surely_live(entry.begin, entry.end)]
        if entry.what == "lease":
            if not entry.replayed:
                yield from _a_lease(pool, entry, active, sure)
        elif entry.token in lives:
            if not entry.replayed:
                yield from _an_answer(pool, entry, lives[entry.token], sure)
        elif fitting := [life for life in sure if _grade(pool, life.lease.ani, entry.ani)]:
            exact = any(life.lease.ani == entry.ani for life in fitting)
            if entry.answer == "none" or (entry.answer == "gone" and exact):
                yield f"lost: {entry} and {fitting[0].lease}"


def _a_lease(pool: Pool, entry: Entry, active: list[Life], sure: list[Life]) -> Iterator[str]:
    if len(sure) >= (1 if pool.exhausted == "reject" else pool.max_callers):
        yield f"too many callers: {entry} and {[life.lease for life in sure]}"
    if any(not life.lease.ani for life in sure):
        yield f"beside a withheld caller: {entry} and {[life.lease for life in sure]}"
    for life in active:
        if life.lease.end >= entry.begin or life.lease.token == entry.token:
            continue
        rest_ms = pool.pair_rest_ms if life.lease.ani == entry.ani else pool.rest_ms
        rests = entry.end < life.first_end() + rest_ms * MS
        if rests and (pool.exhausted == "reject" or not entry.ani or _grade(pool, life.lease.ani, entry.ani)):
            yield f"lent while it could be mistaken for another: {entry} and {life}"


def _an_answer(pool: Pool, entry: Entry, life: Life, sure: list[Life]) -> Iterator[str]:
    if entry.answer != _grade(pool, life.lease.ani, entry.ani):
        yield f"somebody else's: {entry} is of {life.lease}"
    better = [other for other in sure if other is not life and _grade(pool, other.lease.ani, entry.ani)]
    if better:
        yield f"guessed: {entry} and not {better[0].lease}"
    if entry.end < life.lease.begin or entry.begin > life.last_end():
        yield f"not live: {entry} of {life}"
    if any(take is not entry and take.end < entry.begin for take in life.takes):
        yield f"answered after it was taken: {entry} of {life}"
    right = [entry.written] if entry.written else [write.written for write in life.writes(entry.begin, entry.end, True)]
    if entry.value not in right:
        yield f"not what was written last: {entry}, {right}"


def _grade(pool: Pool, ani: str, presented: str) -> str:
    """By which grade the pool finds a call of this ANI that is the only one on its number; empty when by none."""
    if ani == presented:
        return "exact"
    if pool.match != "exact" and same_tail(ani, presented, pool.match_digits):
        return "suffix"
    return "sole" if pool.match == "sole" else ""


def counted(log: Iterable[Entry]) -> dict[str, Counter[str]]:
    """What the counters of each pool must say."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in POOLS}
    for entry in log:
        count = counts[entry.pool]
        if entry.answer == "pool_exhausted":
            count["rejected"] += 1
        elif entry.replayed:
            count["replayed"] += 1
        elif entry.what != "lease" and entry.answer in ("none", "gone"):
            count["missed" if entry.answer == "none" else "gone"] += 1
        elif entry.what in ("take", "renew") and entry.token:
            count["taken" if entry.what == "take" else "renewed"] += 1
        elif entry.what == "lease" and entry.token:
            count["leased"] += 1
            count["shared"] += entry.answer == "shared"
    return counts
