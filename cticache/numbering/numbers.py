"""Sets of telephone numbers, written as single numbers and ranges and kept as ranges.

A number is 1 to 32 ASCII digits after an optional plus; a leading zero or plus is part of it, so ``0123``, ``123``
and ``+123`` are three numbers. A pool of millions costs as much memory here as its ranges.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

MAX_DIGITS = 32
_NUMBER = re.compile(rf"(\+?)([0-9]{{1,{MAX_DIGITS}}})")
_MOST_SHOWN = 50
"""Characters of a part that is wrong: it may be a whole list."""


class Span(NamedTuple):
    """Neighbouring numbers of one length, both ends included; ordered by prefix, then length, then value."""

    plus: str
    digits: int
    first: int
    last: int

    def number(self, value: int) -> str:
        """The number with this value, in the form that the span's numbers have."""
        return f"{self.plus}{value:0{self.digits}d}"

    def __str__(self) -> str:
        if self.first == self.last:
            return self.number(self.first)
        return f"{self.number(self.first)}-{self.number(self.last)}"


class Tails(NamedTuple):
    """Neighbouring numbers by their last digits: ``number(base + tail)`` of the span for each tail, ends included."""

    first: int
    last: int
    base: int
    span: Span

    def number(self, tail: int) -> str:
        """The number that ends in this tail."""
        return self.span.number(self.base + tail)


class NumberSet:
    """An immutable set of numbers."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = _merge(spans)
        self._indexes: dict[int, tuple[list[Tails], list[int]]] = {}  # by how many last digits

    @classmethod
    def parse(cls, text: str, limit: int) -> "NumberSet":
        """Read ``5551234560-5551234599, 5559990000``; ValueError says which part is wrong, or that there are too many.

        A comma or the end of a line stands between two numbers; spaces may stand around a number, but not in it. The
        size is checked before anything is expanded: ``limit`` is the most numbers allowed.
        """
        numbers = cls(map(_span, listed(re.sub(r"\s*-\s*", "-", text))))
        size = numbers._size()  # len() itself fails beyond sys.maxsize
        if size > limit:
            raise ValueError(f"{size} numbers are more than the {limit} allowed")
        return numbers

    def __len__(self) -> int:
        return self._size()

    def __contains__(self, number: str) -> bool:
        match = _NUMBER.fullmatch(number)
        if not match:
            return False
        plus, digits = match.groups()
        value = int(digits)
        at = bisect_right(self._spans, (plus, len(digits), value, float("inf"))) - 1
        if at < 0:
            return False
        span = self._spans[at]
        return (span.plus, span.digits) == (plus, len(digits)) and span.first <= value <= span.last

    def __iter__(self) -> Iterator[str]:
        for span in self._spans:
            for value in range(span.first, span.last + 1):
                yield span.number(value)

    def __sub__(self, other: "NumberSet") -> "NumberSet":
        return NumberSet(_without(self._spans, other._spans))

    def __or__(self, other: "NumberSet") -> "NumberSet":
        return NumberSet(self._spans + other._spans)

    def __and__(self, other: "NumberSet") -> "NumberSet":
        return self - (self - other)

    def __str__(self) -> str:
        return ", ".join(map(str, self._spans))

    def ending(self, digits: str) -> list[str]:
        """The numbers that end in these digits: none, one, or two of them, which is enough to show an ambiguity.

        Also none when ``digits`` are no ASCII digits. The ranges are sorted once for each count of digits.
        """
        if not _NUMBER.fullmatch(digits) or digits[0] == "+":
            return []
        tail = int(digits)
        tails, reached = self._by_tail(len(digits))
        found: list[str] = []
        at = bisect_right(tails, tail, key=lambda one: one.first)
        while at and reached[at - 1] >= tail and len(found) < 2:
            at -= 1
            if tails[at].last >= tail:
                found.append(tails[at].number(tail))
        return found

    def alike(self, digits: int) -> tuple[str, str] | None:
        """Two numbers with the same last ``digits`` digits; None when those tell all numbers apart.

        A number that has fewer digits is not compared.
        """
        tails, _ = self._by_tail(digits)
        for one, other in pairwise(tails):
            if other.first <= one.last:
                return one.number(other.first), other.number(other.first)
        return None

    def _by_tail(self, digits: int) -> tuple[list[Tails], list[int]]:
        """The numbers in the order of their last digits, and the highest tail up to each place in that order."""
        if digits not in self._indexes:
            tails = sorted(piece for span in self._spans for piece in _tails(span, digits))
            self._indexes[digits] = tails, list(accumulate((one.last for one in tails), max))
        return self._indexes[digits]

    def _size(self) -> int:
        return sum(span.last - span.first + 1 for span in self._spans)

    def fingerprint(self) -> str:
        """Equal for equal sets, however they were written; 32 hex digits."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:32]


