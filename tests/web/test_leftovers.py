"""Requests leave nothing behind: neither what it is in which they differ, nor circles that wait for the collector."""

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from cticache.access.passwords import Verifier
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.circles import in_circles
from kit.running import MAX_BODY, Service, Wire, until
from kit.samples import USERS, basic
from kit.talk import CALL, CALLS, Talk, asked, posting, request

USER = f"Authorization: {basic('username')}"
LONG = 15_000
ROUND = 16
MOST = ROUND * LONG / 4

PLACES = {
    "the path": "GET /{} HTTP/1.1|Host: x|" + USER,
    "a whole URL": "GET http://x/{} HTTP/1.1|Host: x|" + USER,
    "the host of a whole URL": "GET http://{}/healthz HTTP/1.1|Host: x|" + USER,
    "Host": "GET /healthz HTTP/1.1|Host: {}",
    "a query": "GET /healthz?{}={} HTTP/1.1|Host: x",
    "the DNIS": f"GET {CALLS}/{{}}:1 HTTP/1.1|Host: x|" + USER,
    "the DNIS of a take": f"DELETE {CALLS}/{{}}:1 HTTP/1.1|Host: x|" + USER,
    "an escaped DNIS": f"GET {CALLS}/%41{{}}:1 HTTP/1.1|Host: x|" + USER,
    "the DNIS of explain": "GET /cticache/explain?dnis={}&ani=1 HTTP/1.1|Host: x|" + USER,
    "the ANI": f"GET {CALLS}/5551234560:{{}} HTTP/1.1|Host: x|" + USER,
    "a pool": "GET /cticache/pools/{} HTTP/1.1|Host: x|" + USER,
    "credentials": "GET /metrics HTTP/1.1|Host: x|Authorization: Basic {}!",
    "another scheme": "GET /metrics HTTP/1.1|Host: x|Authorization: {} x",
    "the name of a header": "GET /healthz HTTP/1.1|Host: x|X-{}: x",
    "Accept": f"GET {CALL} HTTP/1.1|Host: x|Accept: a/{{}}|" + USER,
    "Content-Type": f"POST {CALLS} HTTP/1.1|Host: x|Content-Type: a/{{}}|Content-Length: 0|" + USER,
    "the type of a take": f"POST {CALL}/take HTTP/1.1|Host: x|Content-Type: a/{{}};charset={{}}|Content-Length: 0|"
    + USER,
    "Content-Encoding": f"POST {CALLS} HTTP/1.1|Host: x|Content-Encoding: {{}}|Content-Length: 0|" + USER,
    "Idempotency-Key": f"DELETE {CALL} HTTP/1.1|Host: x|Idempotency-Key: {{}}|" + USER,
    "If-Match": f'DELETE {CALL} HTTP/1.1|Host: x|If-Match: "{{}}"|' + USER,
    "X-Request-Id": "GET /healthz HTTP/1.1|Host: x|X-Request-Id: {}",
    "X-Forwarded-For": f"DELETE {CALL} HTTP/1.1|Host: x|X-Forwarded-For: {{}}|" + USER,
}


@pytest.mark.parametrize("dispatch", ["batch"], indirect=True)
def test_what_requests_differ_in_is_not_kept(talk: Talk, subtests: pytest.Subtests) -> None:
    def ask(place: str) -> None:
        length = LONG // place.count("{}")
        for _ in range(ROUND):
            text = place.replace("{}", f"{next(count):x}".rjust(length, "a")).replace("|", "\r\n")
            answer = talk.send(f"{text}\r\n\r\n".encode()).answer()
            assert answer.status in (200, 400, 401, 403, 404, 415, 422)

    def kept(place: str) -> int:
        """Bytes that are there after a round and were not before it."""
        before = tracemalloc.get_traced_memory()[0]
        ask(place)
        if tracemalloc.get_traced_memory()[0] - before > MOST:  # there may be circles
            gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    count = itertools.count()
    for place in PLACES.values():
        ask(place)
    gc.collect()
    gc.freeze()  # what is there is not gone through again for each place
    tracemalloc.start()
    try:
        for what, place in PLACES.items():
            with subtests.test(what):
                # What is kept of requests is kept of each round; another thread's work is in one of them at most.
                rounds = (kept(place) for _ in range(3))
                assert any(left < MOST for left in rounds), f"more than {MOST} bytes of each {ROUND} requests"
    finally:
        tracemalloc.stop()
        gc.unfreeze()


REQUESTS = {
    "posted": (201, posting(b'{"value":"v","ani":"1234567890"}')),
    "posted for another": (201, posting(b'{"value":"v","ani":"@@@"}')),
    "read": (200, request(f"GET {CALL}")),
    "taken": (200, request(f"DELETE {CALL}")),
    "gone": (410, request(f"DELETE {CALL}")),
    "never there": (404, request(f"GET {CALLS}/5559990000:1234567890")),
    "no number": (422, request(f"GET {CALLS}/5551234560:x1")),
    "no number to explain": (422, request("GET /cticache/explain?dnis=5551234560&ani=x1")),
    "chunked": (
        201,
        request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b'19\r\n{"value":"v","ani":"@@@"}\r\n0\r\n\r\n'),
    ),
    "no such method": (405, request(f"PATCH {CALL}")),
    "no such pool": (404, request("GET /cticache/pools/x")),
    "no JSON": (400, posting(b"{")),
    "no XML": (400, posting(b"<")),
    "no ANI": (422, posting(b"{}")),
    "too large": (413, posting(b" " * (MAX_BODY + 1))),
    "multipart": (422, posting(b"--b--", "Content-Type: multipart/form-data; boundary=b")),
    "a header that is none": (400, b"GET / HTTP/1.1\r\nHost: x\r\nx\r\n\r\n"),
    "nobody": (401, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    "may not": (403, request("GET /metrics", user="x-only")),
}
"""Each with its status the first time; ``@@@`` is another number each time."""


@pytest.mark.parametrize("what", REQUESTS)
def test_no_request_leaves_a_circle(what: str, wire: Wire) -> None:
    numbers = itertools.count(100)

    def ask(sent: bytes) -> int:
        return asked(wire.port, sent.replace(b"@@@", b"%d" % next(numbers))).status

    for name, (status, sent) in REQUESTS.items():
        assert ask(sent) == status
        if name == what:
            break
    assert not in_circles(lambda: ask(sent))


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 1000"])
def test_a_request_that_is_cut_off_leaves_no_circle(framing: str, wire: Wire) -> None:
    def ask() -> None:
        with closing(Talk(wire.port)) as talk:
            talk.send(f"POST {CALLS} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n100\r\n{{".encode())
            talk.end()
            talk.rest()
        until(lambda: not wire.server.active_channels)

    assert not in_circles(ask)


@pytest.fixture
def impatient(service: Service, dispatch: str) -> Iterator[Wire]:
    """The service where nobody may wait for as long as a hash takes."""
    verifier = Verifier(USERS, remember_s=3600, size=1000, wait_s=0.001)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY)
    wire = Wire(replace(service, app=app), dispatch)
    yield wire
    wire.stop()


def test_a_login_that_waits_in_vain_leaves_no_circle(impatient: Wire) -> None:
    names = itertools.count()

    def ask() -> None:
        assert asked(impatient.port, request("GET /metrics", user=f"nobody-{next(names)}")).status == 429

    assert not in_circles(ask)
