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
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert list(answer.json) == ["error", "detail", "status"] + ["fields"] * (status == 422)
    assert answer.json["error"] in codes
    assert answer.json["status"] == status
    assert "waitress" not in answer.content.decode().lower()


def coded(*codings: str, body: bytes = b"0\r\n\r\n") -> bytes:
    return request(f"POST {CALLS}", *[f"Transfer-Encoding: {coding}" for coding in codings], body=body)


BAD_REQUESTS = {
    "not HTTP": b"hello\r\n\r\n",
    "a space too many": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "a relative target": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a wrong version": b"GET /healthz HTTP/one\r\nHost: x\r\n\r\n",
    "a space behind the version": b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
    "a tab between": b"GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before the method": b" GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "white space behind a blank line": b"\r\n\t\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bare LF before the method": b"\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bare CR before the method": b"\rGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bare LF behind the version": b"GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
    "a bare LF behind a header": b"GET /healthz HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
    "a fragment": b"GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a control character in the path": b"GET /healthz\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk for a path": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a user in the target": b"GET http://a:b@x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without a host": b"GET http:///healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "another scheme": b"GET ftp://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\nX-A: b\r\n\r\n",
    "no header": b"GET /healthz HTTP/1.1\r\n\r\n",
    "no Host beside a whole URL": b"GET http://x/healthz HTTP/1.1\r\nX-A: b\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "one Host twice": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\nhost: x\r\n\r\n",
    "two Hosts on HTTP/1.0": b"GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "a list for a Host": b"GET /healthz HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "a user in Host": b"GET /healthz HTTP/1.1\r\nHost: a@x\r\n\r\n",
    "a path in Host": b"GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "a header folded by a tab": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\tc\r\n\r\n",
    "a folded first header": b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n",
    "a control character in a header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: \x0b\r\n\r\n",
    "a header without a name": b"GET /healthz HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
    "a space in a header's name": b"GET /healthz HTTP/1.1\r\nBad Header: x\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "a bare carriage return": b"GET /healthz HTTP/1.1\r\nHost: x\ry: z\r\n\r\n",
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n",
    "a malformed address": b"GET http://[::1/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "length and chunks": request(f"POST {CALLS}", "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and length": request(f"POST {CALLS}", "Transfer-Encoding: chunked", "Content-Length: 4", body=b"0\r\n\r\n"),
    "chunks on HTTP/1.0": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="1.0"),
    "a coding on HTTP/1.0 that is none": request(f"POST {CALLS}", "Transfer-Encoding:", body=b"{}", version="1.0"),
    "chunks twice": coded("chunked, chunked"),
    "chunks twice in two headers": coded("chunked", "chunked"),
    "a coding and an empty one": coded("chunked", ""),
    "chunks and a comma": coded("chunked,"),
    "a comma and chunks": coded(", chunked"),
    "chunks of chunks in capitals": coded("Chunked,CHUNKED"),
    "chunks in a folded header": coded("\r\n chunked"),
    "an empty coding": coded(""),
    "an empty coding and a length": request(
        f"POST {CALLS}", "Transfer-Encoding:", f"Content-Length: {len(BODY)}", body=BODY
    ),
    "chunks and an empty length": request(
        f"POST {CALLS}", "Transfer-Encoding: chunked", "Content-Length:", body=b"0\r\n\r\n"
    ),
    "a hexadecimal chunk size": coded("chunked", body=b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a signed chunk size": coded("chunked", body=b"+2\r\n{}\r\n0\r\n\r\n"),
    "a chunk size with an underscore": coded("chunked", body=b"0_2\r\n{}\r\n0\r\n\r\n"),
    "a chunk size of 17 digits": coded("chunked", body=b"0" * 16 + b"2\r\n{}\r\n0\r\n\r\n"),
    "a space before a chunk size": coded("chunked", body=b" 2\r\n{}\r\n0\r\n\r\n"),
    "a space behind a chunk size": coded("chunked", body=b"2 \r\n{}\r\n0\r\n\r\n"),
    "no chunk size": coded("chunked", body=b";a=b\r\n{}\r\n0\r\n\r\n"),
    "a bare LF behind a chunk size": coded("chunked", body=b"2\n{}\r\n0\r\n\r\n"),
    "LF and CRLF behind a chunk size": coded("chunked", body=b"2\n\r\n{}\r\n0\r\n\r\n"),
    "CR and CRLF behind a chunk size": coded("chunked", body=b"2\r\r\n{}\r\n0\r\n\r\n"),
    "LF in a chunk's extension": coded("chunked", body=b"2;a=b\n\r\n{}\r\n0\r\n\r\n"),
    "NUL in a chunk's extension": coded("chunked", body=b"2;a=\0\r\n{}\r\n0\r\n\r\n"),
    "a nameless extension": coded("chunked", body=b"2;\r\n{}\r\n0\r\n\r\n"),
    "a blank line before a chunk": coded("chunked", body=b"\r\n2\r\n{}\r\n0\r\n\r\n"),
    "a bare LF behind a chunk": coded("chunked", body=b"2\r\n{}\n0\r\n\r\n"),
    "a negative chunk size": coded("chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "a trailer that is no header": coded("chunked", body=b"0\r\nhello\r\n\r\n"),
    "a folded trailer": coded("chunked", body=b"0\r\nX-A: b\r\n c\r\n\r\n"),
    "a bare LF in the trailer": coded("chunked", body=b"0\r\nX-A: b\n\r\n\r\n"),
    "a bare LF for a trailer": coded("chunked", body=b"0\r\n\n"),
    "a bad chunk size": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"xyz\r\n\r\n"),
    "a chunk that is not ended": request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"2\r\n{}x\r\n"),
    "a length of 5000 digits": request(f"POST {CALLS}", "Content-Length: " + "9" * 5000),
    "a negative length": request(f"POST {CALLS}", "Content-Length: -1"),
    "a signed length": request(f"POST {CALLS}", "Content-Length: +2"),
    "a hexadecimal length": request(f"POST {CALLS}", "Content-Length: 0x10"),
    "a length with an underscore": request(f"POST {CALLS}", "Content-Length: 1_0"),
    "an empty length": request(f"POST {CALLS}", "Content-Length: "),
    "a word for a length": request(f"POST {CALLS}", "Content-Length: abc"),
    "one length twice": request(f"POST {CALLS}", "Content-Length: 2", "Content-Length: 2", body=b"{}"),
    "a list of lengths": request(f"POST {CALLS}", "Content-Length: 2, 2", body=b"{}"),
    "two lengths": request(f"POST {CALLS}", "Content-Length: 2", "Content-Length: 3"),
}


