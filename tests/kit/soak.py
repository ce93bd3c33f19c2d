"""Processes that do everything at random on a few pools, and what must be true of all that they were answered.

An answer was right at some moment between its request and its arrival. So a call is certainly live from the arrival of
its lease's answer to the first moment at which it may have ended; what is told as a fault is one at every moment. A
request without an answer was carried out or was not, and nothing told as a fault depends on which.

Beside what was asked there is what befell: services came and went, Redis lost its data, its clock was set.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from cticache.data.keys import Keys
from cticache.data.replies import Held, Lease
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.errors import Refusal
from cticache.numbering.pool import Pool
from cticache.reach import new_runner
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
    """The outcome of a lease, the grade of a call, a refusal's code, or 'none'; UNKNOWN without an answer."""
    value: str = ""
    token: str = ""
    replayed: bool = False
    service: str = ""
    """Who was asked, where there are several."""
    left_ms: int | None = None
    """For how long a renewed call lives at least, where it may be less than was asked for."""

    @property
    def least_ms(self) -> int:
        """For how long the call lives from then on at least."""
        return self.ttl_ms if self.left_ms is None else self.left_ms


UNKNOWN = "unknown"
NOBODY = "nobody"
"""No service listened, and nothing was asked."""


class Event(NamedTuple):
    """What befell, and when."""

    begin: int
    end: int
    what: str
    """'flushed', 'ahead' or 'back' (the clock of Redis), or 'services': one of them was started or has ended."""
    lasting: int
    """For how long it matters: how long the services are careful after a loss, by how much the clock was set back,
    until when all know of a service.
    """


class Course(NamedTuple):
    """What a soak ran on, and what befell it."""

    pools: Mapping[str, Pool]
    """The rules of each pool."""
    services: Mapping[str, Mapping[str, Pool]] = {}
    """The pools of each service, with its numbers."""
    events: Sequence[Event] = ()
    told_after: int = 0
    """Within what time the services know that the clock was set, and have seen to it."""

    def of(self, *kinds: str) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.events if event.what in kinds]

    @property
    def losses(self) -> list[Event]:
        """When all calls were lost."""
        return self.of("flushed", "ahead")

    def may_be_careful(self, begin: int, end: int) -> bool:
        """Whether some of that time was one after a loss in which nothing is found by a tail, perhaps."""
        for loss in self.losses:
            until = loss.end + self.told_after + loss.lasting
            for back in sorted(self.of("back")):
                if loss.begin <= back.end and back.begin <= until:  # it is then for as long again at most
                    until = max(until, back.end + self.told_after + loss.lasting)
            if loss.begin <= end and begin <= until:
                return True
        return False

    def lost_from(self, begin: int) -> int | None:
        """When what was written from then on may have been lost."""
        return min((loss.begin for loss in self.losses if begin <= loss.end), default=None)


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
    course: Course = field(repr=False)
    renewals: list[Entry] = field(default_factory=list)
    takes: list[Entry] = field(default_factory=list)
    maybe: list[Entry] = field(default_factory=list)
    """Takes and renewals without an answer that may have been of this call."""

    def writes(self, begin: int, end: int, only_values: bool = False) -> list[Entry]:
        """The lease and renewals that may have been the last one at some moment from begin to end."""
        done = [entry for entry in (self.lease, *self.renewals) if entry.written or not only_values]
        maybe = [entry for entry in self.maybe if entry.what == "renew" and (entry.written or not only_values)]
        return [
            entry
            for entry in done + maybe
            if entry.begin <= end and not any(entry.end < other.begin and other.end < begin for other in done)
        ]

    def is_surely_live(self, begin: int, end: int) -> bool:
        """The call was live at every moment from begin to end."""
        return (
            self.lease.end < begin
            and not self.may_be_lost(end)
            and not any(take <= end for take in self._may_be_taken())
            and all(entry.begin + entry.least_ms * MS - MARGIN > end for entry in self.writes(begin, end))
        )

    def may_be_lost(self, end: int) -> bool:
        """Redis may have lost it by then."""
        lost_from = self.course.lost_from(self.lease.begin)
        return lost_from is not None and lost_from <= end

    def first_end(self) -> int:
        """The first moment at which it may have ended, had nothing been lost."""
        last = self.writes(2**63, 2**63)
        return min([entry.begin + entry.least_ms * MS for entry in last] + self._may_be_taken()) - MARGIN

    def last_end(self) -> int:
        """The last moment at which it may have ended, had nothing been lost."""
        writes = [self.lease, *self.renewals, *(entry for entry in self.maybe if entry.what == "renew")]
        end = max(entry.end + entry.ttl_ms * MS for entry in writes) + MARGIN
        for back in self.course.of("back"):
            # One that has ended may lie in Redis for a while yet, and lives again when the clock is set back.
            if self.lease.begin <= back.end and back.begin - back.lasting <= end:
                end = max(end, back.end + self.course.told_after + end - self.lease.begin)
        return min([end, *(take.end for take in self.takes)])

    def is_surely_lost(self, begin: int) -> bool:
        """Redis had lost it before then."""
        return any(self.lease.end < loss.begin and loss.end < begin for loss in self.course.losses)

    def _may_be_taken(self) -> list[int]:
        return [entry.begin for entry in (*self.takes, *self.maybe) if entry.what == "take"]


