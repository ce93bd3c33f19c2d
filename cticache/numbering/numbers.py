"""Sets of telephone numbers, written as single numbers and ranges and kept as ranges.

A number is 1 to 32 ASCII digits after an optional plus; a leading zero or plus is part of it, so ``0123``, ``123``
and ``+123`` are three numbers. A pool of millions costs as much memory here as its ranges.
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

MAX_DIGITS = 32
_NUMBER = re.compile(rf"(\+?)([0-9]{{1,{MAX_DIGITS}}})")
_OTHER_DASH = re.compile(r"[\u2010-\u2015\u2212]")
_MOST_SHOWN = 50
"""Characters of a part that is wrong: it may be a whole list."""
_T = TypeVar("_T")


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
    """Numbers of a span by their last digits: for each tail, ends included, one number for each of the bases."""

    first: int
    last: int
    bases: range
    span: Span

    def numbers(self, tail: int) -> Iterator[str]:
        """Those that end in this tail."""
        return (self.span.number(base + tail) for base in self.bases)


class Stretches(Generic[_T]):
    """Stretches of whole numbers, which may overlap, and what each is for.

    To find those that meet another takes as long as there are such, and not as there are stretches.
    """

    def __init__(self, stretches: Iterable[tuple[int, int, _T]]) -> None:
        """Each by its first and last number."""
        self._by_size: dict[int, list[tuple[int, int, _T]]] = {}
        for stretch in sorted(stretches, key=_begin):
            self._by_size.setdefault((stretch[1] - stretch[0]).bit_length(), []).append(stretch)

    def meeting(self, first: int, last: int) -> Iterator[tuple[int, int, _T]]:
        """Those that have a number from ``first`` to ``last``."""
        for size, stretches in self._by_size.items():
            begin = bisect_left(stretches, first - (1 << size), key=_begin)  # an earlier one is too short to reach
            for at in range(begin, bisect_right(stretches, last, begin, key=_begin)):
                if stretches[at][1] >= first:
                    yield stretches[at]


class NumberSet:
    """An immutable set of numbers."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans = _merge(spans)
        """The numbers in as few spans as possible, sorted."""
        self._forms = {span[:2] for span in self.spans}
        self._most_digits = max((digits for _, digits in self._forms), default=0)
        self._endings: dict[int, Stretches[Tails]] = {}  # by how many last digits

    @classmethod
    def parse(cls, text: str, limit: int) -> "NumberSet":
        """Read ``5551234560-5551234599, 5559990000``; ValueError says which part is wrong, or that there are too many.

        A comma or the end of a line stands between two numbers; spaces may stand around a number, but not in it. A line
        that begins with a dash is an item of a list, and not the end of a range. The size is checked before anything is
        expanded: ``limit`` is the most numbers allowed.
        """
        numbers = cls(map(_span, listed(re.sub(r"[^\S\r\n]*-\s*", "-", text))))
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
        at = bisect_right(self.spans, (plus, len(digits), value, float("inf"))) - 1
        if at < 0:
            return False
        span = self.spans[at]
        return (span.plus, span.digits) == (plus, len(digits)) and span.first <= value <= span.last

    def __iter__(self) -> Iterator[str]:
        for span in self.spans:
            for value in range(span.first, span.last + 1):
                yield span.number(value)

    def __sub__(self, other: "NumberSet") -> "NumberSet":
        return NumberSet(_without(self.spans, other.spans))

    def __or__(self, other: "NumberSet") -> "NumberSet":
        return NumberSet(self.spans + other.spans)

    def __and__(self, other: "NumberSet") -> "NumberSet":
        return self - (self - other)

    def __str__(self) -> str:
        return ", ".join(map(str, self.spans))

    def ending(self, digits: str) -> list[str]:
        """The numbers that end in these digits; none when ``digits`` are no ASCII digits.

        The ranges are sorted once for each count of digits.
        """
        if not _NUMBER.fullmatch(digits) or digits[0] == "+" or len(digits) > self._most_digits:
            return []
        tail, count = int(digits), len(digits)
        if count not in self._endings:
            self._endings[count] = Stretches((one.first, one.last, one) for one in self._tails(count))
        return [number for _, _, tails in self._endings[count].meeting(tail, tail) for number in tails.numbers(tail)]

    def agreeing(self, digits: str, least: int) -> list[str]:
        """The numbers that end in the last ``least`` of these digits, and agree with them in all that both have.

        A plus and leading zeros are no digits that a number has: they depend on who writes it.
        """
        bare, ending = digits.lstrip("0"), digits[-least:]
        found = dict.fromkeys(self.ending(digits[-max(least, len(bare)) :]))
        for plus, count in self._forms:
            for have in range(min(len(bare) - 1, count) + 1):  # of fewer digits than are asked for
                number = plus + bare[len(bare) - have :].zfill(count)
                if count >= least and number.endswith(ending) and number in self:
                    found[number] = None
        return list(found)

    def alike(self, digits: int) -> tuple[str, str] | None:
        """Two numbers with the same last ``digits`` digits; None when those tell all numbers apart.

        A number that has fewer digits is not compared.
        """
        for one, other in pairwise(sorted(self._tails(digits), key=_begin)):
            if other.first <= one.last:
                return next(one.numbers(other.first)), next(other.numbers(other.first))
        return None

    def _tails(self, digits: int) -> Iterator[Tails]:
        return (piece for span in self.spans for piece in _tails(span, digits))

    def _size(self) -> int:
        return sum(span.last - span.first + 1 for span in self.spans)

    def fingerprint(self) -> str:
        """Equal for equal sets, however they were written; 32 hex digits."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:32]


class Owners:
    """Which of several sets have a number, by their indexes.

    To find out takes no longer the more sets there are.
    """

    def __init__(self, sets: Iterable[NumberSet]) -> None:
        by_form: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for owner, numbers in enumerate(sets):
            for span in numbers.spans:
                by_form.setdefault((span.plus, span.digits), []).append((span.first, span.last, owner))
        self._by_form = {form: Stretches(spans) for form, spans in by_form.items()}

    def of(self, number: str) -> list[int]:
        """The sets that have this number, the first one first."""
        match = _NUMBER.fullmatch(number)
        if not match:
            return []
        plus, digits = match.groups()
        stretches = self._by_form.get((plus, len(digits)))
        if not stretches:
            return []
        value = int(digits)
        return sorted(owner for _, _, owner in stretches.meeting(value, value))

    def meeting(self, span: Span) -> Iterator[tuple[int, Span]]:
        """The sets that have some of these numbers, and which ones each time."""
        spans = self._by_form.get((span.plus, span.digits))
        for first, last, owner in spans.meeting(span.first, span.last) if spans else ():
            yield owner, span._replace(first=max(first, span.first), last=min(last, span.last))

    def has_form(self, plus: str, digits: int) -> bool:
        """Whether any set has numbers of so many digits, with this plus or none."""
        return (plus, digits) in self._by_form


def is_number(text: str) -> bool:
    """Whether this is 1 to 32 ASCII digits after an optional plus."""
    return bool(_NUMBER.fullmatch(text))


def listed(text: str) -> list[str]:
    """What stands between commas and line ends, without the spaces around it."""
    return [part for piece in re.split(r"[,\r\n]", text) if (part := piece.strip())]


def unspaced(part: str) -> str:
    """The same; ValueError where a space or a semicolon is within it: it may be meant as one number or as several."""
    if ";" in part:
        raise ValueError(f"{_shown(part)} has a semicolon inside: put a comma or a new line between two numbers")
    if not re.search(r"\s", part):
        return part
    joined = re.sub(r"\s", "", part)
    example = f", as in {joined}" if all(map(_NUMBER.fullmatch, joined.split("-"))) else ""
    raise ValueError(
        f"{_shown(part)} has a space inside: write one number without spaces{example}, "
        "and a comma or a new line between two"
    )


def hint(part: str) -> str:
    """What may be wrong with a text that is no number, to stand after what is said of it; empty if that is unknown."""
    if _OTHER_DASH.search(part):
        return "; its dash is no hyphen"
    pieces = part.split("-")
    joined = "".join(pieces)
    is_range = len(pieces) < 3 and len({*map(len, pieces)}) == 1
    if is_range or not all(pieces) or not _NUMBER.fullmatch(joined):
        return ""
    return f"; if this is one number, write it without dashes, as in {joined}"


def overlaps(sets: Sequence[NumberSet]) -> Iterator[tuple[int, int, Span]]:
    """Where two of the sets share numbers: the indexes of the two, the lower first, and a span that they share."""
    begun: list[tuple[int, Span]] = []  # at most one span of each set, since the spans of a set do not overlap
    for span, at in sorted((span, at) for at, numbers in enumerate(sets) for span in numbers.spans):
        begun = [(before, other) for before, other in begun if other[:2] == span[:2] and other.last >= span.first]
        for before, other in begun:
            yield min(before, at), max(before, at), span._replace(last=min(span.last, other.last))
        begun.append((at, span))


def _span(part: str) -> Span:
    first, dash, last = unspaced(part).partition("-")
    start, end = _NUMBER.fullmatch(first), _NUMBER.fullmatch(last if dash else first)
    if not start or not end:
        raise ValueError(
            f"{_shown(part)} is not a number or a range: give 1 to {MAX_DIGITS} digits, such as 5551234560 or "
            f"5551234560-5551234599{hint(part)}"
        )
    if start[1] != end[1] or len(start[2]) != len(end[2]):
        raise ValueError(
            f"the ends of the range {_shown(part)} must have equally many digits and the same leading plus{hint(part)}"
        )
    if int(start[2]) > int(end[2]):
        raise ValueError(f"the range {_shown(part)} runs backwards")
    return Span(start[1], len(start[2]), int(start[2]), int(end[2]))


def _begin(stretch: Tails | tuple[int, int, object]) -> int:
    return stretch[0]


def _shown(part: str) -> str:
    return repr(part if len(part) <= _MOST_SHOWN else part[:_MOST_SHOWN] + "\N{HORIZONTAL ELLIPSIS}")


def _tails(span: Span, digits: int) -> Iterator[Tails]:
    """The span, cut where its last digits start over; three pieces at most. None where it has fewer digits."""
    if span.digits < digits:
        return
    step = 10**digits
    (high, first), (highest, last) = divmod(span.first, step), divmod(span.last, step)
    if high == highest:
        yield Tails(first, last, range(high * step, high * step + 1), span)
        return
    yield Tails(first, step - 1, range(high * step, high * step + 1), span)
    if highest - high > 1:
        yield Tails(0, step - 1, range((high + 1) * step, highest * step, step), span)
    yield Tails(0, last, range(highest * step, highest * step + 1), span)


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
