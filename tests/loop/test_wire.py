"""HTTP itself: what arrives on a real socket, which URLs and methods there are, and who refuses the rest."""

import selectors
from collections.abc import Callable
from typing import Any

import pytest
from falcon.testing import TestClient
from redis import Redis

from kit.running import MAX_BODY
from kit.samples import basic
from kit.talk import BODY, CALL, CALLS, Answer, Talk, posting, request


@pytest.fixture(params=["batch", "batch on select()", "threads"])
def dispatch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to serve, and batch as on Windows, where there is nothing better than select()."""
    name, _, selector = str(request.param).partition(" on ")
    if selector:
        monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    return name


def padded(size: int) -> bytes:
    return BODY[:-1] + b" " * (size - len(BODY)) + BODY[-1:]


def chunked(body: bytes, size: int) -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=framed)


def check(answer: Answer, status: int, *codes: str) -> None:
    """A refusal of the one shape."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json) == ["error", "detail", "status"] + ["fields"] * (status == 422)
    assert answer.json["error"] in codes
    assert answer.json["status"] == status
    assert "waitress" not in answer.content.decode().lower()


BAD_REQUESTS = {
    "not HTTP": b"hello\r\n\r\n",
    "a space too many": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "a relative target": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a wrong version": b"GET /healthz HTTP/one\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
    "a space in a header's name": b"GET /healthz HTTP/1.1\r\nBad Header: x\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "a bare carriage return": b"GET /healthz HTTP/1.1\r\nHost: x\ry: z\r\n\r\n",
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n",
    "a malformed address": b"GET http://[::1/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "length and chunks": request(f"POST {CALLS}", "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and length": request(f"POST {CALLS}", "Transfer-Encoding: chunked", "Content-Length: 4", body=b"0\r\n\r\n"),
    "chunks on HTTP/1.0": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="1.0"),
    "a bad chunk size": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"xyz\r\n\r\n"),
    "a chunk that is not ended": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"2\r\n{}x\r\n"),
    "a length of 5000 digits": request(f"POST {CALLS}", "Content-Length: " + "9" * 5000),
    "a negative length": request(f"POST {CALLS}", "Content-Length: -1"),
    "a signed length": request(f"POST {CALLS}", "Content-Length: +2"),
    "a hexadecimal length": request(f"POST {CALLS}", "Content-Length: 0x10"),
    "a length with an underscore": request(f"POST {CALLS}", "Content-Length: 1_0"),
    "an empty length": request(f"POST {CALLS}", "Content-Length: "),
    "a word for a length": request(f"POST {CALLS}", "Content-Length: abc"),
    "two lengths": request(f"POST {CALLS}", "Content-Length: 2", "Content-Length: 3"),
}


@pytest.mark.parametrize("data", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_what_is_not_proper_http_is_400_as_json_and_ends_the_connection(talk: Talk, data: bytes) -> None:
    check(talk.send(data).answer(), 400, "bad_request")
    assert talk.is_closed()


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked", '"chunked"'])
def test_an_unsupported_transfer_coding_is_501(talk: Talk, coding: str) -> None:
    check(talk.send(request(f"POST {CALLS}", f"Transfer-Encoding: {coding}")).answer(), 501, "not_implemented")
    assert talk.is_closed()


def test_headers_too_large_are_431(talk: Talk) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: "
    check(talk.send(start + b"a" * (16384 - len(start))).answer(), 431, "headers_too_large")
    assert talk.is_closed()


@pytest.mark.parametrize("digits", [str(MAX_BODY + 1), "9" * 30], ids=["one byte more", "30 digits"])
@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["", "100-continue"])
def test_a_body_too_long_is_413_before_it_is_sent(talk: Talk, digits: str, expect: tuple[str, ...]) -> None:
    check(talk.send(request(f"POST {CALLS}", f"Content-Length: {digits}", *expect)).answer(), 413, "too_large")
    assert talk.is_closed()


