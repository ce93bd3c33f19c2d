"""What schemathesis is told of this service: who asks, how its numbers look, and what a schema cannot say of them."""

import os
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import schemathesis
from hypothesis import strategies as st
from schemathesis import AuthContext, Case, CheckContext, DeserializationContext, HookContext, Response

from cticache.data import uui

WATCHED = "^/(cticache/?$|cticache/(pools|explain|leases|release|status|page)|metrics)"
NUMBERS = st.from_regex(r"\A[0-9]{1,32}\Z")
ANIS = st.one_of(
    NUMBERS,
    NUMBERS.map("+{}".format),
    NUMBERS.map("sip:{}@pbx.example.com".format),
    st.sampled_from(["anonymous", "+1 (234) 567-8901", "<tel:+12345678901>"]),
)
TOKENS = st.from_regex(r"\A[A-Za-z0-9_-]{16}\Z")
FORMATS = {
    "ani": ANIS,
    "dnis": NUMBERS,
    "call": st.builds("{}:{}".format, NUMBERS, ANIS),
    "uui": st.builds(uui.written, NUMBERS, TOKENS),
}
NO_SCHEMA_TELLS = ("At most", "Given twice", "Missing", "No such pool.", "Not a word of", "Two ANI")
"""How the faults begin that depend on more than one place of a request, or on the configuration."""

for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)


class _Token:
    token: str

    def get(self, _case: Case, _context: AuthContext) -> str:
        return self.token

    def set(self, case: Case, data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth().skip_for(path_regex=WATCHED)
class AsCaller(_Token):
    token = os.environ["CALLER_TOKEN"]


@schemathesis.auth().apply_to(path_regex=WATCHED)
class AsWatcher(_Token):
    token = os.environ["WATCHER_TOKEN"]


@schemathesis.deserializer("application/x-www-form-urlencoded")
def form(_context: DeserializationContext, response: Response) -> dict[str, str]:
    text = response.content.decode("ascii")
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))  # there is none with HEAD


@schemathesis.deserializer("text/xml", "application/voicexml+xml")
def xml(_context: DeserializationContext, response: Response) -> dict[str, str] | str:
    if not response.content:  # of HEAD
        return ""
    root = ElementTree.fromstring(response.content)
    return {child.tag: child.text or "" for child in root} if root.tag == "cticache" else response.text


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Of what must be refused, a refusal is not asked for as 200: it would look like an answer."""
    is_wrong = case.meta is not None and case.meta.generation.mode.is_negative
    if is_wrong and case.query and str(case.query.get("status")) == "200":
        del case.query["status"]


@schemathesis.check
def what_the_schema_allows_is_refused_only_for_what_no_schema_tells(
    _context: CheckContext, response: Response, case: Case
) -> None:
    is_allowed = case.meta is not None and case.meta.generation.mode.is_positive
    is_json = "json" in response.headers.get("content-type", [""])[0]
    if is_allowed and is_json and response.status_code == 422 and case.method.upper() != "HEAD":
        fields = response.json().get("fields", {})
        if isinstance(case.body, dict) and isinstance(case.body.get("ttl"), float):
            fields.pop("ttl", None)  # to JSON Schema 60.0 is whole, too
        faults = [fault for each in fields.values() for fault in each]
        assert all(fault.startswith(NO_SCHEMA_TELLS) for fault in faults), faults
