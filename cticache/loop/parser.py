"""Reads a request so that no other reader of it, such as a proxy, can understand it differently (RFC 9112).

waitress's parser collects a request and says when it is whole. What its header says is read here: waitress joins what
is folded, takes two hosts for one, and codings that are empty or said twice for none or for one.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a parser's received, that it
calls parse_header, and the attributes that this sets; body_rcv, the reader of a body.
"""

import re
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import unquote_to_bytes

from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.receiver import FixedStreamReceiver
from waitress.utilities import Error, RequestHeaderFieldsTooLarge

from cticache.errors import BadRequest, ExpectationFailed, HeadersTooLarge, Refusal, UnknownMethod
from cticache.loop.beginning import METHODS, is_hopeless, named, why_not, why_not_so_long
from cticache.loop.chunks import Chunks

_PATH, _QUERY = r"(/[!\"$->@-~]*)", r"(?:\?([!\"$-~]*))?"
"""Visible ASCII; no fragment, which a target does not have."""
_NAME = r"[A-Za-z0-9_.~%!$&'()*+;=-]"
_AUTHORITY = rf"(?:{_NAME}+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
"""A host and a port; no user, which is to be treated as an error (RFC 9110 section 4.2.4)."""
_END = r" HTTP/(1\.[01])(?=\r\n)"
_METHOD = f"({'|'.join(METHODS)})"
_LINE = re.compile(rf"{_METHOD} {_PATH}{_QUERY}{_END}")
"""The usual request line (RFC 9112 section 3.2.1)."""
_ABSOLUTE = re.compile(rf"{_METHOD} (?i:https?)://{_AUTHORITY}{_PATH}?{_QUERY}{_END}")
"""As it is sent to a proxy (section 3.2.2)."""
_ASTERISK = re.compile(rf"(OPTIONS) (\*)(){_END}")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)")
"""A header (section 5); a folded one begins with white space, and is refused."""
_HOST = re.compile(rf"(?:{_NAME}*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""One host, and not two with a comma between them."""
_LENGTH = re.compile(r"[0-9]{1,4000}")
_SPACE = ord(" ")
_FRAMING = 8
"""A chunked body may take this many times its own bytes to arrive: in chunks of one byte it takes six times."""


def _request_line(text: str) -> re.Match[str] | None:
    """The first line, if it is a request's."""
    return _LINE.match(text) or _ABSOLUTE.match(text) or _ASTERISK.match(text)


class Refused(Error):  # type: ignore[misc]
    """A parser's error that says which refusal it is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.code = refusal.status
        self.reason = HTTPStatus(refusal.status).phrase


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads one request."""

    header_plus: bytes
    completed: bool
    error: Error | Refusal | None
    body_rcv: Any
    version = "1.1"
    """In which a request is answered that could not be read so far."""
    command = path = ""
    """Unknown where it could not be read."""
    began = 0.0
    """When its first bytes came, if they were not the whole, by time.monotonic()."""
    body_began = 0.0
    """When its header was whole, if its body was not."""
    _raw_bytes = 0
    _has_line = False
    """Whether the first line has come, and can be a request's, before the header was whole."""

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

    def received(self, data: bytes) -> int:
        """Take what belongs to this request; how many bytes that was."""
        if not self.headers_finished and (self.header_plus or data)[0] <= _SPACE and self._is_indented(data):
            self.refuse(BadRequest())
            return len(data)
        before = self.header_plus
        consumed: int = super().received(data)
        if self.completed:  # nothing more is wanted: no body, or one refused already
            self.expect_continue = False
            if isinstance(self.error, Refusal):  # a chunked body's
                self.error = Refused(self.error)
            elif isinstance(self.error, RequestHeaderFieldsTooLarge):
                self.header_plus = before + data
                self.refuse(
                    why_not_so_long(self.header_plus, self.adj.max_request_header_size, HeadersTooLarge()), anew=True
                )
        else:
            self.began = self.began or monotonic()
            if self.headers_finished:
                self.body_began = self.body_began or monotonic()
            else:
                self._judge(len(before))
        return consumed

    def _judge(self, seen: int) -> None:
        """Refuse what can never become a request, without waiting for more of it."""
        begun = b"" if self._has_line else self.header_plus.lstrip(b"\r\n")
        if begun:
            line_is_whole = b"\n" in begun
            refusal = None if line_is_whole and _request_line(begun.decode("latin-1")) else why_not(begun)
            if line_is_whole and isinstance(refusal, UnknownMethod):  # well-formed: its header may say whose it is
                refusal = None
            if refusal:
                self.refuse(refusal)
                return
            self._has_line = line_is_whole
        if is_hopeless(self.header_plus, seen):
            self.refuse(BadRequest())

    def parse_header(self, header_plus: bytes) -> None:
        """Read request line and headers; ParsingError or TransferEncodingNotImplemented, for which waitress looks."""
        text = header_plus.decode("latin-1")
        line = _request_line(text)
        if not line:
            with suppress(ParsingError):  # for the request's id
                self._read_fields(text.partition("\r\n")[2][:-4])
            self.header_plus = header_plus
            self.refuse(why_not(header_plus) or BadRequest())
            return
        self.command, path, query, self.version = line.groups()
        self.request_uri = text[len(self.command) + 1 : line.end() - len(" HTTP/1.1")]
        self.path = path if path and "%" not in path else unquote_to_bytes(path or "/").decode("latin-1")
        self.query = query or ""
        self.url_scheme = self.adj.url_scheme
        self._read_fields(text[line.end() + 2 : -4])
        headers = self.headers
        host = headers.get("HOST")
        if host is None:
            if self.version == "1.1":  # RFC 9112 section 3.2
                raise ParsingError("HTTP/1.1 needs a header Host.")
        elif not _HOST.fullmatch(host):
            raise ParsingError("The header Host is not one host.")
        connection = headers.get("CONNECTION")
        if connection is not None or self.version == "1.0":
            self._read_options(connection or "")
        if "TRANSFER_ENCODING" in headers:
            self._expect_chunks(headers.pop("TRANSFER_ENCODING"))
        elif "CONTENT_LENGTH" in headers:
            self._expect_bytes(headers["CONTENT_LENGTH"])
        if self.version == "1.1" and (expected := headers.get("EXPECT")):
            self.expect_continue = expected.lower() == "100-continue"
            if not self.expect_continue:
                self.refuse(ExpectationFailed())

    def refuse(self, refusal: Refusal, *, anew: bool = False) -> None:
        """Make it a whole request, which is answered with this refusal; ``anew``: its line has not been read."""
        if anew or not self.command:
            self.command, self.version = named(self.header_plus)
        self.error = Refused(refusal)
        self.completed = True
        self.body_rcv, self.content_length, self.chunked = None, 0, False

    def _is_indented(self, data: bytes) -> bool:
        """Whether more than blank lines stands before the request line: waitress would take off any white space."""
        start = self.header_plus + data
        before = start[: len(start) - len(start.lstrip())].replace(b"\r\n", b"")
        return before not in (b"", b"\r") or (before == b"\r" and not start.endswith(b"\r"))

    def _read_fields(self, lines: str) -> None:
        headers = self.headers
        for line in lines.split("\r\n") if lines else ():
            field = _FIELD.fullmatch(line)
            if not field:
                raise ParsingError("A line of the header is folded, or is no header.")
            name, value = field.groups()
            if "_" in name:  # it would be taken for the one with a hyphen
                continue
            key = name.upper().replace("-", "_")
            value = value.strip(" \t")
            headers[key] = f"{headers[key]}, {value}" if key in headers else value

    def _read_options(self, listed: str) -> None:
        """What the client wants of the connection (RFC 9110 section 7.6.1); the task looks for a word that is alone."""
        options = [option.strip(" \t") for option in listed.lower().split(",")]
        option = "close" if "close" in options else "keep-alive" if "keep-alive" in options else ""
        self.connection_close = option == "close" or (self.version == "1.0" and not option)
        if option:
            self.headers["CONNECTION"] = option

    def _expect_chunks(self, listed: str) -> None:
        """One coding, once: two readers may differ about anything else (RFC 9112 sections 6.1 and 6.3)."""
        codings = [coding.strip(" \t").lower() for coding in listed.split(",")]
        if self.version == "1.0" or "" in codings or codings.count("chunked") > 1 or "CONTENT_LENGTH" in self.headers:
            raise ParsingError(
                "Transfer-Encoding is said twice, is empty, or stands beside Content-Length or on HTTP/1.0."
            )
        if codings != ["chunked"]:
            raise TransferEncodingNotImplemented("Another coding than chunked")
        self.chunked = True
        self.body_rcv = Chunks(OverflowableBuffer(self.adj.inbuf_overflow))

    def _expect_bytes(self, length: str) -> None:
        if not _LENGTH.fullmatch(length):
            raise ParsingError("Content-Length is said twice, or is no number.")
        self.content_length = int(length)
        if self.content_length:
            self.body_rcv = FixedStreamReceiver(self.content_length, OverflowableBuffer(self.adj.inbuf_overflow))
