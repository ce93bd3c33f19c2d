"""What an operator can learn from a pool's figures: how many numbers, which TTL, and which number nobody answers.

In teletraffic theory a pool is a group of lines: a call holds a number from its lease to its take and through the
cool-down, and a call that finds none free is blocked. So Erlang's formula says how many numbers are enough.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cticache.data.counters import DIFFERENCES, HELD, PEAK, TRANSIT
from cticache.numbering.pool import Pool
from cticache.operate.remedies import of_kind, tail_digits

_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ARRIVED = 0.999
"""The share of calls that the TTL should be long enough for."""
LEAST_TAKES = 3_000
"""So many takes must have been seen before one in a thousand of them says anything: three are the slowest, then."""
LEAST_MISSES = 3
"""How many leases in a row must have gone unclaimed before a number is suspected; and how many calls must have been
asked for under an ANI that differs in one way before that way says anything."""
CHANCE = 0.05
"""A number is suspected if by chance alone fewer than this many in the whole pool would look as bad; and a difference
counts if chance alone makes as many of it less often than this."""
LOOKED_AT = 4
"""With so many live calls an ANI that found none is compared, as lua/include/near.lua has it."""


@dataclass(frozen=True)
class Hour:
    """What a pool did in one hour; times are whole milliseconds where a name says so."""

    start: datetime
    """In UTC."""
    leased: int = 0
    rejected: int = 0
    shared: int = 0
    fallback: int = 0
    taken: int = 0
    withheld: int = 0
    """Leases and refusals of withheld callers; they are in ``leased`` and ``rejected``, too."""
    missed: int = 0
    """Questions that found nothing."""
    others: Mapping[str, int] = field(default_factory=dict)
    """How the ANI asked with differs from the one posted -> live calls that were asked for so."""
    unclaimed: int = 0
    """Leases that ended before anybody asked for them."""
    held_ms: int = 0
    """How long the leases held their numbers, all together, without the cool-down; an unclaimed one its whole TTL."""
    peak: int = 0
    """Most numbers leased at once."""
    transits: Mapping[int, int] = field(default_factory=dict)
    """Upper bound in whole seconds -> takes whose time since the lease is within it and above the bound before it."""
    ms: int = _HOUR_MS
    """How much of it is over."""

    @classmethod
    def of(cls, index: int, fields: Mapping[str, int], ms: int = _HOUR_MS) -> "Hour":
        """Read the counters of the hour that began ``index`` hours after 1970 (UTC), and of which ``ms`` are over.

        The names are those of the attributes, ``other_more`` for what ``others`` has under ``more``, and ``t22`` for
        the takes up to 22 s. A missing counter is 0, an unknown one is ignored.
        """
        buckets = ((TRANSIT.fullmatch(name), count) for name, count in fields.items())
        return cls(
            start=_EPOCH + timedelta(hours=index),
            leased=fields.get("leased", 0),
            rejected=fields.get("rejected", 0),
            shared=fields.get("shared", 0),
            fallback=fields.get("fallback", 0),
            taken=fields.get("taken", 0),
            withheld=fields.get("withheld", 0),
            missed=fields.get("missed", 0),
            others={kind: fields[f"other_{kind}"] for kind in DIFFERENCES if f"other_{kind}" in fields},
            unclaimed=fields.get("unclaimed", 0),
            held_ms=fields.get(HELD, 0),
            peak=fields.get(PEAK, 0),
            transits={int(bucket[1]): count for bucket, count in buckets if bucket},
            ms=ms,
        )

    @property
    def calls(self) -> int:
        """The calls offered: those that got a number and those that did not."""
        return self.leased + self.rejected


@dataclass(frozen=True)
class Advice:
    """What a pool's hours say. Shares are 0 to 1."""

    calls: int
    """Calls offered in all hours: the sample that all of this rests on."""
    refused: int
    """Those of them that got no number."""
    hours: int
    """Hours in which there was a call."""
    takes: int
    size: int
    """Numbers that the pool has."""
    ttl_s: int
    """The pool's present TTL."""
    busy: Hour | None
    """The hour with the most traffic; None when no call was offered at all, and the attributes below mean nothing."""
    holding_s: float
    """How long a call of the busy hour held a number on average, the cool-down included."""
    offered: float
    """Traffic of the busy hour in Erlang: how many numbers it would keep busy on average if every call found one."""
    blocking: float
    """Share of the busy hour's calls that find none of ``size`` numbers free, by Erlang's formula."""
    needed_for_1_percent: int
    """By Erlang's formula for the busy hour; but no fewer than were leased at once, which its mean does not show."""
    needed_for_01_percent: int
    transit_s: int | None
    """99.9 % of all calls arrive within this time; None: it is more than the TTL, or too few calls were taken."""
    suggested_ttl_s: int | None
    """None where ``transit_s`` is None: a longer TTL does not help calls that never arrive."""
    unclaimed: float
    """Share of the leases that ended before anybody asked for them."""
    peak: int
    """Most numbers leased at once in any of the hours."""
    suspects: Mapping[str, int]
    """DNIS -> leases in a row that went unclaimed, where chance does not explain it; the most first."""
    other_live: int
    """Leases that were asked for under another ANI while they lived."""
    differences: Mapping[str, int]
    """How the ANI asked with differs from the one posted -> how many of these leases; the most first.

    Only where chance does not explain it.
    """
    remedies: Mapping[str, str]
    """For each of ``differences``, which options would find such calls, as the end of a sentence; empty for none."""
    withheld: Hour | None
    """The hour in which withheld callers took up most; None when there were none."""
    withheld_s: float
    """How long one of them kept a number from the others of that hour on average."""
    needed_for_withheld: int
    """Numbers that these callers alone need for 1 % blocking in that hour."""
    so_far: Hour | None
    """The hour that runs, where no call was offered in one that is over, and one was in this; else None.

    The takes, the suspects and the differences are of it, then.
    """

    def figures(self) -> dict[str, Any]:
        """All of it by name, for JSON; where no call was offered ``busy`` is None, and only what is known is said.

        Of the hours there is the start and the number of calls, of ``so_far`` what was done, too.
        """
        if self.busy:
            return vars(self) | {"busy": _figures(self.busy), "withheld": self.withheld and _figures(self.withheld)}
        known = {"calls": self.calls, "refused": self.refused, "size": self.size, "ttl_s": self.ttl_s, "busy": None}
        if not self.so_far:
            return known | {"so_far": None}
        done = {name: getattr(self.so_far, name) for name in ("rejected", "taken", "unclaimed", "missed", "peak")}
        found = {name: getattr(self, name) for name in ("other_live", "differences", "remedies", "suspects")}
        return known | {"so_far": _figures(self.so_far) | done} | found