def faults(log: Iterable[Entry], course: Course = Course(POOLS)) -> list[str]:  # noqa: B008
    """Everything in the log that no order of its operations explains."""
    entries = _with_late_answers(sorted(log, key=_order))
    leases = [entry for entry in entries if entry.what == "lease" and entry.token and not entry.replayed]
    lives = {entry.token: Life(entry, course) for entry in leases}
    on_number: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.dnis:
            on_number[entry.dnis].append(entry)
    for own in on_number.values():
        _fill_in_what_may_be(own, lives)
    found = list(_strangers(entries, lives))
    found += _kept_keys(entries, lives, course)
    for own in on_number.values():
        found += _on_one_number(own, lives, course)
    return found


def _with_late_answers(entries: list[Entry]) -> list[Entry]:
    """The same in order, and what was carried out without an answer as a later answer tells of it, as far as one does.

    It was carried out between its request and that later answer.
    """
    leased = {entry.token for entry in entries if entry.what == "lease" and not entry.replayed}
    taken = {(entry.token, entry.key) for entry in entries if entry.what == "take" and not entry.replayed}
    unknown = [entry for entry in entries if entry.answer == UNKNOWN]
    told: dict[Entry, Entry] = {}
    for sighting in sorted((entry for entry in entries if entry.token), key=lambda entry: entry.end):
        left = [entry for entry in unknown if entry not in told]
        if sighting.token not in leased and (lease := next((each for each in left if _tells(sighting, each)), None)):
            seen = {"dnis": sighting.dnis, "token": sighting.token, "answer": "leased", "value": lease.written}
            told[lease] = lease._replace(end=sighting.end, **seen)
            leased.add(sighting.token)
        is_first = sighting.what == "take" and sighting.replayed and (sighting.token, sighting.key) not in taken
        if is_first and (take := next((each for each in left if _request(each) == _request(sighting)), None)):
            told[take] = sighting._replace(begin=take.begin, replayed=False)
            taken.add((sighting.token, sighting.key))
    return sorted((told.get(entry, entry) for entry in entries), key=_order)


def _order(entry: Entry) -> tuple[int, int]:
    return entry.begin, entry.end


def _request(take: Entry) -> tuple[str, ...]:
    """What is the same in a take that is repeated under its key."""
    return take.what, take.dnis, take.ani, take.user, take.key


def _tells(sighting: Entry, lease: Entry) -> bool:
    """Whether this answer is of the call that was leased by that request, as far as it shows."""
    if lease.what != "lease" or sighting.pool != lease.pool or sighting.end < lease.begin:
        return False
    return sighting.value == lease.written or (sighting.answer == "exact" and sighting.ani == lease.ani)


