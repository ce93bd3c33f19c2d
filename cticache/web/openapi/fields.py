"""What the fields of a body are, as JSON Schema."""

from typing import Any

from marshmallow import fields

from cticache.numbering.ani import MOST_CHARACTERS
from cticache.web.schemas import AniField, KeyField, SecondsField

JsonSchema = dict[str, Any]

SECONDS_TEXT: JsonSchema = {"type": "string", "pattern": "^0*[1-9][0-9]{0,8}$"}
KEY: JsonSchema = {
    "type": "string",
    "pattern": '^(?:"[!-~]{1,128}"|"|[!#-~][!-~]{0,127}|"[!-~]{0,126}[!#-~])$',
}
"""1 to 128 visible characters, or those within quotes."""
ANI: JsonSchema = {"type": "string", "format": "ani", "maxLength": MOST_CHARACTERS}
_KINDS: dict[type, JsonSchema] = {
    AniField: ANI | {"type": ["string", "null"]},
    SecondsField: {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 999_999_999}, SECONDS_TEXT]},
    KeyField: KEY,
    fields.String: {"type": "string"},
    fields.Raw: {},
}
_IN_TEXT: dict[type, JsonSchema] = {AniField: ANI, SecondsField: SECONDS_TEXT, fields.Raw: {"type": "string"}}
"""The same in a form, multipart or XML, where there is nothing but text."""
_MEANINGS = {
    "value": "What is handed over: any JSON value in JSON, else text. It comes back as the very text that was sent.",
    "ani": "The caller's number, however it is written; empty, null or a word such as anonymous if it is withheld.",
    "dnis": "The number that was called.",
    "pool": "The pool to lease from; the first one that the user may use if it is left out.",
    "ttl": "Seconds for which the data is kept, at most the pool's max_ttl; the pool's ttl if it is left out.",
    "token": "Of the lease, as /cticache/leases and the ETag of its answers have it.",
    "user": "Whose leases in the pool are all to be ended; without dnis, ani and token.",
    "idempotency_key": "The same for each repetition of one request, and new for each call.",
}


def described(_converter: object, field: "fields.Field[Any]", **_: Any) -> JsonSchema:
    """What apispec takes for the JSON Schema of a field. KeyError for one of which nothing is known here."""
    return _KINDS[type(field)] | {"description": field.metadata.get("description") or _MEANINGS[str(field.name)]}


def as_text(schema: JsonSchema, kinds: dict[str, "fields.Field[Any]"]) -> JsonSchema:
    """The schema of a body that has these fields as text."""
    properties = {name: kind | _IN_TEXT.get(type(kinds[name]), {}) for name, kind in schema["properties"].items()}
    for kind in properties.values():
        if kind.get("type") == "string":
            kind.pop("anyOf", None)
    return schema | {"properties": properties, "xml": {"name": "call"}}
