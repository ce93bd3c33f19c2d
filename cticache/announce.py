"""What the person who starts the service is told: where it listens, and how to try it."""

import logging
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

from redis.exceptions import RedisError

from cticache.access.invented import NAME, Invented
from cticache.config import Config
from cticache.config.environment import ALONE, UNHEEDED
from cticache.link.connection import connect
from cticache.link.redis_url import kind, shown
from cticache.logs import NO_NUMBERS
from cticache.operate import doctor
from cticache.operate.recipes import who
from cticache.operate.report import counted
from cticache.web.calls import CALLS

_log = logging.getLogger(__name__)

_ANI = "1234567890"
_PASSWORD = "PASSWORD"  # noqa: S105 - what stands for one
"""What stands in place of a password that only its user knows."""
_REACHED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""All addresses -> the one by which this machine reaches itself."""


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
    base = _url(host, port)
    _log.info("listening on %s with %s", base, config.source, extra=NO_NUMBERS)
    tell(f"cticache listens on {base} with {config.source}")
    if not_yet:
        tell(f"{not_yet} /readyz tells when they are.")
    trial = Trial.of(config, _url(_REACHED.get(host, host), port))
    if invented:
        if config.server.host != host:
            tell(f"No user is configured: it listens on {host} alone, not on {config.server.host}.")
        tell(f"No user is configured: a password has been invented. {invented.remark}")
        trial = Trial(base, NAME, NAME, invented.password)
    if trial:
        tell("Try it: with the first line System X leases a number, with the second System Y takes the data.")
        for line in trial.lines():
            tell(f"  {line}")


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Trial(NamedTuple):
    """A hand-over to try out in a shell."""

    base: str
    """The URL of the service, without a path."""
    lessee: str
    taker: str
    """The users of the two systems."""
    password: str

    @classmethod
    def of(cls, config: Config, base: str) -> "Trial | None":
        """With the first users who may lease from the first pool and take from it; None where there are no two."""
        pool = config.pools[0].name
        lessee, taker = (who(config.users, pool, role) for role in ("lease", "take"))
        return cls(base, lessee, taker, _PASSWORD) if lessee and taker else None

    def lines(self) -> tuple[str, str]:
        """The commands that lease a number and take the data, for the shells of this system, one after the other."""
        lessee, taker = (f'--user "{name}:{self.password}" -sS' for name in (self.lessee, self.taker))
        calls = f"{self.base}{CALLS}"
        if sys.platform == "win32":
            # cmd and each PowerShell treat quotes within an argument differently, and have variables of different
            # kinds, so this sends a form, which needs no such quotes, in place of JSON, and keeps the number in a file.
            # PowerShell 5 has an alias curl for a command of its own; curl.exe is the program.
            return (
                f'curl.exe {lessee} -f -o dnis.txt -d "value=12345678&ani={_ANI}" "{calls}?format=txt"',
                f'curl.exe {taker} -d "ani={_ANI}" --data-urlencode "dnis@dnis.txt" "{calls}/take"',
            )
        data = f"""-H "Content-Type:application/json" -d '{{"value" : "12345678", "ani" : "{_ANI}"}}'"""
        return (
            f"""dnis=$(curl {lessee} {data} {calls} | tee /dev/stderr | cut -d '"' -f 4); echo""",
            f'curl {taker} -X DELETE "{calls}/${{dnis}}:{_ANI}"; echo',
        )
