"""The document in OpenAPI: what it says of refusals is so, of each at each URL and verb."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Front, Leniency
from kit.described import BODY, CALL, DNIS, KNOWN, REQUESTS, Asked, Described, ask, check, checked, lease, token_of
from kit.running import MAX_BODY, Service, Wire
from kit.samples import USERS, basic, make_pool
from kit.talk import CALLS, Talk

ON_THE_WIRE: dict[str, Callable[[str], str]] = {
    "bad_request": "{}Host: y\r\n\r\n".format,
    "expectation_failed": "{}Expect: x\r\n\r\n".format,
    "headers_too_large": ("{}X: " + "a" * 17_000 + "\r\n\r\n").format,
    "not_implemented": "{}Transfer-Encoding: gzip\r\n\r\n".format,
    "too_large": f"{{}}Content-Length: {MAX_BODY + 1}\r\n\r\n".format,
    "uri_too_long": lambda head: head.replace(" HTTP/", "?" + "a" * 17_000 + " HTTP/", 1) + "\r\n",
    "unsupported_version": lambda head: head.replace("HTTP/1.1", "HTTP/3") + "\r\n",
    "plain_http": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".format,
    "request_timeout": str,
}
"""Code -> what is sent for it, made of the request's own line and headers."""
BODILESS = frozenset(
    {"bad_request", "expectation_failed", "headers_too_large", "not_implemented", "too_large", "uri_too_long"}
)
"""Where HEAD is known to be asked."""


@pytest.mark.parametrize("code", ON_THE_WIRE)
def test_what_the_server_refuses_by_itself_is_as_it_says(service: Service, code: str) -> None:
    wire = Wire(service, **({"header_s": 0.05} if code == "request_timeout" else {}))
    with ExitStack() as stack:
        stack.callback(wire.stop)
        talks = []
        for asked in REQUESTS:
            head = f"{asked.verb.upper()} {asked.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('username')}\r\n"
            talks.append(Talk(wire.port).send(ON_THE_WIRE[code](head).encode("latin-1")))
            stack.callback(talks[-1].close)
        for asked, talk in zip(REQUESTS, talks, strict=True):
            is_head = asked.verb == "head"
            answer = talk.answer(body=not (is_head and code in BODILESS))
            assert (answer.status, code) in asked.refusals
            if not is_head:
                assert answer.json["error"] == code
                check(asked, answer.status, answer.headers, answer.content)


