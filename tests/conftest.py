"""What all tests share: the server under test, and the store on it."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from redis import Redis

from cticache.data import counters, keys
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import Runner
from cticache.numbering.pools import Pool, Pools
from kit import topologies
from kit.between import Between
from kit.samples import make_pool

pytest_plugins = ["kit.fixtures"]

_SERVER: list[str] = []
_TOLD: list[str] = []
_COUNTED = {counter.field for counter in counters.COUNTERS} | {counters.PEAK, counters.HELD}

settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.reuse, Phase.generate])  # fails in no time

MakePool = Callable[..., Pool]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="the long forms: a pool of 1,000,000, 20,000 steps, 200,000 operations"
    )
    parser.addoption(
        "--topology",
        choices=topologies.TOPOLOGIES,
        help="the store's tests alone, on this: one server, a primary behind a sentinel, or a cluster",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a topology, leave out what is not run on it."""
    if config.getoption("--topology"):
        left_out = [item for item in items if "topology" not in _parameters(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if "topology" in _parameters(item)]


def _parameters(item: pytest.Item) -> Collection[str]:
    return item.callspec.params if hasattr(item, "callspec") else ()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which server the tests ran on, and what they told."""
    for line in _SERVER:
        terminalreporter.write_line(f"Redis under test: {line}")
    for line in _TOLD:
        terminalreporter.write_line(line)


@pytest.fixture
def tell() -> Callable[[str], None]:
    """Puts a line under the tests' summary."""
    return _TOLD.append


@pytest.fixture(scope="session")
def topology(request: pytest.FixtureRequest) -> str:
    """single, but for tests that are run on others, too."""
    return str(getattr(request, "param", "single"))


@pytest.fixture(scope="session")
def way(request: pytest.FixtureRequest) -> str:
    """How the store asks Redis: by threads, or on the loop."""
    return str(getattr(request, "param", "threads"))


@pytest.fixture
def long(request: pytest.FixtureRequest, topology: str, way: str) -> bool:
    """Whether this is to be the long form; on one topology, in one way, it is long enough."""
    return bool(request.config.getoption("--long")) and (topology, way) == ("single", "threads")


@pytest.fixture(scope="session")
def redis_url(topology: str) -> Iterator[str]:
    """A real server, TEST_REDIS says which (tests/kit/servers.py); or several that belong together."""
    with topologies.under_test(topology) as (url, what):
        with topologies.client_of(url) as client:
            info = client.info("server")
        version = info.get("valkey_version") or info["redis_version"]
        _SERVER.append(f"{'Valkey' if 'valkey_version' in info else 'Redis'} {version}, {what}")
        yield url


@pytest.fixture(scope="session")
def connection(redis_url: str) -> Iterator[Redis]:
    with topologies.client_of(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def runner(redis_url: str, way: str) -> Iterator[Runner]:
    """Who runs the store's commands, as the service has it."""
    with topologies.runner(redis_url, way) as runner:
        yield runner


@pytest.fixture
def client(connection: Redis) -> Iterator[Redis]:
    """The server, empty; afterwards no key but keys.PERMANENT may be without a TTL, and no counter be unlisted."""
    connection.flushall()
    yield connection
    names = connection.keys("cti:*")
    immortal = [key for key in names if connection.ttl(key) == -1 and not keys.PERMANENT.fullmatch(key)]
    assert not immortal, f"these keys would stay for ever: {immortal}"
    hashes = [key for key in names if re.fullmatch(r"cti:{[^{}]+}:stats(:\d+)?", key)]
    fields = {field for key in hashes if connection.type(key) == "hash" for field in connection.hkeys(key)}
    assert {field for field in fields if not counters.TRANSIT.fullmatch(field)} <= _COUNTED


@pytest.fixture
def store(client: Redis, runner: Runner) -> Store:
    scripts = Scripts(runner, read_scripts())
    scripts.load()
    return Store(scripts, Keys("cti"), retry_after=2)


@pytest.fixture
def between(client: Redis, runner: Runner) -> Between:
    return Between(Scripts(runner, read_scripts()), Keys("cti"), retry_after=2)


@pytest.fixture
def new_pool(store: Store) -> MakePool:
    """Makes a pool as ``make_pool`` does and puts its numbers in place, beside those of other names made before."""
    made: dict[str, Pool] = {}

    def make(*args: Any, **changes: Any) -> Pool:
        pool = make_pool(*args, **changes)
        made[pool.name] = pool
        sync(store, Pools(made.values()), take_over=True)
        return pool

    return make
