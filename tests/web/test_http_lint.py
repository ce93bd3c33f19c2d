"""Every kind of answer before an HTTP linter, REDbot's: what it remarks on is answered in the documentation."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from falcon import Request, Response

if sys.platform == "win32":
    pytest.skip("there are no wheels of the linter under Wine, and what is sent is the same", allow_module_level=True)

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

from cticache.errors import ExpectationFailed, Refusal, WrongFields, refusals
from kit.running import MAX_BODY, Service
from kit.talk import BODY, CALL, CALLS, Talk, posting, request

Headers = list[tuple[bytes, bytes]]

DOCS = Path(__file__).parents[2] / "docs" / "integrate.md"
ANSWERED = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
KINDS = [*refusals()]


class Raises:
    """Answers with the refusal of a number."""

    def on_get(self, _req: Request, _resp: Response, number: str) -> None:
        kind: type[Refusal] = KINDS[int(number)]
        if kind is WrongFields:
            raise WrongFields({"ani": ["Missing."]})
        raise kind("It is so.", retry_after=3)


def headers_of(lines: list[bytes]) -> Headers:
    pairs = (line.partition(b":") for line in lines)
    return [(name, value) for name, _, value in pairs]


def answer(talk: Talk, *, body: bool) -> tuple[bytes, Headers, bytes]:
    """As it stands on the wire."""
    line, lines = talk._file.readline(), []
    while (header := talk._file.readline()) != b"\r\n":
        lines.append(header.removesuffix(b"\r\n"))
    headers = headers_of(lines)
    lengths = [int(value) for name, value in headers if name.lower() == b"content-length"]
    assert lengths or b" 204 " in line  # which must not have one (RFC 9110 section 8.6)
    length = sum(lengths)
    return line.removesuffix(b"\r\n"), headers, talk._file.read(length) if body else b""


def remarks(sent: bytes, talk: Talk) -> Iterator[tuple[str, str]]:
    """What the linter remarks on the answer to a request: the kind of remark, and its words.

    What it says to explain a status, and what it praises, are no remarks.
    """
    head, _, content = sent.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    method, target, version = line.split(b" ")
    asked = HttpRequestLinter()
    asked.process_request_topline(method, b"http://x" + target, version)
    asked.process_headers(headers_of(lines))
    asked.feed_content(content)
    asked.finish_content(True)
    line, headers, content = answer(talk.send(sent), body=method != b"HEAD")
    answered = HttpResponseLinter(no_content=method == b"HEAD", _related=asked)
    answered.process_response_topline(*line.split(b" ", 2))
    answered.process_headers(headers)
    answered.feed_content(content)
    answered.finish_content(True)
    for note in answered.notes:
        for each in (note, *note.subnotes):
            kind = type(each).__name__
            explains = kind.startswith("STATUS_") and "WITHOUT" not in kind
            if each.level != levels.GOOD and not explains:
                yield kind, f"{each.summary} {line!r} to {sent[:60]!r}"


@pytest.mark.parametrize("dispatch", ["batch"], indirect=True)
def test_what_a_linter_remarks_on_is_answered_in_the_docs(
    service: Service, connect: Callable[[], Talk], subtests: pytest.Subtests
) -> None:
    answered = set(ANSWERED.findall(DOCS.read_text("utf-8")))
    service.app.add_route("/raises/{number}", Raises())
    found = set[str]()
    raised = [number for number, kind in enumerate(KINDS) if kind is not ExpectationFailed]  # which takes an Expect
    for sent in [*requests(), *[request(f"GET /raises/{number}", 'If-Match: "x"') for number in raised]]:
        for kind, words in remarks(sent, connect()):
            found.add(kind)
            with subtests.test(kind):
                assert kind in answered, words
    assert answered == found, "what is no longer remarked on needs no answer"


def requests() -> list[bytes]:
    return [
        posting(BODY),
        request(f"GET {CALL}"),
        request(f"GET {CALL}?detail=1"),
        posting(BODY, "Idempotency-Key: 1"),
        posting(BODY, "Idempotency-Key: 1"),
        request(f"PUT {CALL}", 'If-Match: "x"', "Content-Length: 2", body=b"{}"),
        request(f"PUT {CALL}", "Content-Length: 2", body=b"{}"),
        request(f"POST {CALL}/take"),
        request(f"DELETE {CALL}"),
        request(f"DELETE {CALLS}/5551234560:99"),
        request("GET /healthz"),
        request("HEAD /healthz"),
        request("GET /readyz"),
        request("HEAD /readyz"),
        request("GET /metrics"),
        request("HEAD /metrics"),
        request("GET /cticache/pools"),
        request("GET /cticache/pools/system-y"),
        request("GET /cticache/explain?dnis=5551234560&ani=1"),
        request("GET /cticache/"),
        request("HEAD /cticache/page.js"),
        request("GET /cticache/page.css"),
        request("GET /nowhere"),
        request(f"OPTIONS {CALLS}"),
        request(f"PATCH {CALLS}"),
        request("GET /metrics", user="nobody"),
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        request("GET /metrics", user="x-only"),
        posting(b"{"),
        posting(b'{"value":1}'),
        posting(BODY, "Content-Type: image/png"),
        posting(BODY, "Content-Encoding: gzip"),
        posting(BODY, "Expect: x"),
        request(f"POST {CALLS}", f"Content-Length: {MAX_BODY + 1}"),
        request("GET /healthz", "X: " + "a" * 17000),
        request(f"POST {CALLS}", "Transfer-Encoding: gzip"),
        request("GET /healthz", "Host: y"),
        request("GET /healthz", "Connection: close"),
        request("GET /healthz", version="1.0"),
        request("GET /healthz", "Connection: keep-alive", version="1.0"),
        request("GET /healthz", "Connection: keep-alive", f"Content-Length: {MAX_BODY + 1}", version="1.0"),
        request("GET /healthz", "X: " + "a" * 17000, version="1.0"),
        request("HEAD /healthz", "X: " + "a" * 17000),
        request("HEAD /healthz", "Host: y"),
        request("GET /" + "a" * 17000),
        request("FOO /healthz"),
        request("get /healthz"),
        request("A" * 70 + " /healthz"),
        request("GET /healthz", version="3"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\nX: y",
    ]
