"""A small reader of a flow of Twilio Studio: the widgets and the Liquid that the recipe has, and no others."""

import base64
import json
import re
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

_SECONDS = 10
"""How long a widget waits for its answer."""


def ran(flow: dict[str, Any], call: dict[str, str], variables: dict[str, str]) -> dict[str, Any]:
    """Where an incoming call ends: ``to``, if it is connected, and the flow's ``variables``.

    ``variables`` are set by others in place of what the flow sets under these names.
    """
    states = {state["name"]: state for state in flow["states"]}
    kept: dict[str, Any] = {
        "trigger": {"call": call},
        "contact": {"channel": {"address": call["From"]}},
        "flow": {"variables": {}},
        "widgets": {},
    }
    state, event = states[flow["initial_state"]], "incomingCall"
    while following := _next(state, event):
        state = states[following]
        properties = state["properties"]
        if state["type"] == "set-variables":
            given = {each["key"]: _filled(each["value"], kept) for each in properties["variables"]}
            kept["flow"]["variables"] |= {name: variables.get(name, text) for name, text in given.items()}
            event = "next"
        elif state["type"] == "make-http-request":
            answer = _asked(properties, kept)
            kept["widgets"][state["name"]] = {"parsed": answer}
            event = "success" if answer is not None else "failed"
        else:
            assert state["type"] == "connect-call-to"
            assert properties["noun"] == "number"
            assert _filled(properties["caller_id"], kept) == call["From"]
            return {"to": _filled(properties["to"], kept), "variables": kept["flow"]["variables"]}
    return {"to": None, "variables": kept["flow"]["variables"]}


def _next(state: dict[str, Any], event: str) -> str | None:
    (found,) = [each for each in state["transitions"] if each["event"] == event]
    following: str | None = found.get("next")
    return following


def _asked(properties: dict[str, Any], kept: dict[str, Any]) -> Any:
    """The answer's JSON; None if the widget fails, as it does for each status from 400 on."""
    assert properties["method"] == "POST"
    parts = urlsplit(properties["url"])
    fields = {each["key"]: _filled(each["value"], kept) for each in properties["parameters"]}
    assert "method" not in fields
    headers = {
        "Authorization": "Basic " + base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode(),
        "Content-Type": properties["content_type"],
    }
    url = parts._replace(netloc=f"{parts.hostname}:{parts.port}").geturl()
    try:
        with urlopen(Request(url, urlencode(fields).encode(), headers), timeout=_SECONDS) as answer:
            return json.load(answer)
    except (URLError, OSError):
        return None


def _filled(text: str, kept: dict[str, Any]) -> str:
    return re.sub(r"\{\{(.*?)\}\}", lambda found: _liquid(found[1], kept), text)


def _liquid(expression: str, kept: dict[str, Any]) -> str:
    """A name, and the filter default, which counts where there is nothing or an empty text."""
    first, *filters = (part.strip() for part in expression.split("|"))
    found = _named(first, kept)
    for each in filters:
        name, _, argument = each.partition(": ")
        assert name == "default"
        found = found or (argument[1:-1] if argument.startswith("'") else _named(argument, kept))
    return "" if found is None else str(found)


def _named(path: str, kept: dict[str, Any]) -> Any:
    found: Any = kept
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
