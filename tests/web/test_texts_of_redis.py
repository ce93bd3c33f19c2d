"""What Redis says in an error never reaches a client, whatever it says and by whatever route."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import falcon.testing
import pytest
from falcon import inspect

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.openapi.document import text as openapi
from kit.proxy import Impostor
from kit.running import Service, Wire
from kit.samples import basic, make_pool
from kit.talk import Talk, request

SECRET = "f0e1d2c3b4a5"
"""Stands for a script's sha, a key, a path: whatever Redis may put into its text."""
TEXTS = (
    f"BADARG ttl_ms {SECRET} must be an integer > 0",
    f"ERR Error running script (call to f_{SECRET}): @user_script:7: {SECRET}",
    f"WRONGTYPE Operation against a key holding the wrong kind of value, script: {SECRET}, on @user_script:31.",
    f"NOPERM this user has no permissions to access {SECRET}",
    f"OOM command not allowed when used memory > 'maxmemory' {SECRET}",
    f"NOSCRIPT No matching script {SECRET}",
    f"READONLY You can't write against a read only replica {SECRET}",
    f"AMBIGUOUS {SECRET}",
    f"STALE {SECRET}",
    f"REUSED {SECRET}",
    f"UNHEARD of {SECRET}",
)
PARTS = {"key": "5551234560:1234567890", "key/ani": "5551234560/1234567890", "name": "system-y"}
BODY = '{"value": "v", "ani": "1234567890"}'
RELEASED = '{"pool": "system-y", "dnis": "5551234560", "ani": "1234567890"}'
EXPLAINED = '{"dnis": "5551234560", "ani": "1234567890"}'
WHOSE = "?dnis=5551234560&ani=1234567890"
NAMES_NO_CALL = ("/cticache/explain", "/cticache/DNIS-ANI", "/cticache/DNIS-ANI/take")
DOCUMENT = openapi()
PAGE = {"/cticache", "/cticache/", "/cticache/page.js", "/cticache/page.css"}
ASKS_NOTHING = {"/healthz", "/metrics", "/cticache/status", "/cticache/version", "/cticache/openapi.json"} | PAGE


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    impostor = Impostor(lambda _: b"")
    yield impostor
    impostor.close()


@pytest.fixture
def service(impostor: Impostor, verifier: Verifier) -> Iterator[Service]:
    with connect(impostor.url, 5.0) as through:
        scripts = Scripts(Direct(through), read_scripts())
        store, pools = Store(scripts, Keys("cti"), retry_after=2), Pools([make_pool()])
        pools.set_leaving({})
        keeper = Keeper(store, pools, interval=3600)
        keeper.synced.set()
        app = create_app(store, pools, verifier, keeper, audit=Audit(), max_body=4096)
        yield Service(app, store, pools, keeper, through)


def saying(text: str) -> Any:
    """What the impostor answers: the text to each script's call, and what is right to all else."""

    def answer(asked: bytes) -> bytes:
        if b"PING" in asked:
            return b"+PONG\r\n" + b":1\r\n" * (b"return 1" in asked)  # to who dials
        if b"return 1" in asked:  # whether it reads the line of flags
            return b":1\r\n"
        return f"-{text}\r\n".encode() * (asked.count(b"EVALSHA\r\n") + asked.count(b"EVAL\r\n"))

    return answer


def requests(app: falcon.App[Any, Any]) -> list[tuple[str, str]]:
    """Each route that the application has, and each of its methods."""
    asked = [
        (route.path, method.method)
        for route in inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal and method.method != "OPTIONS"  # which asks nothing
    ]
    assert len(asked) >= 21
    return asked


def body_of(path: str, method: str) -> str:
    """What a request of this route says."""
    if method != "POST" or path.endswith("/take"):
        return ""
    if path in PAGE or path == "/cticache/explain":
        return EXPLAINED
    return RELEASED if path == "/cticache/release" else BODY


def is_told(path: str, method: str, text: str) -> bool:
    """Whether Redis is not needed for the answer, or the answer says that it refuses; not that a script is wrong."""
    return path in ASKS_NOTHING and not (method == "POST" and text.startswith("BADARG"))


def filled(path: str, body: str) -> str:
    """The URL of a route, which names a call unless the body does."""
    url = re.sub(r"{([\w}/{]+)}", lambda part: PARTS[part[1].replace("}/{", "/")], path)
    if path == "/cticache/leases":
        return url + "?pool=system-y"
    return url + WHOSE if path in NAMES_NO_CALL and not body else url


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.partition(" ")[0])
def test_no_route_shows_it(impostor: Impostor, service: Service, text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    api = falcon.testing.TestClient(service.app, headers={"Authorization": basic("username")})
    impostor.answer = saying(text)
    for path, method in requests(service.app):
        body = body_of(path, method)
        answer = api.simulate_request(method, filled(path, body), body=body)
        told = answer.text + str(dict(answer.headers))
        assert SECRET not in told, (method, path)
        assert not re.search("user_script|WRONGTYPE|BADARG", told), (method, path)
        if answer.text != DOCUMENT and path not in (
            "/metrics",
            "/cticache/status",
            *PAGE,
        ):  # which have integers and descriptions of its own, whatever Redis says
            assert not re.search("user_script|script|WRONGTYPE|BADARG|integer|sha", told), (method, path)
        assert (answer.status_code == 200) == is_told(path, method, text), (method, path)
        if method != "HEAD" and not is_told(path, method, text):
            assert set(answer.json) == {"error", "detail", "status"}, (method, path)
            assert answer.json["status"] == answer.status_code


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.partition(" ")[0])
def test_no_route_shows_it_on_the_wire(impostor: Impostor, service: Service, text: str, dispatch: str) -> None:
    impostor.answer = saying(text)
    wire = Wire(service, dispatch)
    try:
        for path, method in requests(service.app):
            body = body_of(path, method)
            headers = "Connection: close", f"Content-Length: {len(body)}"
            with closing(Talk(wire.port)) as talk:
                told = (
                    talk.send(request(f"{method} {filled(path, body)}", *headers, body=body.encode())).rest().decode()
                )
            assert told.startswith("HTTP/1.1 200" if is_told(path, method, text) else "HTTP/1.1 "), (method, path)
            assert SECRET not in told, (method, path)
            assert not re.search("user_script|WRONGTYPE|BADARG", told), (method, path)
    finally:
        wire.stop()
