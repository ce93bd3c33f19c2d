"""Forms: percent-escaped pairs (the URL standard's application/x-www-form-urlencoded), and multipart (RFC 7578)."""

from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import falcon
from falcon.media import MultipartFormHandler
from falcon.media.multipart import BodyPart

from cticache.errors import BadBody, WrongFields
from cticache.web.bodies.charsets import UTF_8, decoded
from cticache.web.bodies.pairs import MOST_FIELDS, unique, with_json_value
from cticache.web.escapes import number

_NUMBERS = ("ani", "dnis")
_UTF_16 = "utf-16"
_MULTIPART = MultipartFormHandler()
_MULTIPART.parse_options.max_body_part_count = MOST_FIELDS


def pairs(text: str, charset: str) -> dict[str, Any]:
    """The fields of a form, whose escapes are in its charset."""
    encoding = UTF_8 if charset.startswith(_UTF_16) else charset
    try:
        found = parse_qsl(
            text.strip(" \t\r\n"),
            keep_blank_values=True,
            errors="strict",
            encoding=encoding,
            max_num_fields=MOST_FIELDS,
        )
    except UnicodeDecodeError:
        raise BadBody(f"An escape of the form is not {encoding}, its charset.") from None
    except ValueError:
        raise BadBody(f"The form has more than {MOST_FIELDS} fields.") from None
    fields = with_json_value(unique(found))
    return fields | {name: number(fields[name]) for name in _NUMBERS if name in fields}


def parts(content_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a multipart body, each a part; WrongFields for a file, BadBody for what is not multipart."""
    try:
        form = _MULTIPART.deserialize(BytesIO(raw), content_type, len(raw))
        found = [(part.name or "", _text(part)) for part in form]
    except (falcon.HTTPError, UnicodeDecodeError) as error:  # the latter for the headers of a part
        error.__traceback__ = None
        raise BadBody(f"The body is not multipart/form-data of at most {MOST_FIELDS} parts.") from None
    return with_json_value(unique(found))


def _text(part: BodyPart) -> str:
    name = part.name or ""
    if part.filename is not None:
        raise WrongFields({name: ["A file: send the field as text, without a filename."]})
    text, _ = decoded(part.content_type, part.get_data())
    return text
