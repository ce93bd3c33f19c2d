"""waitress's own way to serve, a thread for each request under way, with a loop that ends in order.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it, besides those that ending.py
and wire.py list: wasyncore.loop, and a server's pull_trigger, task_dispatcher and adj.asyncore_use_poll.
"""

import time

from waitress import wasyncore
from waitress.server import BaseWSGIServer

from cticache.loop.ending import Ending, close_idle, close_port
from cticache.loop.wire import Channel

_LONGEST_SLEEP_S = 1.0
"""The longest that a poll sleeps, so that waitress finds idle clients in time."""
_LOOK_S = 0.05
"""How often it is looked, at the end, whether anything is still under way."""
_THREADS_S = 0.2
"""How long the idle threads have to end."""


class Threads(Ending):
    """Runs waitress's loop, and ends it."""

    def __init__(self, stop_s: float) -> None:
        """``stop_s``: how many seconds the requests under way have at the end."""
        super().__init__()
        self._stop_s = stop_s

    def run(self, server: BaseWSGIServer) -> None:
        """Serve until the end is due; then answer what has come by then, close every connection, and leave."""
        server.door.channel_class = type("ThreadsChannel", (Channel,), {"ending": self})
        self.wake = server.pull_trigger
        while not self.is_due():
            self._turn(server, min(self.stop_at - time.monotonic(), _LONGEST_SLEEP_S))
        close_port(server)
        ends_at = time.monotonic() + self._stop_s
        self._turn(server, 0)  # reads what has come
        while close_idle(server) and time.monotonic() < ends_at:
            self._turn(server, _LOOK_S)
        for channel in list(server.active_channels.values()):
            channel.handle_close()
        server.task_dispatcher.shutdown(timeout=_THREADS_S)
        self.wake = lambda: None

    def _turn(self, server: BaseWSGIServer, patience_s: float) -> None:
        wasyncore.loop(max(patience_s, 0), server.adj.asyncore_use_poll, server._map, count=1)
