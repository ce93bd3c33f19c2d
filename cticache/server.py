"""Puts the service together and runs it: Redis, scripts, store, app, waitress."""

import gc
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis import Redis
from waitress import create_server

from cticache import logs
from cticache.access import passwords
from cticache.access.users import ROLES, User
from cticache.config import Config, RedisConfig, ServerConfig
from cticache.data.clock import Clocks
from cticache.data.keeper import Follower, InPlace, Keeper
from cticache.data.keeper import News as KeeperNews
from cticache.data.keys import Keys
from cticache.data.loading import Loading
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.journal.closed import CAUSES, Closed
from cticache.journal.refused import Refused
from cticache.journal.tally import Tally
from cticache.link.breaker import Breaker
from cticache.link.cluster import Cluster, Topology, wait_in_thread
from cticache.link.connection import Direct, Runner, connect, dial, nobody_to_ask
from cticache.link.embedded import Embedded, data_folder
from cticache.link.places import Places
from cticache.link.redis_url import kind
from cticache.loop.dispatch import Hub
from cticache.loop.door import Door, Limits
from cticache.loop.ending import Ending
from cticache.loop.listen import affordable, open_port, reserve
from cticache.loop.parking import Parking
from cticache.loop.redis_channel import OnLoop, RedisChannel
from cticache.loop.signals import ended_by_signals, hangups_ignored, leave_signals_to_the_parent
from cticache.loop.stand_ins import StandIns
from cticache.loop.threads import Threads
from cticache.loop.wire import adjustments
from cticache.loop.workers import News, Workers
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.resources import CALLS

_log = logging.getLogger(__name__)

_FIRST_ANSWER_S, _FIRST_SYNC_S = 0.5, 2.0
"""How long the start waits for the pools to be in place: while Redis does not answer at all, and when it does."""
_SOON_S = 0.02
"""How often it is looked whether the first look is over."""
_MORE_OFF_S = 1.0
"""By how much more than the time-out of a request Redis's clock must be off what is expected to have jumped."""
_MOST_AT_NODE = 100
_STUCK = 0.1
"""The part of the time-out in which a node must answer somebody, if as many wait for it as may."""
_MOST_BY_DEFAULT = 4
"""Worker processes: with more of them Redis, on its one core, becomes the bottleneck."""
_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter to itself: with Python's 5 ms, a burst stalls the loop."""
_MOST_PUT_OFF = 2
"""Logins that have waited in vain answered in one turn of the loop: who sends hundreds of them at once then sends them
one by one, and those who are let in do not wait behind them."""
_NEW_OBJECTS = 10_000
"""New objects before the collector looks for cycles: requests leave none, and a burst holds many objects at once."""


