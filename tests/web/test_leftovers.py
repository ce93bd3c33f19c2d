"""Requests that all differ leave nothing behind, whatever it is in which they differ."""

import gc
import itertools
import tracemalloc

import pytest

from kit.samples import basic
from kit.talk import CALL, CALLS, Talk

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
            assert answer.status in (200, 401, 403, 404, 415, 422)

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
