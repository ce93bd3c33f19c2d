"""What was done with a pool in the last minutes: the differences between what was kept of them.

Counters only grow. Where one is smaller than before, Redis lost what was counted, and of the time in between nothing is
known: that is told, and never a number below zero. Where Redis came back empty it is known when all of them were 0.
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
    is_all: bool = False
    """Whether nothing was done before that, as far as Redis knows."""

    def of(self, *fields: str) -> int:
        """How often all of these together."""
        return sum(self.counts.get(field, 0) for field in fields)

    def a_minute(self, *fields: str) -> float:
        """How often a minute on average; 0 where nothing is known."""
        return self.of(*fields) * MINUTE_MS / self.ms if self.ms else 0.0


NOTHING = Done({}, 0)


def told(done: Done) -> dict[str, float] | None:
    """What ``cticache pools`` tells of it, and of how many seconds; None where it is known of less than a minute.

    What was done in a minute before that would not be in it, and its 0 be taken for nothing done. Unless that is all.
    """
    if done.ms < MINUTE_MS and not done.is_all:
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
    known = [each for each in _from_birth(last.born_ms, [*last.kept, now]) if each.at_ms > since_ms]
    done = _together(between(*two) for two in pairwise(known))
    return done._replace(is_all=since_ms < last.born_ms <= last.now_ms)


def by_minute(last: LastMinutes, minutes: int = HOUR) -> list[Done | None]:
    """What was done in each of the last minutes that are over, the oldest first; None where it is not known.

    That of a minute is what was done from when it was kept to when the next one was.
    """
    # Of the minute in which Redis was empty, that moment counts.
    at = {each.at_ms // MINUTE_MS: each for each in reversed(_from_birth(last.born_ms, last.kept))}
    now = last.now_ms // MINUTE_MS
    return [
        between(at[minute], at[minute + 1]) if minute in at and minute + 1 in at else None
        for minute in range(now - minutes, now)
    ]


def _from_birth(born_ms: int, kept: list[Minute]) -> list[Minute]:
    """The same, and before them that all counters were 0 once, if it is known when.

    That Redis lost calls then is told by whoever found it empty, and is not done since.
    """
    if not kept or not 0 < born_ms <= kept[-1].at_ms:  # later: the clock was set back since
        return kept
    since = [each for each in kept if each.at_ms >= born_ms]
    none = Minute(born_ms, 0, 0, 0, since[0].kinds, {"losses": since[0].counts.get("losses", 0)})
    return [none, *since]


def _together(all_done: Iterable[Done | None]) -> Done:
    counts: Counter[str] = Counter()
    ms = 0
    for done in all_done:
        if done:
            counts.update(done.counts)
            ms += done.ms
    return Done(dict(counts), ms)
