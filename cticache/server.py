"""Starts the service and ends it: the port, the pools, the processes that serve, and the signals."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from cticache.access import passwords
from cticache.access.invented import NAME, Invented, ensured
from cticache.access.users import ROLES, User
from cticache.announce import announce, tell_started
from cticache.config.sections import Config
from cticache.data.follower import News
from cticache.data.keeper import Keeper
from cticache.data.loading import Loading
from cticache.link.embedded import Embedded, data_folder
from cticache.logs import NO_NUMBERS
from cticache.loop.ending import Ending
from cticache.loop.listen import open_port, reserve
from cticache.loop.signals import ended_by_signals, reloads_at_hangups
from cticache.loop.upward import Alone
from cticache.loop.workers import Workers
from cticache.numbering.pools import Pools
from cticache.operate.metrics import Processes
from cticache.overview import Overview
from cticache.reach import new_clocks, new_runner, new_store
from cticache.reloading import Reloading
from cticache.serving import Changed, Site, new_loop, serve_on, work
from cticache.supervisor import Supervisor

_log = logging.getLogger(__name__)

_FIRST_ANSWER_S, _FIRST_SYNC_S = 0.5, 2.0
"""How long the start waits for the pools to be in place: while Redis does not answer at all, and when it does."""
_SOON_S = 0.02
"""How often it is looked whether the first look is over."""
_MOST_BY_DEFAULT = 4
"""Worker processes: with more of them Redis, on its one core, becomes the bottleneck."""


def serve(
    config: Config,
    tell: Callable[[str], None],
    reloads: Callable[[Callable[[], object]], AbstractContextManager[None]] = reloads_at_hangups,
) -> None:
    """Serve until SIGINT or SIGTERM; ``tell`` gets the lines for the person who started the service.

    Within the context that ``reloads`` makes of it what it is given is called to have config.ini read again.
    """
    with ExitStack() as stack:
        reloading = Reloading(config)
        stack.callback(reloading.close)  # it is the last to end: what it waits for has ended then
        stack.enter_context(reloads(reloading.ask))
        run = stack.enter_context(_told_at_the_end())
        stack.enter_context(ended_by_signals(0))
        supervisor = Supervisor()
        users, invented = _users(config)
        host = "127.0.0.1" if invented else config.server.host
        listener = stack.enter_context(reserve(host, config.server.port))
        url = config.redis.url or _embedded(config.redis.data, stack)
        count = worker_count(config)
        sites = _Sites(url, passwords.invent())
        site = sites.of(config, users)
        pools = Pools(config.pools)
        store, scripts = new_store(new_runner(url, config.redis, stack), config, new_clocks(config))
        keeper = Keeper(
            store,
            pools,
            config.redis.sync_interval,
            lambda: overview.tells(),  # noqa: PLW0108 - made below
            partial(_reload, reloading),
        )
        stack.callback(keeper.stop)
        overview = Overview(config, users, store, pools, keeper)
        stack.callback(overview.stop)
        keeper.not_heard()
        first_look = _FirstLook(Loading(scripts, keeper.start), keeper)

        def opens() -> bool:
            """Let clients in, once somebody can serve them and the first look is over; whether it is."""
            if first_look.is_over():
                open_port(listener)
                overview.start()
                condition = keeper.condition
                tell_started(config, url, count, is_reached=not condition.outage)
                announce(tell, config, listener, invented, not_yet="" if condition.in_place else condition.why_not())
                supervisor.ready(f"serves on port {listener.getsockname()[1]}")
                return True
            return False

        def started() -> None:
            while not opens():
                keeper.synced.wait(_SOON_S)

        if _serves_alone(config):
            alone = Alone(overview.answer, overview.reported)
            stack.callback(alone.close)
            loop = new_loop(config.server)
            stack.enter_context(_ended_by_signals(run, loop, reloading))
            serve_on(loop, site, listener, pools, keeper, upward=alone, started=lambda _configure: started())
        else:
            workers = Workers(
                count,
                partial(work, site),
                listener,
                config.server.stop_timeout,
                reported=overview.reported,
                answer=overview.answer,
                patience_s=site.patience_s,
            )
            overview.processes = lambda: _processes(workers, count, config.server.dispatch)
            service = _Service(sites, keeper, overview, workers, supervisor)
            reloading.start(users, service.serve_by, overview.note_refused)
            workers.begun = supervisor.stopping
            stack.enter_context(_ended_by_signals(run, workers, reloading))
            workers.run(partial(_news, keeper, supervisor), lambda _message: keeper.wake(), opens)


def _embedded(folder: str, stack: ExitStack) -> str:
    """The URL of the embedded server, which is started for as long as the stack is open."""
    embedded = Embedded(data_folder(folder))
    stack.callback(embedded.stop)
    embedded.start()
    return embedded.url


def _news(keeper: Keeper, supervisor: Supervisor) -> News:
    """What the workers are told, each time that this process looks after them."""
    supervisor.lives()
    return keeper.news()


def _users(config: Config) -> tuple[Sequence[User], Invented | None]:
    """Who may call; where none is configured, one whose password is invented, with that."""
    if config.users:
        return config.users, None
    invented = ensured(data_folder(config.redis.data))
    return (User(NAME, passwords.hashed(invented.password), None, frozenset(ROLES)),), invented


@dataclass(frozen=True)
class _Sites:
    """Makes of each configuration what each process must know."""

    url: str
    audit_key: str
    """Where none is configured."""

    def of(self, config: Config, users: Sequence[User], nth: int = 0) -> Site:
        """That of the configuration before which there were so many."""
        return Site(config, self.url, tuple(users), config.server.audit_key or self.audit_key, nth)


@dataclass(frozen=True)
class _Service:
    """All that goes by the configuration in a service with workers."""

    sites: _Sites
    keeper: Keeper
    overview: Overview
    workers: Workers
    supervisor: Supervisor

    def serve_by(self, config: Config, users: Sequence[User]) -> str:
        """Have all of it go by another one, as reloading.Serve says."""
        pools = Pools(config.pools)

        def serve(news: News) -> None:
            site = self.sites.of(config, users, news.nth)
            self.workers.configure(news.nth, partial(work, site), Changed(site, news))
            self.overview.change(config, users, pools)

        self.workers.stop_s = config.server.stop_timeout
        with self.supervisor.reloading():
            return self.keeper.change(pools, serve)


def _reload(reloading: Reloading, tell: Callable[[str], None]) -> None:
    """Have the file read, and tell what became of it."""
    reloading.ask().add_done_callback(lambda done: tell(done.result().text()))


def _processes(workers: Workers, wanted: int, dispatch: str) -> Processes:
    pids = {"parent": os.getpid()} | {str(number): pid for number, pid in workers.pids.items()}
    return Processes(wanted, pids, workers.restarts, dispatch)


@dataclass
class _Run:
    """From the start to the end."""

    began: float
    ending: Ending | None = None
    """Who hears the signals to end it."""


@contextmanager
def _told_at_the_end() -> Iterator[_Run]:
    """Within it the service runs; the log is told why it has stopped, unless a mistake kept it from starting."""
    run = _Run(time.monotonic())
    try:
        yield run
    except SystemExit:
        _log.info("stopped by a signal before anybody was served")
        raise
    lasted = timedelta(seconds=round(time.monotonic() - run.began))
    reason = run.ending.reason if run.ending else ""
    _log.info("stopped by %s after %s", reason or "itself", lasted, extra=NO_NUMBERS)


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


def _ended_by_signals(run: _Run, ending: Ending, reloading: Reloading) -> AbstractContextManager[None]:
    """The first signal begins the drain, the second ends it."""
    run.ending = ending
    return ended_by_signals(0, lambda heard: ending.drain(reloading.config.server.drain, heard), ending.stop)


def _serves_alone(config: Config) -> bool:
    """Whether this process serves by itself: on Windows the imitation of Redis lives in it."""
    return not config.redis.url and sys.platform == "win32"


def worker_count(config: Config) -> int:
    """How many processes serve: as configured, else one a core, at most four."""
    if _serves_alone(config):
        return 1
    if config.server.workers:
        return config.server.workers
    if sys.platform == "linux":
        return min(len(os.sched_getaffinity(0)), _MOST_BY_DEFAULT)
    return min(os.cpu_count() or 1, _MOST_BY_DEFAULT)
