"""Options of the pools that do not fit together, though each is right by itself."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cticache.numbering.numbers import NumberSet, Span, overlaps
from cticache.numbering.pools import Pool

MOST_LOOKS = 20_000
"""Most callers that one lease may examine to share a number: Redis serves nobody else meanwhile."""
_SHOWN = 3
"""How many spans of numbers that two pools share are named."""


class Conflict(NamedTuple):
    """An option of a pool that contradicts another."""

    pool: str
    option: str
    value: str
    wrong: str
    """What is wrong and what to do, without a subject."""


class Shared(NamedTuple):
    """Two pools that have numbers in common."""

    one: str
    other: str
    numbers: str


def conflicts(pools: Sequence[Pool]) -> Iterator[Conflict]:
    """Every conflict, pool by pool."""
    for pool in pools:
        if not pool.numbers and not pool.draining:
            yield Conflict(pool.name, "numbers", "", "give at least one number or range of the pool")
        if pool.ttl_ms > pool.max_ttl_ms:
            most = f"must not be above max_ttl = {pool.max_ttl_ms // 1000}"
            yield Conflict(pool.name, "ttl", str(pool.ttl_ms // 1000), most)
        if pool.match == "sole" and pool.exhausted != "reject":
            wanted = "means one caller a number: set exhausted = reject, or match = exact or suffix"
            yield Conflict(pool.name, "match", "sole", f"with exhausted = {pool.exhausted}; {wanted}")
        every = pool.numbers | pool.draining | NumberSet.parse(pool.fallback, 1)
        if pool.dnis_digits and (alike := every.alike(pool.dnis_digits)):
            wanted = f"does not tell {alike[0]} and {alike[1]} apart; give more digits, or leave it empty for all"
            yield Conflict(pool.name, "dnis_digits", str(pool.dnis_digits), wanted)
        if wrong := _wrong_fallback(pool, pools):
            yield Conflict(pool.name, "fallback", pool.fallback, wrong)
        for number in filter(every.__contains__, pool.withheld):
            wanted = "is a number of the pool itself; one that is not to be leased belongs in draining"
            yield Conflict(pool.name, "withheld", number, wanted)
        if pool.share_scan * pool.max_callers > MOST_LOOKS:
            most = f"times max_callers = {pool.max_callers} must not be above {MOST_LOOKS}, or a call holds up Redis"
            yield Conflict(pool.name, "share_scan", str(pool.share_scan), most)


def shared(pools: Sequence[Pool]) -> Iterator[Shared]:
    """Each pair of pools with numbers in common, and a few of those numbers."""
    found: dict[tuple[int, int], list[Span]] = {}
    for one, other, span in overlaps([pool.numbers | pool.draining for pool in pools]):
        spans = found.setdefault((one, other), [])
        if len(spans) <= _SHOWN:
            spans.append(span)
    for (one, other), spans in sorted(found.items()):
        numbers = ", ".join(map(str, spans[:_SHOWN])) + (" and more" if len(spans) > _SHOWN else "")
        yield Shared(pools[one].name, pools[other].name, numbers)


def _wrong_fallback(pool: Pool, pools: Sequence[Pool]) -> str:
    if not pool.fallback:
        missing = pool.exhausted == "fallback"
        return "give the number for callers beyond the pool's own, or another exhausted" if missing else ""
    wrong = ""
    for other in pools:
        if pool.fallback in other.numbers or pool.fallback in other.draining:
            wrong = f"is a number of [pool:{other.name}]; give one of no pool"
        elif other is not pool and pool.fallback == other.fallback:
            wrong = f"is the fallback of [pool:{other.name}], too; give each pool its own"
    return wrong
