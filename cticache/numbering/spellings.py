"""Which spellings one number may have in a country, so that another spelling of it is found without a look at each."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from cticache.numbering.ani import form_of
from cticache.numbering.country import Country
from cticache.numbering.numbers import MAX_DIGITS, NumberSet, Span


class Way(NamedTuple):
    """A way to write numbers: ``written`` in place of ``front``, with which their canonical form begins."""

    front: str
    """Digits of the form; its plus is left out."""
    written: str


class Turn(NamedTuple):
    """From one way to another: ``added`` in place of ``removed``, with which the number begins."""

    removed: str
    added: str

    def form(self, plus: str, digits: int) -> tuple[str, int] | None:
        """What it makes of numbers of this form, a plus or none and how many digits; None if they cannot be turned."""
        if (self.removed[:1] == "+") != (plus == "+"):
            return None
        turned = digits - len(self.removed) + len(self.added) + len(plus) - (self.added[:1] == "+")
        return ("+" if self.added[:1] == "+" else "", turned) if 0 < turned <= MAX_DIGITS else None

    def turned(self, span: Span) -> tuple[Span, Span] | None:
        """Those numbers of the span that can be turned, and what they are then; None where there are none."""
        form = self.form(span.plus, span.digits)
        front, new = self.removed.removeprefix("+"), self.added.removeprefix("+")
        kept = span.digits - len(front)
        if not form or kept < 1:
            return None
        base, new_base = int(front or 0) * 10**kept, int(new or 0) * 10**kept
        first, last = max(span.first, base), min(span.last, base + 10**kept - 1)
        if first > last:
            return None
        return span._replace(first=first, last=last), Span(*form, first - base + new_base, last - base + new_base)


class Spellings:
    """The spellings that a number may have under a country; without one, a plus is all that may differ.

    They are those that are dialled in the country. What else may stand before a number there, such as a carrier's code
    in Brazil, is learnt from ``numbers``: from the ends of their ranges.
    """

    def __init__(self, country: Country | None, numbers: Iterable[NumberSet]) -> None:
        self._country = country
        self._ways = list(dict.fromkeys((*_dialled(country), *self._learnt(numbers))))

    def denies(self, number: str, form: str) -> bool:
        """Whether to this country it is a number with another form, and not just digits."""
        is_read = self._country and self._country.is_whole(number)
        return bool(is_read) and self.form(number).removeprefix("+") != form.removeprefix("+")

    def others(self, number: str, known: Callable[[str], object]) -> Iterator[str]:
        """The other spellings of this number, of those that are ``known``."""
        form = self.form(number)
        digits = form.removeprefix("+")
        spelled = (written + digits[len(front) :] for front, written in self._ways if digits.startswith(front))
        for other in dict.fromkeys(spelled):
            if other != number and known(other) and self.form(other) == form:
                yield other

    @cached_property
    def turns(self) -> list[Turn]:
        """All that leads from one spelling of a number to another; what it leads to may be another number, too."""
        found: dict[Turn, None] = {}
        for one in self._ways:
            for other in self._ways:
                if other.front.startswith(one.front):
                    found[_shortest(one.written + other.front[len(one.front) :], other.written)] = None
                elif one.front.startswith(other.front):
                    found[_shortest(one.written, other.written + one.front[len(other.front) :])] = None
        return [turn for turn in found if turn.removed != turn.added]

    def form(self, number: str) -> str:
        """The canonical form, which all spellings of a number have in common."""
        return form_of(number, self._country)

    def _learnt(self, numbers: Iterable[NumberSet]) -> Iterator[Way]:
        if not self._country or not self._country.other_trunks:
            return
        for each in numbers:
            for span in each.spans:
                for value in {span.first, span.last}:
                    number = span.number(value)
                    digits = self.form(number).removeprefix("+")
                    front, written = _shortest(digits, number)
                    yield Way(front, written)


def _dialled(country: Country | None) -> Iterator[Way]:
    """What may stand before a number: the plus; in a country, its prefixes, with or without its calling code."""
    exits = ["", "+"]
    if country:
        exits += ["00", country.prefix, "+00", "+" + country.prefix]
        for trunk in ("", country.trunk):
            yield Way(country.code, trunk)
            yield Way(country.code, "+" + trunk)  # which means nothing before a zero
            for exit_code in exits:
                yield Way(country.code, exit_code + country.code + trunk)
    for exit_code in exits:
        yield Way("", exit_code)


def _shortest(removed: str, added: str) -> Turn:
    """The same turn, without what both have at the end."""
    while removed and added and removed[-1] == added[-1] != "+":
        removed, added = removed[:-1], added[:-1]
    return Turn(removed, added)
