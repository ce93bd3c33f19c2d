"""The figures of the pools: how full they are, what was done with them, now and by the minute and the hour."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from cticache.data.counters import BY_MINUTE, KEPT_MINUTES
from cticache.data.paging import several
from cticache.data.replies import FailedLogins, LastMinutes, PoolStats, count_of, pairs
from cticache.data.scripts import Invocation
from cticache.data.store.asking import Asking, Unread
from cticache.errors import RedisUnavailable
from cticache.numbering.pool import Pool

_SWEEP_STEP = 1000
_MOST_MISSED = 20
_MOST_LESSEES_TOLD = 100
AT_ONCE = 50
"""Pools whose minute is kept, or whose figures are asked for, in one round trip: about 3 ms of Redis."""
_HOURS_AT_ONCE = 24
"""Of a pool, in one round trip: about 1 ms of Redis."""
_MINUTES_AT_ONCE = 400
"""Minutes of pools that are asked for in one: about 2 ms."""


class Figures(Asking):
    """What is counted of the pools."""

    def pool_stats(self, pools: Sequence[Pool]) -> list[PoolStats]:
        """How full each of the pools is, all in one round trip; raises why, where one cannot be read."""
        return [self._read("pool_stats", reply, _stats) for reply in self._replies(self._asked_of(pools))]

    def each_pool_stats(self, pools: Sequence[Pool]) -> list[PoolStats | Unread]:
        """The same; why not, in the place of a pool that cannot be read."""
        return self._run_each(self._asked_of(pools), _stats)

    def figures(self, pools: Sequence[Pool]) -> tuple[list[PoolStats | Unread], FailedLogins | None]:
        """How full each of the pools is, and how many wrong passwords there have been, all in one round trip.

        Why not, in the place of a pool that cannot be read. The passwords are beside no pool: None where they cannot
        be read, or their node of a Cluster is away.
        """
        asked = self._asked_of(pools)
        try:
            *stats, last = self._replies([*asked, ("login_failures", self._keys.login_failures(), {})])
        except RedisUnavailable:
            return self.each_pool_stats(pools), None
        failed = self._made("login_failures", last, FailedLogins.of)
        return (
            [self._made("pool_stats", reply, _stats) for reply in stats],
            None if isinstance(failed, Unread) else failed,
        )

    def _asked_of(self, pools: Sequence[Pool]) -> list[Invocation]:
        """The invocations for the figures of these pools."""
        return [
            (
                "pool_stats",
                self._keys.pool_stats(pool.name),
                {
                    "rest_ms": pool.rest_ms,
                    "reap_step": _SWEEP_STEP,
                    "most_missed": _MOST_MISSED,
                    "most_lessees": _MOST_LESSEES_TOLD,
                },
            )
            for pool in pools
        ]

    def pool_hours(self, pool: Pool, hours: int) -> list[tuple[int, dict[str, int]]]:
        """The counters of the last hours, the one that runs included: hours since 1970 -> counter -> count.

        As many round trips as it takes for others to be served in between.
        """
        keys = self._keys.pool_hours(pool.name)
        found: dict[int, dict[str, int]] = {}
        # The latest first: where an hour begins meanwhile, none is missed.
        for skip in range(0, hours, _HOURS_AT_ONCE):
            reply = self._run("pool_hours", keys, hours=min(skip + _HOURS_AT_ONCE, hours), skip=skip)
            found.update(self._read("pool_hours", reply, _hours))
        return sorted(found.items())

    def pool_minute(self, pools: Sequence[Pool]) -> int:
        """Keep how full each pool is and what was done with it by now, unless somebody has in this minute.

        Returns of how many pools it was kept; a refusal of one is raised once all have been asked. One round trip for
        each AT_ONCE pools: others are served in between.
        """
        told: list[int | Unread] = []
        for some in several(pools, AT_ONCE):
            told += self._run_each(
                [
                    (
                        "pool_minute",
                        self._keys.pool_minute(pool.name),
                        {"rest_ms": pool.rest_ms, "most_kept": KEPT_MINUTES, "counters": BY_MINUTE},
                    )
                    for pool in some
                ],
                int,
            )
        for each in told:
            if isinstance(each, Unread):
                raise each
        return sum(each for each in told if not isinstance(each, Unread))

    def pool_minutes(self, pools: Sequence[Pool], back: int) -> list[LastMinutes]:
        """What was kept of each pool in the last ``back`` minutes, the one that runs included: up to KEPT_MINUTES.

        As many round trips as it takes for others to be served in between. Raises why, where one cannot be read.
        """
        replies = self._replies_of_minutes(pools, back)
        return [self._read("pool_minutes", reply, LastMinutes.of) for reply in replies]

    def each_pool_minutes(self, pools: Sequence[Pool], back: int) -> list[LastMinutes | Unread]:
        """The same; why not, in the place of a pool that cannot be read."""
        replies = self._replies_of_minutes(pools, back)
        return [self._made("pool_minutes", reply, LastMinutes.of) for reply in replies]

    def _replies_of_minutes(self, pools: Sequence[Pool], back: int) -> list[Any]:
        at_once = min(_MINUTES_AT_ONCE // max(back, 1), AT_ONCE)
        return [
            reply
            for some in several(pools, at_once)
            for reply in self._replies(
                [("pool_minutes", self._keys.pool_minutes(pool.name), {"back": back}) for pool in some]
            )
        ]


def _stats(reply: Any) -> PoolStats:
    return PoolStats.of(*reply)


def _hours(reply: Any) -> dict[int, dict[str, int]]:
    """What pool_hours.lua returns: hours since 1970 -> counter -> count."""
    items = iter(reply)
    return {
        hour: {name: count_of(count) for name, count in pairs(islice(items, 2 * size))}
        for hour, size in zip(items, items, strict=False)
    }
