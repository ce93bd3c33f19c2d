"""waitress's own way to serve, a thread for each request under way, on a loop that ends in order.

Invariants:

- The loop reads what comes and lets clients in; what it watches is changed in its own thread alone.
- An answer wakes the loop only if that has something to do for it: client.py says when.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it, besides those that client.py,
ending.py and wire.py list: a server's trigger, readable, add_task, pull_trigger, task_dispatcher and
adj.outbuf_high_watermark.
"""

import time
from collections import deque
from threading import get_ident

from waitress import wasyncore
from waitress.server import BaseWSGIServer

from cticache.loop.client import Client, ThreadsChannel
from cticache.loop.ending import Ending, close_idle, close_port, tell_cut_off
from cticache.loop.watching import READ, Watching

_LONGEST_SLEEP_S = 1.0
"""The longest that a poll sleeps, so that the door sees in time whose time is over."""
_LOOK_S = 0.05
"""How often it is looked, at the end, whether anything is still under way."""
_THREADS_S = 0.2
"""How long the idle threads have to end."""
_OUT_OF_REACH = 1 << 60
"""A limit in bytes that nothing reaches."""


class Threads(Watching, Ending):
    """Runs the loop, and ends it."""

    def __init__(self, stop_s: float) -> None:
        """``stop_s``: how many seconds the requests under way have at the end."""
        Watching.__init__(self)
        Ending.__init__(self, stop_s)
        self._touched: deque[Client] = deque()
        self._thread = 0
        self.closing = False
        """Only requests that have begun are still read: a client that never stops asking would put off the end."""

    def is_inside(self) -> bool:
        """Whether the caller runs in the thread of the loop."""
        return get_ident() == self._thread

    def touch(self, channel: Client) -> None:
        """Settle this channel at the end of the turn."""
        self._touched.append(channel)

    def touch_soon(self, channel: Client) -> None:
        """Wake the loop, and have it settle this channel; from any thread."""
        self._touched.append(channel)
        self.wake()

    def add_task(self, channel: ThreadsChannel) -> None:
        """A request of this channel is complete; its lock is held."""
        if channel.total_outbufs_len and not self.is_inside():  # which its thread is about to send
            channel.is_held_back = True
        else:
            self.queue(channel)

    def queue(self, channel: ThreadsChannel) -> None:
        """Have a thread serve the next request of this channel."""
        self._dispatcher.add_task(channel)

    def run(self, server: BaseWSGIServer) -> None:
        """Serve until the end is due; then answer what has come by then, close every connection, and leave."""
        self._thread = get_ident()
        self._dispatcher = server.task_dispatcher

        def accept(_mask: int) -> None:
            server.door.knock()

        def woken(_mask: int) -> None:
            wasyncore.read(server.trigger)

        server.door.channel_class = type("ThreadsChannel", (ThreadsChannel,), {"loop": self, "ending": self})
        server.add_task = self.add_task
        server.pull_trigger = lambda: None  # it would wake the loop for each answer
        server.adj.outbuf_high_watermark = _OUT_OF_REACH  # beyond it a thread would wait for its client to read
        server.adj.send_bytes = _OUT_OF_REACH  # up to which nothing is sent before the end of the request
        self.wake = server.trigger.pull_trigger
        self.watch(server.trigger._fileno, READ, woken)
        listener = server.socket.fileno()
        while not self.is_due():
            # This is also where the door looks whose time is over.
            self.watch(listener, READ if server.readable() else 0, accept)
            self._turn(min(min(self.stop_at, server.door.turn_at) - time.monotonic(), _LONGEST_SLEEP_S))
        self.watch(listener, 0, accept)
        close_port(server)
        self.tell_closed()
        ends_at = time.monotonic() + self.stop_s
        self._turn(0)  # reads what has come
        self.closing = True
        while close_idle(server) and time.monotonic() < ends_at:
            self._turn(_LOOK_S)
        tell_cut_off(server, self.stop_s)
        for channel in list(server.active_channels.values()):
            channel.handle_close()
        server.task_dispatcher.shutdown(timeout=_THREADS_S)
        self.wake = lambda: None
        self.watch(server.trigger._fileno, 0, woken)

    def close(self) -> None:
        """Close what the loop itself holds open; after ``run``."""
        self._selector.close()

    def _turn(self, patience_s: float) -> None:
        self.poll(0 if self._touched else max(patience_s, 0))
        for _ in range(len(self._touched)):
            channel = self._touched.popleft()
            if channel._fileno is not None:
                channel.settle()
