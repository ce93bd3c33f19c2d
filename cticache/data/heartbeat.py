"""Leaves a sign of life beside each pool, and tells by it whether Redis lost calls or its clock jumped.

Both are told to Redis, which is careful then (lua/pool_beat.lua), to the log and to the operator. Where the clock was
set back, every time that lies ahead is set anew (lua/pool_rescore.lua).
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from cticache.data.clock import ahead
from cticache.data.condition import Kind
from cticache.data.paging import PAGE, by_time, several
from cticache.data.replies import Beat, utc
from cticache.data.store import Store
from cticache.data.sync import ALL
from cticache.logs import NO_NUMBERS
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

AT_ONCE = 500
"""Pools asked in one round trip."""
RESCORE_STEP = 100
"""Numbers whose times are set anew in one step: about 2 ms of Redis."""
_A_DAY_MS = 86_400_000
"""The longest that care may be taken after a loss."""
_DRIFT_MS = 100
"""How far a clock may run from what was expected of it before that is set right."""
_SHOWN = 3
"""Pools named in a sentence; of more, their count is told."""

_LOST = {
    "empty": "Redis came back empty; all calls were lost of {pools}",
    "older": "Redis came back with an older state; the latest calls were lost of {pools}",
    "ahead": "the clock of Redis was set ahead; calls ended before their time in {pools}",
    "": "another cticache has told that Redis lost calls of {pools}",
}
"""By the kind of a beat."""


class _Left(NamedTuple):
    """A sign that was left."""

    pool: Pool
    beat: Beat
    jumped_ms: int
    """By how much the clock has jumped since the last one, below 0 back; 0 if it has not."""
    is_lost: bool
    """Whether a loss is told that was not known here."""


class Heartbeat:
    """The signs of life that one service leaves."""

    def __init__(self, store: Store, pools: Pools, note: Callable[[Kind, str], None]) -> None:
        """``note`` is told what an operator must see; an empty sentence takes it back."""
        self._store = store
        self._pools = pools
        self._clocks = store.clocks
        self._note = note
        self._known: dict[str, tuple[Beat | None, Beat | None]] = {}
        """Pool -> the beat that was left last, and the one before."""
        self._clock_noted_until = 0.0
        self._careful: dict[str, Pool] = {}
        """By name, the pools in which care is taken after a loss."""

    def change(self, pools: Pools) -> None:
        """Leave the signs beside these pools from now on; what was left beside one of the same name is known."""
        self._pools = pools
        self._known = {name: known for name, known in self._known.items() if pools.get(name)}

    def look(self) -> None:
        """Leave a sign beside every pool, and see to what the last ones tell; RedisUnavailable if Redis is away."""
        left = self._leave(self._pools)
        self._warn_of_former(left)
        left += self._warn_new(left)
        set_ahead = [each for each in left if each.jumped_ms > 0]
        set_back = [each for each in left if each.jumped_ms < 0]
        left += self._leave((each.pool for each in set_ahead), "ahead")
        if set_back:
            rescore(self._store, self._pools, [each.pool for each in set_back])
            self._leave((each.pool for each in set_back), "back")
        self._expect(left)
        self._tell_losses(left)
        self._tell_jumps(set_ahead + set_back)

    def _warn_of_former(self, left: Iterable[_Left]) -> None:
        """Tell Redis of a loss for the pools that are not configured here, too: their calls can be asked for.

        If any are there, they are of an older state.
        """
        if any(each.beat.kind in ("empty", "older") for each in left):
            listed = self._store.pool_claim("list")
            names = [name for name in (*listed.pools, *listed.former) if name != ALL and not self._pools.get(name)]
            self._store.pool_beat([(self._pools.former(name), None, None) for name in names], "older")

    def _warn_new(self, left: Sequence[_Left]) -> list[_Left]:
        """Have care taken in pools that are new, too, while it is taken in another: they may have numbers of that one.

        A pool that was renamed would lend them to others than the callers who are on the way to them.
        """
        new = [each.pool for each in left if not (each.beat.last_ms or each.beat.kind)]
        if not (new and self._takes_care(left)):
            return []
        _log.info("care is taken in %s, too, which may have numbers of a pool that lost calls", _named(new))
        return [each._replace(is_lost=False) for each in self._leave(new, "older")]

    def _takes_care(self, left: Iterable[_Left]) -> bool:
        """Whether care is taken after a loss in any pool of this Redis, one that is no longer configured included."""
        if self._careful or any(each.beat.left_ms for each in left):
            return True
        listed = self._store.pool_claim("list")
        names = [name for name in (*listed.pools, *listed.former) if name != ALL and not self._pools.get(name)]
        # As long as it may be: the look must not shorten the care of a pool whose rules are not known.
        pools = [replace(self._pools.former(name), careful_ms=_A_DAY_MS) for name in names]
        return any(beat.left_ms for beat in self._store.pool_beat([(pool, None, None) for pool in pools]))

    def _leave(self, pools: Iterable[Pool], told: Literal["ahead", "back", "older", ""] = "") -> list[_Left]:
        left: list[_Left] = []
        for some in several(pools, AT_ONCE):
            known = [self._known.get(pool.name, (None, None)) for pool in some]
            expected = [self._clocks.expected(pool.name) for pool in some]
            beats = self._store.pool_beat([(pool, *two) for pool, two in zip(some, known, strict=True)], told)
            for pool, (last, _), expected_ms, beat in zip(some, known, expected, beats, strict=True):
                self._known[pool.name] = beat, last
                off = 0 if told else self._clocks.jumped(pool.name, beat.now, expected_ms)
                if beat.is_back and off >= 0:  # before this service looked, or nobody has seen to it to the end
                    off = min(beat.now - beat.last_ms, -1)
                is_lost = bool(beat.kind) or (last is not None and beat.lost_ms != last.lost_ms)
                left.append(_Left(pool, beat, off, is_lost))
        return left

    def _expect(self, left: Iterable[_Left]) -> None:
        """Expect of the clocks from now on what they said; only now, for until then leases must find them wrong."""
        by_name = dict(self._clocks.ahead)
        for pool, beat, off, _ in left:
            now_ahead = ahead(beat.now)
            if off or abs(by_name.get(pool.name, now_ahead + 2 * _DRIFT_MS) - now_ahead) > _DRIFT_MS:
                by_name[pool.name] = now_ahead
        if by_name != self._clocks.ahead:
            self._clocks.ahead = by_name

    def _tell_losses(self, left: Sequence[_Left]) -> None:
        for kind, sentence in _LOST.items():
            if lost := [each for each in left if each.is_lost and each.beat.kind == kind]:
                told = sentence.format(pools=_named(each.pool for each in lost))
                if until := _careful_until(lost):
                    told += f"; until {until} only callers with an ANI of their own are served ([pool] after_loss)"
                _log.error("%s", told, extra=NO_NUMBERS)
        latest = {each.pool.name: each for each in left}
        careful = [each for each in latest.values() if each.beat.left_ms]
        before, self._careful = self._careful, {each.pool.name: each.pool for each in careful}
        if over := [pool for name, pool in before.items() if self._pools.get(name) and name not in self._careful]:
            _log.info("the time of after_loss is over in %s: all callers are served again", _named(over))
        if not careful:
            self._note("loss", "")
            return
        self._note(
            "loss",
            f"Redis lost calls of {_named(each.pool for each in careful)}: until {_careful_until(careful)} callers "
            "are found there by their own ANI alone, and those without one are refused ([pool] after_loss).",
        )

    def _tell_jumps(self, jumped: Sequence[_Left]) -> None:
        if jumped:
            most = max(jumped, key=lambda each: abs(each.jumped_ms))
            how = f"set {'ahead' if most.jumped_ms > 0 else 'back'} by about {abs(most.jumped_ms) / 1000:,.0f} s"
            pools = _named(each.pool for each in jumped)
            _log.error("the clock of Redis was %s, in %s; the times kept there have been seen to", how, pools)
            self._note("clock", f"The clock of Redis was {how} at {utc(most.beat.now)}, in {pools}.")
            longest = max(each.pool.ttl_ms + each.pool.pair_rest_ms for each in jumped)
            self._clock_noted_until = time.monotonic() + longest / 1000
        elif time.monotonic() > self._clock_noted_until:
            self._note("clock", "")


def rescore(store: Store, pools: Pools, set_back: Sequence[Pool]) -> None:
    """Set the times that lie ahead anew in these pools, after the clock was set back.

    First those of the numbers that are leaving, in former pools, too: other pools wait for them.
    """
    former = [pools.former(name) for name in pools.leaving or () if not pools.get(name)]
    for pool in (*set_back, *former):
        _rescore(store, pool, "leaving", {})
    elsewhere: dict[str, list[tuple[Pool, int]]] = {}
    for pool in (*pools, *former):
        for dnis, ms in _listed(store, pool, "leaving").items():
            elsewhere.setdefault(dnis, []).append((pool, ms))
    for pool in set_back:
        _rescore(store, pool, "numbers", elsewhere)


_Which = Literal["numbers", "leaving"]


def _listed(store: Store, pool: Pool, which: _Which) -> dict[str, int]:
    """The numbers with a time to come -> that time (ms)."""
    return by_time(lambda since, skip: store.pool_rescore(pool, which, cursor=since, skip=skip, count=PAGE))


def _rescore(store: Store, pool: Pool, which: _Which, elsewhere: Mapping[str, Sequence[tuple[Pool, int]]]) -> None:
    for some in several(_listed(store, pool, which), RESCORE_STEP):
        waits = [
            max((pool.after(other, ms) for other, ms in elsewhere.get(dnis, ()) if other.name != pool.name), default=0)
            for dnis in some
        ]
        store.pool_rescore(pool, "rescore", dnises=zip(some, waits, strict=True))


def _careful_until(left: Iterable[_Left]) -> str:
    """Until when care is taken in one of these pools, to the second; empty where it is in none."""
    until_ms = max((each.beat.now + each.beat.left_ms for each in left if each.beat.left_ms), default=0)
    return f"{utc(until_ms)[:19]}Z" if until_ms else ""


def _named(pools: Iterable[Pool]) -> str:
    names = [pool.name for pool in pools]
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"pool{'s' if len(names) > 1 else ''} {', '.join(names[:_SHOWN])}{more}"
