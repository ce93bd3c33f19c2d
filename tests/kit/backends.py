"""Servers that note what a proxy sends them, byte for byte."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Backend:
    """A server on a port of the loopback, one connection at a time."""

    def __init__(self, listener: socket.socket, ready: bool) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.asked: list[bytes] = []
        """The requests, but for those for /readyz."""
        self.probes = 0
        """How often it was asked for /readyz, and has answered."""
        self.answers = True
        """Else each request is read, and its connection closed."""
        self._ready = ready

    def serve(self) -> None:
        """Until the listener is shut."""
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                with accepted, contextlib.suppress(OSError):
                    accepted.settimeout(20)
                    self._answer(accepted)

    def close(self) -> None:
        """Close the port: whoever comes from now on is refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _answer(self, accepted: socket.socket) -> None:
        with accepted.makefile("rb") as file:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = file.readline()
                if not line:
                    return  # who only looks whether the port is open
                head += line
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            file.read(int(length[0].partition(b":")[2])) if length else b""
            probed = head.split(b" ")[1] == b"/readyz"
            if not probed:
                self.asked.append(head)
            if self.answers or probed:
                status = b"200 OK" if self._ready or not probed else b"503 Service Unavailable"
                accepted.sendall(
                    b"HTTP/1.1 %s\r\nContent-Length: 7\r\nConnection: close\r\n\r\nbackend" % status,
                )
            self.probes += probed


@contextmanager
def backends(count: int = 2, *, ready: bool = True) -> Iterator[list[Backend]]:
    """So many of them; ``ready``: what they say of themselves."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            made.append(Backend(listener, ready))
            thread = threading.Thread(target=made[-1].serve)
            thread.start()
            stack.callback(thread.join)
            stack.callback(made[-1].close)
        yield made
