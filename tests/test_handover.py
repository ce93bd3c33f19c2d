"""The rules of a hand-over, asked without HTTP."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis import Redis

from cticache.access.users import User
from cticache.data import uui
from cticache.data.follower import Follower
from cticache.data.heartbeat import Heartbeat
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.replies import Lease
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import (
    Forbidden,
    Gone,
    KeyReused,
    NoSuchCall,
    NotReady,
    PoolExhausted,
    RedisRefuses,
    RedisUnavailable,
    Refusal,
    TooManyLive,
    WrongFields,
)
from cticache.handover import Found, HandOver
from cticache.numbering.ani import read as read_ani
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, dumped, set_clock
from kit.model import outcome
from kit.samples import make_pool, user
from kit.servers import free_port
from kit.topologies import WAYS, runner

A, OTHER = "5551234567", "5557654321"
X_AND_Y = user("username")
W = "5559990000"
HOUR_MS = 3_600_000
ONE = Country.of("1")


def unseen(_pool: str, _dnis: str, _ani: str) -> None:
    """Nobody is told where it is looked."""


@dataclass
class Site:
    """A hand-over and what it stands on."""

    client: Redis
    store: Store
    pools: Pools
    keeper: Keeper
    calls: HandOver

    def lease(
        self, ani: str = A, pool: str | None = None, *, key: str = "", who: User = X_AND_Y, ttl: int = 60
    ) -> Lease:
        return self.calls.lease(who, read_ani(ani), "1", pool=pool, ttl_s=ttl, key=key, looking=unseen)[1]

    def read(self, dnis: str, ani: str = A, *, who: User = X_AND_Y, **more: Any) -> Found:
        return self.calls.read(who, dnis, ani, **{"looking": unseen} | more)

    def take(self, dnis: str, ani: str = A, *, who: User = X_AND_Y, **more: Any) -> Found:
        return self.calls.take(who, dnis, ani, **{"looking": unseen} | more)


MakeSite = Callable[..., Site]


@pytest.fixture
def new_site(client: Redis, store: Store) -> MakeSite:
    """Makes one over the given pools, their numbers in place unless it has only just been started."""

    def make(*pools: Pool, is_new: bool = False, store: Store = store) -> Site:
        directory = Pools(pools)
        keeper = Keeper(store, directory, interval=3600)  # not started: the pools are put in place here
        if not is_new:
            sync(store, directory, take_over=True)
            keeper.synced.set()
            keeper._sync.unsure = frozenset()
        return Site(client, store, directory, keeper, HandOver(store, directory, keeper))

    return make


def test_no_number_is_lent_until_all_processes_know_the_pools(client: Redis, new_site: MakeSite) -> None:
    """One that does not would answer 404 for a call on it."""
    site = new_site(make_pool("100-109"))
    follower = Follower(site.pools, site.store.clocks, lambda _what: None)
    follower.told(site.keeper.news())
    waited: list[tuple[Future[None], int]] = []
    site.calls = HandOver(
        site.store, site.pools, follower, lambda held, _seconds: waited.append((held, len(client.keys("*:callers:*"))))
    )
    assert site.lease()
    assert waited == [(follower.held, 0)]
    follower.release()
    waited.clear()
    follower.change(site.pools, site.keeper.news())
    assert site.lease()
    assert waited == []  # a request that was there before goes by the pools of its time
    site.calls = HandOver(site.store, site.pools, follower, lambda held, _seconds: waited.append((held, 1)))
    assert site.lease()
    assert waited == [(follower.held, 1)]
    follower.release()
    assert follower.held.done()


# To peek


def test_who_peeks_leaves_no_trace_wherever_the_call_may_be(client: Redis, new_site: MakeSite) -> None:
    new_site(make_pool("100", name="old"), make_pool("200", name="new")).lease(pool="old")
    moved = new_site(make_pool("101", name="old"), make_pool("100,200", name="new"))
    before = dumped(client)
    place, held = moved.read("100", peek=True)
    assert (place.pool.name, place.moved, held.value) == ("old", True, "1")
    assert type(outcome(lambda: moved.read("100", OTHER, peek=True))) is NoSuchCall
    assert dumped(client) == before
    moved.take("100")
    before = dumped(client)
    assert type(outcome(lambda: moved.read("100", peek=True))) is Gone
    assert dumped(client) == before


# By the token of its lease


@pytest.mark.parametrize("ani", [A, OTHER, "", "no number at all", "1" * 60])
def test_a_call_is_found_by_its_uui_whatever_became_of_its_ani(new_site: MakeSite, ani: str) -> None:
    site = new_site(make_pool("+15551234560,100", country=ONE))
    leased = site.lease()
    dnis, token = uui.read(leased.uui)
    for asked in (site.read, site.take):
        place, held = asked(dnis, ani, token=token)
        assert (place.dnis, held.token, held.grade) == (leased.dnis, leased.token, "uui")
    for asked in (site.read, site.take):
        assert type(outcome(lambda asked=asked: asked(dnis, ani, token=token))) is Gone
        assert type(outcome(lambda asked=asked: asked(dnis, A, token="A" * 16))) is NoSuchCall


def test_where_it_is_looked_the_ani_is_told_as_far_as_it_can_be_read(new_site: MakeSite) -> None:
    site = new_site(make_pool("100", country=ONE))
    leased = site.lease()
    seen: list[tuple[str, ...]] = []
    for ani in ("+15557654321", "no number at all"):
        site.read("100", ani, token=leased.token, looking=lambda *place: seen.append(place))
    assert seen == [("system-y", "100", f"1{OTHER}"), ("system-y", "100", "")]


def test_on_a_number_that_moved_each_pool_is_asked_for_the_token(client: Redis, new_site: MakeSite) -> None:
    old = new_site(make_pool("100", name="old"), make_pool("200", name="new")).lease(pool="old")
    moved = new_site(make_pool("101", name="old"), make_pool("100", name="new", match="sole", exhausted="reject"))
    assert type(outcome(lambda: moved.lease(A, "new"))) is PoolExhausted
    client.zadd("cti:{new}:numbers", {"100": 0})
    new = moved.lease(A, "new")
    assert old.dnis == new.dnis == "100"
    assert type(outcome(lambda: moved.take("100", OTHER, token="A" * 16))) is NoSuchCall
    for leased, name in ((new, "new"), (old, "old")):
        place, held = moved.take("100", OTHER, token=leased.token, key="k" + name)
        assert (place.pool.name, held.token) == (name, leased.token)
    for leased, name in ((new, "new"), (old, "old")):
        assert moved.take("100", OTHER, token=leased.token, key="k" + name)[1].replayed
        assert type(outcome(lambda leased=leased: moved.read("100", OTHER, token=leased.token))) is Gone


def test_a_token_opens_no_pool_that_is_not_the_users(new_site: MakeSite) -> None:
    site = new_site(make_pool("100"), make_pool("200", name="other"))
    leased = site.lease()
    stranger = user("stranger", {"other"})
    for asked in (site.read, site.take):
        assert type(outcome(lambda asked=asked: asked("100", token=leased.token, who=stranger))) is Forbidden
        assert type(outcome(lambda asked=asked: asked("200", token=leased.token))) is NoSuchCall
        assert type(outcome(lambda asked=asked: asked("300", token=leased.token))) is NoSuchCall
    site.pools.leaving = None
    assert type(outcome(lambda: site.read("200", token=leased.token))) is NotReady
    assert site.read("100", token=leased.token)


# Where a call goes whose data could not be kept

Refused = Callable[[MakeSite, Pool], Site]
"""Makes a site of the pool, at which the next lease of A's is refused."""


