"""The document: put together once, and the same for every service of a version."""

import json
from functools import cache
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from cticache.errors import NoSuchUrl
from cticache.operate.metrics import CONTENT_TYPE
from cticache.web.openapi import replies
from cticache.web.openapi.asking import BODIES, PARAMETERS, body
from cticache.web.openapi.fields import as_text, described
from cticache.web.openapi.operations import CALLS, OPERATIONS, Operation
from cticache.web.openapi.results import results

API = "1"
"""The promise that holds: it changes only when what a client relies on is taken away."""
_ABOUT = """\
Hands a caller's data from one telephone system to another that shares nothing with it but the phone network.

System X leases a number for a caller's ANI and a value, and transfers the call to that number. System Y sees the call
arrive there, and takes the value with the number and the ANI.

Below `/cticache/DNIS-ANI` the path may end in `.json`, `.xml`, `.vxml`, `.form` or `.txt`: the answer has that format,
an error, too. A POST that has `_method` in its query or body, or the header X-HTTP-Method-Override, stands for PUT or
DELETE of the same URL. A URL that is not listed here is 404 `no_such_url`, and a verb that a URL does not have is 405
`method_not_allowed`. A GET ignores what it does not know in a query; what changes something refuses it. What is said
twice must be the same.

Fields are only ever added to an answer, so ignore those that you do not know."""
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "By which the log has the request.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Names the lease, for If-Match.", "schema": {"type": "string"}},
    "Location": {"description": "The path of the call.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {"description": "It was answered before, under this key.", "schema": {"const": "true"}},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
    "X-Cticache-Error": {"description": "The code of the error, in the format txt.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "What is understood.", "required": True, "schema": {"type": "string"}},
    "Allow": {"description": "The verbs of the URL.", "schema": {"type": "string"}},
    "Accept-Encoding": {"description": "What would be read.", "schema": {"type": "string"}},
}
_DNIS, _ANI = "$response.body#/dnis", "$response.body#/ani"
_ENDINGS = {
    "call": {"path.key": f"{{{_DNIS}}}:{{{_ANI}}}"},
    "call_in_two": {"path.key": _DNIS, "path.ani": _ANI},
}
_VERBS = ("get_{}", "head_{}", "put_{}", "delete_{}", "post_{}_take")
_LINKS: dict[str, Any] = {
    verb.format(name): {
        "operationId": verb.format(name),
        "parameters": whose | ({"header.If-Match": "$response.header.ETag"} if "put" in verb else {}),
        **({"requestBody": {}} if "post" in verb else {}),
    }
    for name, whose in _ENDINGS.items()
    for verb in _VERBS
}
"""From a lease to what can be done with its call."""
_TEXTS = {"metrics": CONTENT_TYPE, "page": "text/html", "script": "text/javascript", "style": "text/css"}
"""What is no JSON -> its type."""
_NAMES = {
    CALLS: "calls",
    CALLS + "/take": "calls_take",
    CALLS + "/{key}": "call",
    CALLS + "/{key}/take": "call_take",
    CALLS + "/{key}/{ani}": "call_in_two",
    CALLS + "/{key}/{ani}/take": "call_in_two_take",
    "/cticache": "page",
    "/cticache/": "page_below",
    "/cticache/page.js": "page_script",
    "/cticache/page.css": "page_style",
}
"""URL -> what its operations are called, where its own words do not tell."""


@cache
def text() -> str:
    """The document in JSON, on one line as every answer is."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":"))


def document() -> dict[str, Any]:
    """The document as Python's own."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        title="cticache",
        version=version("cticache"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _ABOUT, "license": {"name": "MIT", "identifier": "MIT"}, "x-api": API},
        servers=[{"url": "/"}],
        security=[{"basic": []}, {"bearer": []}, {"key": []}],
    )
    converter: Any = plugin.converter  # there from now on; its methods have no types
    converter.add_attribute_function(described)
    _declare(spec)
    for name, schema in BODIES.items():
        in_json = converter.schema2jsonschema(schema()) | {"additionalProperties": False}
        spec.components.schema(name, in_json)
        spec.components.schema(f"{name}InText", as_text(in_json, schema().fields))
    for url, verbs in OPERATIONS.items():
        spec.path(url, operations={verb: _operation(spec, url, verb, what) for verb, what in verbs.items()})
    replies.refused(spec, [NoSuchUrl], in_formats=False, has_body=True)
    made: dict[str, Any] = spec.to_dict()
    return made


def _declare(spec: APISpec) -> None:
    components = spec.components
    components.security_scheme("basic", {"type": "http", "scheme": "basic"})
    components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "description": "A token of the user's."})
    components.security_scheme("key", {"type": "apiKey", "in": "header", "name": "X-Api-Key"})
    for name, described_as in _HEADERS.items():
        components.header(name, described_as)
    for name, said in PARAMETERS.items():
        components.parameter(name, said["in"], said)
    for name, result in results().items():
        components.schema(name, result)


def _operation(spec: APISpec, url: str, verb: str, what: Operation) -> dict[str, Any]:
    name = _NAMES.get(url) or url.strip("/").removeprefix("cticache/").split(".")[0].replace("/{name}", "_one")
    has_body = verb != "head"
    answers = {str(status): _answer(what, status, has_body=has_body) for status in what.statuses}
    refused = replies.refused(spec, what.every_refusal, in_formats=url.startswith(CALLS), has_body=has_body)
    made: dict[str, Any] = {
        "operationId": f"{verb}_{name}",
        "summary": what.summary,
        "parameters": list(what.parameters),
        "responses": answers | refused,
    }
    if what.says:
        made["description"] = what.says
    if what.body:
        made["requestBody"] = body(what.body)
    if what.open:
        made["security"] = []
    if verb == "post" and url == CALLS:
        answers["201"]["links"] = _LINKS
    return made


def _answer(what: Operation, status: int, *, has_body: bool) -> dict[str, Any]:
    """The answer to what was carried out."""
    match what.gives:
        case "Leased" | "Held":
            return replies.found(what.gives, has_body=has_body, says_found=status == 200)
        case "either":
            return replies.found("Leased" if status == 201 else "Held", has_body=has_body, says_found=status == 200)
        case "metrics" | "page" | "script" | "style":
            return _text(_TEXTS[what.gives], has_body=has_body)
        case "":
            headers = {name: replies.header(name) for name in ("X-Request-Id", "Allow")}
            return {"description": "The verbs are in Allow.", "headers": headers}
        case _:
            return replies.plain("It is so.", what.gives, has_body=has_body)


def _text(content_type: str, *, has_body: bool) -> dict[str, Any]:
    answer = {"description": "As text.", "headers": {"X-Request-Id": replies.header("X-Request-Id")}}
    if not has_body:
        return answer
    return answer | {"content": {content_type.partition(";")[0]: {"schema": {"type": "string"}}}}
