"""Puts the service together and runs it: Redis, scripts, store, app, waitress."""

import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from waitress import create_server

from cticache import passwords
from cticache.app import create_app
from cticache.audit import Audit
from cticache.channel import OnLoop, RedisChannel
from cticache.config import Config, RedisConfig, ServerConfig
from cticache.connection import Direct, Runner, connect, dial
from cticache.dispatch import Hub
from cticache.embedded import Embedded, data_folder
from cticache.errors import UserError
from cticache.keys import Keys
from cticache.loader import Scripts, read_scripts
from cticache.pools import Pools
from cticache.resources import CALLS
from cticache.store import Store
from cticache.sync import Keeper
from cticache.users import ROLES, User
from cticache.wire import Channel, adjustments

_log = logging.getLogger(__name__)

_FIRST_SYNC_S = 2.0
"""How long the start waits for the pools to be in place before it says that it is up."""
_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from the others: at Python's 5 ms a burst stalls the loop."""
_OTHER_FILES = 64
"""File descriptors kept for what is no client: Redis, logs, the interpreter."""
_MOST_ON_WINDOWS = 448
"""select() holds 512 sockets there, all told."""


def serve(config: Config, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``announce`` gets the lines for the person who started the service."""
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals(0))
        users, password = config.users, ""
        host = config.server.host
        if not users:
            password, host = passwords.invent(), "127.0.0.1"
            users = (User("username", passwords.hashed(password), None, frozenset(ROLES)),)
        listener = stack.enter_context(listen(host, config.server.port))
        url = config.redis.url
        if not url:
            embedded = Embedded(data_folder(config.redis.data))
            stack.callback(embedded.stop)
            embedded.start()
            url = embedded.url
        client = stack.enter_context(connect(url, config.redis.timeout))
        pools = Pools(config.pools)
        hub = Hub() if config.server.dispatch == "batch" else None
        store, scripts = new_store(_runner(client, hub, config.redis), config)
        try:
            scripts.load()
        except RedisError as error:
            _log.warning("Redis is away, requests are answered with 503 until it is back: %s", error)
        keeper = Keeper(store, pools, config.redis.sync_interval)
        verifier = passwords.Verifier(
            users,
            config.server.auth_cache,
            config.server.auth_cache_size,
            config.server.auth_queue,
            hub.wait if hub else Future.result,
        )
        audit = Audit(config.server.audit_key, enabled=config.server.audit)
        app = create_app(store, pools, verifier, keeper, audit=audit, max_body=config.server.max_body)
        keeper.start()
        stack.callback(keeper.stop)
        server = create_server(app, sockets=[listener], _dispatcher=hub, **_adjustments(config.server))
        server.channel_class = Channel
        stack.callback(server.close)
        keeper.synced.wait(_FIRST_SYNC_S)
        _announce(announce, config, listener, password, in_place=keeper.synced.is_set())
        if hub:
            stack.callback(hub.close)
            stack.enter_context(ended_by_signals(0, hub.stop))
            hub.run(server)
        else:
            sys.setswitchinterval(_SWITCH_S)
            server.run()


def _runner(client: Redis, hub: Hub | None, redis: RedisConfig) -> Runner:
    """Who runs commands: the hub's channel for its requests, redis-py for all else."""
    direct = Direct(client)
    if not hub:
        return direct
    return OnLoop(hub, RedisChannel(hub, lambda: dial(client), redis.timeout, redis.probe), direct)


def new_store(runner: Runner, config: Config) -> tuple[Store, Scripts]:
    """The store on this Redis, and its scripts, which are still to be loaded."""
    scripts = Scripts(runner, read_scripts())
    return Store(runner, scripts, Keys(config.redis.prefix), config.redis.retry_after), scripts


def listen(host: str, port: int) -> socket.socket:
    """A socket that no other service can share; on Windows SO_REUSEADDR would let two services do so unnoticed."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except (OSError, ValueError) as error:  # ValueError: no name at all
        reason = getattr(error, "strerror", None) or "it cannot be the name or address of a machine"
        raise UserError(f"[server] host = {host}: is no address of this machine: {reason}") from None
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(
            f"[server] host = {host}, port = {port}: cannot listen there: {error.strerror}; "
            "stop what uses the port, or choose another with [server] port or CTICACHE_SERVER_PORT"
        ) from None
    return listener


def _adjustments(server: ServerConfig) -> dict[str, Any]:
    return adjustments(
        server.max_body,
        threads=server.threads,
        connection_limit=_affordable(server.connections),
        channel_timeout=server.idle_timeout,
        asyncore_use_poll=sys.platform != "win32",
    )


def _affordable(connections: int) -> int:
    """As many of the connections as the system lets one process have."""
    if sys.platform == "win32":
        most = _MOST_ON_WINDOWS
    else:
        import resource  # noqa: PLC0415 - not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY or soft < connections + _OTHER_FILES <= hard:
            soft = max(soft, connections + _OTHER_FILES)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = soft - _OTHER_FILES
    if connections > most:
        _log.warning("[server] connections = %s: this system allows %s", f"{connections:,}", f"{most:,}")
    return min(connections, most)


def _announce(
    announce: Callable[[str], None], config: Config, listener: socket.socket, password: str, *, in_place: bool
) -> None:
    host, port = listener.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    announce(f"cticache listens on {base} with {config.source}")
    if not in_place:
        announce("The pools are not in place yet: Redis is away, or has much to do; /readyz tells when they are.")
    if password:
        if config.server.host != host:
            announce(f"No user is configured: it listens on {host} alone, not on {config.server.host}.")
        announce("No user is configured: a password has been invented for this run. Try it:")
        announce("  " + curl(base, password))


def curl(base: str, password: str) -> str:
    """The command that leases a number, quoted for the shells of this system."""
    if sys.platform == "win32":
        # cmd and each PowerShell pass the quotes within an argument on in another way, so a form stands for the JSON:
        # it needs none. PowerShell 5 has an alias curl for a command of its own; curl.exe is the program.
        data = '-d "value=12345678&ani=1234567890"'
        return f'curl.exe --user "username:{password}" -X POST {data} {base}{CALLS}'
    data = """-H "Content-Type:application/json" -X POST -d '{"value" : "12345678", "ani" : "1234567890"}'"""
    return f'curl --user "username:{password}" {data} {base}{CALLS}'


@contextmanager
def ended_by_signals(code: int, stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Within, a signal to end calls ``stop``, or raises SystemExit(code), so that all ends in order; a second waits.

    Waitress ends its own loop at SystemExit; it handles no signal itself.
    """
    ends = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        ends.append(signal.SIGBREAK)
    elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup has a service outlive its terminal
        ends.append(signal.SIGHUP)

    def end_it(_signal: int, _frame: FrameType | None) -> None:
        for end in ends:
            signal.signal(end, signal.SIG_IGN)
        if not stop:
            raise SystemExit(code)
        stop()

    before = {end: signal.signal(end, end_it) for end in ends}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler or signal.SIG_DFL)
