"""What the commands `pools` and `explain` print: figures and places as lines for a person at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from cticache.data.counters import COUNTERS
from cticache.data.replies import PoolStats
from cticache.numbering.pools import Pool
from cticache.operate.advice import quantile

_COLUMNS = ("size", "free", "leased", "cooling", "shared", "leaving", "peak")
_WIDTH = 100
_QUANTILES = (0.5, 0.99)


def pool_lines(pools: Sequence[Pool], stats: Sequence[PoolStats]) -> Iterator[str]:
    """A line for each pool that says how full it is, and below it what was done with it."""
    width = max(len("pool"), *(len(pool.name) for pool in pools))
    yield f"{'pool':{width}}" + "".join(f"{column:>9}" for column in _COLUMNS) + "  next free"
    for pool, figures in zip(pools, stats, strict=True):
        wait = figures.next_free_ms
        when = "now" if wait == 0 else "never" if wait < 0 else f"in {wait / 1000:.1f} s"
        yield f"{pool.name:{width}}" + "".join(f"{getattr(figures, column):>9}" for column in _COLUMNS) + f"  {when}"
        done = ", ".join(f"{counter.told} {figures.counts[counter.figure]:,}" for counter in COUNTERS)
        yield from wrap(done, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        if figures.transits:
            parts = (f"{share:.0%} within {quantile(figures.transits, share)} s" for share in _QUANTILES)
            yield f"  from lease to take: {', '.join(parts)}"


def explain_lines(place: Mapping[str, Any]) -> Iterator[str]:
    """What operate.explain found in one place."""
    yield f"pool {place['pool']}, number {place['dnis']}, match = {place['rule']}"
    for step in place["steps"]:
        yield f"  {step['step']}: {step['gives'] or 'withheld'}"
    yield f"  canonical: {place['canonical'] or 'withheld'}" + _of(place, "; digest in the audit: {}")
    for call in place["live"]:
        yield (
            f"  live: {call['ani']} ({call['digits']} digits{_of(call, ', digest {}')}), leased by {call['lessee']} at "
            f"{call['leased_at']}, token {call['token']}, ends in {call['expires_in']} s"
        )
    if not place["live"]:
        yield "  live: no call on this number"
    yield f"  {place['says']}"


def _of(told: Mapping[str, Any], words: str) -> str:
    """The digest in these words; nothing where it is not known."""
    return words.format(told["digest"]) if told["digest"] else ""
