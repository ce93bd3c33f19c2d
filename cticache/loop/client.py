"""A client's connection on the loop.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's service, cancel,
readable, writable, total_outbufs_len, requests, socket, _fileno, _flush_some, _flush_exception, add_channel and
del_channel; wasyncore.read and write.
"""

import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol

from waitress import wasyncore

from cticache.loop.ending import is_under_way
from cticache.loop.wire import Channel

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop(Protocol):
    """What a client's connection asks of the loop."""

    closing: bool
    """True at the end, when only requests that have begun are still read."""

    def watch(self, fileno: int, events: int, ready: Callable[[int], None]) -> None:
        """Call ``ready`` with a mask when this can be read or written; without events, stop watching it."""

    def touch(self, channel: "HubChannel") -> None:
        """Settle this channel at the end of the turn."""


class HubChannel(Channel):
    """A client's connection on the loop of a hub."""

    hub: Loop
    """Set in the class that Hub.run makes."""
    paused = False
    """Data has come that must not be read yet: a request is under way, or the loop ends. Reading is not polled."""

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's own
        """Register with the loop, which may refuse, and then with waitress."""
        try:
            self.hub.watch(self._fileno, READ, self.ready)
        except OSError:
            self.socket.close()
            raise
        super().add_channel(map)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's own
        """Leave the loop, before the socket is closed and its descriptor used again."""
        self.hub.watch(self._fileno, 0, self.ready)
        super().del_channel(map)

    def dismiss(self) -> None:
        """Close the connection now: another client needs its place, or its time is over."""
        self.handle_close()
        self.hub.touch(self)  # a request of it may be held back

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        if mask & READ:
            if self._wants_more():
                wasyncore.read(self)
            else:
                self.paused = True
        self.hub.touch(self)

    def settle(self) -> None:
        """Send what is waiting to be sent, close the connection if it is time, and watch for what is wanted next."""
        if self.total_outbufs_len:
            self._flush_exception(self._flush_some)  # handle_write sends nothing while another request is queued
        if self._fileno is not None and self.writable():
            wasyncore.write(self)
        if self._fileno is None:
            return
        if self._wants_more():
            self.paused = False
        # A channel stays registered while its request runs: taking it out and back in would cost two syscalls.
        wanted = (0 if self.paused else READ) | (WRITE if self.writable() else 0)
        self.hub.watch(self._fileno, wanted, self.ready)

    def _wants_more(self) -> bool:
        return bool(self.readable() and (not self.hub.closing or is_under_way(self, time.time())))
