"""Lets a request wait for a moment, or for what a thread does, while the loop goes on."""

import time
from concurrent.futures import Future

from cticache.loop.dispatch import Hub, Waiter

_FOREVER = float("inf")


class Parking:
    """Has a request's greenlet wait, in the way of link.cluster; a peer of the loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._until: dict[Waiter, float] = {}
        hub.add_peer(self)

    def wait(self, future: "Future[None]", seconds: float) -> None:
        """As link.cluster.Wait says: until the future is done, or for so many seconds."""
        waiter = Waiter()
        self._until[waiter] = time.monotonic() + seconds
        future.add_done_callback(lambda _: self._hub.call_soon(lambda: self._hub.resume(waiter)))
        try:
            self._hub.park(waiter)
        finally:
            del self._until[waiter]

    # The loop's peer

    def flush(self) -> None:
        """Nothing is ever sent."""

    def deadline(self) -> float:
        """When the first of them has waited long enough."""
        return min(self._until.values(), default=_FOREVER)

    def tick(self, now: float) -> None:
        """Let those go on who have."""
        for waiter, until in self._until.items():
            if until <= now:
                self._hub.resume(waiter)

    def close(self) -> None:
        """Nothing is open."""
