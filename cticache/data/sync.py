"""Brings the pools in Redis in line with the configuration.

Each step is one bounded run of pool_sync.lua, so a pool of millions is brought in line while numbers are leased. Every
pool drops what another is to have before that one adds it: a number that moves from one pool to another is not leased
there until its last call in the old pool has ended. The smallest pool is filled first. A pool that is no longer
configured is drained like one without numbers, and forgotten once nothing lives there.

Where clients are served by a configuration before this one, they are served by this one, in all processes, before the
first of its numbers is added that they could lease; and a number is in no pool of theirs only once its calls are known.

If services with different pools or numbers share one Redis, one of them rules (pool_claim.lua). The others touch
nothing.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from cticache.data.difference import Difference, difference
from cticache.data.paging import several
from cticache.data.replies import Ruling
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.data.task import PushedAside, Task, Watch
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

AT_ONCE = 500
"""Pools asked in one round trip."""
_MOST_LATE = 5_000
"""Numbers of a pool that may stay there until others are added: all processes get a list of them."""
ALL = "@"
"""What stands in place of a pool's name for all of them; no pool has that name."""


class Stopped(Exception):
    """The sync was ended before it was done; the next one finishes it."""


class Before(NamedTuple):
    """The configuration that clients are served by while another one is put in place."""

    numbers: Mapping[str, NumberSet]
    """By the name of the pool."""
    serve: Callable[[], None]
    """Has them served by the other one; returns once they are."""


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

    def __init__(self, store: Store, pools: Pools, watch: Watch, before: Before | None = None) -> None:
        self._store = store
        self._pools = pools
        self._watch = watch
        self._before = before
        self._claims = {pool.name: pool.numbers.fingerprint() for pool in pools}
        self._tasks = [Task(store, pool, watch) for pool in pools]
        self.numbers = hashlib.sha256(json.dumps(sorted(self._claims.items())).encode()).hexdigest()[:32]
        """Fingerprint of the numbers of all pools."""
        self.unsure: frozenset[str] | None = None
        """The pools from which numbers that are not configured may have to be taken first; None until that is known.

        None of the pools that clients are served by, for as long as they are.
        """

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
        self.unsure = frozenset() if self._before else frozenset(task.pool.name for task in behind)
        try:
            self._bring_in_line(tasks, behind)
        except PushedAside:  # by a service that rules by now, or by nobody: Redis may have been emptied
            return self.run(take_over=False)
        # A pool drained only now is erased next time: a service with the same numbers may still be draining it.
        for task in former:
            if task not in behind and task.erase():
                self._store.pool_claim("forget", claims={task.pool.name: ruling.former[task.pool.name]})
                _log.info("pool %s is no longer configured, and now gone", task.pool.name)
        return frozenset()

    def difference(self, names: Collection[str]) -> Difference | None:
        """In which number the first of these pools differs from the one in Redis; None where that is not known."""
        return difference(self._store, [pool for pool in self._pools if pool.name in names])

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

    def _former(self, name: str) -> Task:
        return Task(self._store, self._pools.former(name), self._watch)

    def _begin(self, tasks: Iterable[Task]) -> list[Task]:
        """Those for which there is work to do; this sync is the one that counts for them from now on."""
        known = self._before.numbers if self._before else {}
        return [
            task
            for task, reply in self._each(tasks, Task.beginning)
            if not task.begun(reply, known.get(task.pool.name))
        ]

    def _bring_in_line(self, tasks: Sequence[Task], behind: Sequence[Task]) -> None:
        if not behind:
            self._leaving(task for task in tasks if task.leaves)
        elif self._before and not any(task.unknown for task in behind):
            self._change_over(tasks, behind, self._before.numbers)
            return
        waiting = behind
        while waiting:
            first, waiting = _first(waiting)
            for task in first:
                task.drop()
            for task in waiting:
                task.drop_those(chain.from_iterable(other.missing for other in first))
            self.unsure = frozenset(task.pool.name for task in waiting)
            # Before the adding, which may take long: the callers on these numbers are on the line.
            waits = self._waits(first, [task for task in tasks if task.leaves or task in behind])
            self._serve()
            for task in sorted(first, key=lambda task: len(task.missing)):
                task.add(task.missing, waits.get(task.pool.name, {}))
                task.finish()
        self._serve()

    def _change_over(self, tasks: Sequence[Task], behind: Sequence[Task], served: Mapping[str, NumberSet]) -> None:
        """Bring them in line while clients lease from the pools that are ``served``: none of these is empty in between.

        What goes is dropped after what comes was added, and is looked for in its former pool until its calls are known.
        Only what another pool is to have, in whatever spelling, has to be dropped before that one adds it: the one half
        before clients are served by the new pools, which have these numbers then, and the other half after that.
        """
        touched = [task for task in tasks if task.leaves or task in behind]
        late: dict[str, list[str]] = {}
        to_come: set[tuple[str, str]] = set()
        for task in behind:
            early, late[task.pool.name], wait_for = self._shared_out(task, behind)
            task.drop_those(early)
            to_come |= wait_for
        waits = self._waits(behind, touched, late)
        by_size = sorted(behind, key=lambda task: (task.pool.name in served, len(task.missing)))
        for task in by_size:
            if task.pool.name in served:
                self._serve()
            now = (dnis for dnis in task.missing if (task.pool.name, dnis) not in to_come)
            task.add(now, waits.get(task.pool.name, {}))
        self._serve()
        for task in behind:
            task.drop_those(late[task.pool.name])
        waits = self._waits(behind, touched)
        for task in by_size:
            then = (dnis for dnis in task.missing if (task.pool.name, dnis) in to_come)
            task.add(then, waits.get(task.pool.name, {}))
            task.finish()

    def _shared_out(self, task: Task, behind: Sequence[Task]) -> tuple[list[str], list[str], set[tuple[str, str]]]:
        """What to drop of a pool at once, what later, and which numbers of which pools have to wait for that."""
        missing = {each.pool.name: each.missing for each in behind}
        early: list[str] = []
        late: list[str] = []
        to_come: set[tuple[str, str]] = set()
        is_late = False
        for at, dnis in enumerate(task.strangers):
            if at >= _MOST_LATE:
                early.append(dnis)
                continue
            meant = self._pools.of(dnis)
            wait_for = {
                (place.pool.name, place.dnis) for place in meant if place.dnis in missing.get(place.pool.name, ())
            }
            if wait_for:
                is_late = not is_late
            if not wait_for or is_late:
                late.append(dnis)
                to_come |= wait_for
            else:
                early.append(dnis)
        return early, late, to_come

    def _serve(self) -> None:
        """Have clients served by this configuration."""
        if self._before:
            serve, self._before = self._before.serve, None
            serve()

    def _leaving(
        self, tasks: Iterable[Task], soon: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> list[tuple[Task, dict[str, int]]]:
        """The numbers that are leaving each pool: DNIS -> ms until which its calls may be asked for.

        ``soon``: those that are about to, by the name of their pool; they are looked for there, too, from now on.
        """
        ends = [(task, task.leaving(page)) for task, page in self._each(tasks, Task.leaving_page)]
        leaving = [(task, until) for task, until in ends if until]
        known: dict[str, list[str]] = {name: list(dnises) for name, dnises in soon.items()}
        for task, until in leaving:
            known.setdefault(task.pool.name, []).extend(until)
        self._pools.set_leaving(known)
        return leaving

    def _waits(
        self,
        behind: Sequence[Task],
        touched: Sequence[Task],
        soon: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> dict[str, dict[str, int]]:
        """Pool -> DNIS that it is to add -> ms from which it may lease it, after the calls on it of another pool.

        Or of the same pool, where they are on this number in another spelling. It is known then which numbers are
        leaving those that are ``touched``; ``soon``: as in ``_leaving``.
        """
        leaving = self._leaving(touched, soon)
        for task, ends in leaving:
            task.withdraw(ends)
        adding = {task.pool.name: task for task in behind}
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

    def _each(self, tasks: Iterable[Task], step: Callable[[Task], Step]) -> Iterator[tuple[Task, Any]]:
        """The same step for each of them, many in one round trip."""
        for chunk in several(tasks, AT_ONCE):
            self._watch("")
            yield from zip(chunk, self._store.pool_sync(*map(step, chunk)), strict=True)


def _first(waiting: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Whose turn it is, and who waits: a pool of unknown numbers that is larger than all that others are to get.

    It is quicker to take these numbers out of it one by one than to have the others wait until it is gone through.
    """
    first = sorted(waiting, key=lambda task: task.unknown)
    later: list[Task] = []
    to_get = sum(len(task.missing) for task in first)
    while len(first) > 1 and first[-1].unknown > to_get - len(first[-1].missing):
        later.append(first.pop())
        to_get -= len(later[-1].missing)
    return first, later
