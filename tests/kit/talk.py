"""A client of the service that speaks HTTP byte for byte."""

import contextlib
import json
import socket
import struct
from typing import Any, NamedTuple

from kit.patience import PATIENCE_S
from kit.samples import basic

CALLS = "/cticache/DNIS-ANI"
CALL = f"{CALLS}/5551234560:1234567890"
BODY = b'{"value":"v","ani":"1234567890"}'


class Answer(NamedTuple):
    version: str
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Talk:
    """A client's connection, byte for byte; ``window`` makes it read little at a time."""

    def __init__(self, port: int, window: int = 0) -> None:
        self._socket = socket.socket()
        if window:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._socket.settimeout(PATIENCE_S)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> "Talk":
        self._socket.sendall(data)
        return self

    def answer(self, *, body: bool = True) -> Answer:
        version, status, _ = self._file.readline().decode().split(" ", 2)
        headers: dict[str, str] = {}
        while line := self._file.readline().decode().rstrip("\r\n"):
            name, _, text = line.partition(": ")
            assert name.lower() not in headers
            headers[name.lower()] = text
        content = self._file.read(int(headers.get("content-length", 0))) if body else b""
        return Answer(version, int(status), headers, content)

    def is_closed(self) -> bool:
        """Whether the server closes the connection, nothing more being sent."""
        return self._file.read(1) == b""

    def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        with contextlib.suppress(ConnectionResetError):
            return self._file.read()
        return b""

    def end(self) -> None:
        """Send nothing more."""
        self._socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Be gone without a farewell: the server gets a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def request(line: str, *headers: str, body: bytes = b"", version: str = "1.1", user: str = "username") -> bytes:
    lines = [f"{line} HTTP/{version}", "Host: x", f"Authorization: {basic(user)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def posting(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    return request(f"POST {CALLS}", f"Content-Length: {len(body)}", *headers, body=body, version=version)


def get(*paths: str) -> bytes:
    """So many requests, one behind the other."""
    return b"".join(request(f"GET {path}") for path in paths)


def asked(port: int, sent: bytes) -> Answer:
    """The answer to this, on a connection of its own."""
    with contextlib.closing(Talk(port)) as talk:
        return talk.send(sent).answer(body=not sent.startswith(b"HEAD "))
