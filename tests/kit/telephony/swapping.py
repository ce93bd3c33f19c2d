"""A proxy that is broken: it gives each of two callers the other one's data."""

import http.client
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from kit.patience import PATIENCE_S


class _Swap:
    """The first two bodies that come through are exchanged; all others pass."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: Future[bytes] = Future()
        self._second: Future[bytes] = Future()
        self._seen = 0

    def through(self, body: bytes) -> bytes:
        with self._lock:
            self._seen += 1
            turn = self._seen
        if turn > 2:
            return body
        mine, others = (self._first, self._second) if turn == 1 else (self._second, self._first)
        mine.set_result(body)
        return others.result(PATIENCE_S)


@contextmanager
def swapping(port: int) -> Iterator[int]:
    """The port of such a proxy before the service on ``port``."""
    swap = _Swap()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as service:
                service.request("POST", self.path, sent, dict(self.headers.items()))
                answer = service.getresponse()
                body = answer.read()
            if answer.status == 200:
                body = swap.through(body)
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
