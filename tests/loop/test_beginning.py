"""What never becomes a request is refused once that is sure, whoever it is for, and says what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from cticache.errors import Refusal
from cticache.loop.parser import Parser, Refused
from cticache.loop.wire import adjustments
from kit.running import MAX_BODY, Service
from kit.talk import CALLS, Answer, Talk, posting, request

TLS = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03"
NO_REQUEST: dict[str, tuple[bytes, int, str]] = {
    "a TLS hello": (TLS, 400, "plain_http"),
    "its first byte": (TLS[:1], 400, "plain_http"),
    "a TLS hello behind a blank line": (b"\r\n" + TLS, 400, "plain_http"),
    "a hello of SSL 2": (b"\x80\x2e\x01\x03\x01", 400, "bad_request"),
    "a bare LF": (b"\n", 400, "bad_request"),
    "a bare LF behind a blank line": (b"\r\n\n", 400, "bad_request"),
    "a NUL": (b"\0", 400, "bad_request"),
    "JSON": (b"{", 400, "bad_request"),
    "a byte beyond ASCII in the method": (b"G\xc3", 400, "bad_request"),
    "a word": (b"hello\r\n", 400, "bad_request"),
    "a word and a bare LF": (b"hello\n", 400, "bad_request"),
    "a tab behind the method": (b"GET\t", 400, "bad_request"),
    "a command of Redis": (b"*1\r\n", 400, "bad_request"),
    "SSH": (b"SSH-2.0-x\r\n", 400, "bad_request"),
    "a command of SMTP": (b"EHLO x\r\n", 400, "bad_request"),
    "a line with a bare LF": (b"GET /healthz HTTP/1.1\n", 400, "bad_request"),
    "a word for a version": (b"GET /healthz HTTP/one\r\n", 400, "bad_request"),
    "no target": (b"GET HTTP/1.1\r\n", 400, "bad_request"),
    "a target without its slash": (b"GET healthz HTTP/1.1\r\n", 400, "bad_request"),
    "a header with a bare LF": (b"GET /healthz HTTP/1.1\r\nHost: x\n", 400, "bad_request"),
    "a header with a bare CR": (b"GET /healthz HTTP/1.1\r\nHost: x\ry", 400, "bad_request"),
    "a header with a NUL": (b"GET /healthz HTTP/1.1\r\nHost: x\0", 400, "bad_request"),
    "a method with no end": (b"A" * 65, 501, "not_implemented"),
    "a target with no end": (b"GET /" + b"a" * 16400, 414, "uri_too_long"),
    "HTTP/0.9": (b"GET /\r\n", 505, "unsupported_version"),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n", 505, "unsupported_version"),
    "HTTP/2.0": (b"GET /healthz HTTP/2.0\r\n", 505, "unsupported_version"),
    "HTTP/2": (b"GET /healthz HTTP/2\r\n", 505, "unsupported_version"),
    "HTTP/3": (b"POST /healthz HTTP/3\r\n", 505, "unsupported_version"),
    "a version of the future": (b"GET /healthz HTTP/1.2\r\n", 505, "unsupported_version"),
    "a method and a version that are unknown": (b"FOO /healthz HTTP/2.0\r\n", 505, "unsupported_version"),
}
"""What begins so, and nothing more comes."""
UNKNOWN = {
    "another method": request("FOO /healthz"),
    "a method in lower case": request("get /healthz"),
    "a method with a mark": request("M-SEARCH /healthz"),
    "a method for files": request("PROPFIND /healthz"),
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "a very long method": request("A" * 9000 + " /healthz"),
}
WHOLE = [
    posting(b"")[:-4],
    b"\r\nGET /healthz?a=b HTTP/1.0",
    b"GET http://x/healthz HTTP/1.1\r\nX: \x80\tb\r\n",
    b"OPTIONS * HTTP/1.1\r\nX:",
    b"FOO /healthz HTTP/1.1\r\nHost: x",
]


def check(answer: Answer, status: int, code: str) -> None:
    assert (answer.version, answer.status, answer.json["error"]) == ("HTTP/1.1", status, code)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("case", NO_REQUEST)
def test_what_can_become_no_request_is_answered_at_once(connect: Callable[[], Talk], case: str) -> None:
    sent, status, code = NO_REQUEST[case]
    talk = connect().send(sent)
    check(talk.answer(), status, code)
    assert talk.rest() == b""


def read(pieces: list[bytes]) -> Parser:
    parser = Parser(Adjustments(**adjustments(MAX_BODY)))
    for piece in pieces:
        if not parser.completed:
            assert parser.received(piece) == len(piece)
    return parser


def refusal(parser: Parser) -> Refusal | None:
    return parser.error.refusal if isinstance(parser.error, Refused) else None


@pytest.mark.parametrize("case", NO_REQUEST)
def test_it_is_the_same_however_it_comes(case: str) -> None:
    sent, status, code = NO_REQUEST[case]
    said = refusal(read([sent[at : at + 1] for at in range(len(sent))]))
    assert said
    assert (said.status, said.code) == (status, code)


@pytest.mark.parametrize("sent", WHOLE)
@pytest.mark.parametrize("step", [1, 7])
def test_what_can_become_a_request_is_waited_for(sent: bytes, step: int) -> None:
    parser = read([sent[at : at + step] for at in range(0, len(sent), step)])
    assert not parser.completed


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_method_that_is_not_known_is_501_and_told_so(connect: Callable[[], Talk], case: str) -> None:
    answer = connect().send(UNKNOWN[case]).answer()
    check(answer, 501, "not_implemented")
    assert "method" in answer.json["detail"]


def test_a_tls_client_is_told_where_tls_ends(connect: Callable[[], Talk]) -> None:
    assert connect().send(TLS).answer().json["detail"] == (
        "This port speaks plain HTTP: TLS ends at the proxy in front."
    )


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("line", "status"), [("GET /healthz", 431), ("GET /" + "a" * 17000, 414)])
def test_what_is_too_long_is_refused_in_the_clients_version(talk: Talk, version: str, line: str, status: int) -> None:
    answer = talk.send(request(line, "X-Long: " + "a" * 17000, version=version)).answer()
    assert (answer.status, answer.version) == (status, f"HTTP/{version if status == 431 else '1.1'}")
    assert talk.rest() == b""


HEADS = {
    "no Host": b"HEAD /healthz HTTP/1.1\r\nX: y\r\n\r\n",
    "no header that can be read": b"HEAD /healthz HTTP/1.1\r\nX\r\n\r\n",
    "a bare LF": b"HEAD /healthz HTTP/1.1\r\nHost: x\n",
    "a body too long": request("HEAD /healthz", f"Content-Length: {MAX_BODY + 1}"),
    "another coding": request("HEAD /healthz", "Transfer-Encoding: gzip"),
    "headers too long": request("HEAD /healthz", "X: " + "a" * 17000),
    "a target too long": request("HEAD /" + "a" * 17000),
    "another version": request("HEAD /healthz", version="2.0"),
    "another expectation": request("HEAD /healthz", "Expect: x"),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_refused_head_has_no_body(connect: Callable[[], Talk], case: str) -> None:
    talk = connect().send(HEADS[case])
    answer = talk.answer(body=False)
    assert answer.status >= 400
    assert int(answer.headers["content-length"]) > 0
    assert talk.rest() == b""


def test_a_head_that_fails_has_no_body_and_keeps_its_id(
    service: Service, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_env: dict[str, Any]) -> str:
        raise RuntimeError

    monkeypatch.setattr("cticache.web.app._escaped_path", fail)
    answer = talk.send(request("HEAD /healthz", "X-Request-Id: req-1")).answer(body=False)
    assert (answer.status, answer.headers["x-request-id"]) == (500, "req-1")
    assert talk.rest() == b""


def test_an_old_client_that_is_refused_is_told_of_one_end(connect: Callable[[], Talk]) -> None:
    for header in (f"Content-Length: {MAX_BODY + 1}", "Host: y"):
        data = request(f"POST {CALLS}", header, "Connection: keep-alive", version="1.0")
        assert connect().send(data).answer().headers["connection"] == "close"  # it fails where there are two
