"""Numbers as they come out of a URL or a form, in which something was escaped once too seldom or once too often."""

import re
from urllib.parse import unquote, unquote_to_bytes

from cticache.errors import WrongFields

_BARE_PLUS = re.compile(r"((?:^|<|, ?)(?:sips?|tel):|^|<|;phone-context=) (?=[0-9])", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9]{1,32}")


def number(text: str) -> str:
    """A number out of a form or a query, in which one space before the first digit is a plus that was not escaped.

    Two spaces are spaces, and so is one within a number, where nobody writes a plus.
    """
    return _BARE_PLUS.sub(r"\1+", decoded_again(text))


def segment(text: str) -> str:
    """A segment of a path, decoded; WrongFields where its escapes are not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise WrongFields({"key": ["The escapes in the URL are not UTF-8."]}) from None


def decoded_again(text: str) -> str:
    """The same; where a proxy escaped the escapes, and what they stand for is a number, that number."""
    if "%" not in text:
        return text
    again = unquote(text)
    return again if _NUMBER.fullmatch(again) else text