def told_apart(counted: Iterable[tuple[int, Mapping[str, int]]], now_ms: int) -> tuple[list[Hour], Hour | None]:
    """The hours that are over, and the one that runs, if anything was counted in it.

    ``counted`` has for each hour since 1970 its counters; ``now_ms`` is the time in ms since 1970.
    """
    this, over_ms = divmod(now_ms, _HOUR_MS)
    hours = [Hour.of(index, fields) for index, fields in counted if index < this]
    running = [Hour.of(index, fields, over_ms) for index, fields in counted if index == this]
    return hours, running[0] if running else None


def _figures(hour: Hour) -> dict[str, Any]:
    return {"start": hour.start, "calls": hour.calls}


def erlang_b(offered: float, numbers: int) -> float:
    """The share of calls that find all ``numbers`` busy, 0 to 1, at a load of ``offered`` Erlang (0 or more).

    Erlang's loss formula (A. K. Erlang 1917; ITU-T E.501), B = (A^N / N!) / (sum of A^k / k! for k = 0 to N), divided
    by its numerator: 1/B = 1 + N/A + N(N-1)/A^2 + ... All terms are positive, so nothing cancels out; they are added
    only until they no longer matter, which for large N is after a few multiples of sqrt(N).
    """
    if not offered:
        return 0.0 if numbers else 1.0  # without numbers no call finds one, even if there is no call
    inverse = term = 1.0
    for busy in range(numbers, 0, -1):
        term *= busy / offered
        inverse += term
        if term < 1e-18 * inverse or term == math.inf:  # inf: the blocking is too small for a float, 0
            break
    return 1 / inverse


