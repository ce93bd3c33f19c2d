"""The document in OpenAPI as a test has it: its requests, and whether an answer is one that it has for a request."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.networks import Networks
from cticache.access.passwords import Verifier
from cticache.access.users import User, token_digest
from cticache.numbering.pool import Pool
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Leniency
from cticache.web.openapi.document import document
from kit.running import MAX_BODY, Service
from kit.samples import USERS, make_pool, user
from kit.talk import CALLS
from kit.validators import Draft202012Validator

DOCUMENT = document()
DNIS, ANI = "5551234560", "+12345678901"
BODY = {"value": "00123456", "ani": ANI}
CALL = f"{CALLS}/{DNIS}:{quote(ANI)}"
JSON, FORM, XML, VXML = "application/json", "application/x-www-form-urlencoded", "text/xml", "application/voicexml+xml"


def resolved(said: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    while "$ref" in said:
        found: Any = DOCUMENT
        for step in said["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        said = found
    return said


class Asked(NamedTuple):
    """One request that the document knows: a URL and a verb."""

    url: str
    verb: str

    @property
    def said(self) -> dict[str, Any]:
        operation: dict[str, Any] = DOCUMENT["paths"][self.url][self.verb]
        return operation

    @property
    def answers(self) -> dict[int, dict[str, Any]]:
        """Status -> answer."""
        return {int(status): resolved(answer) for status, answer in self.said["responses"].items()}

    @property
    def refusals(self) -> Iterator[tuple[int, str]]:
        """The status and the code of each."""
        for status, answer in self.answers.items():
            for code in re.findall("^- `(\\w+)`", answer["description"], re.MULTILINE):
                yield status, code

    @property
    def path(self) -> str:
        key = DNIS if "{ani}" in self.url else f"{DNIS}:{quote(ANI)}"
        return self.url.replace("{key}", key).replace("{ani}", quote(ANI)).replace("{name}", "system-y")

    @property
    def query(self) -> dict[str, str]:
        """What the path leaves open."""
        names = {resolved(each)["name"] for each in self.said["parameters"] if resolved(each)["in"] == "query"}
        said = {"dnis": DNIS, "ani": ANI} | ({"pool": "system-y"} if self.url == "/cticache/leases" else {})
        return {name: text for name, text in said.items() if name in names}

    @property
    def leases(self) -> bool:
        return (self.url, self.verb) == (CALLS, "post")

    @property
    def may_lease(self) -> bool:
        return self.url == CALLS and self.verb in ("post", "get")

    @property
    def is_about_a_call(self) -> bool:
        return self.url.startswith(CALLS) and self.verb != "options"

    @property
    def ends_a_call(self) -> bool:
        return (self.url, self.verb) == ("/cticache/release", "post")

    @property
    def explains(self) -> bool:
        return self.verb == "post" and self.url in ("/cticache/explain", "/cticache", "/cticache/")

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.said

    @property
    def body(self) -> Any:
        return self.said["requestBody"]["content"][JSON]["example"]

    def __str__(self) -> str:
        return f"{self.verb.upper()} {self.url}"


REQUESTS = [Asked(url, verb) for url, verbs in DOCUMENT["paths"].items() for verb in verbs]
_MORE = (
    user("caller", roles=("lease", "read", "take")),  # one who watches changes nothing by GET
    user("no-roles", roles=()),
    replace(user("elsewhere"), networks=Networks.parse("192.0.2.0/24")),
    replace(user("capped", roles=("lease",)), max_live=1),
)


def token_of(name: str) -> dict[str, str]:
    """Headers: for a token nobody has to wait for a password to be hashed."""
    return {"Authorization": f"Bearer token-of-{name}"}


def _with_token(one: User) -> User:
    return replace(one, token=frozenset({token_digest(f"token-of-{one.name}")}))


KNOWN = Verifier(map(_with_token, (*USERS, *_MORE)), remember_s=3600, size=1000)


class Described:
    """Services over one store, to ask what the document has."""

    def __init__(self, new_service: Callable[..., Service], client: Redis) -> None:
        self._new_service, self._client = new_service, client
        self._made: dict[Any, tuple[Service, TestClient]] = {}

    def empty(self) -> None:
        """Have Redis forget all that was before."""
        self._client.flushall()

    def api(self, *pools: Pool, verifier: Verifier = KNOWN, get_writes: bool = True) -> TestClient:
        """A service with these pools, their numbers in place; by itself nobody calls it."""
        settings = (pools, verifier, get_writes)
        if settings not in self._made:
            service = self._new_service(*(pools or (make_pool(), make_pool("5559990000", name="other"))))
            app = create_app(
                *(service.store, service.pools, verifier, service.keeper),
                audit=Audit(),
                max_body=MAX_BODY,
                reads=Leniency(get_writes=get_writes),
            )
            self._made[settings] = service, TestClient(app)
        service, api = self._made[settings]
        service.resync()
        return api


def ask(
    api: TestClient,
    asked: Asked,
    *,
    name: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Result:
    """The request as the document has it, with more in its query; by a user who may do that, if none is named."""
    if asked.has_body and "body" not in more:
        more["body"] = json.dumps(asked.body)
    return api.simulate_request(
        asked.verb.upper(),
        asked.path,
        query_string=urlencode(asked.query | dict(query or {})),
        headers=token_of(name or ("caller" if asked.is_about_a_call else "username")) | dict(headers or {}),
        **more,
    )


def lease(api: TestClient, ani: str = ANI, **more: Any) -> Result:
    """Lease a number for this ANI; it must be had."""
    answer = api.simulate_post(CALLS, body=json.dumps(BODY | {"ani": ani} | more), headers=token_of("caller"))
    assert answer.status_code == 201, answer.text
    return answer


def checked(asked: Asked, answer: Result) -> Result:
    """The same answer, which the document has for the request."""
    check(asked, answer.status_code, answer.headers, answer.content)
    return answer


def check(asked: Asked, status: int, headers: Mapping[str, str], content: bytes) -> None:
    """AssertionError or ValidationError where the document has no such answer for the request."""
    assert status in asked.answers, content
    answer = asked.answers[status]
    for name, said in answer["headers"].items():
        if text := headers.get(name.lower()):
            schema = resolved(said)["schema"]
            validate(schema, int(text) if schema.get("type") == "integer" else text)
        else:
            assert not resolved(said).get("required"), name
    if "content" in answer:
        media_type = headers["content-type"].partition(";")[0]
        validate(answer["content"][media_type]["schema"], decoded(media_type, content))
    else:
        assert not content


def validate(schema: dict[str, Any], instance: Any) -> None:
    """ValidationError where it is not what the schema of the document says."""
    _validator(json.dumps(schema)).validate(instance)


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema) | {"components": DOCUMENT["components"]})


def decoded(media_type: str, content: bytes) -> Any:
    """What the schema of a body in this type is about."""
    if media_type == JSON:
        return json.loads(content)
    if media_type == FORM:
        return dict(parse_qsl(content.decode("ascii"), keep_blank_values=True, strict_parsing=True))
    if media_type in (XML, VXML, "application/xml"):
        root = ElementTree.fromstring(content)
        return content.decode("utf-8") if media_type == VXML else {child.tag: child.text or "" for child in root}
    return content.decode("utf-8")