def _fill_in_what_may_be(entries: list[Entry], lives: dict[str, Life]) -> None:
    """Of one number: give each call the takes and renewals without an answer that may have been of it."""
    unknown = [entry for entry in entries if entry.answer == UNKNOWN and entry.what in ("take", "renew")]
    if unknown:
        for life in [lives[entry.token] for entry in entries if entry.what == "lease" and not entry.replayed]:
            pool = life.course.pools[life.lease.pool]
            life.maybe += [
                entry for entry in unknown if life.lease.begin <= entry.end and _grade(pool, life.lease.ani, entry.ani)
            ]


_REFUSALS = {"pool_exhausted", "not_ready", "gone", "none", UNKNOWN, NOBODY}
"""What may be answered beside calls."""


def _strangers(entries: list[Entry], lives: dict[str, Life]) -> Iterator[str]:
    """Answers that belong to no lease, refusals that must not be, and values taken twice; fills in the lives."""
    for entry in entries:
        if not entry.token and entry.answer not in _REFUSALS:
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


def _kept_keys(entries: list[Entry], lives: dict[str, Life], course: Course) -> Iterator[str]:
    """Repeated requests: a key is one lease, replayed while that lasts, or one take while that is remembered."""
    originals: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    keyed = (
        entry for entry in entries if entry.key and (entry.token or (entry.what, entry.answer) == ("lease", "gone"))
    )
    for entry in sorted(keyed, key=lambda entry: entry.replayed or not entry.token):
        under = originals[entry.what, entry.pool, entry.user, entry.key]
        if entry.token and not entry.replayed:
            if any(not _may_follow(entry, other, lives) and not _may_follow(other, entry, lives) for other in under):
                yield f"done twice under one key: {entry} after {under}"
            under.append(entry)
        elif not entry.token:
            if any(lives[other.token].is_surely_live(entry.begin, entry.end) for other in under):
                yield f"told that it is over, and it was live: {entry} of {under}"
        elif not any(_may_repeat(entry, other, lives) for other in under):
            yield f"replayed, and not what was answered before: {entry} after {under}"


def _may_follow(entry: Entry, other: Entry, lives: dict[str, Life]) -> bool:
    """The one may have been carried out when the other's answer was no longer kept under the key of both.

    Which of them was asked first says nothing: a request may be held up for longer than a call lives.
    """
    life = lives[other.token]
    ends = life.first_end() if other.what == "lease" else other.begin
    lost_from = life.course.lost_from(other.begin)
    kept_until = ends + _remember(life) - MARGIN
    return entry.end >= (kept_until if lost_from is None else min(kept_until, lost_from))


def _remember(life: Life) -> int:
    return life.course.pools[life.lease.pool].remember_ms * MS


def _may_repeat(entry: Entry, other: Entry, lives: dict[str, Life]) -> bool:
    """The one may be the other's answer again: a lease's while its call lives, a take's while that is remembered."""
    life = lives[other.token]
    kept_until = life.last_end() if entry.what == "lease" else other.end + _remember(life) + MARGIN
    if entry.what == "take":
        kept_until += sum(back.lasting for back in life.course.of("back") if other.begin <= back.end)
    is_lost = any(other.end < loss.begin and loss.end < entry.begin for loss in life.course.losses)
    same = (entry.value, entry.token) == (other.value, other.token)
    return same and other.begin < entry.end and entry.begin < kept_until and not is_lost


