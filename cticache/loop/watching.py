"""The sockets that a loop watches: what is polled is told to the system once, and not again at each turn.

So a turn costs as much as there is to do in it, however many clients are connected that send nothing.
"""

import selectors
from collections.abc import Callable

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Ready = Callable[[int], None]
"""What is called when a socket can be read or written: with a mask of READ and WRITE."""


class Watching:
    """What a loop polls; from the thread of the loop alone."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, tuple[int, Ready]] = {}

    def watch(self, fileno: int, events: int, ready: Ready) -> None:
        """Call ``ready`` with a mask when this can be read or written; without events, stop watching it.

        OSError where the system can watch no more.
        """
        known = self._watched.get(fileno)
        if known is None:
            if not events:
                return
            self._selector.register(fileno, events, ready)
        elif not events:
            self._selector.unregister(fileno)
            del self._watched[fileno]
            return
        elif known[0] == events:
            return
        else:
            self._selector.modify(fileno, events, ready)
        self._watched[fileno] = events, ready

    def poll(self, patience_s: float) -> None:
        """Wait for that long at the most until something is ready, and call for each what is to be called."""
        for key, mask in self._selector.select(patience_s):
            known = self._watched.get(key.fd)
            if known and known[1] == key.data:  # an earlier one may have closed it, or reopened its number
                key.data(mask)
