"""waitress as this service wants it: a stricter parser, answers in one piece, and its own refusals as JSON too.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's parser_class,
task_class, error_task_class, requests, request, server.application and write_soon; a parser's received, parse_header
and what they set; a task's execute, set_close_on_finish, close_on_finish, build_response_header, get_environment,
status, version, response_headers, content_length, complete and wrote_header.
"""

import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import build_http_date

from cticache.errors import BadRequest, HeadersTooLarge, Internal, TooLarge, UnsupportedCoding
from cticache.loop.ending import Ending

_OF_WAITRESS = {kind.status: kind for kind in (BadRequest, TooLarge, HeadersTooLarge, Internal, UnsupportedCoding)}
"""What waitress's own refusals become, by their status."""

_TARGET = re.compile(r"/|https?://|\*$", re.IGNORECASE)
"""How the target of a request may begin (RFC 9112 section 3.2), CONNECT's form left out."""
_PLAIN = re.compile(rb"([A-Z]+) (/[!\"$->@-~]*)(?:\?([!\"$-~]*))? HTTP/1\.1(?=\r\n|\Z)")
"""The usual request line: a path and its query, visible ASCII without a fragment."""
_FRAMING = 8
"""A chunked body may take this many times its own bytes to arrive: in chunks of one byte it takes six times."""


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what two parsers might understand differently (RFC 9112 sections 3, 6.1 and 6.3)."""

    _raw_bytes = 0

    @property
    def body_bytes_received(self) -> int:
        """What waitress compares with its limit: a chunked body's own bytes, and its framing within a bound."""
        return max(len(self.body_rcv), self._raw_bytes // _FRAMING) if self.chunked else self._raw_bytes

    @body_bytes_received.setter
    def body_bytes_received(self, received: int) -> None:
        self._count_raw(received - self.body_bytes_received)

    def _count_raw(self, more: int) -> None:
        """Stands for ``self.body_bytes_received += consumed`` in HTTPRequestParser.received: new sum less old."""
        self._raw_bytes += more

    def parse_header(self, header_plus: bytes) -> None:
        try:
            if plain := _PLAIN.match(header_plus):
                self._parse_plain(header_plus, plain)
            else:
                super().parse_header(header_plus)
        except ValueError as error:  # a Content-Length of thousands of digits, a malformed address
            raise ParsingError(str(error)) from None
        if not plain and (self.version not in ("1.0", "1.1") or not _TARGET.match(self.request_uri)):
            raise ParsingError("Not a request of HTTP/1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")
        if "TRANSFER_ENCODING" in self.headers:  # waitress leaves it there on HTTP/1.0, and would ignore the body
            raise ParsingError("Transfer-Encoding on HTTP/1.0")

    def _parse_plain(self, header_plus: bytes, line: re.Match[bytes]) -> None:
        """Stands for split_uri in HTTPRequestParser.parse_header: its urlsplit takes longer than all the headers.

        waitress takes a target of two slashes for an authority and leaves it alone, so that is what it is given; path,
        query and request_uri are then set as it would have set them.
        """
        method, path, query = line.groups()
        super().parse_header(method + b" // HTTP/1.1" + header_plus[line.end() :])
        self.path = unquote_to_bytes(path).decode("latin-1")
        self.query = "" if query is None else query.decode("ascii")
        self.request_uri = header_plus[line.end(1) + 1 : line.end() - len(" HTTP/1.1")].decode("ascii")

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.completed:  # nothing more is wanted: no body, or one refused already
            self.expect_continue = False
        return consumed


class _Task(WSGITask):  # type: ignore[misc]
    """Runs an application that calls start_response once, before it returns its whole body."""

    def execute(self) -> None:
        """Have the application answer, and send the answer in one piece."""
        application: Callable[..., Iterable[bytes]] = self.channel.server.application
        body = b"".join(application(self.get_environment(), self._start_response))
        self.content_length = len(body)
        head = self.build_response_header()
        self.wrote_header = True
        self.channel.write_soon(head + body)

    def build_response_header(self) -> bytes:
        """Status line and headers; in one pass, unless waitress must decide whether the connection stays open."""
        names = [name for name, _ in self.response_headers]
        if self.channel.ending.letting_go and len(self.channel.requests) == 1 and not self.channel.request:
            self.set_close_on_finish()  # it is the last of those that have come on this connection
        persists = self.version == "1.1" and not self.request.connection_close and not self.close_on_finish
        if not persists or "content-length" not in names:
            head: bytes = super().build_response_header()
            return head
        lines = [f"HTTP/1.1 {self.status}", *[f"{_titled(name)}: {value}" for name, value in self.response_headers]]
        return "\r\n".join([*lines, _date(int(time.time())), "\r\n"]).encode("latin-1")

    def _start_response(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        text = "".join([status, *[name + value for name, value in headers]])
        if "\r" in text or "\n" in text:
            raise ValueError("a header of the answer holds a line's end")
        self.status = status
        self.response_headers = headers
        self.complete = True


@lru_cache(64)
def _titled(name: str) -> str:
    """A header's name in the spelling that old clients know."""
    return "-".join(part.capitalize() for part in name.split("-"))


@lru_cache(1)
def _date(now: int) -> str:
    return f"Date: {build_http_date(now)}"


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        status, _, _ = self.request.error.to_response()
        body = _OF_WAITRESS.get(int(status[:3]), BadRequest)().body().encode()
        self.status = status
        self.response_headers += [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Cache-Control", "no-store"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A client's connection."""

    ending = Ending()
    """When its loop is to end, which it is told in the class that its loop makes; otherwise never."""
    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask


def adjustments(max_body: int, **chosen: Any) -> dict[str, Any]:
    """waitress's settings for this service, with those that the configuration chooses."""
    return {
        "ident": None,
        "max_request_body_size": max_body + 1,  # waitress refuses a body of exactly its limit
        "max_request_header_size": 16384,
        "inbuf_overflow": max(max_body + 1, 65536),  # a caller's data never goes to a file
        "cleanup_interval": 5,
        "clear_untrusted_proxy_headers": False,
        **chosen,
    }
