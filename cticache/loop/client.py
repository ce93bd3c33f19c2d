"""A client's connection on a loop that watches it.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's service, cancel,
readable, writable, write_soon, total_outbufs_len, requests, socket, will_close, connected, _fileno, _flush_some,
_flush_exception, handle_close, add_channel and del_channel; wasyncore.read and write.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from waitress import wasyncore

from cticache.loop.ending import is_under_way
from cticache.loop.lingering import Lingering
from cticache.loop.watching import READ, WRITE


class Loop(Protocol):
    """What a client's connection asks of the loop."""

    closing: bool
    """True at the end, when only requests that have begun are still read."""

    def watch(self, fileno: int, events: int, ready: Callable[[int], None]) -> None:
        """Call ``ready`` with a mask when this can be read or written; without events, stop watching it."""

    def touch(self, channel: "Client") -> None:
        """Settle this channel at the end of the turn."""


class LoopOfThreads(Loop, Protocol):
    """The same where requests run in threads."""

    def touch_soon(self, channel: "Client") -> None:
        """Wake the loop, and have it settle this channel; from any thread."""

    def is_inside(self) -> bool:
        """Whether the caller runs in the thread of the loop."""

    def queue(self, channel: "ThreadsChannel") -> None:
        """Have a thread serve the next request of this channel."""


class Client(Lingering):
    """A client's connection on a loop that watches it."""

    loop: Loop
    """Set in the class that the loop makes."""
    paused = False
    """Data has come that must not be read yet: a request is under way, or the loop ends. Reading is not polled."""

    def add_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's own
        """Register with the loop, which may refuse, and then with waitress."""
        try:
            self.loop.watch(self._fileno, READ, self.ready)
        except OSError:
            self.socket.close()
            raise
        super().add_channel(map)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's own
        """Leave the loop, before the socket is closed and its descriptor used again."""
        self.loop.watch(self._fileno, 0, self.ready)
        super().del_channel(map)

    def dismiss(self) -> None:
        """As for any connection."""
        super().dismiss()
        self.loop.touch(self)  # a request of it may be held back

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        if mask & READ:
            if self._wants_more():
                wasyncore.read(self)
            else:
                self.paused = True
        self.loop.touch(self)

    def settle(self) -> None:
        """Send what is waiting to be sent, close the connection if it is time, and watch for what is wanted next."""
        if self._fileno is not None and self.writable():
            wasyncore.write(self)
        if self._fileno is None:
            return
        if self._wants_more():
            self.paused = False
        # A channel stays registered while its request runs: taking it out and back in would cost two syscalls.
        wanted = (0 if self.paused else READ) | (WRITE if self.writable() else 0)
        self.loop.watch(self._fileno, wanted, self.ready)

    def _wants_more(self) -> bool:
        return bool(self.readable() and (not self.loop.closing or is_under_way(self, time.time())))


class HubChannel(Client):
    """A client's connection on the loop of a hub."""

    def settle(self) -> None:
        """As for any client, even while another request of it is queued."""
        if self.total_outbufs_len:
            self._flush_exception(self._flush_some)  # handle_write sends nothing while another request is queued
        super().settle()


class ThreadsChannel(Client):
    """A client's connection whose requests run in threads.

    A thread sends its answer itself, and tells the loop only if something is left for it to do: so an answer does not
    wake the loop. It sends it once it has let go of the request: a client that asks again at once finds the loop ready
    to read. The thread looks for what is left after that, and the loop looks once more whether the request is over
    after it has noted that it waits for that; one of the two sees it.

    Of requests that have come together the next one is begun when the answer before it has been sent: who does not read
    has one answer kept for him, not one for each.
    """

    loop: LoopOfThreads
    is_held_back = False
    """The next request is complete, and begins when nothing is left to send."""

    def ready(self, mask: int) -> None:
        """As for any client; but a request that has come whole is left to its thread."""
        if mask & READ:
            if not self.requests and self.total_outbufs_len:
                with self.outbuf_lock:  # the client may have the answer of which its thread is just taking note
                    pass
            if self._wants_more():
                wasyncore.read(self)
            else:
                self.paused = True
        if self.paused or mask & WRITE or not self.requests:
            self.loop.touch(self)

    def service(self) -> None:
        """Serve a request, in a thread."""
        super().service()
        if self.total_outbufs_len:
            self._flush_exception(self._flush_some)
        self._go_on()
        if self.paused or self.writable() or self.server.door.waits:
            self.loop.touch_soon(self)

    def settle(self) -> None:
        """As for any client, even while another request of it is held back."""
        if self.is_held_back and self.total_outbufs_len:
            self._flush_exception(self._flush_some)  # handle_write sends nothing while there is another request
        super().settle()
        self._go_on()

    def _go_on(self) -> None:
        """Begin the request that is held back, if it is time; whoever sees it first, its thread or the loop."""
        if self.is_held_back:
            with self.requests_lock:
                if self.is_held_back and not self.total_outbufs_len:
                    self.is_held_back = False
                    self.loop.queue(self)

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send what goes at once, one thread at a time: waitress's loop trusts that nobody else sends between requests.

        But a thread that has let go of its request may go on to ask for the body of the next one (100 Continue); and by
        the time that it sends, the loop may have closed the connection, and with it what there was to send.
        """
        with self.outbuf_lock:
            return bool(self.total_outbufs_len and super()._flush_some(do_close))

    def handle_close(self) -> None:
        """Close the connection; in the thread of the loop, which alone may change what is watched."""
        if self.loop.is_inside():
            super().handle_close()
        else:
            self.will_close = True
            self.loop.touch_soon(self)