@pytest.mark.parametrize("size", [1, 100, MAX_BODY + 1])
def test_a_chunked_body_too_long_is_413(talk: Talk, size: int) -> None:
    check(talk.send(chunked(padded(MAX_BODY + 1), size)[: -len(b"\r\n0\r\n\r\n")]).answer(), 413, "too_large")


def test_a_body_of_exactly_max_body_is_read(talk: Talk) -> None:
    assert talk.send(posting(padded(MAX_BODY))).answer().status == 201


@pytest.mark.parametrize("size", [100, MAX_BODY], ids=["many chunks", "one chunk"])
def test_a_chunked_body_of_exactly_max_body_is_read(talk: Talk, size: int) -> None:
    assert talk.send(chunked(padded(MAX_BODY), size)).answer().status == 201


def test_the_framing_of_a_chunked_body_has_its_limit_too(talk: Talk) -> None:
    head = request(f"POST {CALLS}", "Transfer-Encoding: chunked")
    check(talk.send(head + b"1;" + b"x" * 9 * MAX_BODY).answer(), 413, "too_large")


def test_max_body_holds_without_waitress_too(api: TestClient) -> None:
    assert api.simulate_post(CALLS, body=padded(MAX_BODY)).status_code == 201
    for answer in (
        api.simulate_post(CALLS, body=padded(MAX_BODY + 1)),
        api.simulate_put(CALL, body=padded(MAX_BODY + 1)),
    ):
        assert (answer.status_code, answer.json["error"]) == (413, "too_large")
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_chunked_body_is_read(talk: Talk, size: int) -> None:
    assert talk.send(chunked(BODY, size)).answer().json["value"] == "v"


def test_a_client_that_expects_100_continue_gets_it_and_then_its_answer(talk: Talk) -> None:
    head, _, body = posting(BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
    assert talk.send(head + b"\r\n\r\n").answer(body=False).status == 100
    assert talk.send(body).answer().status == 201
    assert talk.send(request(f"DELETE {CALL}")).answer().json == {"value": "v"}


@pytest.mark.parametrize("length", [(), ("Content-Length: 0",)], ids=["no length", "length 0"])
def test_expect_without_a_body_is_answered(talk: Talk, length: tuple[str, ...]) -> None:
    talk.send(request("GET /readyz", "Expect: 100-continue", *length))
    answer = talk.answer()
    assert (answer.status, answer.json) == (200, {"status": "ready"})
    assert talk.send(request("GET /healthz")).answer().status == 200


def test_pipelined_requests_are_answered_in_order(talk: Talk) -> None:
    talk.send(
        posting(BODY)
        + request(f"GET {CALL}")
        + request("GET /nowhere")
        + request(f"POST {CALL}/take")
        + request(f"DELETE {CALL}")
        + request("GET /healthz")
    )
    answers = [talk.answer() for _ in range(6)]
    assert [answer.status for answer in answers] == [201, 200, 404, 200, 410, 200]
    assert answers[1].content == answers[3].content == b'{"value":"v"}'


def test_a_connection_is_kept_until_the_client_asks_to_close_it(talk: Talk) -> None:
    for _ in range(5):
        assert talk.send(posting(BODY)).answer().status == 201
        assert talk.send(request(f"DELETE {CALL}")).answer().version == "HTTP/1.1"
        break
    for _ in range(5):
        assert talk.send(request("GET /nowhere")).answer().status == 404
    assert talk.send(request("GET /healthz", "Connection: close")).answer().status == 200
    assert talk.is_closed()


def test_a_client_of_http_1_0_is_served(connect: Callable[[], Talk]) -> None:
    talk = connect()
    posted = talk.send(posting(BODY, version="1.0")).answer()
    assert posted.status == 201
    assert posted.headers["location"] == CALL
    assert talk.is_closed()
    bare = f"DELETE {CALL} HTTP/1.0\r\nAuthorization: {basic('username')}\r\n\r\n"
    assert connect().send(bare.encode()).answer().json == {"value": "v"}


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (f"POST {CALL}%2Ftake", 405, "method_not_allowed"),
        (f"GET {CALL}%2Ftake", 422, "invalid_fields"),
        (f"GET {CALLS}/5551234560%2F1234567890", 422, "invalid_fields"),
        (f"GET {CALLS}%2F5551234560:1234567890", 404, "not_found"),
        ("GET /cticache%2FDNIS-ANI", 404, "not_found"),
        (f"GET {CALLS}/5551234560", 422, "invalid_fields"),
        (f"GET {CALLS}/5551234560:%FF", 422, "invalid_fields"),
        (f"GET {CALLS}/%FF:1234567890", 422, "invalid_fields"),
        (f"GET {CALLS}/5551234560:alice", 422, "invalid_fields"),
        (f"GET {CALLS}/5551234560:%", 422, "invalid_fields"),
        (f"GET {CALLS}/5551234560:123:1234567890", 422, "invalid_fields"),
        (f"GET {CALLS}/9:1234567890", 404, "not_found"),
        (f"PUT {CALLS}/:1234567890", 404, "not_found"),
        (f"DELETE {CALLS}/5551234560:1", 404, "not_found"),
        (f"POST {CALLS}/5551234560:1/take", 404, "not_found"),
        (f"PUT {CALLS}/5551234561:1234567890", 404, "not_found"),
        (f"POST {CALL}/take/x", 404, "not_found"),
        (f"DELETE {CALL}/x", 404, "not_found"),
        ("GET /", 404, "not_found"),
        (f"GET {CALLS}/../../healthz", 404, "not_found"),
        (f"FOO {CALLS}", 400, "bad_request"),
        (f"GET {CALLS}/5551234560:J\u00c3\u00b6rg", 400, "bad_request"),
    ],
)
def test_what_leads_nowhere_is_refused_and_touches_no_call(talk: Talk, line: str, status: int, code: str) -> None:
    talk.send(posting(BODY)).answer()
    check(talk.send(request(line)).answer(), status, code)


