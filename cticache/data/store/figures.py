"""The figures of the pools: how full they are, what was done with them, now and by the minute and the hour."""

from collections.abc import Sequence
from itertools import islice

from cticache.data.counters import BY_MINUTE, KEPT_MINUTES
from cticache.data.paging import several
from cticache.data.replies import FailedLogins, LastMinutes, PoolStats, pairs
from cticache.data.scripts import Invocation
from cticache.data.store.asking import Asking
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
        """How full each of the pools is, all in one round trip."""
        return [PoolStats.of(*reply) for reply in self._run_all(self._asked_of(pools))]

    def figures(self, pools: Sequence[Pool]) -> tuple[list[PoolStats], FailedLogins | None]:
        """How full each of the pools is, and how many wrong passwords there have been, all in one round trip.

        The latter are beside no pool: None where their node of a Cluster is away.
        """
        asked = self._asked_of(pools)
        try:
            *stats, failed = self._run_all([*asked, ("login_failures", self._keys.login_failures(), {})])
        except RedisUnavailable:
            return [PoolStats.of(*reply) for reply in self._run_all(asked)], None
        return [PoolStats.of(*reply) for reply in stats], FailedLogins.of(failed)

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
            reply = iter(self._run("pool_hours", keys, hours=min(skip + _HOURS_AT_ONCE, hours), skip=skip))
            for hour, size in zip(reply, reply, strict=False):
                found[hour] = {name: int(float(count)) for name, count in pairs(islice(reply, 2 * size))}
        return sorted(found.items())

    def pool_minute(self, pools: Sequence[Pool]) -> int:
        """Keep how full each pool is and what was done with it by now, unless somebody has in this minute.

        Returns of how many pools it was kept. One round trip for each AT_ONCE pools: others are served in between.
        """
        kept = 0
        for some in several(pools, AT_ONCE):
            kept += sum(
                self._run_all(
                    [
                        (
                            "pool_minute",
                            self._keys.pool_minute(pool.name),
                            {"rest_ms": pool.rest_ms, "most_kept": KEPT_MINUTES, "counters": BY_MINUTE},
                        )
                        for pool in some
                    ]
                )
            )
        return kept

    def pool_minutes(self, pools: Sequence[Pool], back: int) -> list[LastMinutes]:
        """What was kept of each pool in the last ``back`` minutes, the one that runs included: up to KEPT_MINUTES.

        As many round trips as it takes for others to be served in between.
        """
        at_once = min(_MINUTES_AT_ONCE // max(back, 1), AT_ONCE)
        return [
            LastMinutes.of(reply)
            for some in several(pools, at_once)
            for reply in self._run_all(
                [("pool_minutes", self._keys.pool_minutes(pool.name), {"back": back}) for pool in some]
            )
        ]
