"""Keeps the pools in Redis in line with the configuration: at the start, and whenever Redis comes back empty.

Each step is one bounded run of pool_sync.lua, so a pool of millions is brought in line while numbers are leased.
Every pool drops what it must before any pool adds: a number that moves from one pool to another is not leased there
until its last call in the old pool has ended. A pool that is no longer configured is drained like one without numbers,
and forgotten once nothing lives there.

If services with different pools or numbers share one Redis, the one started last rules (pool_claim.lua). The others
touch nothing, and are not ready.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from cticache.data.store import Store
from cticache.numbering.pools import Pool, Pools

_log = logging.getLogger(__name__)

CHANGE_STEP = 300
"""Numbers added or dropped in one step: about 2 ms of Redis."""
LIST_STEP = 500
"""Numbers listed in one step; Valkey's ZSCAN may list twice as many."""


def sync(store: Store, pools: Pools, *, take_over: bool, stopped: Callable[[], bool] = lambda: False) -> frozenset[str]:
    """Bring every pool in line and learn which numbers are leaving; RedisUnavailable if Redis goes away.

    Returns the names of the pools that are not as configured here because another configuration rules; none when all
    are in place. Without ``take_over`` the last service that took over still rules. Once ``stopped`` is true, Stopped
    is raised instead of taking the next step.
    """
    claims = claimed(pools)
    ruling = store.pool_claim("take_over" if take_over else "claim", claims)
    former = [_Task(store, pools.former(name), stopped) for name in ruling if name not in claims]
    tasks = [*former, *(_Task(store, pool, stopped) for pool in pools)]
    if overruled := _overruled(claims, ruling):
        pools.set_leaving({task.pool.name: task.leaving() for task in tasks})
        return overruled
    behind = [task for task in tasks if not task.begin()]
    # A service that took over before our last begin may have been pushed aside by it; a later one pushes us aside.
    if behind and (overruled := _overruled(claims, store.pool_claim("claim", claims))):
        return overruled
    try:
        for task in behind:
            task.sweep()
        leaving = {task.pool.name: task.leaving() for task in tasks}
        pools.set_leaving(leaving)  # before the adding, which may take long: their callers are on the line
        for task in behind:
            task.fill(_latest(_rested(task.pool, other.pool, leaving[other.pool.name]) for other in tasks))
    except _PushedAside:  # by a service that rules by now, or by nobody: Redis may have been emptied
        return sync(store, pools, take_over=False, stopped=stopped)
    # A pool drained only now is erased next time: a service with the same numbers may still be draining it.
    for task in former:
        if task not in behind and task.erase():
            store.pool_claim("forget", {task.pool.name: ""})
            _log.info("pool %s is no longer configured, and now gone", task.pool.name)
    return frozenset()


def learn_leaving(store: Store, pools: Pools) -> None:
    """Learn which numbers are leaving, and change nothing."""
    ruling = store.pool_claim("forget", {})  # nothing is forgotten, and the reply tells who rules
    former = [pools.former(name) for name in ruling if not pools.get(name)]
    tasks = [_Task(store, pool, lambda: False) for pool in (*former, *pools)]
    pools.set_leaving({task.pool.name: task.leaving() for task in tasks})


def claimed(pools: Pools) -> dict[str, str]:
    """The pools, and the fingerprints of their numbers."""
    return {pool.name: pool.numbers.fingerprint() for pool in pools}


def _overruled(claims: Mapping[str, str], ruling: Mapping[str, str]) -> frozenset[str]:
    """The pools for which the ruling differs from the claims."""
    return frozenset(name for name in claims.keys() | ruling.keys() if claims.get(name, "") != ruling.get(name, ""))


def _rested(pool: Pool, other: Pool, leaving: Mapping[str, int]) -> dict[str, int]:
    """DNIS -> ms from which ``pool`` may lease what leaves another."""
    return {} if other.name == pool.name else {dnis: pool.after(other, ms) for dnis, ms in leaving.items()}


def _latest(ends: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """DNIS -> the latest of its ends."""
    latest: dict[str, int] = {}
    for some in ends:
        for dnis, ms in some.items():
            latest[dnis] = max(ms, latest.get(dnis, ms))
    return latest


class Stopped(Exception):
    """The sync was ended before it was done; the next one finishes it."""


class _PushedAside(Exception):
    """Another sync has taken over what this one had begun, or it is gone."""


class _Task:
    """What there is to do for one pool."""

    def __init__(self, store: Store, pool: Pool, stopped: Callable[[], bool]) -> None:
        self.pool = pool
        self._store = store
        self._stopped = stopped
        self._fingerprint = pool.numbers.fingerprint()

    def begin(self) -> bool:
        """Whether all is in place already; if not, this sync is the one that counts from now on."""
        return bool(self._step("begin", count=len(self.pool.numbers)))

    def sweep(self) -> None:
        """Drop the numbers that are no longer configured."""
        cursor = ""
        while cursor != "0":
            cursor, *listed = self._step("list", cursor=cursor or "0", count=LIST_STEP)
            for strangers in _chunks((dnis for dnis in listed if dnis not in self.pool.numbers), CHANGE_STEP):
                self._step("drop", dnises=strangers)

    def leaving(self) -> dict[str, int]:
        """The numbers taken out whose calls may still be asked for: DNIS -> ms until which."""
        ends: dict[str, int] = {}
        since, skip = 0, 0
        while True:
            page = self._step("leaving", cursor=str(since), count=LIST_STEP, skip=skip)
            times = list(map(int, page[1::2]))
            ends.update(zip(page[::2], times, strict=True))
            if len(times) < LIST_STEP:
                return ends
            # By time, not by place: what ends while this is read would move what is still to come into what was read.
            # The last time is listed again, for more numbers may have it; only where it fills a page are they skipped.
            last = times[-1]
            skip = 0 if times[0] < last else LIST_STEP + (skip if since == last else 0)
            since = last

    def fill(self, elsewhere: Mapping[str, int]) -> None:
        """Add the missing numbers, those still in use in another pool as free only later, and finish."""
        at_once = (dnis for dnis in self.pool.numbers if dnis not in elsewhere)
        new = sum(self._step("add", dnises=chunk) for chunk in _chunks(at_once, CHANGE_STEP))
        for dnis in filter(self.pool.numbers.__contains__, elsewhere):
            new += self._step("add", free_ms=elsewhere[dnis], dnises=[dnis])
        self._step("finish")
        # With commas: the log would take a count of six digits for a telephone number and mask it.
        size = len(self.pool.numbers)
        _log.info("pool %s: %s numbers in place, %s of them new", self.pool.name, f"{size:,}", f"{new:,}")

    def erase(self) -> bool:
        """Whether nothing is left of a pool without numbers; if so, the keys that never expire are removed."""
        return bool(self._step("erase"))

    def _step(self, step: str, **arguments: Any) -> Any:
        if self._stopped():
            raise Stopped
        reply = self._store.pool_sync(self.pool, step, fingerprint=self._fingerprint, **arguments)
        if reply is None:
            raise _PushedAside
        return reply


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
