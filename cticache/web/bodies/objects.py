"""JSON objects (RFC 8259), of which the value is kept as the text that was sent.

Only the outermost object is taken apart. The text of ``value`` is stored and returned as it was sent, so integers of
any size, every string and every spelling of a number survive, and nothing is serialized twice. Only the ends of lines
in it become spaces, because many a client keeps the first line of an answer and no more.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from cticache.errors import NotJson
from cticache.web.bodies.pairs import unique

_SPACE = " \t\n\r"
_NAME = re.compile(r'[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
"""The usual name of a member: one without an escape."""


def members(text: str, *, single_quotes: bool = False) -> dict[str, Any]:
    """The members of an object, ``value`` as JSON text; NotJson, or WrongFields where one is given twice.

    ``single_quotes``: strings may be in single quotes, if there is neither a double quote nor a backslash anywhere.
    """
    try:
        return _read(text)
    except NotJson:
        if not single_quotes or '"' in text or "\\" in text:
            raise
        return _read(text.replace("'", '"'))


def _read(text: str) -> dict[str, Any]:
    try:
        return unique(_members(text))
    except RecursionError:
        raise NotJson("The body is not JSON that can be read: it is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except _NotANumber as error:
        raise NotJson(f"The body is not JSON: {error}.") from None
    except UnicodeEncodeError:
        raise NotJson("The body is not JSON that can be kept: a string has half of a surrogate pair.") from None


class _NotANumber(Exception):
    pass


def _constant(name: str) -> float:
    raise _NotANumber(f"it has no {name}")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _NotANumber("a number is too large")
    return number


def _int(text: str) -> int:
    """Only the text is kept, so the first digits will do: Python refuses to convert more than 4,300."""
    return int(text[:20])


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_float, parse_int=_int)


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """The members of the outermost object (RFC 8259 section 4), with ``value`` as its text."""
    may_be_halved = "\\ud" in text or "\\uD" in text
    at = _skip(text, text.index("{") + 1)
    if text[at : at + 1] == "}":
        _end(text, at + 1)
        return
    while True:
        if named := _NAME.match(text, at):
            name, start = named[1], named.end()
        else:
            name, start = _odd_name(text, at)
        value, at = _DECODER.raw_decode(text, start)
        if may_be_halved:
            json.dumps([name, value], ensure_ascii=False).encode()
        yield name, _on_one_line(text[start:at]) if name == "value" else value
        at = _skip(text, at)
        mark = text[at : at + 1]
        if mark == "}":
            _end(text, at + 1)
            return
        if mark != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)


def _odd_name(text: str, at: int) -> tuple[str, int]:
    """A name with escapes in it, decoded, and where its value begins; JSONDecodeError when there is none."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    name, at = _DECODER.raw_decode(text, at)
    at = _skip(text, at)
    if text[at : at + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
    return name, _skip(text, at + 1)


def _on_one_line(text: str) -> str:
    """The same JSON: in it an end of a line stands between two tokens, never in a string."""
    return text.replace("\r", " ").replace("\n", " ")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _end(text: str, at: int) -> None:
    at = _skip(text, at)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