def numbers_needed(offered: float, blocking: float) -> int:
    """The fewest numbers that block at most this share of calls (above 0, below 1) at a load of ``offered`` Erlang."""
    # N numbers carry less than N Erlang, so offered x (1 - B) < N: up to here they are too few.
    too_few = math.floor(offered * (1 - blocking))
    step = 1
    while erlang_b(offered, too_few + step) > blocking:
        too_few += step
        step *= 2
    enough = too_few + step
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if erlang_b(offered, middle) > blocking:
            too_few = middle
        else:
            enough = middle
    return enough


def transit_quantile(hours: Iterable[Hour], share: float) -> int | None:
    """The time in seconds, from lease to take, within which this share of all calls arrived; None: more than the TTL.

    It is the bound of a bucket. An unclaimed lease counts as slower than any that was taken: without these, a TTL would
    seem long enough just because it cuts off late calls. None, too, when no lease was taken or went unclaimed.
    """
    transits: Counter[int] = Counter()
    unclaimed = 0
    for hour in hours:
        transits.update(hour.transits)
        unclaimed += hour.unclaimed
    return quantile(transits, share, unclaimed)


def quantile(transits: Mapping[int, int], share: float, slower: int = 0) -> int | None:
    """The bound within which this share of all ``transits`` and ``slower`` ones lies; None when there is no such bound.

    ``transits`` has for each bound how many are within it and above the one before.
    """
    wanted = share * (sum(transits.values()) + slower)
    arrived = 0
    for bound, count in sorted(transits.items()):
        arrived += count
        if arrived and arrived >= wanted:
            return bound
    return None


