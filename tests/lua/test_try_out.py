"""try_out.lua: which command of the scripts Redis refuses, found out without a trace."""

import re
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.link.connection import Direct, connect
from kit.servers import as_admin

SOURCES = read_scripts()
CALLED = {
    name: set(re.findall(r"redis\.p?call\('([A-Z]+)'", source)) for name, source in SOURCES.items()
}  # read here once more: what is tested reads them itself
COMMANDS = sorted(CALLED["try_out"])
ENDS = ("DEL", "UNLINK", "PEXPIRE", "PEXPIREAT")

StoreOf = Callable[..., Store]


@pytest.fixture
def store_of(client: Redis, redis_url: str) -> Iterator[StoreOf]:
    """The store as a user who may do all but these commands."""
    clients: list[Redis] = []

    def make(*denied: str) -> Store:
        rules = [f"-{command.lower()}" for command in denied]
        client.execute_command("ACL", "SETUSER", "tried", "reset", "on", ">word", "~cti:*", "+@all", *rules)
        place = as_admin(redis_url).rpartition("://")[2].rpartition("@")[2]
        clients.append(connect(f"redis://tried:word@{place}", 5.0))
        scripts = Scripts(Direct(clients[-1]), SOURCES)
        scripts.load()
        return Store(scripts, Keys("cti"), 2)

    yield make
    for each in clients:
        each.close()
    client.execute_command("ACL", "DELUSER", "tried")


def test_it_runs_every_command_that_another_script_runs() -> None:
    assert CALLED["try_out"] == set().union(*(CALLED[name] for name in CALLED if name != "try_out"))


def test_where_nothing_is_refused_nothing_is_told_and_nothing_stays(store: Store, client: Redis) -> None:
    for trial in (store.try_out(), store.try_out("system-y")):
        assert (trial.ran, trial.refused) == (len(COMMANDS), {})
    assert not client.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_the_user_may_not_run_is_told_and_nothing_stays(
    store_of: StoreOf, client: Redis, command: str
) -> None:
    trial = store_of(command).try_out("system-y")
    assert (trial.ran, list(trial.refused)) == (len(COMMANDS), [command])
    assert not client.keys()


def test_without_what_ends_a_key_none_is_written(store_of: StoreOf, client: Redis) -> None:
    assert store_of(*ENDS).try_out("system-y").refused.keys() == set(ENDS)
    assert not client.keys()


@pytest.mark.parametrize("allowed", ENDS)
def test_any_of_them_is_enough_for_no_key_to_stay(store_of: StoreOf, client: Redis, allowed: str) -> None:
    denied = {*ENDS} - {allowed}
    assert store_of(*denied).try_out("system-y").refused.keys() == denied
    names = client.keys()
    assert not names or allowed == "PEXPIRE"
    assert all(client.pttl(name) <= 1000 for name in names)
    assert -1 not in [client.pttl(name) for name in names]
