"""What the person who starts the service is told: where it listens, and how to try it."""

import logging
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version

from redis.exceptions import RedisError

from cticache.access.invented import Invented
from cticache.config import Config
from cticache.config.environment import ALONE, UNHEEDED
from cticache.link.connection import connect
from cticache.link.redis_url import kind, shown
from cticache.logs import NO_NUMBERS
from cticache.operate import doctor
from cticache.operate.report import counted
from cticache.web.calls import CALLS

_log = logging.getLogger(__name__)


def tell_started(config: Config, url: str, workers: int, *, is_reached: bool) -> None:
    """Tell the log what has started, and on what; ``is_reached``: whether Redis, at ``url``, has answered by now."""
    for name, hint in config.unheeded:
        _log.warning(UNHEEDED, name, hint, extra=NO_NUMBERS)
    numbers = sum(len(pool.numbers) for pool in config.pools)
    names = ", ".join(said.split()[0] for said in config.overrides)
    _log.info(
        "cticache %s has started with %s, %s; Redis: %s (%s); %s, dispatch = %s; %s with %s",
        version("cticache"),
        config.source,
        f"{'by' if config.source is ALONE else 'overridden by'} {names}" if names else "nothing of it overridden",
        shown(url),
        _server(url, config.redis.timeout) if is_reached else "it has not answered yet",
        counted(workers, "worker"),
        config.server.dispatch,
        counted(len(config.pools), "pool"),
        counted(numbers, "number"),
        extra=NO_NUMBERS,
    )


def _server(url: str, timeout: float) -> str:
    """The server's kind and version."""
    if kind(url) == "cluster":
        return "a cluster"
    try:
        with connect(url, timeout) as client:
            return doctor.described(client)
    except RedisError:
        return "it does not answer"


def announce(
    tell: Callable[[str], None], config: Config, listener: socket.socket, invented: Invented | None, *, not_yet: str
) -> None:
    """Tell the log that clients are let in, and the person what to try; ``not_yet``: why the pools are not in place."""
    host, port = listener.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    _log.info("listening on %s with %s", base, config.source, extra=NO_NUMBERS)
    tell(f"cticache listens on {base} with {config.source}")
    if not_yet:
        tell(f"{not_yet} /readyz tells when they are.")
    if invented:
        if config.server.host != host:
            tell(f"No user is configured: it listens on {host} alone, not on {config.server.host}.")
        tell(f"No user is configured: a password has been invented. {invented.remark} Try it:")
        tell("  " + curl(base, invented.password))


def curl(base: str, password: str) -> str:
    """The command that leases a number, quoted for the shells of this system."""
    if sys.platform == "win32":
        # cmd and each PowerShell treat quotes within an argument differently, so this sends a form, which needs none,
        # in place of JSON. PowerShell 5 has an alias curl for a command of its own; curl.exe is the program.
        data = '-d "value=12345678&ani=1234567890"'
        return f'curl.exe --user "username:{password}" -X POST {data} {base}{CALLS}'
    data = """-H "Content-Type:application/json" -X POST -d '{"value" : "12345678", "ani" : "1234567890"}'"""
    return f'curl --user "username:{password}" {data} {base}{CALLS}'
