"""docs/recipes/nice-cxone.md: what the REST API action sends of its snippets and tables."""

import json
import re
from typing import Any

from kit.properties import answered, table
from kit.recipes import GENERAL, AsBoth, Printed

_TRIES = 2
"""CXone's own."""


def _asked(part: str, snippet: str, **variables: str) -> dict[str, Any] | None:
    properties = table(part)
    assert properties["Verb"] == "POST"
    assert properties["Parameters"] == "{body}"
    assert 'ASSIGN body = "{fields.asjson()}"' in snippet
    fields = {
        name: re.sub(r"\{(\w+)\}", lambda found: variables[found[1]], text)
        for name, text in re.findall(r'^fields\.(\w+) = "(.*)"$', snippet, re.MULTILINE)
    }
    (login,) = re.findall(r"^`Authorization: Basic` and `(\w+:\w+)` in base64$", properties["Headers"])
    for _ in range(_TRIES):
        # The action's own Content-Type, whatever it sends.
        form, seconds = "application/x-www-form-urlencoded", float(properties["Timeout, seconds"])
        answer = answered(properties["Service Address"], login, form, json.dumps(fields), seconds)
        if answer is not None:
            return dict(json.loads(answer))
    return None


class TestNiceCxone(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        printed = Printed.of("nice-cxone", url, pool)
        snippet = printed.block("System X", "text")
        told = _asked(printed.part("System X"), snippet, ani=ani, value=value, contactId=call)
        return GENERAL if told is None else str(told.get("dnis") or told["transfer_to"])

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        """CXone shows each number with its calling code."""
        printed = Printed.of("nice-cxone", url)
        snippet = printed.block("System Y", "text")
        told = _asked(printed.part("System Y"), snippet, dnis=f"1{dnis}", ani=ani, contactId=call)
        return told.get("value") if told else None
