"""A TCP proxy that a test can cut: Redis goes away and comes back without a server being harmed."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from urllib.parse import urlsplit


class Proxy:
    """Forwards a port of the loopback to the server of ``url``, until it is cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[socket.socket] = []
        self._lock = threading.Lock()
        self._cut = False
        self._drop_replies = False
        self._flows = threading.Event()
        self._flows.set()
        login, at, _ = parts.netloc.rpartition("@")
        self.url = f"redis://{login}{at}127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        with self._lock:
            self._cut = True
            self._close_all()

    def reset(self) -> None:
        """Close every connection, of which both ends hear by a reset, and go on forwarding new ones."""
        with self._lock:
            for side in self._pairs:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._close_all()

    def restore(self) -> None:
        """Forward again."""
        with self._lock:
            self._cut = False
            self._drop_replies = False
            self._close_all()

    def drop_replies(self) -> None:
        """Let commands through and keep the replies: a silent Redis."""
        with self._lock:
            self._drop_replies = True

    def hold_replies(self) -> None:
        """Let commands through and keep the replies for later."""
        self._flows.clear()

    def let_replies_go(self) -> None:
        """Send what was held, and what comes."""
        self._flows.set()

    def close(self) -> None:
        """End for good."""
        self._flows.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._close_all()

    def _close_all(self) -> None:
        for side in self._pairs:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
        self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._cut:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                self._pairs += [near, far]
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if replies:
                    self._flows.wait()
                if not (replies and self._drop_replies):
                    sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class Impostor:
    """A port of the loopback that takes what is sent for commands and answers what the test says, byte for byte."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        """What to answer to these bytes; b"" for nothing. EOFError for closing the connection."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End for good; connections end with their peers."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listener.accept()[0],), daemon=True).start()

    def _talk(self, side: socket.socket) -> None:
        with side, contextlib.suppress(OSError, EOFError):
            while data := side.recv(65536):
                side.sendall(self.answer(data))
