"""The numbers of the pools: put in place as configured, and guarded against what Redis may lose."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cticache.data.replies import Beat
from cticache.data.store.asking import Asking
from cticache.data.tokens import token as new_token
from cticache.numbering.pool import Pool


@dataclass(frozen=True)
class Step:
    """What is asked of lua/pool_sync.lua, which lists the steps and their replies."""

    pool: Pool
    step: str
    fingerprint: str = ""
    cursor: str = "0"
    count: int = 0
    free_ms: int = 0
    skip: int = 0
    ranges: str = ""
    dnises: Iterable[str] = ()


class Numbers(Asking):
    """What keeps the numbers of the pools in place."""

    def pool_sync(self, *steps: Step) -> list[Any]:
        """Bounded steps of bringing pools in line, in one round trip; the reply of each."""
        return self._run_all(
            [
                (
                    "pool_sync",
                    self._keys.pool_sync(each.pool.name),
                    {
                        "step": each.step,
                        "fingerprint": each.fingerprint,
                        "cursor": each.cursor,
                        "count": each.count,
                        "rest_ms": each.pool.rest_ms,
                        "pair_rest_ms": each.pool.pair_rest_ms,
                        "free_ms": each.free_ms,
                        "skip": each.skip,
                        "ranges": each.ranges,
                        "dnises": [*each.dnises],
                    },
                )
                for each in steps
            ]
        )

    def pool_ranges(self, pools: Sequence[Pool]) -> list[tuple[str, str]]:
        """Of each pool the fingerprint of the numbers that are in place, and those put in place last, as ranges."""
        replies = self._run_all([("pool_ranges", self._keys.pool_ranges(pool.name), {}) for pool in pools])
        return [(fingerprint, ranges) for fingerprint, ranges in replies]

    def pool_beat(
        self,
        beats: Sequence[tuple[Pool, Beat | None, Beat | None]],
        told: Literal["ahead", "back", "older", ""] = "",
    ) -> list[Beat]:
        """Leave a sign of life beside each pool, all in one round trip, and learn whether Redis lost anything.

        With each pool comes its beat as this service left it last, and the one before; None where it has left none.
        ``told`` is what has been found: that the clock jumped, or that calls of other pools were lost. It is found by
        the beat that was left last; so a jump of which another service has told since the one before is no other.
        """
        replies = self._run_all(
            [
                (
                    "pool_beat",
                    self._keys.pool_beat(pool.name),
                    {
                        "known_id": last.id if last else "",
                        "fresh_id": new_token(),
                        "least_nth": before.nth if last and before and before.id == last.id else 0,
                        "last_nth": last.nth if last else 0,
                        "known_ms": last.now if last else 0,
                        "after_loss_ms": pool.after_loss_ms,
                        "told": told,
                        "known_jumps": (before or last).jumps if last else 0,
                    },
                )
                for pool, last, before in beats
            ]
        )
        return [Beat(*reply) for reply in replies]

    def pool_rescore(
        self,
        pool: Pool,
        step: Literal["numbers", "leaving", "rescore"],
        *,
        cursor: int = 0,
        skip: int = 0,
        count: int = 1,
        dnises: Iterable[tuple[str, int]] = (),
    ) -> Any:
        """One bounded step of setting the pool's times anew; lua/pool_rescore.lua lists the steps and replies.

        With each DNIS comes the time (ms) until which other pools' calls are on it, or 0.
        """
        return self._run(
            "pool_rescore",
            self._keys.pool_rescore(pool.name),
            step=step,
            cursor=cursor,
            skip=skip,
            count=count,
            rest_ms=pool.rest_ms,
            pair_rest_ms=pool.pair_rest_ms,
            dnises=[str(each) for pair in dnises for each in pair],
        )