def _on_one_number(entries: list[Entry], lives: dict[str, Life], course: Course) -> Iterator[str]:
    coming = [lives[entry.token] for entry in entries if entry.what == "lease" and not entry.replayed]
    rest = max(pool.pair_rest_ms for pool in course.pools.values()) * MS
    matters_until = {life.lease.token: life.first_end() + rest for life in coming}
    active: list[Life] = []
    for entry in entries:
        while coming and coming[0].lease.begin <= entry.end:
            active.append(coming.pop(0))
        active = [life for life in active if matters_until[life.lease.token] >= entry.begin]
        sure = [life for life in active if life.is_surely_live(entry.begin, entry.end)]
        if entry.what == "lease":
            if not entry.replayed:
                yield from _a_lease(entry, active, sure, course)
        elif entry.token in lives:
            if not entry.replayed:
                yield from _an_answer(entry, lives[entry.token], sure, course)
        elif fitting := [life for life in sure if _must_find(entry, life, course)]:
            exact = any(life.lease.ani == entry.ani for life in fitting)
            if entry.answer == "none" or (entry.answer == "gone" and exact):
                yield f"lost: {entry} and {fitting[0].lease}"


def _must_find(entry: Entry, life: Life, course: Course) -> bool:
    """Whether the service that was asked finds this call, if it is live."""
    grade = _grade(course.pools[life.lease.pool], life.lease.ani, entry.ani)
    if grade == "suffix" and course.may_be_careful(entry.begin, entry.end):
        return False
    own = course.services.get(entry.service)
    if own and entry.dnis not in own[life.lease.pool].numbers:
        near = (
            event.begin <= entry.end and entry.begin <= event.end + event.lasting for event in course.of("services")
        )
        return bool(grade) and not any(near)
    return bool(grade)


def _a_lease(entry: Entry, active: list[Life], sure: list[Life], course: Course) -> Iterator[str]:
    pool = course.pools[entry.pool]
    is_alone = pool.exhausted == "reject" or not entry.ani  # and is given what is found by the number alone
    if len(sure) >= (1 if pool.exhausted == "reject" else pool.max_callers):
        yield f"too many callers: {entry} and {[life.lease for life in sure]}"
    if any(not life.lease.ani for life in sure):
        yield f"beside a withheld caller: {entry} and {[life.lease for life in sure]}"
    for life in active:
        if life.lease.end >= entry.begin or life.lease.token == entry.token:
            continue
        theirs = course.pools[life.lease.pool]
        pair_rest_ms = max(pool.pair_rest_ms, theirs.pair_rest_ms)
        if life.may_be_lost(entry.end):
            if is_alone and entry.end < life.first_end() + pair_rest_ms * MS:
                yield f"lent while the call that was lost may be on the way: {entry} and {life}"
            continue
        has_moved = pool.name != theirs.name
        rest_ms = pair_rest_ms if has_moved or life.lease.ani == entry.ani else pool.rest_ms
        rests = entry.end < life.first_end() + rest_ms * MS
        if rests and (has_moved or is_alone or _grade(pool, life.lease.ani, entry.ani)):
            yield f"lent while it could be mistaken for another: {entry} and {life}"


def _an_answer(entry: Entry, life: Life, sure: list[Life], course: Course) -> Iterator[str]:
    pool = course.pools[entry.pool]
    if entry.answer != _grade(pool, life.lease.ani, entry.ani):
        yield f"somebody else's: {entry} is of {life.lease}"
    better = [other for other in sure if other is not life and _must_find(entry, other, course)]
    if better:
        yield f"guessed: {entry} and not {better[0].lease}"
    if entry.end < life.lease.begin or entry.begin > life.last_end() or life.is_surely_lost(entry.begin):
        yield f"not live: {entry} of {life}"
    if any(take is not entry and take.end < entry.begin for take in life.takes):
        yield f"answered after it was taken: {entry} of {life}"
    if pool.match == "suffix" and entry.answer == "suffix" and _is_careful(entry, course):
        yield f"found by a tail after a loss: {entry} of {life}"
    right = [entry.written] if entry.written else [write.written for write in life.writes(entry.begin, entry.end, True)]
    if entry.value not in right:
        yield f"not what was written last: {entry}, {right}"


def _is_careful(entry: Entry, course: Course) -> bool:
    """Whether all of it was in the time after a loss in which nothing is found by a tail, for sure."""
    return any(
        loss.end + (course.told_after if loss.what == "ahead" else 0) < entry.begin
        and entry.end < loss.begin + loss.lasting - MARGIN
        for loss in course.losses
    )


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
