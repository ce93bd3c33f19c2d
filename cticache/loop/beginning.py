"""What is said to a client whose first bytes are no request of HTTP/1 (RFC 9112 section 3), once they tell."""

import re

from cticache.errors import BadRequest, PlainHttp, Refusal, TargetTooLong, UnknownMethod, UnsupportedVersion

_TLS_HANDSHAKE = 0x16
"""The first byte of a TLS client's first record (RFC 8446 section 5.1)."""
METHODS = "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"
"""Those of RFC 9110 section 9 and of RFC 5789, but for CONNECT, which is a proxy's."""
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
"""A token. No method that exists is longer."""
_REST = re.compile(rb"([!-~]+)(?: HTTP/([0-9])(?:\.([0-9]))?)?\r")
"""What stands behind the method and its space."""
_SPOKEN = (b"1", b"0"), (b"1", b"1")
_NAMED = re.compile(rb"[\r\n]*(" + _METHOD.pattern + rb") (?:[!-~]+ HTTP/(1\.[01])\r\n)?")
_NEVER = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")


def why_not(start: bytes) -> Refusal | None:
    """Why this, which begins a request whose first line is not as it should be, is refused; None while that can change.

    There are no blank lines before it.
    """
    if start[0] == _TLS_HANDSHAKE:
        return PlainHttp()
    line, ended, _ = start.partition(b"\n")
    method = _METHOD.match(line)
    behind = line[method.end() : method.end() + 1] if method else b""
    if not method or (ended and not behind):
        return BadRequest()
    if not behind:
        return None
    if _METHOD.match(behind):
        return UnknownMethod()
    if behind != b" ":
        return BadRequest()
    return _why_not_line(method[0], line[method.end() + 1 :]) if ended else None


def _why_not_line(method: bytes, rest: bytes) -> Refusal:
    said = _REST.fullmatch(rest)
    if not said:
        return BadRequest()
    target, *version = said.groups()
    if version == [None, None]:  # HTTP/0.9, where it is a path
        return UnsupportedVersion() if target.startswith(b"/") else BadRequest()
    if tuple(version) not in _SPOKEN:
        return UnsupportedVersion()
    return BadRequest() if method.decode("ascii") in METHODS else UnknownMethod()


def why_not_so_long(start: bytes, most: int, refusal: Refusal) -> Refusal:
    """Why a header is refused that has more bytes than ``most``; as a rule that is ``refusal``."""
    start = start.lstrip(b"\r\n")
    if b"\n" in start[:most]:
        return refusal
    return (why_not(start) if start else None) or TargetTooLong()


def is_hopeless(header: bytes, seen: int) -> bool:
    """Whether something is in it that no header can have, a bare LF, say. Up to ``seen`` it was looked at before."""
    return bool(_NEVER.search(header, max(seen - 1, 0)))


def named(start: bytes) -> tuple[str, str]:
    """Method and version of a request that begins so; empty and 1.1 where they are not said."""
    said = _NAMED.match(start)
    method, version = said.groups() if said else (b"", b"")
    return method.decode("ascii"), (version or b"1.1").decode("ascii")
