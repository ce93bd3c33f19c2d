"""Closes a connection in stages where its client may still be sending after the last answer (RFC 9112 section 9.6).

A request can be refused before it has come whole, such as a body beyond the limit. Were the connection closed at once,
what is unread or yet to come would have the kernel send a reset, and that takes the answer away from a client that
sends first and reads then. So our side alone is closed, and what comes is thrown away, until the client closes.

Invariants:

- What comes behind a last answer is never taken for a request, and nothing of it is kept.
- Who lingers does so for a bounded time and a bounded amount, holds no place that a newcomer needs, and does not put
  off the end of the service.
- A connection whose requests have all come whole, and behind which nothing waits, is closed at once.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's handle_read,
handle_write, handle_close, _flush_exception, _flush_some, total_outbufs_len, close_when_flushed, will_close, request,
socket and _fileno.
"""

import socket
from time import monotonic

from cticache.loop.wire import Channel

LINGER_S = 2.0
"""How long it is waited for a client to close; that it is over, the door sees within a second more."""
LINGER_BYTES = 16 << 20
"""How much of what it sends is thrown away in that time."""
_READ_BYTES = 64 << 10
"""How much of that in a turn, so that nobody waits for it."""


class Lingering(Channel):
    """A connection that is closed in stages; all of this runs in the thread of the loop."""

    _thrown_away = 0
    """How many bytes were."""

    def handle_write(self) -> None:
        """Send what waits to be sent; when the last answer is out, close the connection, or linger."""
        if self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close and self._fileno is not None and self._may_send():
                self._linger()
                return
        super().handle_write()

    def handle_read(self) -> None:
        """Read what has come."""
        if self.lingers_until:
            self._throw_away()
        else:
            super().handle_read()

    def _may_send(self) -> bool:
        """Whether something has come that is not read, or the rest of a request that was refused may yet come."""
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))  # nothing: the client has closed
        except BlockingIOError:
            return self.cut_short
        except OSError:
            return False

    def _linger(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            self.handle_close()
            return
        self.close_when_flushed = False
        self.request = None  # what has been read of another one
        self.lingers_until = monotonic() + LINGER_S
        self.server.door.lingers(self)

    def _throw_away(self) -> None:
        try:
            count = len(self.socket.recv(_READ_BYTES))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        self._thrown_away += count
        if not count or self._thrown_away > LINGER_BYTES:
            self.handle_close()
