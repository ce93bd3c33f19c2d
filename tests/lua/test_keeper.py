"""The thread that keeps the pools in place, on a real server."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from samples import make_pool

from cticache.pools import Pools
from cticache.store import Store
from cticache.sync import Keeper, sync

NUMBERS = "cti:{system-y}:numbers"
INTERVAL = 0.02

Start = Callable[..., Keeper]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Counting(Store):
    """A store that counts how often the Keeper has looked."""

    looks = 0

    def pool_claim(self, *args: object, **named: object) -> dict[str, str]:
        self.looks += 1
        return super().pool_claim(*args, **named)  # type: ignore[arg-type]

    def looked(self, times: int = 2) -> None:
        """Return once the Keeper has begun to look that many times more: all but the last of these are over."""
        seen = self.looks
        until(lambda: self.looks >= seen + times)


@pytest.fixture
def counting(store: Store) -> Counting:
    store.__class__ = Counting
    assert isinstance(store, Counting)
    return store


@pytest.fixture
def start(counting: Counting) -> Iterator[Start]:
    """Starts a Keeper of these pools; all of them are stopped in the end."""
    keepers: list[Keeper] = []

    def begin(pools: Pools, interval: float = INTERVAL, store: Store = counting) -> Keeper:
        keepers.append(Keeper(store, pools, interval))
        keepers[-1].start()
        return keepers[-1]

    yield begin
    for keeper in keepers:
        keeper.stop()


def test_one_whose_pools_another_configuration_rules_is_not_in_place_and_says_so_once(
    client: Redis, counting: Counting, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ours, others = Pools([make_pool("100")]), Pools([make_pool("200")])
    keeper = start(ours)
    assert keeper.synced.wait(10)
    for times in (1, 2):
        sync(counting, others, take_over=True)
        until(lambda: not keeper.synced.is_set())
        counting.looked(4)
        assert client.zrange(NUMBERS, 0, -1) == ["200"]
        assert not keeper.synced.is_set()
        assert [record.args for record in caplog.records if "another cticache" in record.msg] == [("system-y",)] * times
        sync(counting, ours, take_over=True)
        assert keeper.synced.wait(10)
    counting.looked()
    assert len([record for record in caplog.records if "as configured here again" in record.msg]) == 2


def test_woken_it_looks_at_once(client: Redis, start: Start) -> None:
    keeper = start(Pools([make_pool("100")]), interval=3600)
    assert keeper.synced.wait(10)
    client.flushall()
    keeper.wake()
    assert keeper.synced.wait(10)
    assert client.zrange(NUMBERS, 0, -1) == ["100"]


def test_while_another_configuration_rules_waking_it_is_of_no_use_and_costs_nothing(
    counting: Counting, start: Start
) -> None:
    keeper = start(Pools([make_pool("100")]), interval=3600)
    assert keeper.synced.wait(10)
    sync(counting, Pools([make_pool("200")]), take_over=True)
    counting.looks = 0
    keeper.wake()
    counting.looked(1)
    for _ in range(100):
        keeper.wake()
    keeper.stop()
    assert counting.looks == 1
    assert not keeper.synced.is_set()


def test_the_one_started_last_wins_whoever_was_first(client: Redis, counting: Counting, start: Start) -> None:
    first = start(Pools([make_pool("100-101")]))
    assert first.synced.wait(10)
    last = start(Pools([make_pool("200-201")]))
    assert last.synced.wait(10)
    until(lambda: not first.synced.is_set())
    counting.looked(6)
    assert last.synced.is_set()
    assert not first.synced.is_set()
    assert client.zrange(NUMBERS, 0, -1) == ["200", "201"]
