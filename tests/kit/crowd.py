"""Slow clients, any number of them, in a process of their own: `python crowd.py PORT COUNT`.

A third sends nothing; a third a header and a third a body, a byte at a time. Who is shown out comes again.
"""

import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BYTE_S = 2.0
"""How long each waits before its next byte."""
_AGAIN_S = 5.0
"""How long one stays away who was shown out."""
_STEP_S = 0.01
_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
_BODY = b"POST /cticache/DNIS-ANI HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n"
_BEGINNINGS = b"", _HEAD, _BODY


@contextmanager
def crowd(port: int, count: int) -> Iterator[Callable[[], str]]:
    """So many slow clients, who are there when this begins; it tells of them."""
    command = [sys.executable, str(Path(__file__)), str(port), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        asking, told = process.stdin, process.stdout

        def ask() -> str:
            asking.write("\n")
            asking.flush()
            return told.readline().strip()

        try:
            assert told.readline() == "all are there\n"
            yield ask
        finally:
            process.kill()


class _Crowd:
    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._due: deque[tuple[float, socket.socket]] = deque()
        """Who sends a byte when."""
        self._away: deque[tuple[float, int]] = deque()
        """Who comes again when, by kind."""
        self._shown_out = 0
        for number in range(count):
            self._come(number % 3)
            if number % 100 == 0:
                time.sleep(_STEP_S)

    def run(self) -> None:
        print("all are there", flush=True)
        while True:
            for key, _ in self._selector.select(_STEP_S):
                if key.fileobj is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    print(f"{len(self._selector.get_map()) - 1:,} connected, {self._shown_out:,} shown out", flush=True)
                else:
                    self._go(key.fileobj, key.data)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, client = self._due.popleft()
                with suppress(OSError):
                    client.send(b"a")
                    self._due.append((now + _BYTE_S, client))
            while self._away and self._away[0][0] <= now:
                self._come(self._away.popleft()[1])

    def _come(self, kind: int) -> None:
        client = socket.socket()
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(("127.0.0.1", self._port))
        if _BEGINNINGS[kind]:
            with suppress(OSError):
                client.send(_BEGINNINGS[kind])
            self._due.append((time.monotonic() + _BYTE_S, client))
        self._selector.register(client, selectors.EVENT_READ, kind)

    def _go(self, client: socket.socket, kind: int) -> None:
        """Whatever comes, it is the end."""
        with suppress(OSError):
            if client.recv(4096):
                return
        self._selector.unregister(client)
        client.close()
        self._shown_out += 1
        self._away.append((time.monotonic() + _AGAIN_S, kind))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _Crowd(int(sys.argv[1]), int(sys.argv[2])).run()
