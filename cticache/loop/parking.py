"""Lets a request wait for a moment, or for a thread, while the loop goes on."""

import time
from concurrent.futures import Future
from itertools import islice
from typing import Any

from cticache.loop.dispatch import Hub
from cticache.loop.waiting import Waiter

_FOREVER = float("inf")


class Parking:
    """Makes a request's greenlet wait, as link.cluster asks; a peer of the loop."""

    def __init__(self, hub: Hub, most: int = 1_000_000) -> None:
        """``most``: how many of those that waited in vain go on in one turn of the loop, so that others do as well."""
        self._hub = hub
        self._most = most
        self._until: dict[Waiter, float] = {}
        hub.add_peer(self)

    def wait(self, future: "Future[Any]", seconds: float) -> None:
        """Wait until the future is done or so many seconds have passed, as link.cluster.Wait says."""
        waiter = Waiter()
        self._until[waiter] = time.monotonic() + seconds
        future.add_done_callback(lambda _: self._hub.call_soon(lambda: self._hub.resume(waiter)))
        try:
            self._hub.park(waiter)
        finally:
            del self._until[waiter]

    # The loop's peer

    def flush(self) -> None:
        """There is nothing to send."""

    def deadline(self) -> float:
        """When the first of the waits has lasted long enough."""
        return min(self._until.values(), default=_FOREVER)

    def tick(self, now: float) -> None:
        """Resume those whose time has passed."""
        for waiter in islice((waiter for waiter, until in self._until.items() if until <= now), self._most):
            self._hub.resume(waiter)

    def close(self) -> None:
        """There is nothing to close."""
