"""The answers of the document: every hit and every refusal, each in its formats, with the examples that they write."""

import inspect
import json
from collections.abc import Iterable
from typing import Any

from apispec import APISpec

from cticache.errors import (
    NoSuchMethod,
    Refusal,
    TooManyLive,
    UnsupportedEncoding,
    WrongCredentials,
    WrongFields,
    refusals,
)
from cticache.web.answers import Asked, Hit
from cticache.web.formats import as_found_json
from cticache.web.formats.choice import FORMATS
from cticache.web.openapi.operations import ON_THE_WIRE

ASKED: Asked = ("5551234560", "+12345678901")
_VALUE = ("value", '"00123456"')
LEASED = Hit([("dnis", '"5551234560"'), ("ani", '"+12345678901"'), _VALUE], "dnis", *ASKED)
HELD = Hit([_VALUE], "value", *ASKED)
_HITS = {"Leased": LEASED, "Held": HELD}
_NO_RETRY = frozenset({TooManyLive})
_JSON = "application/json"
Response = dict[str, Any]


def refused(spec: APISpec, kinds: Iterable[type[Refusal]], *, in_formats: bool, has_body: bool) -> dict[str, Any]:
    """Status -> a reference to the answer for what of these has it, which is put among the document's components."""
    by_status: dict[int, dict[str, type[Refusal]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, {}).setdefault(kind.code, kind)
    answers = {}
    for status, by_code in sorted(by_status.items()):
        codes = dict(sorted(by_code.items()))
        formatted = in_formats and not set(by_code.values()).issubset(ON_THE_WIRE)
        name = "-".join([str(status), *codes, *["of_a_call"] * formatted, *["to_HEAD"] * (not has_body)])
        if name not in spec.components.responses:
            response: Response = {"description": _told(codes), "headers": _headers_of(status, in_formats=formatted)}
            if has_body:
                response["content"] = _content_of(codes, in_formats=formatted)
            spec.components.response(name, response)
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return answers


def found(name: str, *, has_body: bool, says_found: bool = False) -> Response:
    """The answer to a request about a call that was carried out; with ``says_found`` also as ``status=200`` has it."""
    headers = {each: header(each) for each in ("X-Request-Id", "ETag", "Idempotent-Replayed", "Retry-After")}
    if name == "Leased":
        headers["Location"] = header("Location")
    if says_found:
        headers["X-Cticache-Error"] = header("X-Cticache-Error")
    response: Response = {"description": "It was carried out.", "headers": headers}
    if says_found:
        response["description"] = "It was carried out, or with status=200 why a call or a lease was not to be had."
    if has_body:
        schemas = [name] + ["Missed"] * says_found
        content = _in_formats(schemas, [f"{each}InText" for each in schemas])
        hit = _HITS[name]
        for kind in FORMATS.values():
            text = kind.hit(hit)
            content[_bare(kind.MEDIA_TYPE)]["examples"] = {"hit": {"value": _value(kind.MEDIA_TYPE, text)}}
        if says_found:
            miss = next(kind for kind in refusals() if kind.code == "not_found")()
            content[_JSON]["examples"] |= {
                "hit_with_status_200": {"value": json.loads(as_found_json.hit(hit))},
                "miss_with_status_200": {"value": json.loads(as_found_json.refusal(miss, ASKED))},
            }
        response["content"] = content
    return response


def header(name: str) -> dict[str, str]:
    """A reference to a header of an answer."""
    return {"$ref": f"#/components/headers/{name}"}


def plain(description: str, schema: str, *, has_body: bool = True, **example: Any) -> Response:
    """An answer that is JSON and nothing else."""
    response: Response = {"description": description, "headers": {"X-Request-Id": header("X-Request-Id")}}
    if has_body:
        response["content"] = {_JSON: {"schema": _ref(schema), **example}}
    return response


def example_of(kind: type[Refusal]) -> Refusal:
    """A refusal of this kind, with a sentence."""
    if kind is WrongFields:
        return WrongFields({"ani": ["Missing."]})
    return kind(kind.says or " ".join((inspect.getdoc(kind) or f"{kind.__name__}.").split("\n\n")[0].split()))


def _told(codes: dict[str, type[Refusal]]) -> str:
    return "\n".join(f"- `{code}`: {example_of(kind)}" for code, kind in codes.items())


def _headers_of(status: int, *, in_formats: bool) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if status in (429, 503):
        names.append("Retry-After")
    more: dict[type[Refusal], str] = {
        WrongCredentials: "WWW-Authenticate",
        NoSuchMethod: "Allow",
        UnsupportedEncoding: "Accept-Encoding",
    }
    names += [name for kind, name in more.items() if kind.status == status]
    if in_formats:
        names.append("X-Cticache-Error")
    return {name: header(name) for name in names}


def _content_of(codes: dict[str, type[Refusal]], *, in_formats: bool) -> dict[str, Any]:
    examples = {code: example_of(kind) for code, kind in codes.items()}
    only: dict[str, Any] = {"properties": {"error": {"enum": list(codes)}}}
    content = _in_formats(["Refused"], ["RefusedInText"]) if in_formats else {_JSON: {"schema": _ref("Refused")}}
    for media_type in content:
        if "$ref" in content[media_type]["schema"]:
            content[media_type]["schema"] = {"allOf": [content[media_type]["schema"], only]}
    for kind in FORMATS.values():
        media_type = _bare(kind.MEDIA_TYPE)
        if media_type in content:
            content[media_type]["examples"] = {
                code: {"value": _value(kind.MEDIA_TYPE, kind.refusal(refusal, ASKED))}
                for code, refusal in list(examples.items())[: None if media_type == _JSON else 1]
            }
    return content


def _in_formats(json_schemas: list[str], text_schemas: list[str]) -> dict[str, Any]:
    """The content of an answer in each of the formats, as these components; one document of VoiceXML, and text."""
    in_text = _any_of(text_schemas)
    schemas = {"json": _any_of(json_schemas), "xml": in_text, "form": in_text}
    return {_bare(kind.MEDIA_TYPE): {"schema": schemas.get(name, {"type": "string"})} for name, kind in FORMATS.items()}


def _any_of(names: list[str]) -> dict[str, Any]:
    return _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(name) for name in names]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0]


def _value(media_type: str, text: str) -> Any:
    return json.loads(text) if media_type.startswith(_JSON) else text
