"""The application on the server under test: under Falcon's test client, and under a real waitress."""

import gc
import io
import logging
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import falcon.testing
import pytest
from redis import Redis

from cticache import logs
from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.monotonic import Monotonic
from kit.proxy import Proxy
from kit.running import MAX_BODY, Service, Site, Wire
from kit.samples import USERS, basic, make_pool
from kit.talk import Talk


class Written(io.StringIO):
    """What has been logged by the time it is asked for."""

    def getvalue(self) -> str:
        for handler in logging.root.handlers:
            handler.flush()
        return super().getvalue()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, as ``logs.configure`` has it written; the root logger is put back afterwards."""
    waitress, queue = logging.getLogger("waitress"), logging.getLogger("waitress.queue")
    levels = {logger: logger.level for logger in (waitress, logging.getLogger("cticache"), logging.root)}
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging.root, "handlers", [])
    written = Written()
    monkeypatch.setattr("sys.stderr", written)
    logs.configure()
    yield written
    queue.disabled = False
    logging.setLogRecordFactory(before)
    for logger, level in levels.items():
        logger.setLevel(level)


@pytest.fixture
def clock() -> Monotonic:
    """In place of time.monotonic."""
    return Monotonic()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """Stands before the server under test, and can cut it off."""
    proxy = Proxy(redis_url)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def verifier() -> Verifier:
    """Nobody is made to wait for the wrong passwords of other tests."""
    return Verifier(USERS, remember_s=3600, size=1000, many=1_000_000)


@pytest.fixture(scope="module")
def nothing_old() -> None:
    """The garbage collector does not go through what tests of other files have left."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def new_service(store: Store, client: Redis, verifier: Verifier) -> Callable[..., Service]:
    """Makes a service over the given pools, their numbers in place."""

    def make(*pools: Pool) -> Service:
        directory = Pools(pools)
        keeper = Keeper(store, directory, interval=3600)  # not started: the pools are put in place here
        sync(store, directory, take_over=True)
        keeper.synced.set()
        app = create_app(store, directory, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
        return Service(app, store, directory, keeper, client)

    return make


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """The service with pool system-y (three numbers) and pool other (one)."""
    return new_service(make_pool(), make_pool("5559990000", name="other"))


@pytest.fixture
def api(service: Service) -> falcon.testing.TestClient:
    """The application called in this process, as the user who may do everything."""
    return falcon.testing.TestClient(service.app, headers={"Authorization": basic("username")})


@pytest.fixture(params=["batch", "threads"])
def dispatch(request: pytest.FixtureRequest) -> str:
    """Both ways to serve."""
    return str(request.param)


@pytest.fixture
def wire(service: Service, dispatch: str) -> Iterator[Wire]:
    running = Wire(service, dispatch)
    yield running
    running.stop()


@pytest.fixture
def connect(wire: Wire) -> Iterator[Callable[[], Talk]]:
    """Opens connections to the service."""
    with ExitStack() as stack:

        def make() -> Talk:
            talk = Talk(wire.port)
            stack.callback(talk.close)
            return talk

        yield make


@pytest.fixture
def talk(connect: Callable[[], Talk]) -> Talk:
    return connect()


@pytest.fixture(params=["the best selector", "select()"])
def new_site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    if request.param == "select()":
        monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    with ExitStack() as stack:

        def make(**settings: Any) -> Site:
            site = Site(**settings)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site()
