"""The application in this process, and behind a real waitress."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import falcon
from redis import Redis
from waitress import create_server, wasyncore

from cticache.channel import OnLoop, RedisChannel
from cticache.connection import Direct, dial
from cticache.dispatch import Hub
from cticache.pools import Pools
from cticache.server import listen
from cticache.store import Store
from cticache.sync import Keeper
from cticache.wire import Channel, adjustments

MAX_BODY = 4096


def files_open() -> int:
    """How many file descriptors this process has, where the system tells."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do; AssertionError if it does not."""
    gives_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < gives_up, "it never came to be"
        time.sleep(0)


@dataclass
class Service:
    """One application and what it stands on."""

    app: falcon.App[Any, Any]
    store: Store
    pools: Pools
    keeper: Keeper
    client: Redis


class Wire:
    """A real waitress on a free port of the loopback, under one dispatcher or the other."""

    def __init__(self, service: Service, dispatch: str, timeout: float = 5.0) -> None:
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.hub = Hub() if dispatch == "batch" else None
        settings = adjustments(MAX_BODY, threads=8, connection_limit=200, channel_timeout=30, asyncore_loop_timeout=1)
        if self.hub:
            self.channel = RedisChannel(self.hub, lambda: dial(service.client), timeout, probe=0.05)
            service.store._runner = OnLoop(self.hub, self.channel, Direct(service.client))
        self._server = create_server(service.app, sockets=[self._listener], _dispatcher=self.hub, **settings)
        self._server.channel_class = Channel
        run = partial(self.hub.run, self._server) if self.hub else self._server.run
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop, from within, and close the socket."""
        if self.hub:
            self.hub.stop()
            self._thread.join(10)
            wasyncore.close_all(self._server._map)
            self.hub.close()
        else:
            self._server.task_dispatcher.shutdown()  # first: a thread that ends pulls the trigger
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._server._map))
            self._thread.join(10)
        self._listener.close()
