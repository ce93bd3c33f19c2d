"""What a request says beside its URL: parameters and bodies, with examples."""

from typing import Any

from cticache.web.formats.choice import FORMATS
from cticache.web.openapi.fields import ANI, KEY, SECONDS_TEXT
from cticache.web.schemas import ExplainSchema, LeaseSchema, ReleaseSchema, RenewSchema, TakeSchema

Parameter = dict[str, Any]
BODIES = {
    "Lease": LeaseSchema,
    "Renew": RenewSchema,
    "Take": TakeSchema,
    "Release": ReleaseSchema,
    "Explain": ExplainSchema,
}
"""Component -> the schema by which the service reads it."""
_FORM = "application/x-www-form-urlencoded"
_EXAMPLES: dict[str, dict[str, str]] = {
    "Lease": {"value": "00123456", "ani": "+12345678901"},
    "Renew": {"value": "00123457"},
    "Take": {"idempotency_key": "8f2e61"},
    "Explain": {"dnis": "5551234560", "ani": "+12345678901"},
    "Release": {"pool": "system-y", "dnis": "5551234560", "ani": "+12345678901"},
}
_ANY = {"type": "string", "minLength": 1}
_DNIS = {"type": "string", "format": "dnis", "minLength": 1}


def _in_query(name: str, schema: dict[str, Any], description: str) -> Parameter:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _in_path(name: str, schema: dict[str, Any], example: str, description: str) -> Parameter:
    said = {"name": name, "in": "path", "schema": schema, "description": description}
    return said | {"required": True, "example": example}


def _in_header(name: str, schema: dict[str, Any], description: str) -> Parameter:
    return {"name": name, "in": "header", "schema": schema, "description": description}


PARAMETERS: dict[str, Parameter] = {
    "format": _in_query(
        "format",
        {"enum": [*FORMATS]},
        "The format of the answer. A suffix of the path says the same (`.xml`), and so may Accept.",
    ),
    "status": _in_query("status", {"enum": ["200"]}, "Have every answer about a call be 200, and say `found` first."),
    "detail": _in_query("detail", {"enum": ["0", "1"]}, "1 adds pool, match, leased_at and expires_in."),
    "dnis": _in_query("dnis", _DNIS, "The number that was called, if neither the path nor the body says it."),
    "ani": _in_query("ani", ANI, "The caller's number, if neither the path nor the body says it."),
    "uui": _in_query(
        "uui", {"type": "string", "format": "uui"}, "The uui of the lease (RFC 7433), in place of DNIS and ANI."
    ),
    "value": _in_query(
        "value",
        {"type": "string"},
        "Lease a number for this value, by GET. Only with `[server] get_writes`; 405 without.",
    ),
    "pool": _in_query("pool", {"type": "string"}, "With `value`: the pool to lease from."),
    "ttl": _in_query("ttl", SECONDS_TEXT, "With `value`: seconds for which the data is kept."),
    "idempotency_key": _in_query("idempotency_key", KEY, "As the header Idempotency-Key."),
    "Idempotency-Key": _in_header(
        "Idempotency-Key", KEY, "The same for each repetition of one request. X-Idempotency-Key says the same."
    ),
    "If-Match": _in_header("If-Match", {"type": "string"}, "The ETag of the lease that is meant."),
    "X-Request-Id": _in_header(
        "X-Request-Id",
        {"type": "string"},
        "The client's id for the request: 1 to 64 visible characters; replaced if it may hold a telephone number.",
    ),
    "dnis-to-explain": _in_query("dnis", _DNIS, "As System Y saw it.") | {"required": True},
    "ani-to-explain": _in_query("ani", ANI, "As System Y saw it.") | {"required": True},
    "pool-of-status": _in_query("pool", {"type": "string"}, "A pool to tell more of."),
    "pool-of-leases": _in_query("pool", {"type": "string"}, "The pool; may be left out by who may use but one."),
    "user-of-leases": _in_query("user", {"type": "string"}, "Only what this user leased."),
    "dnis-of-leases": _in_query("dnis", _DNIS, "Only what is on this number."),
    "older": _in_query(
        "older",
        {"type": "string", "pattern": "^[0-9]{1,9}$"},
        "Only what was leased so many seconds ago or more.",
    ),
    "after": _in_query(
        "after",
        {"type": "string", "pattern": "^[0-9]{1,15}-a?[0-9]{1,32}$"},
        "What the page before was answered with, to go on there.",
    ),
    "limit": _in_query(
        "limit",
        {"type": "string", "pattern": "^(?:[1-9][0-9]?|1[0-9]{2}|200)$"},
        "Most leases on the page, 1 to 200, 50 without it; a few more if they are on one number.",
    ),
    "key": _in_path(
        "key",
        {"type": "string", "format": "call", "pattern": ":"},
        "5551234560:+12345678901",
        "The DNIS, a colon and the ANI. The colons of `sip:`, `tel:` and of a port do not count.",
    ),
    "dnis-or-key": _in_path(
        "key",
        {"type": "string", "format": "call", "minLength": 1},
        "5551234560:+12345678901",
        "The same; or the DNIS alone, with the ANI in the query or the body.",
    ),
    "dnis-in-path": _in_path("key", {"type": "string", "format": "dnis", "minLength": 1}, "5551234560", "The DNIS."),
    "ani-in-path": _in_path(
        "ani", ANI | {"minLength": 1}, "+12345678901", "The caller's number; `anonymous` if it is withheld."
    ),
    "any-key": _in_path("key", _ANY, "5551234560", "Anything."),
    "any-ani": _in_path("ani", _ANY, "+12345678901", "Anything."),
    "name": _in_path("name", _ANY, "system-y", "The name of a pool."),
}


def body(name: str) -> dict[str, Any]:
    """A body of these fields in JSON, or in one of the forms in which all is text; each with an example."""
    example = _EXAMPLES[name]
    elements = "".join(f"<{field}>{text}</{field}>" for field, text in example.items())
    in_text = {"schema": {"$ref": f"#/components/schemas/{name}InText"}}
    return {
        "required": name in ("Lease", "Release", "Explain"),
        "description": "What it is, its first character tells; the Content-Type is a hint for its charset.",
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": example},
            _FORM: {**in_text, "example": example},
            "multipart/form-data": {**in_text, "example": example},
            "application/xml": {**in_text, "example": f"<call>{elements}</call>"},
        },
    }