def test_what_is_not_proper_http_is_400_as_json_and_ends_the_connection(
    connect: Callable[[], Talk], subtests: pytest.Subtests
) -> None:
    for what, data in BAD_REQUESTS.items():
        with subtests.test(what):
            talk = connect().send(data)
            check(talk.answer(), 400, "bad_request")
            assert talk.rest() == b""


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


def test_the_extensions_of_a_chunk_and_trailers_mean_nothing(talk: Talk) -> None:
    for extension in (b";a", b";a=b", b" ; a = b;c", b';a="b;c \\" d"', b";" + b"a" * 1000):
        framed = b"%x%s\r\n%s\r\n0\r\nContent-Length: 7\r\nX-A:\r\n\r\n" % (len(BODY), extension, BODY)
        put = f"PUT {CALL}" if extension != b";a" else f"POST {CALLS}"
        talk.send(request(put, "Transfer-Encoding: Chunked", body=framed) + request("GET /healthz"))
        assert talk.answer().status in (200, 201, 422)
        assert talk.answer().status == 200


def test_a_chunked_body_is_read_however_it_comes(talk: Talk) -> None:
    framed = b"5;a=b\r\n" + BODY[:5] + b"\r\n%X\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\nX-A: b\r\n\r\n"
    headers = "Idempotency-Key: 1", "Transfer-Encoding: chunked"
    taken = request(f"POST {CALL}/take", *headers, body=b"2\r\n{}\r\n0\r\n\r\n")
    for byte in coded("chunked", body=framed) + taken + taken:
        talk.send(bytes([byte]))
    assert [talk.answer().json["value"] for _ in range(3)] == ["v"] * 3


