"""The thread that keeps the pools in place, on a real server."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from redis import Redis

from cticache.data.clock import Clocks
from cticache.data.condition import Condition
from cticache.data.follower import Follower, News
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.replies import Standing
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import Stopped, sync
from cticache.data.task import CHANGE_STEP
from cticache.link.connection import Direct, connect
from cticache.link.trouble import REFUSALS
from cticache.numbering.pools import Pools
from kit.aging import now_ms
from kit.between import Between
from kit.proxy import Proxy
from kit.samples import make_pool

NUMBERS = "cti:{system-y}:numbers"
LEAVING = "cti:{system-y}:leaving"
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

    def service_look(self, *args: object, **named: object) -> Standing:
        self.looks += 1
        return super().service_look(*args, **named)  # type: ignore[arg-type]

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


@pytest.fixture
def through(client: Redis, proxy: Proxy) -> Iterator[Counting]:
    """A store on Redis behind the proxy; it waits 0.3 s for an answer."""
    with connect(proxy.url, 0.3) as connection:
        yield Counting(Scripts(Direct(connection), read_scripts()), Keys("cti"), retry_after=2)


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return len([record for record in caplog.records if text in record.getMessage()])


def test_it_syncs_at_the_start_and_again_when_redis_was_emptied(client: Redis, start: Start) -> None:
    keeper = start(Pools([make_pool("100-104"), make_pool("200", name="other")]))
    assert keeper.synced.wait(10)
    for _ in range(2):
        assert client.zcard(NUMBERS) == 5
        assert client.zcard("cti:{other}:numbers") == 1
        client.flushall()
        until(lambda: client.zcard(NUMBERS))


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.drop_replies])
def test_it_outlives_a_redis_that_is_away_and_says_so_once(  # noqa: PLR0917
    client: Redis,
    proxy: Proxy,
    through: Counting,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[Proxy], None],
) -> None:
    caplog.set_level(logging.WARNING)
    fault(proxy)
    keeper = start(Pools([make_pool("100")]), store=through)
    for times in (1, 2):
        through.looked(3)
        assert (said(caplog, "Redis is away"), said(caplog, "Redis is back")) == (times, times - 1)
        proxy.restore()
        until(lambda: client.zcard(NUMBERS) and said(caplog, "Redis is back") == times)  # noqa: B023
        assert keeper.synced.is_set()
        client.flushall()
        fault(proxy)
        until(lambda: said(caplog, "Redis is away") == times + 1)  # noqa: B023


def test_what_redis_refuses_is_noted_and_logged_once_until_it_does_no_longer(
    client: Redis, start: Start, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = start(Pools([make_pool("100")]))
    assert keeper.synced.wait(10)
    for times in (1, 2):
        client.config_set("min-replicas-to-write", "1")
        try:
            until(lambda: keeper.condition.notes.get("redis"))
            assert keeper.condition.notes["redis"] == REFUSALS["NOREPLICAS"] + "."
            counting.looked(3)
        finally:
            client.config_set("min-replicas-to-write", "0")
        until(lambda: not keeper.condition.notes)
        assert (said(caplog, REFUSALS["NOREPLICAS"]), said(caplog, "Redis is away")) == (times, 0)


def test_it_outlives_what_it_does_not_expect(
    client: Redis, counting: Counting, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    calls = counting._run

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    counting._run = broken  # type: ignore[method-assign,assignment]
    keeper = start(Pools([make_pool("100")]))
    counting.looked(3)
    assert not keeper.synced.is_set()
    assert said(caplog, "could not be brought in line") >= 2
    counting._run = calls  # type: ignore[method-assign]
    assert keeper.synced.wait(10)
    assert client.zcard(NUMBERS) == 1


@pytest.mark.parametrize("interval", [INTERVAL, 3600])
def test_it_stops_at_once_while_it_rests(start: Start, interval: float) -> None:
    keeper = start(Pools([make_pool("100")]), interval)
    assert keeper.synced.wait(10)
    assert stops_at_once(keeper)


@pytest.mark.parametrize("step", ["begin", "add"])
def test_it_stops_after_the_step_under_way(
    client: Redis, between: Between, start: Start, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    under_way, stopping = threading.Event(), threading.Event()

    def hold() -> None:
        under_way.set()
        assert stopping.wait(10)

    between.happens(step, hold)
    keeper = start(Pools([make_pool(f"10000-{10000 + 3 * CHANGE_STEP - 1}")]), store=between)
    assert under_way.wait(10)
    stopper = threading.Thread(target=keeper.stop)
    stopper.start()
    until(keeper._stop.is_set)
    stopping.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert client.zcard(NUMBERS) == (CHANGE_STEP if step == "add" else 0)
    assert not caplog.records
    assert not keeper.synced.is_set()


def test_a_sync_that_is_stopped_is_not_begun_again(client: Redis, between: Between) -> None:
    between.happens("add", client.flushall)
    with pytest.raises(Stopped):
        sync(between, Pools([make_pool("100")]), take_over=True, stopped=lambda: not between._step)


@pytest.mark.parametrize("rules", [True, False])
def test_it_stops_at_once_also_when_redis_is_away_or_another_configuration_rules(
    proxy: Proxy, through: Counting, counting: Counting, start: Start, rules: bool
) -> None:
    keeper = start(Pools([make_pool("100")]), interval=3600, store=through)
    assert keeper.synced.wait(10)
    if rules:
        proxy.cut()
    else:
        assert start(Pools([make_pool("200")])).synced.wait(10)
    keeper.wake()
    through.looked(1)
    assert stops_at_once(keeper)


def stops_at_once(keeper: Keeper) -> bool:
    begun = time.monotonic()
    keeper.stop()
    return time.monotonic() - begun < 2


def test_one_whose_pools_another_configuration_rules_is_not_in_place_and_says_so_once(
    client: Redis, counting: Counting, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    ours, others = Pools([make_pool("100")]), Pools([make_pool("200")])
    keeper = start(ours)
    assert keeper.synced.wait(10)
    for times in (1, 2):
        canary = start(others)
        until(lambda: not keeper.synced.is_set())
        counting.looked(4)
        assert client.zrange(NUMBERS, 0, -1) == ["200"]
        assert not keeper.synced.is_set()
        assert keeper.condition.overruled == {"system-y"}
        assert said(caplog, keeper.condition.notes["overruled"]) == 1
        unnamed = said(caplog, "rules this Redis: it has just been started")  # by who looks before it is known
        assert said(caplog, "Not as configured here: system-y") - unnamed == times
        canary.stop()
        assert keeper.synced.wait(10)
        assert client.zrange(NUMBERS, 0, -1) == ["100"]
        counting.looked()
        assert (keeper.condition.overruled, keeper.condition.notes) == (frozenset(), {})
        assert said(caplog, "as configured here again") == times


def test_a_worker_knows_what_its_parent_does_and_has_it_look() -> None:
    pools, sent = Pools([make_pool("100")]), list[str]()
    follower = Follower(pools, Clocks(), sent.append)
    assert follower.condition == Condition()
    known = Condition(True, frozenset({"other"}), {"rules": "They differ."})
    follower.told(News(known, {}, None))
    assert (follower.condition, pools.leaving) == (known, None)
    follower.told(News(known, {"system-y": 7.0}, {"other": ["900"]}))
    assert follower.clocks.ahead == {"system-y": 7.0}
    assert [place.pool.name for place in pools.of("900")] == ["other"]
    follower.wake()
    assert follower.condition == replace(known, in_place=False)
    assert sent == ["wake"]
    follower.told(News(known, {}, None))
    assert follower.condition == known


def test_woken_it_looks_at_once(client: Redis, start: Start) -> None:
    keeper = start(Pools([make_pool("100")]), interval=3600)
    assert keeper.synced.wait(10)
    client.flushall()
    keeper.wake()
    assert keeper.synced.wait(10)
    assert client.zrange(NUMBERS, 0, -1) == ["100"]


def test_woken_while_it_looks_it_looks_again_before_it_says_that_all_is_in_place(
    client: Redis, between: Between, start: Start
) -> None:
    said: list[bool] = []

    def lose_all() -> None:
        client.flushall()
        keeper.wake()
        between.happens("begin", lambda: said.append(keeper.synced.is_set()))

    keeper = start(Pools([make_pool("100")]), interval=3600, store=between)
    assert keeper.synced.wait(10)
    client.zadd(LEAVING, {"200": now_ms(client) + 60_000})
    client.expire(LEAVING, 60)
    between.happens("leaving", lose_all)
    keeper.wake()
    until(lambda: said)
    assert said == [False]
    assert keeper.synced.wait(10)
    assert client.zrange(NUMBERS, 0, -1) == ["100"]


def test_while_another_configuration_rules_waking_it_is_of_no_use_and_costs_nothing(
    counting: Counting, start: Start
) -> None:
    keeper = start(Pools([make_pool("100")]), interval=3600)
    assert keeper.synced.wait(10)
    assert start(Pools([make_pool("200")]), interval=3600).synced.wait(10)
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


def test_a_look_that_began_before_a_pool_turned_out_not_to_be_in_place_says_nothing(store: Store) -> None:
    class Told(threading.Event):
        times = 0

        def set(self) -> None:
            self.times += 1
            super().set()

    keeper = Keeper(store, Pools([make_pool()]), INTERVAL)
    keeper.synced = told = Told()
    keeper.wake()
    assert keeper._look()
    assert told.times == 0  # nobody may see it in place for a moment
    keeper._woken.clear()
    assert keeper._look()
    assert told.is_set()
