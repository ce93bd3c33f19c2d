"""The canonical form of a caller's number (ANI), by which both sides of a hand-over mean the same caller.

It is found in two steps. ``read`` leaves the bare number of what a system sent. ``form_of`` makes the canonical form of
that by what a pool says: the country by which to read it, and what else its carrier sends for a withheld number.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import unquote

from cticache.numbering.country import Country

WITHHELD = ""
"""The canonical form of every withheld number: they are one ANI."""
MOST_CHARACTERS = 256
"""Most of an ANI as it is sent: it comes back in a Location, each of its characters as up to twelve."""

_NO_NUMBER = "must be a telephone number of 1 to 32 digits, or empty when the caller withholds it"
_WITHHELD_WORDS = frozenset(
    {
        "",
        "anonymous",
        "asserted-anonymous",
        "restricted",
        "unavailable",
        "private",
        "unknown",
        "undefined",
        "withheld",
        "none",
        "<null>",
        "null",
    }
)
_WITHHELD_HOST = "anonymous.invalid"  # RFC 3323 section 4.1.1.3
_SCHEMES = frozenset({"sip", "sips", "tel"})
# Invisible characters that a copied number may bring along: marks of writing direction, and non-breaking spaces.
_SPACE = " \t\u00a0\u202f\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SPACES = re.compile(rf"[{_SPACE}]+")
_SEPARATORS = re.compile(rf"[{_SPACE}().\-/\u2010-\u2015\u2212]+")  # the dashes from hyphen to minus
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_DISPLAY_NAME = re.compile(rf'(?:{_QUOTED}[ \t]*|[^<"]*)<([^<>]*)>.*', re.DOTALL)
_ADDRESS = re.compile(rf'(?:{_QUOTED}|<[^<>]*+>|[^",<])++', re.DOTALL)
_ADDRESSES = re.compile(rf"{_ADDRESS.pattern}(?:,{_ADDRESS.pattern})+", re.DOTALL)
_AFTER_HOST = re.compile(r"[:;?]")
_CONTEXT = re.compile(r"(?:^|;)phone-context=([^;]*)", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9]{1,32}")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}(?::[0-9]{{1,5}})?")
_IPV6 = re.compile(r"\[(.+)\](?::[0-9]{1,5})?")
_HOST = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.?(?::[0-9]{1,5})?")


class Ani(NamedTuple):
    """A caller's number as it was sent, and bare of all that is around it."""

    sent: str | None
    """None where JSON's null was sent."""
    bare: str
    """1 to 32 ASCII digits after an optional plus, ``WITHHELD``, or what is no number, but may be a word of a pool."""


def read(text: str) -> Ani:
    """The caller's number as a system sent it; ValueError when that is too long, or cannot be one in any pool."""
    return Ani(text, bare(text))


def bare(text: str) -> str:
    """The same, bare of all that is around it."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"must not be longer than {MOST_CHARACTERS} characters")
    return _bare(text)


def written(text: str) -> str:
    """The bare number that a system wrote: 1 to 32 ASCII digits after an optional plus, or ``WITHHELD``.

    ``sip:``, ``sips:`` and ``tel:`` are removed, with the display name, password, parameters and host around the number
    (RFC 3261 sections 19.1 and 20.10, RFC 3966); percent-escapes in such an address are resolved; separators are
    removed. An address that has only a host is nobody's number: it is withheld. ValueError when no number is left.
    """
    bare = _bare(text)
    if bare and not _NUMBER.fullmatch(bare):
        raise ValueError(_NO_NUMBER)
    return bare


def form_of(bare: str, country: Country | None = None, withheld: Collection[str] = frozenset()) -> str:
    """The form under which a call is kept: 1 to 32 ASCII digits, or ``WITHHELD``; it is its own canonical form.

    It is made from what ``read`` leaves, by the rules of ``country``, which may put a plus before the digits; without a
    country it is just the digits.
    ``withheld`` are forms and words that mean a withheld number, too. ValueError when it is no number.
    """
    kind, found = _by_country(bare, country)
    if found in withheld:
        return WITHHELD
    if kind == _NO_NUMBER:
        raise ValueError(_NO_NUMBER)
    return found


def canonical(text: str, country: Country | None = None, withheld: Collection[str] = frozenset()) -> str:
    """The canonical form of a number as a system wrote it; ValueError when it is none."""
    return form_of(_bare(text), country, withheld)


def steps(text: str, country: Country | None = None, withheld: Collection[str] = frozenset()) -> list[tuple[str, str]]:
    """How ``canonical`` arrives at its form: for each step that changed something, what was done and its result.

    Empty when the text is in canonical form; ValueError when it is no number.
    """
    changes = []
    before = text
    for done, after in _worked(text, country, withheld):
        if after != before:
            changes.append((done, after))
            before = after
    return changes


def word(text: str) -> str:
    """The same text for all spellings of some words that differ only in capitals and spaces."""
    return _SPACES.sub(" ", text).strip(" ").casefold()


def masked(text: str) -> str:
    """The last digits of a number, for a log: enough to find a call, too few to name a caller."""
    return "\N{HORIZONTAL ELLIPSIS}" + text[-3:] if len(text.removeprefix("+")) > 5 else "\N{HORIZONTAL ELLIPSIS}"


def _bare(text: str) -> str:
    if _NUMBER.fullmatch(text):  # the usual case: no step would change it
        return text
    *_, (_, bare) = _unwrapped(text)
    return bare


def _worked(text: str, country: Country | None, withheld: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every step to the canonical form, in plain words, and its result."""
    bare = text
    for done, bare in _unwrapped(text):
        yield done, bare
    kind, found = _by_country(bare, country)
    if kind != _NO_NUMBER:
        yield kind, found
    yield "withheld, by the pool's own list", form_of(bare, country, withheld)


