"""What came of the calls of a demonstration: counted, and told as a table."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from cticache.demo.callers import WAYS

_GRADES = {"exact": "by the very ANI", "suffix": "by its last digits", "sole": "alone on the number"}
"""What an answer says under ``match``."""
_WIDTH = 34
_COLUMNS = 80


@dataclass
class Figures:
    """Of one demonstration; whoever adds to it holds a lock."""

    pool: str = ""
    """That of the numbers; empty while none was leased."""
    lease_ms: list[float] = field(default_factory=list)
    take_ms: list[float] = field(default_factory=list)
    """How long the answers took, those to what was refused or not found among them."""
    refused: Counter[str] = field(default_factory=Counter)
    """Calls that no number was leased for, by the code of the error."""
    reasons: dict[str, str] = field(default_factory=dict)
    """The sentence of each of these codes, as it was said first."""
    lost: int = 0
    """Calls that never arrived."""
    found: Counter[str] = field(default_factory=Counter)
    """Calls whose data was handed over, by how they were found."""
    wrong: int = 0
    """Those of them that were given the data of another call."""
    missed: Counter[str] = field(default_factory=Counter)
    """Calls that arrived and whose data was not found, by what had become of the ANI."""
    explained: dict[str, str] = field(default_factory=dict)
    """What `explain` says of the first of each of these."""
    advice: Sequence[str] = ()
    """What `advise` says of the pool now."""
    seconds: float = 0.0
    """How long the calls came for."""

    def calls(self) -> int:
        """How many there were."""
        return self.refused.total() + self.lost + self.found.total() + self.missed.total()

    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "pool": self.pool,
            "calls": self.calls(),
            "seconds": round(self.seconds, 1),
            "refused": [
                {"error": code, "calls": calls, "detail": self.reasons[code]} for code, calls in self.refused.items()
            ],
            "lost": self.lost,
            "found": {grade: self.found[grade] for grade in _GRADES},
            "wrong": self.wrong,
            "not_found": [
                {"ani": way or "unchanged", "calls": calls, "explain": self.explained.get(way)}
                for way, calls in self.missed.items()
            ],
            "ms": {name: _percentiles(ms) for name, ms in (("lease", self.lease_ms), ("take", self.take_ms))},
            "advice": [*self.advice],
        }

    def lines(self) -> Iterator[str]:
        """The same as a table, for a person."""
        yield _row("calls", self.calls())
        yield _row("  refused: no number was leased", self.refused.total())
        yield _row("  lost on the way", self.lost)
        for grade, words in _GRADES.items():
            yield _row(f"  found {words}", self.found[grade])
        yield _row("  not found", self.missed.total())
        yield _row("  given another call's data", self.wrong)
        yield ""
        yield f"{'answers, milliseconds':{_WIDTH}}{'p50':>8}{'p95':>8}"
        yield _measured("  POST: a number is leased", self.lease_ms)
        yield _measured("  take: the data is asked for", self.take_ms)
        yield from self._why()

    def _why(self) -> Iterator[str]:
        if self.refused:
            yield ""
        for code, calls in self.refused.items():
            yield f"refused, {counted(calls)}: {code}"
            yield from _indented(self.reasons[code])
        if self.missed:
            yield ""
        for way, calls in self.missed.items():
            yield f"not found, {counted(calls)}: the ANI arrived {WAYS[way] if way else 'as it was'}"
            yield from _indented(self.explained.get(way) or "`cticache explain` tells why")
        if self.advice:
            yield ""
            yield "`cticache advise` says of the pool:"
        for line in self.advice:
            yield from _indented(line)


def _indented(text: str) -> list[str]:
    return wrap(text, _COLUMNS, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def counted(calls: int) -> str:
    """Such as ``1 call`` or ``2 calls``."""
    return f"{calls} call{'' if calls == 1 else 's'}"


def _row(words: str, number: int) -> str:
    return f"{words:{_WIDTH}}{number:8}"


def _measured(words: str, ms: Sequence[float]) -> str:
    return f"{words:{_WIDTH}}" + "".join(f"{_shown(each):>8}" for each in _percentiles(ms).values())


def _percentiles(ms: Sequence[float]) -> Mapping[str, float | None]:
    """By the nearest rank; None where nothing was measured."""
    ranked = sorted(ms)
    return {
        name: round(ranked[math.ceil(share * len(ranked)) - 1], 1) if ranked else None
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def _shown(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:.1f}"
