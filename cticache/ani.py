"""The canonical form of a caller's number (ANI), by which the two sides of a hand-off mean the same caller."""

import re

WITHHELD = ""
"""The canonical form of every withheld number: they are one ANI."""

_WITHHELD_WORDS = frozenset(
    {"", "anonymous", "restricted", "unavailable", "private", "unknown", "withheld", "<null>", "null"}
)
_DISPLAY_NAME = re.compile(r'(?:"(?:[^"\\]|\\.)*"[ \t]*|[^<"]*)<([^<>]+)>.*', re.DOTALL)
_SEPARATORS = re.compile(r"[ \t().\-/]+")
_DIGITS = re.compile(r"\+?([0-9]{1,32})")


def canonical(text: str) -> str:
    """The form under which a call is kept: 1 to 32 ASCII digits, or ``WITHHELD``.

    ``sip:``, ``sips:`` and ``tel:`` go, with the display name, parameters and host around them (RFC 3261 section
    20.10, RFC 3966), and the leading plus and separators of a written number. ValueError when no number is left.
    """
    bare = text.strip(" \t")
    if bare.lower() in _WITHHELD_WORDS:
        return WITHHELD
    if named := _DISPLAY_NAME.fullmatch(bare):
        bare = named[1].strip(" \t")
    scheme, colon, rest = bare.partition(":")
    if colon and scheme.lower() in ("sip", "sips", "tel"):
        bare = rest
    bare = bare.partition(";")[0].partition("@")[0].partition(";")[0].strip(" \t")
    if bare.lower() in _WITHHELD_WORDS:
        return WITHHELD
    digits = _DIGITS.fullmatch(_SEPARATORS.sub("", bare))
    if not digits:
        raise ValueError("must be a telephone number of 1 to 32 digits, or empty when the caller withholds it")
    return digits[1]


def masked(text: str) -> str:
    """The last digits of a number, for a log: enough to find a call, too few to name a caller."""
    return "\N{HORIZONTAL ELLIPSIS}" + text[-3:] if len(text) > 5 else "\N{HORIZONTAL ELLIPSIS}"
