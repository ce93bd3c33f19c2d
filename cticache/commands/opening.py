"""What a command works on: the configuration, the URL of its Redis, and the store of a running service."""

import argparse
import os
import socket
from contextlib import ExitStack

from redis.exceptions import RedisError

from cticache import config, reach
from cticache.data import format as formats
from cticache.data.store import Store
from cticache.errors import UserError
from cticache.link.connection import connect
from cticache.link.embedded import Embedded, data_folder, is_imitated, socket_url


def configured(arguments: argparse.Namespace) -> config.Config:
    """The configuration that ``--config`` names, or the one that is found; ConfigError tells what is wrong with it."""
    return config.read(config.find(arguments.config, os.environ), os.environ)


def address(settings: config.Config) -> str:
    """The URL by which clients find the service, as far as its configuration tells."""
    host = settings.server.host if settings.users else "127.0.0.1"
    if not settings.server.port:
        raise UserError(f"{settings.source}: [server] port = 0 is another one at each start: say --url")
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what it listens on, and nothing that could be asked
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def opened(settings: config.Config, stack: ExitStack) -> Store:
    """The store of a running service, for as long as the stack is open; where Redis is away, nothing is left open.

    UserError where its data are of a release that this one knows nothing of.
    """
    with ExitStack() as opening:
        runner = reach.new_runner(reached(settings, opening, start=False), settings.redis, opening)
        store, scripts = reach.new_store(runner, settings)
        scripts.load()
        try:
            formats.check(store.data_format())
        except formats.OtherFormat as error:
            raise UserError(str(error)) from None
        stack.enter_context(opening.pop_all())
    return store


def reached(settings: config.Config, stack: ExitStack, *, start: bool) -> str:
    """The URL of the configured Redis; else of the embedded one, if a service runs it or ``start`` says to start it."""
    url = settings.redis.url
    if not url and is_imitated():
        raise UserError(
            f"{settings.source}: [redis] url is empty: `cticache serve` has an imitation of Redis in its own memory, "
            "for a first try. No other command can look into it, and every call is lost when the service ends; while "
            "it runs, GET /cticache/pools, /cticache/explain and /metrics tell. Set [redis] url to a Redis"
        )
    if not url:
        folder = data_folder(settings.redis.data)
        url = socket_url(folder)
        if not _pings(url, settings.redis.timeout):
            if not start:
                raise UserError(f"the embedded server in {folder} is not running: start it with `cticache serve`")
            embedded = Embedded(folder)
            stack.callback(embedded.stop)
            embedded.start()
            url = embedded.url
    return url


def _pings(url: str, timeout: float) -> bool:
    with connect(url, timeout) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False
