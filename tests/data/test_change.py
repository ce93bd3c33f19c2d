"""Other pools in the place of those that clients are served by: what is leased and found is right at each step."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from cticache.data.follower import Follower, News
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.link.connection import Direct, connect
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import now_ms
from kit.patience import PATIENCE_S
from kit.proxy import Proxy
from kit.samples import make_pool
from kit.serving import until

Start = Callable[..., Keeper]
LONG = 3600.0


class Watched(Store):
    """A store that looks, before each step of a sync and after it, at what clients would be lent."""

    look: Callable[[], object] = staticmethod(lambda: None)

    def pool_sync(self, *steps: Step) -> list[Any]:
        self.look()
        replies = super().pool_sync(*steps)
        self.look()
        return replies


@pytest.fixture
def watched(store: Store) -> Watched:
    store.__class__ = Watched
    assert isinstance(store, Watched)
    return store


@pytest.fixture
def start(watched: Watched) -> Iterator[Start]:
    """Starts a Keeper of these pools; all of them are stopped in the end."""
    keepers: list[Keeper] = []

    def begin(pools: list[Pool], interval: float = LONG, store: Store = watched, **more: Any) -> Keeper:
        keepers.append(Keeper(store, Pools(pools), interval, **more))
        keepers[-1].start()
        return keepers[-1]

    yield begin
    for keeper in keepers:
        keeper.stop()


def changed(keeper: Keeper, pools: Pools, serve: Callable[[News], object] = lambda _news: None) -> str:
    """What a change returns; AssertionError if it does not."""
    says: list[str] = []
    changing = threading.Thread(
        target=lambda: says.append(keeper.change(pools, lambda news: serve(news) and None)), daemon=True
    )
    changing.start()
    changing.join(PATIENCE_S)
    assert says
    return says[0]


class Clients:
    """What the processes of the service know, and what they would lend and find by it."""

    def __init__(self, client: Redis, pools: list[Pool]) -> None:
        self._client = client
        self.pools = Pools(pools)
        self.pools.set_leaving({})
        self.told: list[News] = []
        self.wrong: list[str] = []

    def serve(self, pools: Pools, news: News) -> None:
        """Have them go by these."""
        self.pools = Pools(pools)
        if news.leaving is not None:
            self.pools.set_leaving(news.leaving)
        self.told.append(news)

    def look(self) -> None:
        """Each pool has something to lend, and what it would lend is found in it."""
        for pool in self.pools:
            lent = self._client.zrange(f"cti:{{{pool.name}}}:numbers", 0, -1)
            if not lent and pool.numbers:
                self.wrong.append(f"{pool.name} is empty")
            for dnis in lent:
                if pool.name not in [place.pool.name for place in self.pools.of(dnis)]:
                    self.wrong.append(f"{pool.name} would lend {dnis}, which is not found in it")


def one(numbers: str, name: str = "system-y", **rules: Any) -> Pool:
    return make_pool(numbers, name=name, **rules)


CHANGES = {
    "some come and go": ([one("100-109")], [one("105-119")]),
    "all are others": ([one("100-109")], [one("200-209")]),
    "a new pool is the first": ([one("100-109")], [one("300-302", "new"), one("100-109")]),
    "some are another pool's": ([one("100-109"), one("200", "b")], [one("100-104"), one("105-109, 201", "b")]),
    "two pools change their numbers": ([one("100-109"), one("200-209", "b")], [one("200-209"), one("100-109", "b")]),
    "a pool has another name": ([one("100-109")], [one("100-109", "new")]),
    "a pool is no more": ([one("100-109"), one("200", "b")], [one("100-109")]),
    "another spelling": (
        [one("15550000100-15550000109", country=Country.of("1"))],
        [one("+15550000100-+15550000109", country=Country.of("1"))],
    ),
    "rules alone": ([one("100-109")], [one("100-109", cooldown_ms=1)]),
    "nothing": ([one("100-109")], [one("100-109")]),
}


@pytest.mark.parametrize("ranges_are_known", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_no_pool_is_empty_in_between_and_what_it_lends_is_found(
    client: Redis, watched: Watched, start: Start, change: str, *, ranges_are_known: bool
) -> None:
    before, after = CHANGES[change]
    keeper = start(before)
    assert keeper.synced.wait(10)
    if not ranges_are_known:
        for pool in before:
            client.delete(f"cti:{{{pool.name}}}:in_place")
    clients = Clients(client, before)
    watched.look = clients.look
    pools = Pools(after)
    assert changed(keeper, pools, lambda news: clients.serve(pools, news)) == ""
    watched.look = lambda: None
    assert clients.wrong == []
    assert [news.nth for news in clients.told] == [1]
    assert clients.told[0].condition.in_place
    for pool in after:
        assert set(client.zrange(f"cti:{{{pool.name}}}:numbers", 0, -1)) == set(pool.numbers)
    for name in {pool.name for pool in before} - {pool.name for pool in after}:
        assert not client.zrange(f"cti:{{{name}}}:numbers", 0, -1)
    assert keeper.news() == News(keeper.condition, keeper.clocks.ahead, pools.leaving, 1)
    assert keeper.synced.is_set()


def test_of_a_very_large_change_some_numbers_are_kept_until_others_come(
    client: Redis, watched: Watched, start: Start
) -> None:
    before, after = [one("10000-16999")], [one("20000-26999")]
    keeper = start(before)
    assert keeper.synced.wait(10)
    left: list[int] = []
    pools = Pools(after)
    assert not changed(keeper, pools, lambda _news: left.append(client.zcard("cti:{system-y}:numbers")))
    assert left == [5_000]
    assert client.zcard("cti:{system-y}:numbers") == 7_000


def test_a_number_that_moves_is_lent_by_the_other_pool_only_after_its_call(
    client: Redis, store: Store, start: Start
) -> None:
    before, after = [one("100"), one("200", "b")], [one("101"), one("100, 200", "b")]
    keeper = start(before)
    assert keeper.synced.wait(10)
    assert store.lease(before[0], "777", "v", "x", 60_000).dnis == "100"
    pools = Pools(after)
    assert not changed(keeper, pools, lambda _news: None)
    assert [(place.pool.name, place.moved) for place in pools.of("100")] == [("system-y", True), ("b", False)]
    assert float(client.zscore("cti:{b}:numbers", "100") or 0) > now_ms(client) + 59_000
    assert pools.leaving == {"system-y": ["100"]}


def test_once_a_change_is_in_force_the_service_tells_of_it(start: Start, store: Store) -> None:
    told = ["the file before"]
    keeper = start([one("100")], tells=lambda: told[-1])
    until(keeper.synced.is_set)
    assert not changed(keeper, Pools([one("200")]), lambda _news: told.append("the new file"))
    until(lambda: [each.told for each in store.services()] == ["the new file"])


def test_a_change_counts_as_a_start_among_the_services_unless_nothing_has_changed(
    client: Redis, store: Store, start: Start
) -> None:
    first = start([one("100")])
    assert first.synced.wait(10)
    last = start([one("100")])
    assert last.synced.wait(10)
    order = [each.service for each in store.services()]
    assert order == [last.registration.service, first.registration.service]
    assert not changed(first, Pools([one("100")]), lambda _news: None)
    assert [each.service for each in store.services()] == order
    assert not changed(first, Pools([one("100-101")]), lambda _news: None)
    assert [each.service for each in store.services()] == order[::-1]


def test_the_same_id_leaves_at_the_end(client: Redis, store: Store, start: Start) -> None:
    keeper = start([one("100")])
    assert keeper.synced.wait(10)
    assert not changed(keeper, Pools([one("101")]), lambda _news: None)
    keeper.stop()
    assert store.services() == []


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    proxy = Proxy(redis_url)
    yield proxy
    proxy.close()


def test_while_redis_is_away_clients_are_served_by_the_new_pools_as_after_a_start(
    client: Redis, proxy: Proxy, start: Start
) -> None:
    with connect(proxy.url, 0.3) as connection:
        through = Store(Scripts(Direct(connection), read_scripts()), Keys("cti"), retry_after=2)
        keeper = start([one("100")], 0.02, through)
        assert keeper.synced.wait(10)
        proxy.cut()
        told: list[News] = []
        assert "Redis is away" in changed(keeper, Pools([one("200")]), told.append)
        ((condition, _, leaving, nth),) = told
        assert (leaving, nth, condition.in_place) == (None, 1, False)
        assert condition.is_unsure("system-y")
        proxy.restore()
        assert keeper.synced.wait(10)
        assert client.zrange("cti:{system-y}:numbers", 0, -1) == ["200"]
        assert len(told) == 1
        keeper.stop()


def test_before_redis_has_ever_answered_clients_are_served_by_the_new_pools(store: Store) -> None:
    keeper = Keeper(store, Pools([one("100")]), LONG)
    keeper.not_heard()
    told: list[News] = []
    assert "has not answered" in changed(keeper, Pools([one("200")]), told.append)
    assert [(news.nth, news.condition.in_place) for news in told] == [(1, False)]
    keeper.start()
    assert keeper.synced.wait(10)
    keeper.stop()


def test_a_change_while_it_stops_does_not_wait_for_ever(start: Start) -> None:
    keeper = start([one("100")])
    assert keeper.synced.wait(10)
    keeper.stop()
    assert changed(keeper, Pools([one("200")]), lambda _news: None) == "The service is stopping."


def test_it_is_made_at_once_also_where_another_configuration_rules(store: Store, start: Start) -> None:
    first = start([one("100")])
    assert first.synced.wait(10)
    last = start([one("200")])
    assert last.synced.wait(10)
    first.wake()
    until(lambda: first.condition.overruled)
    served = list[News]()
    assert not changed(first, Pools([one("300")]), served.append)
    assert len(served) == 1
    assert first.synced.is_set()


def test_a_worker_does_not_listen_to_what_is_about_an_earlier_configuration(store: Store) -> None:
    old, new = Pools([one("100")]), Pools([one("200")])
    follower = Follower(old, store.clocks, lambda _what: None)
    keeper = Keeper(store, new, LONG)
    of_new = keeper.news()._replace(nth=1, leaving={"system-y": ["100"]})
    follower.change(new, of_new)
    follower.told(of_new._replace(nth=0, leaving={}))
    assert new.leaving == {"system-y": ["100"]}


# Somebody asks by Redis


def test_a_service_that_is_asked_reloads_once_and_what_it_says_is_found(store: Store, start: Start) -> None:
    asked: list[Callable[[str], None]] = []
    keeper = start([one("100")], 0.02, reload=asked.append)
    assert keeper.synced.wait(10)
    assert list(store.service_ask("first")) == [keeper.registration.service]
    for _ in range(3):
        keeper.registration.look()
    tell, *more = asked
    assert not more
    assert store.service_answers("first") == {keeper.registration.service: ""}
    tell("done")
    assert store.service_answers("first") == {keeper.registration.service: "done"}
    assert store.service_answers("another") == {}
    assert store.service_ask("second")
    assert store.service_answers("second") == {keeper.registration.service: ""}
    keeper.registration.look()
    assert store.service_answers("first") == {keeper.registration.service: "done"}


def test_nobody_is_asked_who_is_dead_and_none_is_brought_back(client: Redis, store: Store) -> None:
    store.service_look("a", 0, 1000, numbers="x", rules="y", who="z")
    assert client.delete("cti:{@all}:service:a")
    assert store.service_ask("first") == {}
    assert store.service_answer("a", "first", "done") is False
    assert not client.exists("cti:{@all}:service:a")
