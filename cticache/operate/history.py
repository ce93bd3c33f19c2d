"""What was done with a pool in the last minutes: the differences between what was kept of them.

Counters only grow. Where one is smaller than before, Redis lost what was counted, and of the time in between nothing is
known: that is told, and never a number below zero.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from cticache.data.counters import BY_MINUTE, COUNTERS
from cticache.data.replies import LastMinutes, Minute, PoolStats

MINUTE_MS = 60_000
LATELY = 10
"""The minutes that the sums are of."""
READ_BACK = LATELY + 2
"""So many minutes must be read for these sums: the one that runs, and the one before the first, are not whole."""
HOUR = 60
REFUSED = ("rejected", "over_max_live")
"""The counters of the leases that were refused."""
FIGURES = {counter.field: counter.figure for counter in COUNTERS if counter.field in BY_MINUTE}


class Done(NamedTuple):
    """What was done with a pool in some time."""

    counts: Mapping[str, int]
    """Field of a counter -> by how much it grew; one that did not is left out."""
    ms: int
    """The time of which it is known; 0 where nothing is."""

    def of(self, *fields: str) -> int:
        """How often all of these together."""
        return sum(self.counts.get(field, 0) for field in fields)

    def a_minute(self, *fields: str) -> float:
        """How often a minute on average; 0 where nothing is known."""
        return self.of(*fields) * MINUTE_MS / self.ms if self.ms else 0.0


NOTHING = Done({}, 0)


def told(done: Done) -> dict[str, float] | None:
    """What ``cticache pools`` tells of it, and of how many seconds; None where nothing is known."""
    if not done.ms:
        return None
    return {
        "seconds": round(done.ms / 1000, 1),
        "leased": done.of("leased"),
        "taken": done.of("taken"),
        "missed": done.of("missed"),
        "refused": done.of(*REFUSED),
    }


def between(one: Minute, other: Minute) -> Done | None:
    """What was done from one to the other, which is later; None where that cannot be known."""
    fields = one.counts.keys() | other.counts.keys()
    grown = {field: other.counts.get(field, 0) - one.counts.get(field, 0) for field in fields}
    if other.at_ms < one.at_ms or other.kinds != one.kinds or any(by < 0 for by in grown.values()):
        return None
    return Done({field: by for field, by in grown.items() if by}, other.at_ms - one.at_ms)


def lately(last: LastMinutes, stats: PoolStats, minutes: int = LATELY) -> Done:
    """What was done in the last minutes up to ``stats``, as far as it is known; of up to a minute more.

    A time in which no service ran counts if all of it is within these minutes: what was done is known then, though not
    when.
    """
    since_ms = last.now_ms - (minutes + 1) * MINUTE_MS
    now = Minute(
        last.now_ms,
        stats.size,
        stats.free,
        stats.leased,
        len(BY_MINUTE),
        {field: stats.counts[figure] for field, figure in FIGURES.items()},
    )
    kept = [each for each in last.kept if each.at_ms > since_ms]
    return _together(between(*two) for two in pairwise([*kept, now]))


def by_minute(last: LastMinutes, minutes: int = HOUR) -> list[Done | None]:
    """What was done in each of the last minutes that are over, the oldest first; None where it is not known.

    That of a minute is what was done from when it was kept to when the next one was.
    """
    at = {each.at_ms // MINUTE_MS: each for each in last.kept}
    now = last.now_ms // MINUTE_MS
    return [
        between(at[minute], at[minute + 1]) if minute in at and minute + 1 in at else None
        for minute in range(now - minutes, now)
    ]


def _together(all_done: Iterable[Done | None]) -> Done:
    counts: Counter[str] = Counter()
    ms = 0
    for done in all_done:
        if done:
            counts.update(done.counts)
            ms += done.ms
    return Done(dict(counts), ms)
