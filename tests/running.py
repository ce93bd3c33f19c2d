"""The application in this process, and behind a real waitress."""

import threading
from dataclasses import dataclass
from typing import Any

import falcon
from waitress import create_server, wasyncore

from cticache.pools import Pools
from cticache.server import listen
from cticache.store import Store
from cticache.sync import Keeper
from cticache.wire import Channel, adjustments

MAX_BODY = 4096


@dataclass
class Service:
    """One application and what it stands on."""

    app: falcon.App[Any, Any]
    store: Store
    pools: Pools
    keeper: Keeper


class Wire:
    """A real waitress on a free port of the loopback."""

    def __init__(self, app: falcon.App[Any, Any]) -> None:
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        settings = adjustments(MAX_BODY, threads=8, connection_limit=200, channel_timeout=30)
        self._server = create_server(app, sockets=[self._listener], **settings, asyncore_loop_timeout=1)
        self._server.channel_class = Channel
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop, from within, and close the socket."""
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._server._map))
        self._thread.join(10)
        self._server.task_dispatcher.shutdown()
        self._listener.close()