def advise(hours: Iterable[Hour], pool: Pool, misses: Mapping[str, int], running: Hour | None = None) -> Advice:
    """Advice from a pool's hours; ``misses`` says for each DNIS how many of its leases in a row ended unclaimed.

    ``running`` is the hour that runs: while no call was offered in one that is over, it is all that there is.
    """
    hours = list(hours)
    so_far = running if running and running.calls and not any(hour.calls for hour in hours) else None
    seen = [*hours, so_far] if so_far else hours
    size = len(pool.numbers)
    leased = sum(hour.leased for hour in hours)
    mean_held_ms = sum(hour.held_ms for hour in hours) / leased if leased else pool.ttl_ms
    pair_rest_ms = max(pool.cooldown_ms, pool.remember_ms)

    def held_ms(hour: Hour) -> float:
        return hour.held_ms / hour.leased if hour.leased else mean_held_ms

    def holding_ms(hour: Hour) -> float:
        return held_ms(hour) + pool.rest_ms

    def traffic(hour: Hour) -> float:
        return hour.calls * holding_ms(hour) / _HOUR_MS

    def of_withheld(hour: Hour) -> float:
        """The traffic of the withheld callers alone: a number that one of them had is not for the next at once."""
        return hour.withheld * (held_ms(hour) + pair_rest_ms) / _HOUR_MS

    # If no number was held long enough to show, the number of calls decides.
    busy = max((hour for hour in hours if hour.calls), key=lambda hour: (traffic(hour), hour.calls), default=None)
    offered = traffic(busy) if busy else 0.0
    peak = max((hour.peak for hour in hours), default=0)
    takes, unclaimed = sum(hour.taken for hour in seen), _unclaimed(seen)
    transit_s = transit_quantile(seen, ARRIVED) if takes >= LEAST_TAKES else None
    differences = _differences(seen, pool)
    withheld = max((hour for hour in hours if hour.withheld), key=of_withheld, default=None)
    return Advice(
        calls=sum(hour.calls for hour in hours),
        refused=sum(hour.rejected for hour in hours),
        hours=sum(hour.calls > 0 for hour in hours),
        takes=takes,
        size=size,
        ttl_s=pool.ttl_ms // 1000,
        busy=busy,
        holding_s=holding_ms(busy) / 1000 if busy else 0.0,
        offered=offered,
        blocking=erlang_b(offered, size),
        needed_for_1_percent=max(numbers_needed(offered, 0.01), peak),
        needed_for_01_percent=max(numbers_needed(offered, 0.001), peak),
        transit_s=transit_s,
        suggested_ttl_s=None if transit_s is None else _ttl_for(transit_s, pool.max_ttl_ms // 1000),
        unclaimed=unclaimed,
        peak=peak,
        suspects=suspects(misses, size, unclaimed) if any(hour.taken for hour in seen) else {},
        other_live=sum(count for hour in seen for count in hour.others.values()),
        differences=differences,
        remedies={kind: of_kind(kind, pool) for kind in differences},
        withheld=withheld,
        withheld_s=(held_ms(withheld) + pair_rest_ms) / 1000 if withheld else 0.0,
        needed_for_withheld=numbers_needed(of_withheld(withheld), 0.01) if withheld else 0,
        so_far=so_far,
    )


def _unclaimed(hours: Sequence[Hour]) -> float:
    """The share of the leases that nobody asked for.

    A lease is counted in the hour it began, but as unclaimed in the hour it ended: there may be more of the latter.
    """
    unclaimed = sum(hour.unclaimed for hour in hours)
    return unclaimed / max(sum(hour.leased for hour in hours), unclaimed, 1)


def suspects(misses: Mapping[str, int], size: int, unclaimed: float, least: int = LEAST_MISSES) -> dict[str, int]:
    """Those with too many misses to be chance, given the share of leases that go unclaimed in the whole pool.

    Each of ``size`` numbers may look bad by chance: on average size x share^misses of them do. ``least``: misses in a
    row without which no number is suspected.
    """
    found = {dnis: count for dnis, count in misses.items() if count >= least and size * unclaimed**count < CHANCE}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _ttl_for(transit_s: int, max_ttl_s: int) -> int:
    """A third more than the time within which 999 of 1,000 calls arrive, in whole seconds.

    Too short a TTL loses a caller's data; one that is too long only costs a number for calls that are lost anyway. So
    some margin is right. If lateness falls off exponentially, each further third of that time leaves a tenth of the
    late calls: with the margin, 1 call in 10,000 comes too late.
    """
    return max(1, min(math.ceil(transit_s * 4 / 3), max_ttl_s))


def _differences(hours: Sequence[Hour], pool: Pool) -> dict[str, int]:
    """Those with too many calls to be chance.

    Digits agree by chance once in ten to the power of how many they are. For what no digits show, somebody who asks for
    no call in particular finds one live as often as a number is leased: that many of all questions that found nothing.
    """
    missed = sum(hour.missed for hour in hours)
    running_ms = sum(hour.ms for hour in hours if hour.calls) * len(pool.numbers)
    in_use = min(max(sum(hour.held_ms for hour in hours), 0) / running_ms, 1) if running_ms else 1
    alike = min(LOOKED_AT * 10 ** -tail_digits(pool), 1)
    counts: Counter[str] = Counter()
    for hour in hours:
        counts.update(hour.others)
    return {
        kind: count
        for kind, count in counts.most_common()
        if count >= LEAST_MISSES
        and _is_beyond_chance(count, missed * (alike if kind in ("more", "less", "tail") else in_use))
    }


def _is_beyond_chance(count: int, expected: float) -> bool:
    """Whether so many are there by chance less often than CHANCE, if ``expected`` are there on average.

    By Chernoff's bound for a Poisson distribution: the share of the cases with as many is at most
    e^(n - m) (m / n)^n for n above a mean of m.
    """
    if not expected or count <= expected:
        return count > expected
    return count - expected - count * math.log(count / expected) < math.log(CHANCE)
