"""Names and what stands under them, whatever they came in."""

import json
from collections.abc import Iterable
from typing import Any

from cticache.errors import WrongFields

MOST_FIELDS = 32
"""Most fields of a form, or parts of a multipart body."""


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The same as a dictionary; WrongFields for a name that is there twice."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise WrongFields({name: ["Given twice."]})
        fields[name] = value
    return fields


def with_json_value(fields: dict[str, Any]) -> dict[str, Any]:
    """The same, with the value, a string or None, as JSON text."""
    if "value" in fields:
        fields["value"] = json.dumps(fields["value"], ensure_ascii=False)
    return fields
