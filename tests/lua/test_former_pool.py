"""A pool that is renamed or removed keeps its calls, and never shares a number with another pool."""

from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.data.sync import sync
from cticache.errors import PoolExhausted
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, now_ms
from kit.between import WAYS, Between, KilledError, killed
from kit.samples import at, make_pool

RULING = "cti:{@all}:ruling"
FORMER = "cti:{@all}:former"


def renamed(**rules: Any) -> tuple[Pools, Pools]:
    """A configuration with pool old and the next one, where its numbers are those of pool new; other stays."""
    other = make_pool("900", name="other")
    old, new = make_pool("100-101", name="old"), make_pool("100-102", name="new", exhausted="reject", **rules)
    return Pools([other, old]), Pools([other, new])


def pool_of(pools: Pools, name: str) -> Pool:
    pool = pools.get(name)
    assert pool
    return pool


def lease_all(store: Store, pool: Pool, *expected: str) -> None:
    """Withheld callers get these numbers and then none."""
    assert {store.lease(pool, "", "later", "x", 60_000).dnis for _ in expected} == set(expected)
    with pytest.raises(PoolExhausted):
        store.lease(pool, "", "later", "x", 60_000)


def check_nobody_gets_anothers_call(client: Redis, store: Store, pools: Pools) -> None:
    """The call on old:100 is found, and its number is leased in pool new only after it has ended and rested."""
    new = pool_of(pools, "new")
    lease_all(store, new, "101", "102")
    was, now = pools.of("100")
    assert (was.pool.name, was.moved, now.pool.name, now.moved) == ("old", True, "new", False)
    assert store.read(now, "", "y") is None
    held = store.read(was, "", "y")
    assert held
    assert held.value == "first"
    age(client, 60_000)
    assert store.read(was, "", "y") is None
    with pytest.raises(PoolExhausted):
        store.lease(new, "", "second", "x", 60_000)
    age(client, 55_000)
    assert {store.lease(new, ani, "another", "x", 60_000).dnis for ani in "12"} == {"101", "102"}
    with pytest.raises(PoolExhausted):
        store.lease(new, "", "second", "x", 60_000)
    age(client, 5_000)
    assert store.lease(new, "", "second", "x", 60_000).dnis == "100"


def test_a_renamed_pool_keeps_its_calls_and_its_numbers_rest_until_these_have_ended(
    client: Redis, store: Store
) -> None:
    before, after = renamed()
    sync(store, before, take_over=True)
    assert store.lease(pool_of(before, "old"), "", "first", "x", 60_000).dnis == "100"
    assert not sync(store, after, take_over=True)
    assert not client.exists("cti:{old}:numbers")
    check_nobody_gets_anothers_call(client, store, after)


@pytest.mark.parametrize("name", ["old", "new"])
@pytest.mark.parametrize(("step", "lists"), WAYS)
def test_a_rename_cut_off_anywhere_is_finished_by_the_next_start(
    client: Redis, store: Store, between: Between, name: str, step: str, *, lists: bool
) -> None:
    before, after = renamed()
    sync(store, before, take_over=True)
    store.lease(pool_of(before, "old"), "", "first", "x", 60_000)
    between.happens(step, killed, pool=name, lists=lists)
    try:
        sync(between, after, take_over=True)
    except KilledError:
        sync(store, after, take_over=True)
    else:
        assert (name, step) in {("new", "list"), ("new", "drop"), ("old", "add")}
    check_nobody_gets_anothers_call(client, store, after)


@pytest.mark.parametrize("name", ["old", "new"])
@pytest.mark.parametrize(("step", "lists"), WAYS)
def test_a_rename_rolled_back_from_anywhere_leaves_no_number_in_two_pools_and_loses_no_call(
    client: Redis, store: Store, between: Between, name: str, step: str, *, lists: bool
) -> None:
    before, after = renamed()
    old = pool_of(before, "old")
    sync(store, before, take_over=True)
    store.lease(old, "", "first", "x", 60_000)
    between.happens(step, killed, pool=name, lists=lists)
    with suppress(KilledError):
        sync(between, after, take_over=True)
        store.lease(pool_of(after, "new"), "", "of new", "x", 60_000)
    assert not sync(store, before, take_over=True)
    assert set(client.zrange("cti:{old}:numbers", 0, -1)) == {"100", "101"}
    assert not client.exists("cti:{new}:numbers")
    assert [place.pool.name for place in before.of("100")] == ["old"]
    held = store.take(at(old, "100"), "", "y")
    assert held
    assert held.value == "first"
    for dnis in client.zrange("cti:{new}:leaving", 0, -1):
        held = store.take(before.of(dnis)[0], "", "y")
        assert held
        assert held.value == "of new"


def test_a_removed_pool_is_forgotten_once_nothing_lives_there(client: Redis, store: Store) -> None:
    before, _ = renamed()
    after = Pools([make_pool("900", name="other", country=None)])
    sync(store, before, take_over=True)
    store.lease(pool_of(before, "old"), "777", "1", "x", 60_000)
    for _ in range(3):
        sync(store, after, take_over=True)
        assert client.zrange(FORMER, 0, -1) == ["old"]
        (place,) = after.of("100")
        assert (place.pool.name, place.rule, place.moved) == ("old", "exact", False)
        held = store.renew(place, "777", 60_000)
        assert held
    age(client, 120_000)
    for _ in range(2):
        sync(store, after, take_over=False)
    assert not after.of("100")
    assert client.hkeys(RULING) == ["other", "@"]
    assert not client.exists(FORMER)
    assert not [key for key in client.keys("cti:{old}:*") if client.ttl(key) == -1]
    assert [place.pool.name for place in after.of("900")] == ["other"]


