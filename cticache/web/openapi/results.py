"""What the answers have in them, as JSON Schema. Fields may be added to any of them, so none is closed."""

from typing import Any, get_args

from cticache.data.condition import KINDS
from cticache.data.replies import Grade, PoolStats
from cticache.errors import refusals

JsonSchema = dict[str, Any]

_TEXT: JsonSchema = {"type": "string"}
_COUNT: JsonSchema = {"type": "integer"}
_CODES: JsonSchema = {"type": "string", "enum": sorted({kind.code for kind in refusals()})}
_STATUS: JsonSchema = {"type": "integer", "enum": sorted({kind.status for kind in refusals()})}
_DETAIL: dict[str, JsonSchema] = {
    "pool": _TEXT,
    "match": {"enum": [*get_args(Grade), None], "description": "How the call was found; null for a lease."},
    "leased_at": {"type": "string", "format": "date-time"},
    "expires_in": {"type": "integer", "minimum": 0, "description": "Seconds."},
}
_UUI: JsonSchema = {
    "type": "string",
    "pattern": "^(?:[0-9a-f]{2}){13,29}$",
    "description": "Names the lease (RFC 7433).",
}
_LEASED: dict[str, JsonSchema] = {
    "dnis": {"type": "string", "description": "The number to transfer the call to."},
    "ani": {"type": ["string", "null"], "description": "As it was sent."},
    "value": {"description": "As it was sent."},
}
_REFUSED: dict[str, JsonSchema] = {
    "error": _CODES,
    "detail": _TEXT,
    "status": _STATUS,
    "transfer_to": {"type": "string", "description": "The number to which the call may go without its data."},
}
_UNREAD: JsonSchema = {
    "type": "array",
    "items": {"type": "object", "properties": {"pool": _TEXT, "says": _TEXT}, "required": ["pool", "says"]},
    "description": "Pools of which Redis does not tell, while it tells of others, and why.",
}
_FIELDS: JsonSchema = {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}}


def results() -> dict[str, JsonSchema]:
    """Name of a component -> what an answer of that kind is."""
    leased, held = {**_LEASED, **_DETAIL, "uui": _UUI}, {"value": {"description": "As it was sent."}, **_DETAIL}
    return {
        "Leased": _object(leased, "dnis", "ani", "value"),
        "Held": _object(held, "value"),
        "Refused": _object({**_REFUSED, "fields": _FIELDS}, "error", "detail", "status"),
        "Missed": _object({"found": {"const": False}, **_REFUSED}, "found", "error", "detail", "status"),
        "LeasedInText": _in_text("true", leased, "dnis", "ani", "value"),
        "HeldInText": _in_text("true", held, "value"),
        "RefusedInText": _in_text("false", _REFUSED, "error", "detail", "status"),
        "MissedInText": _in_text("false", _REFUSED, "error", "detail", "status"),
        "Figures": _figures(),
        "Pools": _object(
            {"pools": {"type": "array", "items": {"$ref": "#/components/schemas/Figures"}}, "unread": _UNREAD},
            "pools",
            "unread",
        ),
        "Explained": _explained(),
        "Status": _status(),
        "Leases": _leases(),
        "Released": _object(
            {"released": _COUNT, "more": {"type": "boolean", "description": "Whether there may be more to end."}},
            "released",
            "more",
        ),
        "Healthy": _object({"status": {"const": "ok"}}, "status"),
        "Ready": _object(
            {"status": {"const": "ready"}, "notes": _object(dict.fromkeys(KINDS, _TEXT))},
            "status",
        ),
        "Version": _object({"version": _TEXT, "api": _TEXT}, "version", "api"),
        "Document": _object({"openapi": _TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}, "openapi"),
    }


def _object(properties: dict[str, JsonSchema], *required: str) -> JsonSchema:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _in_text(found: str, members: dict[str, JsonSchema], *required: str) -> JsonSchema:
    """The same where all is text, and ``found`` comes first."""
    texts = {name: _TEXT | {"enum": member["enum"]} if name == "error" else _TEXT for name, member in members.items()}
    return _object({"found": {"const": found}, **texts}, "found", *required) | {"xml": {"name": "cticache"}}


def _figures() -> JsonSchema:
    """A pool's name and figures, each a number or numbers under their names."""
    figures = PoolStats.of([0] * 8, [], [], []).figures()
    counts: JsonSchema = {"type": "object", "additionalProperties": _COUNT}
    properties = {name: counts if isinstance(value, dict) else _COUNT for name, value in figures.items()}
    return _object({"pool": _TEXT, **properties}, "pool", *figures)


def _status() -> JsonSchema:
    rows: JsonSchema = {"type": "array", "items": {"type": "object"}}
    one: JsonSchema = {"type": "object"}
    return _object(
        {
            "at": {"type": "string", "format": "date-time"},
            "age_s": {"type": "number", "description": "How old the figures are."},
            **dict.fromkeys(("service", "redis", "workers", "thresholds", "refused_logins"), one),
            **dict.fromkeys(("nodes", "attention", "pools", "requests", "events"), rows),
            "nodes_age_s": {"type": ["number", "null"], "description": "How old the nodes are; null: never told."},
            "unread": _UNREAD,
            "opened": {"type": ["object", "null"], "description": "The pool that was asked for."},
        },
        *("at", "service", "redis", "workers", "nodes", "nodes_age_s"),
        *("attention", "pools", "unread", "requests", "events", "opened"),
    )


def _leases() -> JsonSchema:
    lease = {
        **dict.fromkeys(("pool", "dnis", "ani"), _TEXT),
        "digits": _COUNT,
        "digest": _TEXT,
        "token": _TEXT,
        "user": _TEXT,
        "leased_at": {"type": "string", "format": "date-time"},
        "age_s": _COUNT,
        "expires_in": _COUNT,
        "asked": {"type": "boolean", "description": "Whether anybody but the user has asked for it."},
    }
    after = {"type": ["string", "null"], "description": "To be sent for the next page; null with the last."}
    leases = {"type": "array", "items": _object(lease, *lease)}
    return _object({"leases": leases, "after": after}, "leases", "after")


def _explained() -> JsonSchema:
    step = _object({"step": _TEXT, "gives": _TEXT}, "step", "gives")
    call = {
        "ani": _TEXT,
        "digits": _COUNT,
        "digest": _TEXT,
        "token": _TEXT,
        "lessee": _TEXT,
        "leased_at": {"type": "string", "format": "date-time"},
        "expires_in": _COUNT,
    }
    names = ("pool", "dnis", "rule", "canonical", "digest", "grade", "says")
    place = {
        **dict.fromkeys(names, _TEXT),
        "steps": {"type": "array", "items": step},
        "live": {"type": "array", "items": _object(call, *call)},
    }
    places = {"type": "array", "items": _object(place, *place)}
    return _object({"dnis": _TEXT, "ani": _TEXT, "places": places}, "dnis", "ani", "places")
