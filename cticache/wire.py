"""waitress as this service wants it: a stricter parser, and its own refusals as JSON too."""

import re
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

from cticache.app import error_body

_REFUSALS = {
    400: ("bad_request", "The request is not HTTP that can be read here."),
    413: ("too_large", "The body is too long."),
    431: ("headers_too_large", "The headers are too long."),
    500: ("internal", "A fault in cticache; its log tells where."),
    501: ("not_implemented", "This transfer coding is not supported."),
}


_TARGET = re.compile(r"/|https?://|\*$", re.IGNORECASE)
"""How the target of a request begins: RFC 9112 section 3.2, without the form of CONNECT."""
_FRAMING = 8
"""A chunked body may arrive as so many times its own bytes: chunks of one byte take six."""


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what two readers may understand differently (RFC 9112 sections 3, 6.1 and 6.3)."""

    _raw_bytes = 0

    @property
    def body_bytes_received(self) -> int:
        """What waitress holds against its limit: a chunked body's own bytes, the framing within bounds of its own."""
        return max(len(self.body_rcv), self._raw_bytes // _FRAMING) if self.chunked else self._raw_bytes

    @body_bytes_received.setter
    def body_bytes_received(self, received: int) -> None:
        self._raw_bytes += received - self.body_bytes_received

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a Content-Length of thousands of digits, a malformed address
            raise ParsingError(str(error)) from None
        if self.version not in ("1.0", "1.1") or not _TARGET.match(self.request_uri):
            raise ParsingError("Not a request of HTTP/1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")
        if "TRANSFER_ENCODING" in self.headers:  # waitress leaves it there on HTTP/1.0, and would ignore the body
            raise ParsingError("Transfer-Encoding on HTTP/1.0")

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.completed:  # nothing more is wanted: no body, or one refused already
            self.expect_continue = False
        return consumed


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        status, _, _ = self.request.error.to_response()
        number = int(status[:3])
        code, detail = _REFUSALS.get(number, _REFUSALS[400])
        body = error_body(code, detail, number).encode()
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

    parser_class = _Parser
    error_task_class = _ErrorTask


def adjustments(max_body: int, **chosen: Any) -> dict[str, Any]:
    """waitress's settings for this service, around those that the configuration chooses."""
    return {
        "ident": None,
        "max_request_body_size": max_body + 1,  # waitress refuses a body of exactly its limit
        "max_request_header_size": 16384,
        "inbuf_overflow": max(max_body + 1, 65536),  # a caller's data never goes to a file
        "cleanup_interval": 5,
        "clear_untrusted_proxy_headers": False,
        **chosen,
    }