def test_a_forgotten_pool_is_not_revived_by_a_service_that_still_has_it(client: Redis, store: Store) -> None:
    before, after = renamed()
    sync(store, before, take_over=True)
    for _ in range(2):
        sync(store, after, take_over=True)
    assert client.hkeys(RULING) == ["other", "new", "@"]
    assert sync(store, before, take_over=False) == {"old", "new"}
    assert not client.keys("cti:{old}:*")


@pytest.mark.parametrize(("step", "lists"), [*WAYS, ("erase", False)])
def test_services_that_forget_a_pool_together_leave_nothing_of_it(
    client: Redis, store: Store, between: Between, step: str, *, lists: bool
) -> None:
    before, after = renamed()
    sync(store, before, take_over=True)

    def twin() -> None:
        for _ in range(3):
            sync(store, after, take_over=False)

    for _ in range(2):
        between.happens(step, twin, pool="old", lists=lists)
        sync(between, after, take_over=True)
    assert not client.keys("cti:{old}:*")
    assert client.hkeys(RULING) == ["other", "new", "@"]


def test_a_pool_that_is_configured_again_while_it_is_forgotten_stays(
    client: Redis, store: Store, between: Between
) -> None:
    before, after = renamed()
    sync(store, before, take_over=True)
    sync(store, after, take_over=True)
    between.happens("erase", lambda: sync(store, before, take_over=True), pool="old")
    sync(between, after, take_over=False)
    assert not sync(store, before, take_over=False)
    assert client.zcard("cti:{old}:numbers") == 2
    assert client.hget(RULING, "old") == pool_of(before, "old").numbers.fingerprint()


def test_what_another_service_has_just_claimed_is_neither_erased_nor_forgotten(client: Redis, store: Store) -> None:
    store.pool_claim("take_over", "", {"old": "x"})
    assert store.pool_claim("forget", claims={"old": ""}).pools == {}
    assert store.pool_claim("list").pools == {"old": "x", "@": ""}
    assert store.pool_sync(Step(pool_of(renamed()[0], "old"), "begin", fingerprint="x", count=2)) == [[0, 0, 0, "", ""]]
    assert store.pool_sync(Step(pool_of(renamed()[1], "other"), "erase", fingerprint="y")) == [1]
    assert store.pool_sync(Step(pool_of(renamed()[0], "old"), "erase", fingerprint="y")) == [0]
    assert client.get("cti:{old}:synced") == "syncing:x"


def test_a_pool_that_has_been_configured_and_removed_again_is_not_forgotten_for_what_was_seen_before(
    client: Redis, store: Store
) -> None:
    for claims in ({"old": "x"}, {"new": "x"}):
        store.pool_claim("take_over", "", claims)
    seen = store.pool_claim("ask").former
    client.zadd(FORMER, {"old": int(seen["old"]) + 1})
    assert store.pool_claim("forget", claims=seen).former.keys() == {"old"}
    assert not store.pool_claim("forget", claims=store.pool_claim("ask").former).former


def test_a_number_that_moves_twice_is_found_in_every_pool_and_rests_for_the_longest(
    client: Redis, store: Store
) -> None:
    names = ["one", "two", "three"]
    for name, ttl_ms in zip(names, (90_000, 30_000, 60_000), strict=True):
        pools = Pools([pool := make_pool("100", name=name, cooldown_ms=0)])
        sync(store, pools, take_over=True)
        if name == "two":
            assert client.zscore("cti:{two}:numbers", "100") > now_ms(client) + 89_000
            client.zadd("cti:{two}:numbers", {"100": 0})  # a service that did not know leased it all the same
        if name != "three":
            store.lease(pool, name, "1", "x", ttl_ms)
    assert client.zscore("cti:{three}:numbers", "100") > now_ms(client) + 89_000
    places = pools.of("100")
    assert {place.pool.name for place in places[:2]} == {"one", "two"}
    assert places[2] == at(pool, "100")
    assert all(store.take(place, place.pool.name, "y") for place in places[:2])


def test_a_number_of_a_former_pool_is_found_by_its_ending_under_the_rules_of_the_pool_that_has_it(
    store: Store,
) -> None:
    before, after = renamed(dnis_digits=2)
    sync(store, before, take_over=True)
    store.lease(pool_of(before, "old"), "777", "1", "x", 60_000)
    sync(store, after, take_over=True)
    assert [(place.pool.name, place.dnis, place.moved) for place in after.of("00")] == [
        ("old", "100", True),
        ("new", "100", False),
    ]


def test_the_numbers_of_a_former_pool_rest_for_the_longest_time_of_all_pools(client: Redis, store: Store) -> None:
    before, _ = renamed()
    after = Pools([make_pool("900", name="other", remember_ms=90_000), make_pool("100-102", name="new")])
    sync(store, before, take_over=True)
    store.lease(pool_of(before, "old"), "777", "1", "x", 60_000)
    sync(store, after, take_over=True)
    assert [place.pool.pair_rest_ms for place in after.of("100")] == [90_000, 60_000]
    for key in ("cti:{old}:leaving", "cti:{new}:numbers"):
        assert now_ms(client) + 149_000 < client.zscore(key, "100") <= now_ms(client) + 150_000