def none_free(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(replace(pool, exhausted="reject"))
    site.lease(OTHER)
    return site


def no_numbers(new_site: MakeSite, pool: Pool) -> Site:
    return new_site(make_pool("100", draining="100", without_data=pool.without_data))


def too_many_live(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(pool)
    site.lease(OTHER, who=X_WITH_ONE)
    return site


def not_in_place_here(new_site: MakeSite, pool: Pool) -> Site:
    return new_site(pool, is_new=True)


def not_in_place_in_redis(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(pool)
    site.client.flushall()
    return site


def overruled(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(pool)
    site.keeper._look()
    new_site(make_pool("200"), is_new=True).keeper._look()
    site.keeper._look()
    assert site.keeper.condition.overruled
    return site


def calls_were_lost(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(replace(pool, match="sole", exhausted="reject"))
    heartbeat = Heartbeat(site.store, site.pools, lambda *_said: None)
    heartbeat.look()
    site.client.flushall()
    heartbeat.look()
    sync(site.store, site.pools, take_over=True)
    return site


def the_clock_jumped(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(replace(pool, match="sole", exhausted="reject"))
    Heartbeat(site.store, site.pools, lambda *_said: None).look()
    set_clock(site.client, site.store, HOUR_MS)
    return site


def redis_not_heard_yet(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(pool, is_new=True)
    site.keeper.not_heard()
    return site


def redis_refuses(new_site: MakeSite, pool: Pool) -> Site:
    site = new_site(pool)
    site.client.set("cti:{system-y}:shared", "of the wrong type", px=60_000)
    site.lease(OTHER)  # it is on the pool's only number; the next one would share it
    return site


X_WITH_ONE = replace(X_AND_Y, max_live=1)
REFUSED: dict[Refused, type[Refusal]] = {
    none_free: PoolExhausted,
    no_numbers: PoolExhausted,
    too_many_live: TooManyLive,
    not_in_place_here: NotReady,
    not_in_place_in_redis: NotReady,
    overruled: NotReady,
    calls_were_lost: NotReady,
    the_clock_jumped: NotReady,
    redis_not_heard_yet: RedisUnavailable,
    redis_refuses: RedisRefuses,
}


@pytest.mark.parametrize(("made", "kind"), REFUSED.items(), ids=[made.__name__ for made in REFUSED])
@pytest.mark.parametrize("number", [W, ""])
def test_a_lease_that_is_refused_for_no_fault_of_the_request_says_where_the_call_may_go(
    new_site: MakeSite, made: Refused, kind: type[Refusal], number: str
) -> None:
    site = made(new_site, make_pool("100", without_data=number))
    refusal = outcome(lambda: site.lease(who=X_WITH_ONE if kind is TooManyLive else X_AND_Y))
    assert type(refusal) is kind
    assert refusal.transfer_to == number
    body = json.loads(refusal.body())
    assert list(body) == ["error", "detail", "status", "transfer_to"][: 4 if number else 3]
    assert body.get("transfer_to", "") == number


@pytest.mark.parametrize("asking", WAYS)
def test_a_lease_that_redis_does_not_answer_says_it_the_first_time_and_while_redis_is_known_to_be_away(
    new_site: MakeSite, asking: str
) -> None:
    with runner(f"redis://127.0.0.1:{free_port()}", asking) as nobody:
        site = new_site(make_pool("100", without_data=W))
        away = Store(Scripts(nobody, read_scripts()), Keys("cti"), retry_after=2)
        site.calls = HandOver(away, site.pools, site.keeper)
        for _ in range(3):
            refusal = outcome(site.lease)
            assert type(refusal) is RedisUnavailable
            assert refusal.transfer_to == W
        for other in (outcome(lambda: site.read("100")), outcome(lambda: site.take("100"))):
            assert type(other) is RedisUnavailable
            assert "transfer_to" not in other.body()


def test_no_other_refusal_of_a_lease_says_it(new_site: MakeSite) -> None:
    site = new_site(make_pool("100", without_data=W))
    dnis = site.lease(key="k").dnis
    site.take(dnis)
    for asked, kind in (
        (lambda: site.lease(key="k"), Gone),
        (lambda: site.lease(OTHER, key="k"), KeyReused),
        (lambda: site.lease(OTHER, ttl=86_400), WrongFields),
        (lambda: site.lease("nobody's word"), WrongFields),
        (lambda: site.lease(pool="none"), WrongFields),
        (lambda: site.lease(who=user("other", {"other"})), Forbidden),
    ):
        refusal = outcome(asked)
        assert type(refusal) is kind
        assert not refusal.transfer_to


def test_it_is_the_number_of_the_pool_that_was_asked(new_site: MakeSite) -> None:
    one = make_pool("100", name="one", exhausted="reject", without_data=W)
    two = make_pool("200", name="two", exhausted="reject", without_data=W[:-1] + "1")
    site = new_site(one, two, make_pool("300", name="three", exhausted="reject"))
    for name, number in {"one": W, "two": W[:-1] + "1", "three": ""}.items():
        site.lease(OTHER, name)
        refusal = outcome(lambda name=name: site.lease(A, name))
        assert (type(refusal), refusal.transfer_to) == (PoolExhausted, number)


def test_nothing_is_found_on_that_number(new_site: MakeSite) -> None:
    site = new_site(make_pool("100", match="sole", exhausted="reject", without_data=W))
    site.lease()
    for asked in (site.read, site.take):
        assert type(outcome(lambda asked=asked: asked(W))) is NoSuchCall
    assert not site.calls.knows(W)


@pytest.mark.parametrize("number", ["5554000000", "+15554000000"])
def test_it_is_not_said_while_a_call_from_before_may_be_live_on_that_number(new_site: MakeSite, number: str) -> None:
    """The caller whose data was not kept would be given the data of that call's caller."""
    rules = {"match": "sole", "exhausted": "reject", "without_data": number}
    new_site(make_pool("5554000000")).lease(OTHER)
    now = new_site(make_pool("100", **rules))
    now = new_site(replace(now.pools.get("system-y"), country=ONE))  # type: ignore[type-var]
    now.lease()
    assert outcome(lambda: now.lease("5550000000")).transfer_to == ""
    age(now.client, HOUR_MS)
    now.lease()
    sync(now.store, now.pools, take_over=True)
    assert outcome(lambda: now.lease("5550000000")).transfer_to == number