def _by_country(bare: str, country: Country | None) -> tuple[str, str]:
    """What kind of number it was taken for, in plain words, and its form there; of what is no number, its ``word``."""
    if bare and not _NUMBER.fullmatch(bare):
        return _NO_NUMBER, word(bare)
    return country.read(bare) if country else ("plus removed", bare.removeprefix("+"))


def _unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """Every step to the bare number, in plain words, and its result; or to the text that is no number."""
    bare = text.strip(_SPACE)
    yield "space around it removed", bare
    if bare.lower() in _WITHHELD_WORDS:
        yield "withheld, by its word", WITHHELD
        return
    if "," in bare and _ADDRESSES.fullmatch(bare):
        bare = _of_list(bare)
        yield "of several addresses, the tel: one taken", bare
    if "<" in bare:
        bare = _unnamed(bare)
        yield "display name and brackets removed", bare
    yield from _of_address(bare)


def _of_address(text: str) -> Iterator[tuple[str, str]]:
    """The same, from an address without a name."""
    scheme, _, address = text.partition(":")
    scheme = scheme.lower() if scheme.lower() in _SCHEMES else ""
    user, at, host = (address.removeprefix("//") if scheme else text).partition("@")
    if at and _AFTER_HOST.split(host, 1)[0].lower() == _WITHHELD_HOST:
        yield "withheld, by its host", WITHHELD
        return
    only_host = scheme.startswith("sip") and not at  # or it should be one: some systems leave the host out instead
    bare, _, parameters = user.partition(";")
    if at:
        bare = bare.partition(":")[0]  # without a host, a colon comes before a port, and the address is no number
    bare = (bare.partition("?")[0] if only_host else bare).strip(_SPACE)
    yield "scheme, password, host and parameters removed", bare
    if scheme:
        bare = unquote(bare).strip(_SPACE)
        yield "percent-escapes resolved", bare
    if bare.lower() in _WITHHELD_WORDS:
        yield "withheld, by its word", WITHHELD
        return
    if (only_host and _HOST.fullmatch(bare)) or (scheme != "tel" and _is_ip(bare)):
        yield "withheld, as this names a host and no caller", WITHHELD
        return
    number = bare if only_host else _SEPARATORS.sub("", bare)
    if _NUMBER.fullmatch(number):
        yield "separators removed", number
        yield "read in its phone-context", _in_context(number, parameters)


def _of_list(text: str) -> str:
    """The tel: address of several (RFC 3325 section 9.1), or all of them without one; ValueError where two differ."""
    addresses = map(_unnamed, _ADDRESS.findall(text))
    tels = {address[4:] for address in addresses if address[:4].lower() == "tel:"}
    if len(tels) > 1:
        raise ValueError(_NO_NUMBER)
    return f"tel:{tels.pop()}" if tels else text


def _unnamed(text: str) -> str:
    """The address without a display name and brackets."""
    named = _DISPLAY_NAME.fullmatch(text)
    return (named[1] if named else text).strip(_SPACE)


def _is_ip(text: str) -> bool:
    """Whether this is an IP address, one of version 6 with or without brackets, with or without a port."""
    if _IPV4.fullmatch(text):
        return True
    if ":" not in text:  # as a number has none, and refusing it would take microseconds
        return False
    bracketed = _IPV6.fullmatch(text)
    try:
        IPv6Address(bracketed[1] if bracketed else text)
    except ValueError:
        return False
    return True


def _in_context(number: str, parameters: str) -> str:
    """A local number as a global one, where its phone-context has a calling code and they make a whole number of it.

    A context says where a number is valid, not what to dial before it: 911 in +1 stays 911 (RFC 3966 section 5.1.5).
    """
    said = _CONTEXT.search(parameters)
    context = _SEPARATORS.sub("", unquote(said[1])) if said else ""
    if number[0] == "+" or context[:1] != "+" or not _NUMBER.fullmatch(context):
        return number
    country = next(filter(None, (_country(context[1:end]) for end in (2, 3, 4))), None)
    if country:
        for dialled in (context + number, number):
            found = country.canonical(dialled).removeprefix("+")
            if found.startswith(country.code) and len(found) - len(country.code) in country.lengths:
                return "+" + found
    return number


@lru_cache(1024)
def _country(code: str) -> Country | None:
    try:
        return Country.of(code)
    except ValueError:
        return None
