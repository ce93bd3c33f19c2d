"""How long one process has waited for Redis, and which servers it takes to be away."""

import threading
from typing import Protocol
from weakref import WeakSet


class Server(Protocol):
    """One that commands are sent to."""

    @property
    def is_away(self) -> bool:
        """Whether commands fail at once, until a probe has got through."""


class Waits:
    """What is known of them; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: WeakSet[Server] = WeakSet()
        self.answers = 0
        """Requests that Redis has answered, each with one command or several."""
        self.seconds = 0.0
        """From each of them to its last reply, all together."""

    def watch(self, server: Server) -> None:
        """Count this one among the servers, for as long as it is in use."""
        self._servers.add(server)

    def add(self, seconds: float) -> None:
        """A request was answered after so many seconds."""
        with self._lock:
            self.answers += 1
            self.seconds += seconds

    @property
    def away(self) -> int:
        """How many servers are taken to be away."""
        return sum(server.is_away for server in list(self._servers))
