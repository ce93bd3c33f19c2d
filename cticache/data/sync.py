"""Brings the pools in Redis in line with the configuration.

Each step is one bounded run of pool_sync.lua, so a pool of millions is brought in line while numbers are leased. Every
pool drops what another is to have before that one adds it: a number that moves from one pool to another is not leased
there until its last call in the old pool has ended. The smallest pool is filled first. A pool that is no longer
configured is drained like one without numbers, and forgotten once nothing lives there.

If services with different pools or numbers share one Redis, one of them rules (pool_claim.lua). The others touch
nothing.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from cticache.data.paging import PAGE, by_time
from cticache.data.replies import Ruling
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pools import Pool, Pools

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

CHANGE_STEP = 300
"""Numbers added or dropped in one step: about 2 ms of Redis."""
LIST_STEP = 500
"""Numbers listed in one step; Valkey's ZSCAN may list twice as many."""
AT_ONCE = 500
"""Pools asked in one round trip."""
MOST_RANGES = 65_536
"""Characters of a pool's ranges that are kept; without them it is listed to find out what must go."""
ALL = "@"
"""What stands in place of a pool's name for all of them; no pool has that name."""

Watch = Callable[[str], None]
"""Told before each step how far the sync is, in words, or an empty text; what it raises ends the sync."""


class Stopped(Exception):
    """The sync was ended before it was done; the next one finishes it."""


class _PushedAside(Exception):
    """Another sync has taken over what this one had begun, or it is gone."""


def sync(store: Store, pools: Pools, *, take_over: bool, stopped: Callable[[], bool] = lambda: False) -> frozenset[str]:
    """Bring every pool in line and learn which numbers are leaving, as ``Sync.run`` does.

    Once ``stopped`` is true, Stopped is raised instead of taking the next step.
    """

    def watch(_how_far: str) -> None:
        if stopped():
            raise Stopped

    return Sync(store, pools, watch).run(take_over=take_over)


def learn_leaving(store: Store, pools: Pools) -> None:
    """Learn which numbers are leaving, and change nothing."""
    Sync(store, pools, lambda _how_far: None).learn_leaving()


