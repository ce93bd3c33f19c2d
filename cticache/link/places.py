"""How many threads may wait for one node of a Cluster, so that some are left for the pools of the others.

While a node hangs, nothing tells so before its first request has waited for the whole time-out. By then all threads
might wait for it. One who finds no place waits, too, since a place is free soon at a node that is well; but only until
the node has answered nobody for a while.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import TimeoutError as RedisTimeoutError


class Places:
    """So many threads may wait for a server at once."""

    def __init__(self, count: int, patience_s: float) -> None:
        """``patience_s``: for how long nothing may happen before one who finds no place gives up."""
        self._free = threading.Semaphore(count)
        self._patience_s = patience_s
        self._moved_at = 0.0
        """When a place was last taken or the server last answered, by time.monotonic()."""

    @contextmanager
    def one(self) -> Iterator[None]:
        """Within it one of the places is taken; RedisTimeoutError if none is free, and nothing happens."""
        while not self._free.acquire(timeout=max(left := self._moved_at + self._patience_s - time.monotonic(), 0.0)):
            if left <= 0:
                raise RedisTimeoutError("as many wait for it as may, and none is answered")
        self._moved_at = time.monotonic()
        try:
            yield
            self._moved_at = time.monotonic()
        finally:
            self._free.release()