class Refusals(Described):
    """Has a request refused: a method for each code."""

    def __init__(self, new_service: Callable[..., Service], client: Redis, store: Store) -> None:
        super().__init__(new_service, client)
        self._store = store

    def ready(self, asked: Asked, **settings: Any) -> TestClient:
        """A service on which the call that is asked for is live."""
        api = self.api(**settings)
        if asked.is_about_a_call and not asked.leases:
            lease(api)
        return api

    def unauthorized(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, headers=token_of("nobody"))

    def wrong_network(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, name="elsewhere")

    def forbidden(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, name="no-roles")

    def too_many_logins(self, asked: Asked) -> Result:
        return ask(self.api(verifier=HASTY), asked, headers={"Authorization": basic("username")})

    def cross_origin(self, asked: Asked) -> Result:
        headers = {"Origin": "https://elsewhere.example"}
        return self.by_get(headers) if asked == GET else ask(self.ready(asked), asked, headers=headers)

    def invalid_fields(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, query={"format": "pdf"})

    def internal(self, asked: Asked) -> Result:
        def broken(*_: object) -> None:
            raise RuntimeError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Front, "process_request", broken)
            return ask(self.api(), asked)

    def bad_body(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, body="x")

    def bad_json(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, body="{")

    def bad_xml(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, body="<")

    def unsupported_encoding(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, headers={"Content-Encoding": "gzip"})

    def unsupported_type(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, content_type="text/plain; charset=x-unknown")

    def redis_unavailable(self, asked: Asked) -> Result:
        api = self.api()
        with pytest.MonkeyPatch.context() as patch, connect("redis://127.0.0.1:1", 1) as nobody:
            patch.setattr(self._store._scripts, "_runner", Direct(nobody))
            return ask(api, asked)

    def not_ready(self, asked: Asked) -> Result:
        pools = Pools([make_pool("100")])
        keeper = Keeper(self._store, pools, interval=3600)  # it has not looked yet
        reads = Leniency(get_writes=True)
        app = create_app(
            self._store,
            pools,
            KNOWN,
            keeper,
            audit=Audit(),
            max_body=MAX_BODY,
            reads=reads,
            ask=lambda _question: None,  # it has not answered in time
        )
        return ask(TestClient(app), asked)

    def not_found(self, asked: Asked) -> Result:
        return ask(self.api(make_pool("100")), asked)

    def gone(self, asked: Asked) -> Result:
        api = self.api()
        lease(api, idempotency_key="1")
        assert api.simulate_delete(CALL, headers=token_of("caller")).status_code == 200
        return ask(api, asked, headers={"Idempotency-Key": "1"} if asked.leases else {})

    def ambiguous(self, asked: Asked) -> Result:
        api = self.api(make_pool(DNIS))
        lease(api, "+1777")
        lease(api, "+1888")
        return ask(self.api(make_pool(DNIS, match="sole", exhausted="reject")), asked)

    def stale(self, asked: Asked) -> Result:
        return ask(self.ready(asked), asked, headers={"If-Match": '"another"'})

    def key_reused(self, asked: Asked) -> Result:
        api, headers = self.api(), {"Idempotency-Key": "1"}
        lease(api, **({"idempotency_key": "1"} if asked.may_lease else {}))
        if asked == GET:
            return self.by_get(headers, api)
        if asked.leases:
            return ask(api, asked, headers=headers, body=json.dumps(BODY | {"value": "another"}))
        lease(api, "+1999")
        first = api.simulate_delete(f"{CALLS}/5551234561:1999", headers=token_of("caller") | headers)
        assert first.status_code == 200
        return ask(api, asked, headers=headers, **({"body": "{}"} if asked.has_body else {}))

    def max_live(self, asked: Asked) -> Result:
        api = self.api()
        assert ask(api, Asked(CALLS, "post"), name="capped").status_code == 201
        return self.by_get({}, api, "capped") if asked == GET else ask(api, asked, name="capped", body=OTHERS)

    def pool_exhausted(self, asked: Asked) -> Result:
        api = self.api(make_pool(DNIS, exhausted="reject"))
        lease(api)
        return self.by_get({}, api) if asked == GET else ask(api, asked, body=OTHERS)

    def method_not_allowed(self, asked: Asked) -> Result:
        api = self.api(get_writes=False)
        query = {"value": "1"} if asked.url == CALLS else {}
        return api.simulate_request(
            asked.verb.upper(), asked.path, query_string=urlencode(query), headers=token_of("caller")
        )

    def no_such_pool(self, asked: Asked) -> Result:
        if asked.url in ("/cticache", "/cticache/"):
            return ask(self.api(), asked, query={"pool": "nowhere"})
        return self.api().simulate_get("/cticache/pools/nowhere", headers=token_of("username"))

    def by_get(self, headers: dict[str, str], api: TestClient | None = None, name: str = "caller") -> Result:
        """A lease by GET."""
        query = urlencode({"value": "1", "ani": "2"})
        return (api or self.api()).simulate_get(CALLS, query_string=query, headers=token_of(name) | headers)


GET = Asked(CALLS, "get")
OTHERS = '{"value":1,"ani":"2"}'
CODES = {code for asked in REQUESTS for _, code in asked.refusals} - ON_THE_WIRE.keys()
HASTY = Verifier(USERS, remember_s=3600, size=1000, room=0)


@pytest.fixture
def refusing(client: Redis, new_service: Callable[..., Service], store: Store) -> Refusals:
    return Refusals(new_service, client, store)


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_it_says_of_refusals_is_so(refusing: Refusals, code: str, subtests: pytest.Subtests) -> None:
    refuse: Callable[[Asked], Result] = getattr(refusing, code)
    for asked in REQUESTS:
        for status in [status for status, each in asked.refusals if each == code]:
            with subtests.test(str(asked)):
                refusing.empty()
                answer = checked(asked, refuse(asked))
                assert answer.status_code == status
                if asked.verb != "head":
                    assert answer.json["error"] == code


@pytest.mark.parametrize("form", ["xml", "vxml", "form", "txt"])
def test_what_it_says_of_a_miss_is_so_in_every_format(refusing: Refusals, form: str) -> None:
    api = refusing.api()
    for asked in filter(lambda asked: asked.is_about_a_call and not asked.leases, REQUESTS):
        miss = checked(asked, ask(api, asked, query={"format": form}))
        told = checked(asked, ask(api, asked, query={"format": form, "status": "200"}))
        assert (miss.status_code, told.status_code) == (404, 200)
        assert miss.text == told.text