def test_what_frames_a_chunk_and_a_trailer_have_their_limits(connect: Callable[[], Talk]) -> None:
    for body, status, code in (
        (b"2;" + b"a" * 1030, 413, "too_large"),
        (b"2;" + b"a" * 1030 + b"\r\n", 413, "too_large"),
        (b"0\r\n" + b"X-A: b\r\n" * 2049, 431, "headers_too_large"),
        (b"0\r\n" + b"x" * 16400, 431, "headers_too_large"),
    ):
        talk = connect().send(coded("chunked", body=body))
        talk.end()
        check(talk.answer(), status, code)
        assert talk.rest() == b""


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


def test_another_expectation_is_417(connect: Callable[[], Talk]) -> None:
    for expected in ("200-ok", "100-continue, x", "100-continue;a=b"):
        for length in ((), ("Content-Length: 9",), ("Transfer-Encoding: chunked",)):
            talk = connect().send(request(f"POST {CALLS}", *length, f"Expect: {expected}"))
            check(talk.answer(), 417, "expectation_failed")
            assert talk.is_closed()


def test_an_expectation_means_nothing_on_http_1_0_and_an_empty_one_nothing_at_all(connect: Callable[[], Talk]) -> None:
    assert connect().send(request("GET /healthz", "Expect: 200-ok", version="1.0")).answer().status == 200
    assert connect().send(posting(BODY, "Expect:")).answer().status == 201


def test_a_body_that_is_encoded_is_415_and_nothing_is_done(talk: Talk, client: Redis) -> None:
    talk.send(posting(BODY)).answer()
    for line, body in ((f"POST {CALLS}", BODY), (f"PUT {CALL}", BODY), (f"POST {CALL}/take", b"{}")):
        for coding in ("gzip", "GZIP", "x-gzip", "deflate", "br", "identity, gzip", "identity, identity"):
            talk.send(request(line, f"Content-Encoding: {coding}", f"Content-Length: {len(body)}", body=body))
            answer = talk.answer()
            check(answer, 415, "unsupported_encoding")
            assert answer.headers["accept-encoding"] == "identity"
            assert len(client.keys("cti:*:call:*")) == 1


def test_a_body_that_is_as_it_is_may_say_so(talk: Talk) -> None:
    for coding in ("identity", "Identity", ""):
        assert talk.send(posting(BODY, f"Content-Encoding: {coding}")).answer().status == 201