@pytest.mark.parametrize(
    "target",
    [
        f"http://example.com{CALL}",
        f"https://example.com:8443{CALL}?x=y",
        f"{CALL}?detail=none",
        f"/{CALL}",
        f"{CALLS}/5551234560:tel:1234567890",
        f"{CALLS}/5551234560:123%2F4567890",
    ],
)
def test_a_call_is_found_under_every_form_of_its_target(talk: Talk, client: Redis, target: str) -> None:
    talk.send(posting(BODY)).answer()
    assert talk.send(request(f"DELETE {target}")).answer().json == {"value": "v"}
    assert client.keys("cti:*:call:*") == []


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (CALLS, {"POST"}),
        (CALL, {"GET", "PUT", "DELETE"}),
        (CALL + "/take", {"POST"}),
        ("/cticache/pools", {"GET"}),
        ("/cticache/pools/system-y", {"GET"}),
        ("/metrics", {"GET", "HEAD"}),
        ("/healthz", {"GET", "HEAD"}),
        ("/readyz", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_405_and_allow_lists_those_there_are(connect: Any, path: str, allowed: set[str]) -> None:
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"} - allowed:
        answer = connect().send(request(f"{method} {path}")).answer()
        check(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == allowed


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_head_has_the_headers_of_get_and_no_body(talk: Talk, path: str) -> None:
    got = talk.send(request(f"GET {path}")).answer()
    head = talk.send(request(f"HEAD {path}")).answer(body=False)
    assert head.status == got.status == 200
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    assert talk.send(request("GET /healthz")).answer().status == 200


@pytest.mark.parametrize("header", [b"Basic \xff\xfe", "Basic J\u00f6rg".encode(), b"\xe4", b"Basic YTpi\x80"])
def test_raw_bytes_for_credentials_are_401(talk: Talk, header: bytes) -> None:
    answer = talk.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: " + header + b"\r\n\r\n").answer()
    check(answer, 401, "unauthorized")
