"""A bare WSGI hello on waitress: with its threads, or with its tasks run inside its own loop (the floor).

Environment: PORT; THREADS (0 for none) and SWITCH_MS, the interpreter's switch interval.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel

MOST_CLIENTS = 2000


def hello(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A constant."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


class InLoop:
    """A task dispatcher without threads: what is complete runs at the end of the loop's turn."""

    def __init__(self) -> None:
        self.tasks: deque[HTTPChannel] = deque()

    def add_task(self, channel: HTTPChannel) -> None:
        """Queue it: the channel's lock is held."""
        self.tasks.append(channel)

    def shutdown(self) -> None:
        """Nothing to end."""


def serve(app: Callable[..., Any]) -> None:
    """Serve on stock waitress under the settings of the environment, until killed."""
    logging.getLogger("waitress.queue").disabled = True  # a line for every request that waits for a thread
    sys.setswitchinterval(float(os.environ["SWITCH_MS"]) / 1000)
    threads = int(os.environ["THREADS"])
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": int(os.environ["PORT"]),
        "connection_limit": MOST_CLIENTS,
        "channel_timeout": 600,
        "asyncore_use_poll": True,  # select() ends at 1,024 sockets
    }
    if threads:
        create_server(app, threads=threads, **settings).run()
    dispatcher = InLoop()
    server = create_server(app, _dispatcher=dispatcher, **settings)
    while True:
        wasyncore.loop(timeout=1, use_poll=True, map=server._map, count=1)
        while dispatcher.tasks:
            dispatcher.tasks.popleft().service()


if __name__ == "__main__":
    serve(hello)
