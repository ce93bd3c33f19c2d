"""The document in OpenAPI: it is one, it has all that there is, and what it says of success is so."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from falcon.inspect import inspect_routes
from falcon.testing import TestClient
from redis import Redis

from cticache.errors import refusals
from cticache.web.openapi.document import text
from kit.checkout import ROOT
from kit.described import (
    ANI,
    DOCUMENT,
    FORM,
    JSON,
    REQUESTS,
    Asked,
    Described,
    ask,
    checked,
    decoded,
    lease,
    token_of,
    validate,
)
from kit.running import Service
from kit.samples import basic
from kit.talk import CALLS
from kit.validators import Draft202012Validator, validate_openapi

MULTIPART = "multipart/form-data"
FORMATS = ["json", "xml", "vxml", "form", "txt"]
FORMS = [(each, always_200) for each in FORMATS for always_200 in (False, True)]


@pytest.fixture
def described(client: Redis, new_service: Callable[..., Service]) -> Described:
    return Described(new_service, client)


def test_it_is_openapi() -> None:
    validate_openapi(DOCUMENT)


def test_every_schema_in_it_is_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_it_is_served_to_any_user_and_is_in_the_documentation(described: Described) -> None:
    api = described.api()
    assert api.simulate_get("/cticache/openapi.json", headers=token_of("no-roles")).text == text()
    assert api.simulate_get("/cticache/openapi.json").status_code == 401
    assert "\n" not in text()
    written = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
    assert written == json.loads(text()), "write it anew: scripts/openapi.py"


def test_the_version_is_told_to_any_user(described: Described) -> None:
    answer = described.api().simulate_get("/cticache/version", headers=token_of("no-roles"))
    assert answer.json == {"version": DOCUMENT["info"]["version"], "api": DOCUMENT["info"]["x-api"]}


def test_it_has_every_url_and_verb_of_the_application_and_no_other(described: Described) -> None:
    served = {
        Asked(route.path, method.method.lower())
        for route in inspect_routes(described.api().app)
        for method in route.methods
        if not method.internal or method.method == "OPTIONS"  # which Falcon answers by itself
    }
    assert served == set(REQUESTS)


def test_every_refusal_is_in_it() -> None:
    told = set()
    for name, answer in DOCUMENT["components"]["responses"].items():
        for code in re.findall("^- `(\\w+)`", answer["description"], re.MULTILINE):
            told.add((int(name[:3]), code))
    assert told == {(kind.status, kind.code) for kind in refusals()}


def test_every_example_of_an_answer_is_valid() -> None:
    for asked in REQUESTS:
        for answer in asked.answers.values():
            for media_type, said in answer.get("content", {}).items():
                for example in said.get("examples", {}).values():
                    value = example["value"]
                    content = json.dumps(value) if media_type == JSON else value
                    validate(said["schema"], decoded(media_type, content.encode()))


@pytest.mark.parametrize(("form", "always_200"), FORMS)
def test_what_it_says_of_success_with_a_call_is_so(
    described: Described, form: str, always_200: bool, subtests: pytest.Subtests
) -> None:
    for asked in filter(lambda asked: asked.is_about_a_call, REQUESTS):
        with subtests.test(str(asked)):
            succeed(described, asked, form, always_200)


def test_what_it_says_of_any_other_success_is_so(described: Described, subtests: pytest.Subtests) -> None:
    for asked in filter(lambda asked: not asked.is_about_a_call, REQUESTS):
        with subtests.test(str(asked)):
            if asked.ends_a_call:
                lease(described.api())
            answer = checked(asked, ask(described.api(), asked))
            assert answer.status_code == (204 if asked.verb == "options" else 200)


def succeed(described: Described, asked: Asked, form: str, always_200: bool) -> None:
    described.empty()
    api = described.api()
    if not asked.leases:
        lease(api)
    answer = checked(asked, ask(api, asked, query={"format": form} | ({"status": "200"} if always_200 else {})))
    assert answer.status_code == (201 if asked.leases and not always_200 else 200)
    if asked.verb != "head":
        media_type = answer.headers["content-type"].partition(";")[0]
        examples = asked.answers[answer.status_code]["content"][media_type]["examples"]
        example = examples["hit_with_status_200" if always_200 and form == "json" else "hit"]["value"]
        told = decoded(media_type, answer.content)
        shown = example if form == "json" else decoded(media_type, example.encode())
        assert str(told).replace("00123457", "00123456") == str(shown), "the value that a PUT replaces is another one"


def test_a_lease_by_get_is_answered_as_it_says(described: Described) -> None:
    asked, api = Asked(CALLS, "get"), described.api()
    query = urlencode({"value": "00123456", "ani": ANI})
    answer = api.simulate_get(CALLS, query_string=query, headers=token_of("caller"))
    assert checked(asked, answer).status_code == 201


def test_every_example_of_a_body_is_valid_and_accepted(described: Described, subtests: pytest.Subtests) -> None:
    for asked in filter(lambda asked: asked.has_body, REQUESTS):
        for media_type, said in asked.said["requestBody"]["content"].items():
            with subtests.test(f"{asked} {media_type}"):
                described.empty()
                send(described.api(), asked, media_type, said)


def send(api: TestClient, asked: Asked, media_type: str, said: dict[str, Any]) -> None:
    example = said["example"]
    validate(said["schema"], example if isinstance(example, dict) else decoded(media_type, example.encode()))
    if not asked.leases:
        lease(api)
    content_type = media_type + ("; boundary=b" if media_type == MULTIPART else "")
    body = {JSON: json.dumps, FORM: urlencode, MULTIPART: multipart}.get(media_type, str)(example)
    answer = ask(api, asked, body=body, content_type=content_type, query={"detail": "1"})
    assert checked(asked, answer).status_code == (201 if asked.leases else 200)
    if asked.ends_a_call:
        assert answer.json == {"released": 1, "more": False}
    elif asked.explains:
        assert "It is found" in answer.text
    else:
        assert answer.json["pool"] == "system-y"


def multipart(fields: dict[str, str]) -> str:
    begin = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return "".join(begin.format(name, value) for name, value in fields.items()) + "--b--\r\n"


WAYS: dict[str, dict[str, str]] = {
    "basic": {"Authorization": basic("username")},
    "bearer": token_of("username"),
    "key": {"X-Api-Key": "token-of-username"},
}


@pytest.mark.parametrize("scheme", DOCUMENT["components"]["securitySchemes"])
def test_every_way_to_say_who_asks_is_one(described: Described, scheme: str) -> None:
    assert {scheme: []} in DOCUMENT["security"]
    assert described.api().simulate_get("/cticache/version", headers=WAYS[scheme]).status_code == 200


def test_it_says_which_urls_need_a_user(described: Described) -> None:
    api = described.api()
    unasked = {asked for asked in REQUESTS if api.simulate_request(asked.verb.upper(), asked.path).status_code != 401}
    assert unasked == {asked for asked in REQUESTS if asked.said.get("security") == []}