class Sync:
    """Brings the pools of one configuration in line, as often as it is asked to."""

    def __init__(self, store: Store, pools: Pools, watch: Watch) -> None:
        self._store = store
        self._pools = pools
        self._watch = watch
        self._claims = {pool.name: pool.numbers.fingerprint() for pool in pools}
        self._tasks = [_Task(store, pool, watch) for pool in pools]
        self.numbers = hashlib.sha256(json.dumps(sorted(self._claims.items())).encode()).hexdigest()[:32]
        """Fingerprint of the numbers of all pools."""
        self.unsure: frozenset[str] | None = None
        """The pools from which numbers that are not configured may have to be taken first; None until that is known."""

    def run(self, *, take_over: bool, known: Ruling | None = None) -> frozenset[str]:
        """Bring every pool in line and learn which numbers are leaving; RedisUnavailable if Redis goes away.

        Returns the names of the pools that are not as configured here because another configuration rules; none when
        all are in place. Without ``take_over`` this one rules only if none does. ``known`` is what was valid a moment
        ago; it saves asking.
        """
        ruling = known or self._store.pool_claim("ask")
        if (take_over and ruling.numbers != self.numbers) or not ruling.numbers:
            ruling = self._store.pool_claim("take_over" if take_over else "claim", self.numbers, self._claims)
        if overruled := self._overruled(ruling):
            return overruled
        former = [self._former(name) for name in ruling.former]
        tasks = [*former, *self._tasks]
        behind = self._begin(tasks)
        # A service that took over before our last begin may have been pushed aside by it; a later one pushes us aside.
        if behind and (overruled := self._overruled(self._store.pool_claim("claim", self.numbers, self._claims))):
            return overruled
        self.unsure = frozenset(task.pool.name for task in behind)
        try:
            self._bring_in_line(tasks, behind)
        except _PushedAside:  # by a service that rules by now, or by nobody: Redis may have been emptied
            return self.run(take_over=False)
        # A pool drained only now is erased next time: a service with the same numbers may still be draining it.
        for task in former:
            if task not in behind and task.erase():
                self._store.pool_claim("forget", claims={task.pool.name: ruling.former[task.pool.name]})
                _log.info("pool %s is no longer configured, and now gone", task.pool.name)
        return frozenset()

    def learn_leaving(self) -> None:
        """Learn which numbers are leaving, also those of pools that another configuration has; change nothing."""
        self._learn_leaving(self._store.pool_claim("list"))

    def _learn_leaving(self, ruling: Ruling) -> None:
        others = sorted((ruling.pools.keys() | ruling.former.keys()) - self._claims.keys() - {ALL})
        self._leaving([*map(self._former, others), *self._tasks])

    def _overruled(self, ruling: Ruling) -> frozenset[str]:
        """The pools for which the ruling differs; of these all that can be learnt is which numbers are leaving."""
        if ruling.numbers == self.numbers:
            return frozenset()
        ruling = self._store.pool_claim("list")
        names = (self._claims.keys() | ruling.pools.keys()) - {ALL}
        differing = frozenset(name for name in names if self._claims.get(name, "") != ruling.pools.get(name, ""))
        if differing:
            self._learn_leaving(ruling)
        return differing

    def _former(self, name: str) -> "_Task":
        return _Task(self._store, self._pools.former(name), self._watch)

    def _begin(self, tasks: Iterable["_Task"]) -> list["_Task"]:
        """Those for which there is work to do; this sync is the one that counts for them from now on."""
        return [task for task, reply in self._each(tasks, _Task.beginning) if not task.begun(reply)]

    def _bring_in_line(self, tasks: Sequence["_Task"], behind: Sequence["_Task"]) -> None:
        if not behind:
            self._leaving(task for task in tasks if task.leaves)
        waiting = behind
        while waiting:
            first, waiting = _first(waiting)
            for task in first:
                task.drop()
            for task in waiting:
                task.drop_those(chain.from_iterable(other.missing for other in first))
            self.unsure = frozenset(task.pool.name for task in waiting)
            # Before the adding, which may take long: the callers on these numbers are on the line.
            leaving = self._leaving(task for task in tasks if task.leaves or task in behind)
            for task, ends in leaving:
                task.withdraw(ends)
            waits = self._waits({task.pool.name: task for task in first}, leaving)
            for task in sorted(first, key=lambda task: len(task.missing)):
                task.fill(waits.get(task.pool.name, {}))

    def _leaving(self, tasks: Iterable["_Task"]) -> list[tuple["_Task", dict[str, int]]]:
        """The numbers that are leaving each pool: DNIS -> ms until which its calls may be asked for."""
        ends = [(task, task.leaving(page)) for task, page in self._each(tasks, _Task.leaving_page)]
        leaving = [(task, until) for task, until in ends if until]
        self._pools.set_leaving({task.pool.name: until for task, until in leaving})
        return leaving

    def _waits(
        self, adding: Mapping[str, "_Task"], leaving: Iterable[tuple["_Task", dict[str, int]]]
    ) -> dict[str, dict[str, int]]:
        """Pool -> DNIS that it is to add -> ms from which it may lease it, after the calls on it of another pool.

        Or of the same pool, where they are on this number in another spelling.
        """
        waits: dict[str, dict[str, int]] = {}
        for other, ends in leaving:
            found = [
                (dnis, place)
                for dnis in ends
                for place in self._pools.of(dnis)
                if place.pool.name in adding
                and place.dnis in adding[place.pool.name].missing
                and (place.pool.name, place.dnis) != (other.pool.name, dnis)
            ]
            promised = other.promise({dnis: None for dnis, _ in found})
            for dnis, place in found:
                if dnis in promised:
                    own = waits.setdefault(place.pool.name, {})
                    own[place.dnis] = max(place.pool.after(other.pool, promised[dnis]), own.get(place.dnis, 0))
        return waits

    def _each(self, tasks: Iterable["_Task"], step: Callable[["_Task"], Step]) -> Iterator[tuple["_Task", Any]]:
        """The same step for each of them, many in one round trip."""
        for chunk in _chunks(tasks, AT_ONCE):
            self._watch("")
            yield from zip(chunk, self._store.pool_sync(*map(step, chunk)), strict=True)


def _first(waiting: Sequence["_Task"]) -> tuple[list["_Task"], list["_Task"]]:
    """Whose turn it is, and who waits: a pool of unknown numbers that is larger than all that others are to get.

    It is quicker to take these numbers out of it one by one than to have the others wait until it is gone through.
    """
    first = sorted(waiting, key=lambda task: task.unknown)
    later: list[_Task] = []
    to_get = sum(len(task.missing) for task in first)
    while len(first) > 1 and first[-1].unknown > to_get - len(first[-1].missing):
        later.append(first.pop())
        to_get -= len(later[-1].missing)
    return first, later


