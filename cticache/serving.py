"""Serves in one process: its store, the application, waitress and the loop, put together."""

import gc
import logging
import math
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from waitress import create_server

from cticache import logs
from cticache.access import passwords
from cticache.access.users import User
from cticache.config.sections import Config, ServerConfig
from cticache.data.keeper import Follower, InPlace
from cticache.data.keeper import News as KeeperNews
from cticache.data.loading import Loading
from cticache.journal.closed import Closed
from cticache.journal.counts import Counts, Key, Telling, Told
from cticache.journal.events import Event, Events
from cticache.journal.notices import Notices
from cticache.journal.refused import Refused
from cticache.link.waits import Waits
from cticache.loop.asking import Asking
from cticache.loop.dispatch import Hub
from cticache.loop.door import Door, Limits
from cticache.loop.listen import affordable
from cticache.loop.parking import Parking
from cticache.loop.signals import leave_signals_to_the_parent
from cticache.loop.stand_ins import StandIns
from cticache.loop.threads import Threads
from cticache.loop.upward import Parent, Upward
from cticache.loop.wire import adjustments
from cticache.numbering.pools import Pools
from cticache.reach import MOST_AT_NODE, new_clocks, new_runner, new_store
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Leniency
from cticache.web.page.resource import Refresh

_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter to itself: with Python's 5 ms, a burst stalls the loop."""
_TO_TELL_S = 1.0
"""How long it may take to tell so once Redis has not answered."""
_MOST_PUT_OFF = 2
"""Logins that have waited in vain answered in one turn of the loop: who sends hundreds of them at once then sends them
one by one, and those who are let in do not wait behind them."""
_NEW_OBJECTS = 10_000
"""New objects before the collector looks for cycles: requests leave none, and a burst holds many objects at once."""


@dataclass(frozen=True)
class Site:
    """What each serving process must know; it can be sent to one."""

    config: Config
    url: str
    users: tuple[User, ...]
    audit_key: str
    """The same in all processes, so that an ANI has one digest."""

    @property
    def patience_s(self) -> float:
        """For how long a request waits for figures: at least until it is known that Redis does not answer."""
        return max(self.config.server.figures_timeout, self.config.redis.timeout + _TO_TELL_S)


def work(site: Site, listener: socket.socket, parent: Parent) -> None:
    """Serve as one of several processes, until the parent ends this one or is gone."""
    leave_signals_to_the_parent()
    logs.configure(site.config.log.format, site.config.log.level, parent.report)
    events = Events("", site.config.log.repeat)  # the parent says where
    logging.getLogger().addHandler(events)
    pools = Pools(site.config.pools)
    keeper = Follower(pools, new_clocks(site.config), parent.tell)
    loop = new_loop(site.config.server)

    has_heard = threading.Event()

    def told(message: KeeperNews) -> None:
        keeper.told(message)
        has_heard.set()

    def ended() -> None:
        loop.stop()
        has_heard.set()

    def started() -> None:
        parent.follow(told, ended, partial(loop.drain, math.inf))
        parent.tell_serving()
        has_heard.wait()  # the parent has opened the port then, and knows the pools

    serve_on(loop, site, listener, pools, keeper, upward=parent, started=started, happened=events.take)


def new_loop(config: ServerConfig) -> Hub | Threads:
    """The loop of the configured dispatcher."""
    return Hub(config.stop_timeout) if config.dispatch == "batch" else Threads(config.stop_timeout)


def serve_on(
    loop: Hub | Threads,
    site: Site,
    listener: socket.socket,
    pools: Pools,
    keeper: InPlace,
    *,
    upward: Upward,
    started: Callable[[], None],
    happened: Callable[[], list[Event]] = list,
) -> None:
    """Serve in this process until the loop is told to end; ``started`` is called when it can, and may wait.

    ``upward`` is whoever has the overview of all that serve; it is told what has ``happened`` since the last time.
    """
    config = site.config.server
    with ExitStack() as stack:
        hub = loop if isinstance(loop, Hub) else None
        half = max(config.threads // 2, 1)
        """As many threads may wait for one node; the others serve who needs none of it."""
        waits = Waits()
        runner = new_runner(
            site.url, site.config.redis, stack, hub, most_at_node=MOST_AT_NODE if hub else half, waits=waits
        )
        store, scripts = new_store(runner, site.config, keeper.clocks)
        Loading(scripts)
        dispatcher = hub or StandIns(config.threads)
        wait = Parking(dispatcher, _MOST_PUT_OFF).wait if isinstance(dispatcher, Hub) else dispatcher.wait
        verifier = passwords.Verifier(
            site.users,
            config.auth_cache,
            config.auth_cache_size,
            config.auth_queue,
            wait,
            wait_s=config.auth_wait,
            room=None if hub else config.auth_threads,
            many=config.auth_failures,
            report=store.login_failed,
        )
        counts = Counts()
        refused = Refused(config.refusal_lines, config.refusal_burst, counts)
        stack.callback(refused.close)

        def told() -> Told:
            return counts.told(upward.number, os.getpid(), _counted(door, waits, hub), _held(door, waits))

        asking = Asking(upward, wait, site.patience_s)

        def asks(question: Any) -> Any:
            upward.mention(told())  # so that what this process has counted by now is among the figures
            return asking(question)

        log = site.config.log
        audit = Audit(
            site.audit_key,
            enabled=config.audit,
            in_full=log.format == "json",
            refused=refused,
            counts=counts,
            notices=Notices(log.repeat),
        )
        app = create_app(
            store,
            pools,
            verifier,
            keeper,
            audit=audit,
            max_body=config.max_body,
            reads=Leniency(config.origins, get_writes=config.get_writes, single_quotes=config.single_quotes),
            proxies=config.trusted_proxy,
            is_ending=lambda: loop.letting_go,
            ask=asks,
            refresh=Refresh(config.page_refresh, config.figures_timeout),
        )
        stack.callback(loop.close)
        if not hub:
            sys.setswitchinterval(_SWITCH_S)
        started()
        server = create_server(app, sockets=[listener], _dispatcher=dispatcher, **_adjustments(config))
        door = Door(server, _limits(config), closed=Closed(counts))

        def tells() -> None:
            upward.report(told())
            if events := happened():
                upward.report(events)

        telling = Telling(tells)
        telling.start()
        stack.callback(telling.close)
        stack.callback(server.close)
        gc.collect()
        gc.freeze()  # what exists by now stays to the end
        gc.set_threshold(_NEW_OBJECTS)
        loop.run(server)


def _counted(door: Door, waits: Waits, hub: Hub | None) -> Mapping[Key, float]:
    """What others have counted than requests."""
    counted: dict[Key, float] = {
        ("accepted",): door.entered,
        ("redis", "count"): waits.answers,
        ("redis", "sum"): waits.seconds,
    }
    if hub:
        counted |= {("batch", "count"): hub.batches, ("batch", "sum"): hub.batched}
    return counted


def _held(door: Door, waits: Waits) -> Mapping[str, float]:
    """What holds now, under the names that operate.metrics has for it."""
    return {"connections": door.inside, "redis_servers_away": waits.away}


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
