"""A client of the service that speaks HTTP byte for byte."""

import json
import socket
from typing import Any, NamedTuple

from samples import basic

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
    """A client's connection, byte for byte."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
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

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def request(line: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    lines = [f"{line} HTTP/{version}", "Host: x", f"Authorization: {basic('username')}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def posting(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    return request(f"POST {CALLS}", f"Content-Length: {len(body)}", *headers, body=body, version=version)
