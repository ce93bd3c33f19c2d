"""The canonical form of a caller's number (ANI), by which both sides of a hand-over mean the same caller."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from cticache.numbering.country import Country

WITHHELD = ""
"""The canonical form of every withheld number: they are one ANI."""

_WITHHELD_WORDS = frozenset(
    {"", "anonymous", "restricted", "unavailable", "private", "unknown", "withheld", "<null>", "null"}
)
_WITHHELD_HOST = "anonymous.invalid"  # RFC 3323 section 4.1.1.3
_SCHEMES = frozenset({"sip", "sips", "tel"})
# Invisible characters that a copied number may bring along: marks of writing direction, and non-breaking spaces.
_SPACE = " \t\u00a0\u202f\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SEPARATORS = re.compile(rf"[{_SPACE}().\-/\u2010-\u2015\u2212]+")  # the dashes from hyphen to minus
_DISPLAY_NAME = re.compile(r'(?:"(?:[^"\\]|\\.)*"[ \t]*|[^<"]*)<([^<>]+)>.*', re.DOTALL)
_AFTER_HOST = re.compile(r"[:;?]")
_NUMBER = re.compile(r"\+?[0-9]{1,32}")


MOST_CHARACTERS = 256
"""Most of an ANI as it is sent: it comes back in a Location, each of its characters as up to twelve."""


class Ani(NamedTuple):
    """A caller's number as it was sent, and as ``written`` gives it; "" when it is withheld."""

    sent: str
    written: str


def read(text: str) -> Ani:
    """The caller's number as a system sent it; ValueError when it is none, or too long a text."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"must not be longer than {MOST_CHARACTERS} characters")
    return Ani(text, written(text))


def canonical(text: str, country: Country | None = None) -> str:
    """The form under which a call is kept: 1 to 32 ASCII digits, or ``WITHHELD``; it is its own canonical form.

    It is made from the number that ``written`` gives, by the rules of ``country``, which may put a plus before the
    digits; without a country it is just the digits. ValueError when the text is no number.
    """
    *_, (_, form) = _worked(text, country)
    return form


def written(text: str) -> str:
    """The bare number that a system wrote: 1 to 32 ASCII digits after an optional plus, or ``WITHHELD``.

    ``sip:``, ``sips:`` and ``tel:`` are removed, with the display name, password, parameters and host around the number
    (RFC 3261 sections 19.1 and 20.10, RFC 3966); percent-escapes in such an address are resolved; separators are
    removed. ValueError when no number is left.
    """
    if _NUMBER.fullmatch(text):  # the usual case: no step would change it
        return text
    *_, (_, bare) = _unwrapped(text)
    return bare


def steps(text: str, country: Country | None = None) -> list[tuple[str, str]]:
    """How ``canonical`` arrives at its form: for each step that changed something, what was done and its result.

    Empty when the text is in canonical form; ValueError when it is no number.
    """
    changes = []
    before = text
    for done, after in _worked(text, country):
        if after != before:
            changes.append((done, after))
            before = after
    return changes


def masked(text: str) -> str:
    """The last digits of a number, for a log: enough to find a call, too few to name a caller."""
    return "\N{HORIZONTAL ELLIPSIS}" + text[-3:] if len(text.removeprefix("+")) > 5 else "\N{HORIZONTAL ELLIPSIS}"


def _worked(text: str, country: Country | None) -> Iterator[tuple[str, str]]:
    """Every step to the canonical form, in plain words, and its result."""
    for done, bare in _unwrapped(text):
        yield done, bare
    yield country.read(bare) if country else ("plus removed", bare.removeprefix("+"))


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """Every step to the bare number, in plain words, and its result."""
    bare = text.strip(_SPACE)
    yield "space around it removed", bare
    if bare.lower() in _WITHHELD_WORDS:
        yield "withheld, by its word", WITHHELD
        return
    if named := _DISPLAY_NAME.fullmatch(bare):
        bare = named[1].strip(_SPACE)
        yield "display name and brackets removed", bare
    scheme, _, address = bare.partition(":")
    is_address = scheme.lower() in _SCHEMES
    user, at, host = (address if is_address else bare).partition("@")
    if at and _AFTER_HOST.split(host, 1)[0].lower() == _WITHHELD_HOST:
        yield "withheld, by its host", WITHHELD
        return
    bare = user.partition(";")[0]
    if at:
        bare = bare.partition(":")[0]  # without a host, a colon comes before a port, and the address is no number
    yield "scheme, password, host and parameters removed", bare
    if is_address:
        bare = unquote(bare)
        yield "percent-escapes resolved", bare
    bare = bare.strip(_SPACE)
    if bare.lower() in _WITHHELD_WORDS:
        yield "withheld, by its word", WITHHELD
        return
    bare = _SEPARATORS.sub("", bare)
    yield "separators removed", bare
    if not _NUMBER.fullmatch(bare):
        raise ValueError("must be a telephone number of 1 to 32 digits, or empty when the caller withholds it")
