"""Reads a request's body into its fields, and keeps the value as the JSON text that was sent.

Only the outermost object is taken apart. The text of ``value`` is stored and returned as it was sent, so integers of
any size, every string and every spelling of a number survive, and nothing is serialized twice.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from cticache.errors import NotJson, UnsupportedType, WrongFields

_SPACE = " \t\n\r"
_MARK = "\ufeff"
"""The byte order mark that some systems put before UTF-8."""
_NAME = re.compile(r'[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
"""The usual name of a member: one without an escape."""
_NUMBERS = ("ani", "dnis")
_BARE_PLUS = re.compile(r"((?:^|<|, ?)(?:sips?|tel):|^|<|;phone-context=) (?=[0-9])", re.IGNORECASE)
_MOST_FORM_FIELDS = 32
FORM = "application/x-www-form-urlencoded"


def parse(content_type: str | None, raw: bytes) -> dict[str, Any]:
    """The fields of a body, ``value`` as JSON text.

    JSON is read under its own type, a text type or none; a form (its value is a string) under the form type, where
    a body that starts with a brace is still JSON, because that is what ``curl -d`` sends.

    Raises UnsupportedType, NotJson, or WrongFields where the body is no object or a field is given twice.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == FORM:
        text = _text(raw)
        return _form(text) if not text.lstrip(_SPACE).startswith("{") else _json(text)
    if kind in ("", "application/json") or kind.startswith("text/") or kind.endswith("+json"):
        return _json(_text(raw))
    raise UnsupportedType(f"Send the body as application/json or {FORM}.")


def with_plus(number: str) -> str:
    """A number out of a form or a query, in which one space before the first digit is a plus that was not escaped.

    Two spaces are spaces, and so is one within a number, where nobody writes a plus.
    """
    return _BARE_PLUS.sub(r"\1+", number)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8: byte {error.start} is wrong.") from None


def _form(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text.strip(_SPACE), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FORM_FIELDS)
    except UnicodeDecodeError:
        raise NotJson("The form is not UTF-8.") from None
    except ValueError:
        raise NotJson(f"The form has more than {_MOST_FORM_FIELDS} fields.") from None
    fields = _unique(pairs)
    if "value" in fields:
        fields["value"] = json.dumps(fields["value"], ensure_ascii=False)
    return fields | {name: with_plus(fields[name]) for name in _NUMBERS if name in fields}


def _json(text: str) -> dict[str, Any]:
    try:
        fields = _unique(_members(text))
    except RecursionError:
        raise NotJson("The body is not JSON that can be read: it is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except _NotANumber as error:
        raise NotJson(f"The body is not JSON: {error}.") from None
    except UnicodeEncodeError:
        raise NotJson("The body is not JSON that can be kept: a string has half of a surrogate pair.") from None
    return fields


def _unique(pairs: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise WrongFields({name: ["Given twice."]})
        fields[name] = value
    return fields


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
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        _, at = _DECODER.raw_decode(text, at)
        _end(text, at)
        raise WrongFields({"body": ["Not a JSON object."]})
    at = _skip(text, at + 1)
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
        yield name, text[start:at] if name == "value" else value
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


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _end(text: str, at: int) -> None:
    at = _skip(text, at)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