def serve(config: Config, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``announce`` gets the lines for the person who started the service."""
    with ExitStack() as stack:
        stack.enter_context(hangups_ignored())
        stack.enter_context(_told_at_the_end())
        stack.enter_context(ended_by_signals(0))
        users, password = config.users, ""
        host = config.server.host
        if not users:
            password, host = passwords.invent(), "127.0.0.1"
            users = (User("username", passwords.hashed(password), None, frozenset(ROLES)),)
        listener = stack.enter_context(reserve(host, config.server.port))
        url = config.redis.url
        if not url:
            embedded = Embedded(data_folder(config.redis.data))
            stack.callback(embedded.stop)
            embedded.start()
            url = embedded.url
        count = _workers(config)
        site = Site(
            config, url, users, config.server.audit_key or passwords.invent(), Tally(count), Tally(count, CAUSES)
        )
        pools = Pools(config.pools)
        store, scripts = new_store(new_runner(url, config.redis, stack), config, _clocks(config))
        keeper = Keeper(store, pools, config.redis.sync_interval)
        stack.callback(keeper.stop)
        keeper.not_heard()
        first_look = _FirstLook(Loading(scripts, keeper.start), keeper)

        def opens() -> bool:
            """Let clients in, once somebody can serve them and the first look is over; whether it is."""
            if first_look.is_over():
                open_port(listener)
                condition = keeper.condition
                not_yet = "" if condition.in_place else condition.why_not()
                _announce(announce, config, listener, password, not_yet=not_yet)
                return True
            return False

        def started() -> None:
            while not opens():
                keeper.synced.wait(_SOON_S)

        if count == 1:
            loop = _loop(config.server)
            stack.enter_context(_ended_by_signals(loop, config.server))
            _serve_on(loop, site, listener, pools, keeper, started=started)
        else:
            workers = Workers(count, partial(work, site), listener, config.server.stop_timeout)
            stack.enter_context(_ended_by_signals(workers, config.server))
            workers.run(keeper.news, lambda _message: keeper.wake(), opens)


@contextmanager
def _told_at_the_end() -> Iterator[None]:
    """Within it the service runs; the log is told that it has stopped, unless a mistake kept it from starting."""
    try:
        yield
    except SystemExit:
        _log.info("stopped by a signal before anybody was served")
        raise
    _log.info("stopped")


class _FirstLook:
    """The look at the pools with which a start begins. Clients are let in after it, so that none is refused.

    If Redis hangs or is away, or has much to do, it does not wait for it.
    """

    def __init__(self, loading: Loading, keeper: Keeper) -> None:
        self._loading = loading
        self._keeper = keeper
        self._began = time.monotonic()

    def is_over(self) -> bool:
        """Whether to wait no longer; ScriptError if a script does not compile."""
        longest = _FIRST_SYNC_S if self._loading.is_done else _FIRST_ANSWER_S
        waited = time.monotonic() - self._began
        return self._loading.has_failed or self._keeper.synced.is_set() or waited >= longest


@dataclass(frozen=True)
class Site:
    """What each serving process must know; it can be sent to one."""

    config: Config
    url: str
    users: tuple[User, ...]
    audit_key: str
    """The same in all processes, so that an ANI has one digest."""
    refusals: Tally
    closed: Tally


def work(site: Site, listener: socket.socket, news: News) -> None:
    """Serve as one of several processes, until the parent ends this one or is gone."""
    leave_signals_to_the_parent()
    logs.configure()
    pools = Pools(site.config.pools)
    keeper = Follower(pools, _clocks(site.config), news.tell_parent)
    loop = _loop(site.config.server)

    has_heard = threading.Event()

    def told(message: KeeperNews) -> None:
        keeper.told(message)
        has_heard.set()

    def ended() -> None:
        loop.stop()
        has_heard.set()

    def started() -> None:
        news.follow(told, ended, partial(loop.drain, math.inf))
        news.tell_serving()
        has_heard.wait()  # the parent has opened the port then, and knows the pools

    _serve_on(loop, site, listener, pools, keeper, process=news.number - 1, started=started)


def _loop(config: ServerConfig) -> Hub | Threads:
    return Hub(config.stop_timeout) if config.dispatch == "batch" else Threads(config.stop_timeout)


def _ended_by_signals(ending: Ending, config: ServerConfig) -> AbstractContextManager[None]:
    """The first signal begins the drain, the second ends it."""
    return ended_by_signals(0, partial(ending.drain, config.drain), ending.stop)


def _serve_on(
    loop: Hub | Threads,
    site: Site,
    listener: socket.socket,
    pools: Pools,
    keeper: InPlace,
    *,
    process: int = 0,
    started: Callable[[], None],
) -> None:
    """Serve in this process until the loop is told to end; ``started`` is called when it can, and may wait.

    ``process``: which of those that serve this is, from 0.
    """
    config = site.config.server
    with ExitStack() as stack:
        hub = loop if isinstance(loop, Hub) else None
        half = max(config.threads // 2, 1)
        """As many threads may wait for one node; the others serve who needs none of it."""
        runner = new_runner(site.url, site.config.redis, stack, hub, _MOST_AT_NODE if hub else half)
        store, scripts = new_store(runner, site.config, keeper.clocks)
        Loading(scripts)
        dispatcher = hub or StandIns(config.threads)
        verifier = passwords.Verifier(
            site.users,
            config.auth_cache,
            config.auth_cache_size,
            config.auth_queue,
            Parking(dispatcher, _MOST_PUT_OFF).wait if isinstance(dispatcher, Hub) else dispatcher.wait,
            wait_s=config.auth_wait,
            room=None if hub else config.auth_threads,
            many=config.auth_failures,
            report=store.login_failed,
        )
        refused = Refused(config.refusal_lines, config.refusal_burst, site.refusals, process)
        stack.callback(refused.close)
        closed = Closed(site.closed, process)
        app = create_app(
            store,
            pools,
            verifier,
            keeper,
            audit=Audit(site.audit_key, enabled=config.audit, refused=refused),
            max_body=config.max_body,
            proxies=config.trusted_proxy,
            is_ending=lambda: loop.letting_go,
            closed=closed,
        )
        stack.callback(loop.close)
        if not hub:
            sys.setswitchinterval(_SWITCH_S)
        started()
        server = create_server(app, sockets=[listener], _dispatcher=dispatcher, **_adjustments(config))
        Door(server, _limits(config), closed=closed)
        stack.callback(server.close)
        gc.collect()
        gc.freeze()  # what exists by now stays to the end
        gc.set_threshold(_NEW_OBJECTS)
        loop.run(server)


def _clocks(config: Config) -> Clocks:
    return Clocks(config.redis.timeout + _MORE_OFF_S)


def _workers(config: Config) -> int:
    """How many processes serve: as configured, else one a core, at most four."""
    if not config.redis.url and sys.platform == "win32":
        return 1  # the imitation of Redis lives in this process
    if config.server.workers:
        return config.server.workers
    if sys.platform == "linux":
        return min(len(os.sched_getaffinity(0)), _MOST_BY_DEFAULT)
    return min(os.cpu_count() or 1, _MOST_BY_DEFAULT)


def new_runner(
    url: str, redis: RedisConfig, stack: ExitStack, hub: Hub | None = None, most_at_node: int = _MOST_AT_NODE
) -> Runner:
    """What runs the commands: the hub's Redis channels for its requests, redis-py for all others.

    ``most_at_node``: how many threads may wait for one node of a Cluster.
    """
    if kind(url) == "cluster":
        topology = Topology(url, redis.timeout, redis.probe)

        def in_threads(node: str) -> Breaker:
            places = Places(most_at_node, redis.timeout * _STUCK)
            return _in_threads(connect(node, redis.timeout), redis, places=places)

        threads = Cluster(topology, in_threads, wait_in_thread, redis.timeout)
        stack.callback(threads.close)
        if not hub:
            return threads
        on_loop = Cluster(topology, lambda node: _channel(node, redis, hub), Parking(hub).wait, redis.timeout)
        return OnLoop(hub, on_loop, threads)
    client = stack.enter_context(connect(url, redis.timeout))
    sentinels = client.connection_pool.sentinel_manager if kind(url) == "sentinel" else None
    direct = _in_threads(client, redis, sentinels.look if sentinels else nobody_to_ask)
    stack.callback(direct.close)
    channel = RedisChannel(hub, lambda: dial(client), redis.timeout, redis.probe) if hub else None
    if sentinels:
        on_loop_too = [partial(hub.call_soon, channel.leave)] if hub and channel else []
        watch = sentinels.watch([direct.leave, *on_loop_too])
        watch.start()
        stack.callback(watch.stop)
    return OnLoop(hub, channel, direct) if hub and channel else direct


def _in_threads(
    client: Redis, redis: RedisConfig, doubt: Callable[[], None] = nobody_to_ask, places: Places | None = None
) -> Breaker:
    return Breaker(Direct(client, doubt), lambda: dial(client).close(), redis.probe, places)


def _channel(url: str, redis: RedisConfig, hub: Hub) -> RedisChannel:
    client = connect(url, redis.timeout)  # holds what dial needs to know, and opens no connection of its own
    return RedisChannel(hub, lambda: dial(client), redis.timeout, redis.probe)


def new_store(runner: Runner, config: Config, clocks: Clocks | None = None) -> tuple[Store, Scripts]:
    """The store on this Redis, and its scripts, which must still be loaded."""
    scripts = Scripts(runner, read_scripts())
    return Store(scripts, Keys(config.redis.prefix), config.redis.retry_after, clocks), scripts


def _adjustments(server: ServerConfig) -> dict[str, Any]:
    return adjustments(
        server.max_body,
        threads=server.threads,
    )


def _limits(server: ServerConfig) -> Limits:
    return Limits(
        affordable(server.connections),
        header_s=server.header_timeout,
        body_s=server.body_timeout,
        idle_s=server.idle_timeout,
        per_address=server.connections_per_address,
        proxies=server.trusted_proxy,
    )


def _announce(
    announce: Callable[[str], None], config: Config, listener: socket.socket, password: str, *, not_yet: str
) -> None:
    host, port = listener.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    _log.info("listening on %s with %s", base, config.source, extra=logs.NO_NUMBERS)
    announce(f"cticache listens on {base} with {config.source}")
    if not_yet:
        announce(f"{not_yet} /readyz tells when they are.")
    if password:
        if config.server.host != host:
            announce(f"No user is configured: it listens on {host} alone, not on {config.server.host}.")
        announce("No user is configured: a password has been invented for this run. Try it:")
        announce("  " + curl(base, password))


def curl(base: str, password: str) -> str:
    """The command that leases a number, quoted for the shells of this system."""
    if sys.platform == "win32":
        # cmd and each PowerShell treat quotes within an argument differently, so this sends a form, which needs none,
        # in place of JSON. PowerShell 5 has an alias curl for a command of its own; curl.exe is the program.
        data = '-d "value=12345678&ani=1234567890"'
        return f'curl.exe --user "username:{password}" -X POST {data} {base}{CALLS}'
    data = """-H "Content-Type:application/json" -X POST -d '{"value" : "12345678", "ani" : "1234567890"}'"""
    return f'curl --user "username:{password}" {data} {base}{CALLS}'
