"""What the commands `pools` and `explain` print: figures and places as lines for a person at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cticache.data.store import PoolStats
from cticache.numbering.pools import Pool

_COLUMNS = ("size", "free", "leased", "cooling", "shared", "leaving", "peak")
_QUANTILES = (0.5, 0.99)


def pool_lines(pools: Sequence[Pool], stats: Sequence[PoolStats]) -> Iterator[str]:
    """How full each pool is, a line each, and below it what was done with it."""
    width = max(len("pool"), *(len(pool.name) for pool in pools))
    yield f"{'pool':{width}}" + "".join(f"{column:>9}" for column in _COLUMNS) + "  next free"
    for pool, figures in zip(pools, stats, strict=True):
        wait = figures.next_free_ms
        when = "now" if wait == 0 else "never" if wait < 0 else f"in {wait / 1000:.1f} s"
        yield f"{pool.name:{width}}" + "".join(f"{getattr(figures, column):>9}" for column in _COLUMNS) + f"  {when}"
        yield (
            f"  leases: {figures.leased_total} ({figures.shared_total} shared, {figures.fallback_total} on the "
            f"fallback); answers given again: {figures.replayed_total}; refused: {figures.rejected_total} for want "
            f"of a number, {figures.over_max_live_total} by max_live"
        )
        yield (
            f"  takes: {figures.taken_total}; renewals: {figures.renewed_total}; never asked for: "
            f"{figures.unclaimed_total}; found exact {figures.match_exact_total}, suffix {figures.match_suffix_total}, "
            f"sole {figures.match_sole_total}; ambiguous: {figures.ambiguous_total}"
        )
        if figures.transits:
            parts = (f"{share:.0%} within {_quantile(figures.transits, share)} s" for share in _QUANTILES)
            yield f"  from lease to take: {', '.join(parts)}"


def explain_lines(place: Mapping[str, Any]) -> Iterator[str]:
    """What cticache.operate.explain.explain found in one place."""
    yield f"pool {place['pool']}, number {place['dnis']}, match = {place['rule']}"
    for step in place["steps"]:
        yield f"  {step['step']}: {step['gives'] or 'withheld'}"
    yield f"  canonical: {place['canonical'] or 'withheld'}; digest in the audit: {place['digest']}"
    for call in place["live"]:
        yield (
            f"  live: {call['ani']} ({call['digits']} digits, digest {call['digest']}), leased by {call['lessee']} at "
            f"{call['leased_at']}, token {call['token']}, ends in {call['expires_in']} s"
        )
    if not place["live"]:
        yield "  live: no call on this number"
    yield f"  {place['says']}"


def _quantile(transits: Mapping[int, int], share: float) -> int:
    """Seconds within which this share of the takes lies."""
    least = share * sum(transits.values())
    seen = 0
    for seconds, count in sorted(transits.items()):
        seen += count
        if seen >= least:
            return seconds
    return max(transits)