def listed(text: str) -> list[str]:
    """What stands between commas and line ends, without the spaces around it."""
    return [part for piece in re.split(r"[,\r\n]", text) if (part := piece.strip())]


def unspaced(part: str) -> str:
    """The same; ValueError where a space is within it: nobody can tell whether one number is meant or several."""
    if not re.search(r"\s", part):
        return part
    shown = part if len(part) <= _MOST_SHOWN else part[:_MOST_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"
    joined = re.sub(r"\s", "", part)
    hint = f", as in {joined}" if all(map(_NUMBER.fullmatch, joined.split("-"))) else ""
    raise ValueError(
        f"{shown!r} has a space inside: write one number without spaces{hint}, and a comma or a new line between two"
    )


def overlaps(sets: Sequence[NumberSet]) -> Iterator[tuple[int, int, Span]]:
    """Where two of the sets share numbers: the indexes of the two, the lower first, and a span that they share."""
    begun: list[tuple[int, Span]] = []  # at most one span of each set, since the spans of a set do not overlap
    for span, at in sorted((span, at) for at, numbers in enumerate(sets) for span in numbers._spans):
        begun = [(before, other) for before, other in begun if other[:2] == span[:2] and other.last >= span.first]
        for before, other in begun:
            yield min(before, at), max(before, at), span._replace(last=min(span.last, other.last))
        begun.append((at, span))


def _span(part: str) -> Span:
    first, dash, last = unspaced(part).partition("-")
    start, end = _NUMBER.fullmatch(first), _NUMBER.fullmatch(last if dash else first)
    if not start or not end:
        raise ValueError(
            f"{part!r} is not a number or a range: give 1 to {MAX_DIGITS} digits, such as 5551234560 or "
            "5551234560-5551234599"
        )
    if start[1] != end[1] or len(start[2]) != len(end[2]):
        raise ValueError(f"the ends of the range {part!r} must have equally many digits and the same leading plus")
    if int(start[2]) > int(end[2]):
        raise ValueError(f"the range {part!r} runs backwards")
    return Span(start[1], len(start[2]), int(start[2]), int(end[2]))


def _tails(span: Span, digits: int) -> Iterator[Tails]:
    """The span, cut where its last digits start over; three pieces at most, which show each tail that comes twice."""
    if span.digits < digits:
        return
    step = 10**digits
    for base in range(span.first - span.first % step, span.last + 1, step)[:3]:
        yield Tails(max(span.first - base, 0), min(span.last - base, step - 1), base, span)


def _merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same numbers in as few spans as possible, sorted: neighbours and overlaps are joined."""
    merged: list[Span] = []
    for span in sorted(spans):
        last = merged[-1] if merged else None
        if last and last[:2] == span[:2] and span.first <= last.last + 1:
            merged[-1] = last._replace(last=max(last.last, span.last))
        else:
            merged.append(span)
    return tuple(merged)


def _without(spans: Iterable[Span], others: Iterable[Span]) -> Iterator[Span]:
    """``spans`` without the numbers of ``others``; both are sorted and free of overlaps, so one walk will do."""
    rest = iter(others)
    other = next(rest, None)
    for span in spans:
        first = span.first
        while other and (other.plus, other.digits, other.last) < (span.plus, span.digits, first):
            other = next(rest, None)
        while other and other[:2] == span[:2] and other.first <= span.last:
            if first < other.first:
                yield span._replace(first=first, last=other.first - 1)
            first = other.last + 1
            if first > span.last:  # ``other`` may reach into the next span, too
                break
            other = next(rest, None)
        if first <= span.last:
            yield span._replace(first=first)
