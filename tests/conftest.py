"""What all tests share: the server under test, and the store on it."""

import gc
import os
import re
from collections.abc import Callable, Collection, Generator, Iterator
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from redis import Redis

from cticache.data import counters, keys
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import Runner
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit import servers, topologies
from kit.between import Between
from kit.samples import make_pool

pytest_plugins = ["kit.fixtures"]

_COUNTED = {counter.field for counter in counters.COUNTERS} | {counters.PEAK, counters.HELD}

_LONGEST = {"process", "telephony", "test_cli.py", "test_node.py", "test_redis_away.py", "test_schemathesis.py"}
"""The folders and files that take longest, most of it to wait."""

# How long an example takes is the machine's affair.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off what is imported and collected: it stays to the end, and is a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a topology, leave out what is not run on it. The longest files go first, or one process would end alone."""
    items.sort(key=lambda item: not _LONGEST & set(item.path.parts))
    if config.getoption("--topology"):
        left_out = [item for item in items if "topology" not in _parameters(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if "topology" in _parameters(item)]


@pytest.fixture(scope="session", autouse=True)
def _nothing_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a service keeps that has no folder of its own is in nobody's home; on Windows it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def _parameters(item: pytest.Item) -> Collection[str]:
    return item.callspec.params if hasattr(item, "callspec") else ()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process for named files, done before others have started, and for a server that tests would share.

    Else one more than there are cores: a third of the time a test waits.
    """
    named = all(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    return 0 if named or servers.is_already_there() else (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which server the tests ran on, and what they told; each has its lines with it from its process."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    said = [(kind, line) for report in reports for kind, line in report.user_properties]
    for line in dict.fromkeys(line for kind, line in said if kind == "server"):
        terminalreporter.write_line(f"Redis under test: {line}")
    for line in (line for kind, line in said if kind == "told"):
        terminalreporter.write_line(line)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Puts a line under the tests' summary."""
    return partial(record_property, "told")


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
def server(topology: str) -> Iterator[tuple[str, str]]:
    """The URL of a real server, TEST_REDIS says which (tests/kit/servers.py), or of several; and what is there."""
    with topologies.under_test(topology) as (url, what):
        with topologies.client_of(url) as client:
            info = client.info("server")
        version = info.get("valkey_version") or info["redis_version"]
        yield url, f"{'Valkey' if 'valkey_version' in info else 'Redis'} {version}, {what}"


@pytest.fixture(scope="session")
def redis_url(server: tuple[str, str]) -> str:
    return server[0]


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
def client(
    connection: Redis, server: tuple[str, str], record_property: Callable[[str, object], None]
) -> Iterator[Redis]:
    """The server, empty; afterwards no key but keys.PERMANENT may be without a TTL, and no counter be unlisted."""
    record_property("server", server[1])
    connection.flushall()
    yield connection
    names = connection.keys("cti:*")
    mortal = [key for key in names if not keys.PERMANENT.fullmatch(key)]
    counted = [key for key in names if re.fullmatch(r"cti:{[^{}]+}:stats(:\d+)?", key)]
    pipeline = connection.pipeline(transaction=False)
    for key in mortal:
        pipeline.ttl(key)
    for key in counted:
        pipeline.hkeys(key)
    told = pipeline.execute(raise_on_error=False)  # a test may have spoilt what is counted
    immortal = [key for key, ttl in zip(mortal, told, strict=False) if ttl == -1]
    assert not immortal, f"these keys would stay for ever: {immortal}"
    fields = {field for found in told[len(mortal) :] if isinstance(found, list) for field in found}
    assert {field for field in fields if not counters.TRANSIT.fullmatch(field)} <= _COUNTED


@pytest.fixture(scope="session")
def loaded(runner: Runner) -> Scripts:
    """The scripts, read once for all tests."""
    scripts = Scripts(runner, read_scripts())
    scripts.load()
    return scripts


@pytest.fixture
def scripts(client: Redis, loaded: Scripts) -> Scripts:
    """A copy for one test, which may have it ask another server; loaded, also if the test before flushed them."""
    if not all(client.script_exists(*(sha1 for sha1, _ in loaded._known.values()))):
        loaded.load()
    return copy(loaded)


@pytest.fixture
def store(scripts: Scripts) -> Store:
    return Store(scripts, Keys("cti"), retry_after=2)


@pytest.fixture
def between(scripts: Scripts) -> Between:
    return Between(scripts, Keys("cti"), retry_after=2)


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
