"""Keeps the pools in Redis in line with the configuration: at the start, and whenever Redis comes back empty.

Each step is one bounded call of pool_sync.lua, so a pool of millions is brought in line while calls are leased.
Every pool drops what it must before any pool adds: a number that moves from one pool to another is not leased there
until its last call in the old pool has ended.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from itertools import islice

from cticache.errors import RedisUnavailable
from cticache.pools import Pool, Pools
from cticache.store import Store

_log = logging.getLogger(__name__)

CHANGE_STEP = 300
"""Numbers added or dropped by one call: about 2 ms of Redis."""
LIST_STEP = 500
"""Numbers listed by one call; Valkey's ZSCAN may list twice as many."""

_ALL_IN_PLACE, _WORK_TO_DO, _FOREIGN = 1, 0, 2


def sync(store: Store, pools: Pools, *, take_over: bool) -> None:
    """Bring every pool in line and learn which numbers are leaving; RedisUnavailable if Redis goes away.

    Without ``take_over``, a pool that another service has since brought in line with another configuration is left
    as it is: the last one started decides.
    """
    behind = []
    for pool in pools:
        state = store.pool_sync(
            pool, "begin", fingerprint=pool.numbers.fingerprint(), count=len(pool.numbers), take_over=take_over
        )
        if state == _WORK_TO_DO:
            behind.append(pool)
        elif state == _FOREIGN:
            _log.warning("pool %s: another cticache with other numbers has been started on this Redis", pool.name)
    for pool in behind:
        _sweep(store, pool)
    leaving = {pool.name: dict(_leaving(store, pool)) for pool in pools}
    for pool in behind:
        elsewhere = {dnis: ms for name, ends in leaving.items() if name != pool.name for dnis, ms in ends.items()}
        new = _add(store, pool, elsewhere)
        store.pool_sync(pool, "finish", fingerprint=pool.numbers.fingerprint())
        _log.info("pool %s: %d numbers in place, %d of them new", pool.name, len(pool.numbers), new)
    pools.set_leaving({dnis: pool.name for pool in pools for dnis in leaving[pool.name] if dnis not in pool.numbers})


def _sweep(store: Store, pool: Pool) -> None:
    """Drop the numbers that are no longer configured."""
    cursor = ""
    while cursor != "0":
        cursor, *listed = store.pool_sync(pool, "list", cursor=cursor or "0", count=LIST_STEP)
        for strangers in _chunks((dnis for dnis in listed if dnis not in pool.numbers), CHANGE_STEP):
            store.pool_sync(pool, "drop", dnises=strangers)


def _add(store: Store, pool: Pool, elsewhere: dict[str, int]) -> int:
    """Add the numbers that are missing, those still in use in another pool for later; how many were new."""
    at_once = (dnis for dnis in pool.numbers if dnis not in elsewhere)
    new: int = sum(store.pool_sync(pool, "add", dnises=chunk) for chunk in _chunks(at_once, CHANGE_STEP))
    for dnis in filter(pool.numbers.__contains__, elsewhere):
        new += store.pool_sync(pool, "add", free_ms=elsewhere[dnis], dnises=[dnis])
    return new


def _leaving(store: Store, pool: Pool) -> Iterator[tuple[str, int]]:
    skip = 0
    while page := store.pool_sync(pool, "leaving", cursor=str(skip), count=LIST_STEP):
        yield from zip(page[::2], map(int, page[1::2]), strict=True)
        skip += len(page) // 2


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class Keeper:
    """A thread that syncs now and then looks every ``interval`` seconds whether the pools are still in place."""

    def __init__(self, store: Store, pools: Pools, interval: float) -> None:
        self._store = store
        self._pools = pools
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pool-keeper", daemon=True)
        self.synced = threading.Event()
        """Set once the pools have been brought in line for the first time."""

    def start(self) -> None:
        """Begin; returns at once, also while Redis is away."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            try:
                sync(self._store, self._pools, take_over=not self.synced.is_set())
                self.synced.set()
                if away:
                    _log.warning("Redis is back")
                away = False
            except RedisUnavailable as error:
                if not away:
                    _log.warning("Redis is away: %s", error.__cause__)
                away = True
            except Exception:  # noqa: BLE001 - the thread must outlive whatever it meets
                _log.exception("the pools could not be brought in line; tried again in %g s", self._interval)
            self._stop.wait(self._interval)