def test_what_is_not_offered_here_is_ignored(talk: Talk) -> None:
    for header in ("Upgrade: h2c", "Upgrade: websocket", "TE: trailers", "Range: bytes=0-,5-"):
        talk.send(request("GET /healthz", header, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"))
        assert talk.answer().status == 200


def test_a_whole_url_outranks_host(talk: Talk) -> None:
    talk.send(request("GET http://elsewhere:8080/healthz")).answer()  # RFC 9112 section 3.2.2: Host is ignored then
    assert talk.send(request("GET HTTPS://elsewhere/healthz?x")).answer().json == {"status": "ok"}
    assert talk.send(request("GET http://[::1]/healthz")).answer().json == {"status": "ok"}


def test_a_host_may_be_written_in_every_way(talk: Talk) -> None:
    for host in ("x", "x:8080", "[::1]:8080", "10.0.0.1", "x_y.example", "", "X%41"):
        assert talk.send(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).answer().status == 200


def test_blank_lines_before_a_request_are_left_out(talk: Talk) -> None:
    for blank in (b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"):
        for _ in range(2):
            assert talk.send(blank + request("GET /healthz")).answer().status == 200
        for byte in blank + request("GET /healthz"):
            talk.send(bytes([byte]))
        assert talk.answer().status == 200


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


def test_close_and_keep_alive_count_among_other_options(connect: Callable[[], Talk]) -> None:
    for version, options, closes in (
        ("1.1", "TE, close", True),
        ("1.1", "Close", True),
        ("1.1", "keep-alive, close", True),
        ("1.1", "keep-alive, TE", False),
        ("1.0", "keep-alive", False),
        ("1.0", "TE, Keep-Alive", False),
        ("1.0", "keep-alive, close", True),
        ("1.0", "TE, x", True),
    ):
        talk = connect().send(request("GET /healthz", f"Connection: {options}", version=version))
        assert talk.answer().status == 200
        if closes:
            assert talk.is_closed()
        else:
            assert talk.send(request("GET /healthz")).answer().status == 200


def test_a_client_of_http_1_0_is_served(connect: Callable[[], Talk]) -> None:
    talk = connect()
    posted = talk.send(posting(BODY, version="1.0")).answer()
    assert posted.status == 201
    assert posted.headers["location"] == CALL
    assert talk.is_closed()
    bare = f"DELETE {CALL} HTTP/1.0\r\nAuthorization: {basic('username')}\r\n\r\n"
    assert connect().send(bare.encode()).answer().json == {"value": "v"}


NOWHERE = [
    (f"POST {CALL}%2Ftake", 405, "method_not_allowed"),
    (f"GET {CALL}%2Ftake", 422, "invalid_fields"),
    (f"GET {CALLS}/5551234560%2F1234567890", 422, "invalid_fields"),
    (f"GET {CALLS}%2F5551234560:1234567890", 404, "no_such_url"),
    ("GET /cticache%2FDNIS-ANI", 404, "no_such_url"),
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
    (f"POST {CALL}/take/x", 404, "no_such_url"),
    (f"DELETE {CALL}/x", 422, "invalid_fields"),
    ("GET /", 404, "no_such_url"),
    ("GET /metrics/", 404, "no_such_url"),
    ("GET //metrics", 404, "no_such_url"),
    ("GET /%6detrics", 404, "no_such_url"),
    ("GET /metrics;x", 404, "no_such_url"),
    ("GET /metrics%3Fx", 404, "no_such_url"),
    ("GET /METRICS", 404, "no_such_url"),
    ("GET /./metrics", 404, "no_such_url"),
    ("GET /x/../metrics", 404, "no_such_url"),
    ("GET http://x//metrics", 404, "no_such_url"),
    ("GET http://x/metrics/", 404, "no_such_url"),
    ("GET http://x/%6detrics", 404, "no_such_url"),
    ("GET /healthz/", 404, "no_such_url"),
    ("GET //healthz", 404, "no_such_url"),
    ("GET /readyz%2F", 404, "no_such_url"),
    ("GET /cticache/pools/", 404, "no_such_pool"),
    ("GET /cticache/pools/system%2Dy", 404, "no_such_pool"),
    ("GET /cticache/pools/system-y/", 404, "no_such_url"),
    ("GET /cticache/explain/?dnis=1&ani=1", 404, "no_such_url"),
    (f"GET /{CALL}", 404, "no_such_url"),
    (f"DELETE http://x/{CALL}", 404, "no_such_url"),
    ("DELETE /cticache/%44NIS-ANI/5551234560:1234567890", 404, "no_such_url"),
    ("DELETE /cticache//DNIS-ANI/5551234560:1234567890", 404, "no_such_url"),
    ("DELETE /CTICACHE/DNIS-ANI/5551234560:1234567890", 404, "no_such_url"),
    ("DELETE /x/../cticache/DNIS-ANI/5551234560:1234567890", 404, "no_such_url"),
    (f"DELETE {CALLS}//5551234560:1234567890", 404, "not_found"),
    (f"DELETE {CALL}//", 422, "invalid_fields"),
    (f"DELETE {CALL}/.", 422, "invalid_fields"),
    (f"DELETE {CALLS}/../DNIS-ANI/5551234560:1234567890", 404, "no_such_url"),
    (f"DELETE {CALLS}/5551234560%253A1234567890", 422, "invalid_fields"),
    (f"GET {CALLS}/%2e%2e", 422, "invalid_fields"),
    ("OPTIONS *", 404, "no_such_url"),
    (f"GET {CALLS}/../../healthz", 404, "no_such_url"),
    (f"FOO {CALLS}", 501, "not_implemented"),
    (f"GET {CALLS}/5551234560:J\u00c3\u00b6rg", 400, "bad_request"),
]


def test_what_leads_nowhere_is_refused_and_touches_no_call(
    connect: Callable[[], Talk], client: Redis, subtests: pytest.Subtests
) -> None:
    connect().send(posting(BODY)).answer()
    for line, status, code in NOWHERE:
        with subtests.test(line):
            check(connect().send(request(line)).answer(), status, code)
            assert client.keys("cti:*:call:*")


@pytest.mark.parametrize(
    "target",
    [
        f"http://example.com{CALL}",
        f"https://example.com:8443{CALL}?detail=0",
        f"{CALL}?",
        f"{CALL}/",
        f"{CALL}/?idempotency_key=/",
        f"{CALLS}/5551234560%3a1234567890",
        f"{CALLS}/5551234560:%2531234567890",
        f"{CALLS}/5551234560/1234567890",
        f"{CALLS}/5551234560/1234567890/",
        f"{CALLS}?dnis=5551234560&ani=1234567890",
        f"{CALLS}/%35551234560:123456789%30/",
        f"{CALLS}/5551234560:tel:1234567890",
        f"{CALLS}/5551234560:123%2F4567890",
    ],
)
def test_a_call_is_found_under_every_form_of_its_target(talk: Talk, client: Redis, target: str) -> None:
    talk.send(posting(BODY)).answer()
    assert talk.send(request(f"DELETE {target}")).answer().json == {"value": "v"}
    assert client.keys("cti:*:call:*") == []


def test_a_word_that_no_query_has_is_forgiven_where_nothing_changes_and_nowhere_else(talk: Talk) -> None:
    talk.send(posting(BODY)).answer()
    for target in (f"https://example.com:8443{CALL}?x=y", f"{CALL}/?x=/"):
        assert talk.send(request(f"GET {target}")).answer().json == {"value": "v"}
    for line in (f"PUT {CALL}?x=y", f"DELETE {CALL}?x=y", f"POST {CALL}/take?x=y", f"DELETE {CALL}/?x=/"):
        answer = talk.send(request(line)).answer()
        check(answer, 422, "invalid_fields")
        assert answer.json["fields"].keys() == {"x"}
    talk.send(request(f"POST {CALLS}?x=y", f"Content-Length: {len(BODY)}", body=BODY))
    check(talk.answer(), 422, "invalid_fields")
    for method in ("GET", "DELETE"):
        check(talk.send(request(f"{method} {CALL}?detail=none")).answer(), 422, "invalid_fields")
    assert talk.send(request(f"DELETE {CALL}")).answer().json == {"value": "v"}


def test_a_slash_at_the_end_and_escapes_are_forgiven_below_the_calls(talk: Talk) -> None:
    for path, taking in ((f"{CALLS}/", f"{CALL}/take/"), (f"http://x{CALLS}/", f"{CALL}/%74ake")):
        talk.send(request(f"POST {path}", f"Content-Length: {len(BODY)}", body=BODY))
        assert talk.answer().status == 201
        dnis = "5551234560" if path == f"{CALLS}/" else "5551234561"
        assert talk.send(request(f"POST {taking.replace('5551234560', dnis)}")).answer().json == {"value": "v"}


def test_no_other_spelling_of_an_open_path_is_open(talk: Talk) -> None:
    for path in ("/healthz/", "//healthz", "/%68ealthz", "/healthz;x", "/HEALTHZ", "/readyz/", "/"):
        check(talk.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).answer(), 401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (CALLS, {"GET", "HEAD", "POST", "PUT", "DELETE"}),
        (CALL, {"GET", "HEAD", "PUT", "DELETE"}),
        (CALL + "/take", {"POST"}),
        (f"{CALLS}/5551234560/1234567890", {"GET", "HEAD", "PUT", "DELETE"}),
        (f"{CALLS}/5551234560/1234567890/take", {"POST"}),
        (CALLS + "/take", {"POST"}),
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


def test_what_has_no_content_leaves_the_connection_open(talk: Talk) -> None:
    for _ in range(2):
        answer = talk.send(request(f"OPTIONS {CALL}")).answer()
        assert (answer.status, answer.content) == (204, b"")
        assert not answer.headers.keys() & {"content-length", "transfer-encoding", "connection"}
        assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
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
