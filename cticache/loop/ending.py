"""How a process that serves comes to its end, the same under both dispatchers.

First it lets go: it serves on, says by /readyz that it is not ready, and closes each connection with its answer, so
that proxies and load balancers turn to others. Then it stops: the port is closed, what has come by then is answered,
and idle connections are closed.

Invariants:

- Who was let in by the kernel is answered: whoever connected before the port was closed is accepted first, and given a
  moment to ask. Who comes later is refused, and has asked nothing.
- A request is read whole or not at all: a connection that is closed without an answer has had nothing done for it.
- A signal's handler sets flags and wakes the loop, and nothing else: the loop tells the log of the signal.
- A process that its parent ends says nothing of the end but what it had to cut off: the parent tells of the rest.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's requests, request,
total_outbufs_len, creation_time and last_activity; a server's socket and active_channels.
"""

import ctypes
import logging
import math
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer

_log = logging.getLogger(__name__)

_TO_ASK_S = 0.5
"""How long a client that has just connected may take to begin its request, when the service stops."""
_SO_ATTACH_FILTER = 26
"""As in asm-generic/socket.h; Python does not name it."""


class Ending:
    """What a loop is told of its end, by any thread or a signal handler."""

    def __init__(self, stop_s: float = 0.0, wake: Callable[[], None] = lambda: None) -> None:
        """``stop_s``: how many seconds the requests under way have at the end. ``wake`` has the loop look at once."""
        self.wake = wake
        self.stop_s = stop_s
        """As above; it may be changed until then."""
        self._heard: deque[tuple[str, float]] = deque()
        """The signals that the log has not been told of, and after how many seconds each stops."""
        self._has_heard = False
        self.reason = ""
        """The signal that was heard first; empty if none was."""
        self.letting_go = False
        """Whether it has begun: from now on every answer closes its connection."""
        self.stop_at = math.inf
        """When the port is to be closed, by time.monotonic()."""
        self.begun: Callable[[], None] = lambda: None
        """Is called by the loop once it has heard the first signal."""

    def drain(self, seconds: float, heard: str = "") -> None:
        """Let go, and stop after so many seconds; the earliest end that was told counts.

        ``heard`` names the signal that says so: the log is told of it.
        """
        self.letting_go = True
        self.stop_at = min(self.stop_at, time.monotonic() + seconds)
        if heard:
            self.reason = self.reason or heard
            self._heard.append((heard, seconds))
        self.wake()

    def stop(self, heard: str = "") -> None:
        """Stop now; ``heard`` as for ``drain``."""
        self.drain(0, heard)

    def is_due(self) -> bool:
        """Whether it is time to stop; for the loop, which tells the log on this occasion what was heard."""
        while self._heard:
            name, seconds = self._heard.popleft()
            if not self._has_heard:
                self._has_heard = True
                self.begun()
            if seconds:
                _log.info("%s was heard: for %g s /readyz is 503 and all else is served, then it stops", name, seconds)
            else:
                _log.info("%s was heard: it stops", name)
        return self.stop_at <= time.monotonic()

    def tell_closed(self) -> None:
        """Tell the log that nobody is let in any more."""
        if self._has_heard:
            _log.info("the port is closed; what is under way has %g s", self.stop_s)


def close_port(server: BaseWSGIServer) -> None:
    """Let in who has connected by now, as far as the limit of connections allows, and then nobody any more."""
    _keep_out(server.socket)
    server.door.let_everybody_in()
    wasyncore.dispatcher.close(server)


def close_idle(server: BaseWSGIServer) -> bool:
    """Close the connections that have nothing under way; whether any is left."""
    now = time.time()
    for channel in list(server.active_channels.values()):
        if not is_under_way(channel, now):
            channel.handle_close()
    return bool(server.active_channels)


def tell_cut_off(server: BaseWSGIServer, seconds: float) -> None:
    """Tell of the connections that are still open after so many seconds: they are about to be closed."""
    channels = list(server.active_channels.values())
    if channels:
        _log.warning(
            "cut off after [server] stop_timeout = %g: %s of clients, with %s that had come whole",
            seconds,
            _counted(len(channels), "connection"),
            _counted(sum(len(channel.requests) for channel in channels), "request"),
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def is_under_way(channel: Any, now: float) -> bool:
    """Whether a request on this connection has begun and is not answered, or its first one is about to begin."""
    has_asked_nothing = channel.last_activity == channel.creation_time
    return bool(
        channel.requests
        or channel.request
        or channel.total_outbufs_len
        or (has_asked_nothing and now - channel.creation_time < _TO_ASK_S)
    )


def _keep_out(listener: socket.socket) -> None:
    """Have the kernel drop what comes for this port, so that nobody connects between the last accept and the close.

    Such a client would have been let in, and then be cut off. Dropped, it asks again after a second, and is refused.
    Linux alone knows this; elsewhere some microseconds remain.
    """
    if sys.platform != "linux":
        return
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0 bytes
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop_all)))
    except OSError:
        pass  # a kernel that is none of Linux's own