class _Task:
    """What there is to do for one pool."""

    def __init__(self, store: Store, pool: Pool, watch: Watch) -> None:
        self.pool = pool
        self.leaves = False
        """Whether numbers were leaving when it was begun."""
        self.missing = NumberSet()
        """What is to be added, as far as that is known."""
        self.unknown = 0
        """How many numbers there are in the pool of which it is not known which they are."""
        self._strangers = NumberSet()
        """What is known to be there and not to be configured."""
        self._store = store
        self._watch = watch
        self._fingerprint = pool.numbers.fingerprint()
        self._how_far = ""

    def beginning(self) -> Step:
        """The step that tells whether all is in place already."""
        return self._asked("begin", count=len(self.pool.numbers))

    def begun(self, reply: list[Any]) -> bool:
        """Whether all is in place, by the reply to ``beginning``."""
        in_place, leaves, *more = reply
        self.leaves, self._how_far = bool(leaves), ""
        if in_place:
            return True
        size, fingerprint, ranges = more
        before = _put_in_place(size, fingerprint, ranges)
        self.unknown = size if before is None else 0
        self._strangers = (before or NumberSet()) - self.pool.numbers
        self.missing = self.pool.numbers - (before or NumberSet())
        return False

    def drop(self) -> None:
        """Drop the numbers that are no longer configured."""
        self.drop_those(self._strangers)
        cursor, done = "" if self.unknown else "0", 0
        while cursor != "0":
            self._how_far = f"{done:,} of {self.unknown:,} numbers have been looked at for those to be dropped"
            cursor, *listed = self._step("list", cursor=cursor or "0", count=LIST_STEP)
            done += len(listed)
            for strangers in _chunks((dnis for dnis in listed if dnis not in self.pool.numbers), CHANGE_STEP):
                self._step("drop", dnises=strangers)

    def drop_those(self, numbers: Iterable[str]) -> None:
        """Drop these numbers, if they are there."""
        done = 0
        for chunk in _chunks(numbers, CHANGE_STEP):
            self._how_far = f"{done:,} numbers have been dropped"
            self._step("drop", dnises=chunk)
            done += len(chunk)

    def leaving_page(self) -> Step:
        """The step that lists the first of the numbers that are leaving."""
        return self._asked("leaving", count=PAGE)

    def leaving(self, page: list[str]) -> dict[str, int]:
        """The numbers taken out whose calls may still be asked for: DNIS -> ms until which; ``page``: the first."""
        return by_time(
            lambda since, skip: (
                self._step("leaving", cursor=str(since), count=PAGE, skip=skip) if since or skip else page
            )
        )

    def promise(self, dnises: Iterable[str]) -> dict[str, int]:
        """DNIS -> ms until which its calls live at most, whoever renews them; without those that no longer leave."""
        ends: dict[str, int] = {}
        for chunk in _chunks(dnises, CHANGE_STEP):
            listed = self._step("promise", dnises=chunk)
            ends.update(zip(listed[::2], map(int, listed[1::2]), strict=True))
        return ends

    def withdraw(self, leaving: Iterable[str]) -> None:
        """Take back what was promised of numbers that are the pool's again without being leased."""
        pool = self.pool
        own = (dnis for dnis in leaving if dnis == pool.fallback or dnis in pool.draining)
        for chunk in _chunks(own, CHANGE_STEP):
            self._step("withdraw", dnises=chunk)

    def fill(self, elsewhere: Mapping[str, int]) -> None:
        """Add the missing numbers, those still in use in another pool as free only later, and finish."""
        size, done, new = len(self.pool.numbers), len(self.pool.numbers) - len(self.missing), 0
        for chunk in _chunks((dnis for dnis in self.missing if dnis not in elsewhere), CHANGE_STEP):
            self._how_far = f"{done:,} of {size:,} numbers are in place"
            new += self._step("add", dnises=chunk)
            done += len(chunk)
        for dnis in filter(self.missing.__contains__, elsewhere):
            new += self._step("add", free_ms=elsewhere[dnis], dnises=[dnis])
        ranges = str(self.pool.numbers)
        self._step("finish", ranges=ranges if len(ranges) <= MOST_RANGES else "")
        # With commas: the log would take a count of six digits for a telephone number and mask it.
        _log.info("pool %s: %s numbers in place, %s of them new", self.pool.name, f"{size:,}", f"{new:,}")

    def erase(self) -> bool:
        """Whether nothing is left of a pool without numbers; if so, the keys that never expire are removed."""
        return bool(self._step("erase"))

    def _asked(self, step: str, **arguments: Any) -> Step:
        return Step(self.pool, step, self._fingerprint, **arguments)

    def _step(self, step: str, **arguments: Any) -> Any:
        self._watch(self._how_far and f"Pool {self.pool.name}: {self._how_far}.")
        (reply,) = self._store.pool_sync(self._asked(step, **arguments))
        if reply is None:
            raise _PushedAside
        return reply


def _put_in_place(size: int, fingerprint: str, ranges: str) -> NumberSet | None:
    """The numbers that are there, if that is certain: those of the ranges that were put in place last."""
    try:
        numbers = NumberSet.parse(ranges, size)
    except ValueError:
        return None
    return numbers if len(numbers) == size and (not size or numbers.fingerprint() == fingerprint) else None


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
