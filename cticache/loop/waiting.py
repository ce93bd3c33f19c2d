"""What a request waits for on the loop, and who else the loop looks after."""

from typing import Protocol

from greenlet import getcurrent, greenlet


class Peer(Protocol):
    """Something besides the clients that the loop looks after, such as the connection to Redis."""

    def flush(self) -> None:
        """Send the commands of this turn."""

    def deadline(self) -> float:
        """When ``tick`` is due, by time.monotonic(); infinity for never."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def close(self) -> None:
        """Close the connection."""


class Waiter:
    """One wait of the greenlet that makes it."""

    __slots__ = ("owner",)

    def __init__(self) -> None:
        self.owner: greenlet | None = getcurrent()
        """None once the wait is over."""
