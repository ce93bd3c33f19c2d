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
from typing import Any, NamedTuple

from waitress import create_server
from waitress.server import BaseWSGIServer

from cticache import logs
from cticache.access import passwords
from cticache.access.users import User
from cticache.config.sections import Config, ServerConfig
from cticache.data.follower import Follower, InPlace
from cticache.data.follower import News as KeeperNews
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
from cticache.loop.wire import adjustments, change
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
    nth: int = 0
    """How many there were before it in this service, from its start."""

    @property
    def patience_s(self) -> float:
        """For how long a request waits for figures: at least until it is known that Redis does not answer."""
        return max(self.config.server.figures_timeout, self.config.redis.timeout + _TO_TELL_S)


class Changed(NamedTuple):
    """Another configuration that a process is to serve by."""

    site: Site
    news: KeeperNews
    """Of its pools."""


Configure = Callable[[Site, Pools], None]
"""Has a process serve by another configuration from the return on, on the connections that clients have, too."""


def work(site: Site, listener: socket.socket, parent: Parent) -> None:
    """Serve as one of several processes, until the parent ends this one or is gone."""
    leave_signals_to_the_parent()
    logs.configure(site.config.log.format, site.config.log.level, parent.report)
    events = Events("", site.config.log.repeat)  # the parent says where
    logging.getLogger().addHandler(events)
    pools = Pools(site.config.pools)
    keeper = Follower(pools, new_clocks(site.config), parent.tell, site.nth)
    loop = new_loop(site.config.server)

    has_heard = threading.Event()

    def told(message: KeeperNews) -> None:
        keeper.told(message)
        has_heard.set()

    def ended() -> None:
        loop.stop()
        has_heard.set()

    def started(configure: Configure) -> None:
        def configured(changed: Changed) -> None:
            log = changed.site.config.log
            logs.change(log.format, log.level)
            events.period_s = log.repeat
            pools = Pools(changed.site.config.pools)
            keeper.change(pools, changed.news)
            configure(changed.site, pools)

        parent.follow(told, ended, partial(loop.drain, math.inf), configured, keeper.release)
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
    started: Callable[[Configure], None],
    happened: Callable[[], list[Event]] = list,
) -> None:
    """Serve in this process until the loop is told to end; ``started`` is called when it can, and may wait.

    It is told how to have the process serve by another configuration, which any thread may do.

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
        store, scripts = new_store(runner, site.config, keeper.clocks, keeper.bar)
        Loading(scripts)
        dispatcher = hub or StandIns(config.threads)
        wait = Parking(dispatcher, _MOST_PUT_OFF).wait if isinstance(dispatcher, Hub) else dispatcher.wait
        counts = Counts()
        asking = Asking(upward, wait, site.patience_s)

        def told() -> Told:
            door = by_site.door
            return counts.told(upward.number, os.getpid(), _counted(door, waits, hub), _held(door, waits))

        def asks(question: Any) -> Any:
            upward.mention(told())  # so that what this process has counted by now is among the figures
            return asking(question)

        by_site = _BySite(
            site,
            loop,
            asking,
            passwords.Verifier(**_logins(site, hub), wait=wait, report=store.login_failed),
            Refused(config.refusal_lines, config.refusal_burst, counts, site.config.log.repeat),
            Notices(site.config.log.repeat),
            counts,
            partial(create_app, store, keeper=keeper, is_ending=lambda: loop.letting_go, ask=asks, wait=wait),
        )
        by_site.configure(site, pools)
        stack.callback(by_site.refused.close)
        stack.callback(loop.close)
        if not hub:
            sys.setswitchinterval(_SWITCH_S)
        started(by_site.configure)
        server = by_site.new_server(listener, dispatcher)

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


@dataclass
class _BySite:
    """All of a process that goes by the configuration: changed as a whole, while the process serves."""

    site: Site
    loop: Hub | Threads
    asking: Asking
    verifier: passwords.Verifier
    refused: Refused
    notices: Notices
    counts: Counts
    new_app: Callable[..., Any]
    """Makes the application; of the configuration it knows nothing yet."""

    def __post_init__(self) -> None:
        self._changing = threading.Lock()
        self._app: Any = None
        self._server: BaseWSGIServer | None = None
        self.door: Door
        """Once there is a server."""

    def configure(self, site: Site, pools: Pools) -> None:
        """As Configure says."""
        app = self._application(site, pools)
        config = site.config.server
        with self._changing:
            self.site, self._app = site, app
            self.verifier.change(**_logins(site, self.loop if isinstance(self.loop, Hub) else None))
            self.refused.change(config.refusal_lines, config.refusal_burst, site.config.log.repeat)
            self.notices.change(site.config.log.repeat)
            self.loop.stop_s, self.asking.most_s = config.stop_timeout, site.patience_s
            if self._server:
                self.door.change(_limits(config))
                change(self._server, app, config.max_body)
        if self._server:
            gc.collect()  # the application before this one is a circle of objects

    def new_server(self, listener: socket.socket, dispatcher: Hub | StandIns) -> BaseWSGIServer:
        """What serves by the latest configuration; it opens the port."""
        with self._changing:
            config = self.site.config.server
            server = create_server(self._app, sockets=[listener], _dispatcher=dispatcher, **_adjustments(config))
            self.door = Door(server, _limits(config), closed=Closed(self.counts))
            self._server = server
        return server

    def _application(self, site: Site, pools: Pools) -> Any:
        config, log = site.config.server, site.config.log
        audit = Audit(
            site.audit_key,
            enabled=config.audit,
            in_full=log.format == "json",
            refused=self.refused,
            counts=self.counts,
            notices=self.notices,
        )
        return self.new_app(
            pools=pools,
            verifier=self.verifier,
            audit=audit,
            max_body=config.max_body,
            reads=Leniency(config.origins, get_writes=config.get_writes, single_quotes=config.single_quotes),
            proxies=config.trusted_proxy,
            refresh=Refresh(config.page_refresh, config.figures_timeout),
        )


def _logins(site: Site, hub: Hub | None) -> dict[str, Any]:
    """Who may log in, and how often: what a Verifier is made with."""
    config = site.config.server
    return {
        "users": site.users,
        "remember_s": config.auth_cache,
        "size": config.auth_cache_size,
        "queue": config.auth_queue,
        "wait_s": config.auth_wait,
        "room": None if hub else config.auth_threads,
        "many": config.auth_failures,
    }


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
