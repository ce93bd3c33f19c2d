"""A call ended without its value being handed over."""

from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.data.store.calls import ITS_OWN
from cticache.errors import Gone, RedisUnavailable, TooManyLive
from cticache.numbering.pool import Pool
from kit.aging import age, everything, now_ms
from kit.samples import at

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"


def test_a_released_call_is_gone_for_whoever_asks(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", uui=True)
    leased = store.lease(pool, "777", "secret", "x", 60_000, key="k")
    assert store.release(pool, [("100", "777", "")]) == [leased.token]
    place = at(pool, "100")
    for ask in (
        lambda: store.take(place, "777", "y"),
        lambda: store.take(place, "", "y", token=leased.token),
        lambda: store.read(place, "777", "y"),
        lambda: store.renew(place, "777", 60_000),
    ):
        with pytest.raises(Gone, match="released by an operator, at 20"):
            ask()
    with pytest.raises(Gone, match="has been over since"):
        store.lease(pool, "777", "secret", "x", 60_000, key="k")
    assert store.explain(place, "777").grade == "gone"
    assert not any("secret" in str(held) for held in everything(client).values())


def test_a_call_that_was_taken_is_not_told_as_released(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    token = store.lease(pool, "777", "1", "x", 60_000).token
    store.take(at(pool, "100"), "777", "y")
    for ani in ("777", ITS_OWN):
        (told,) = store.release(pool, [("100", ani, token)])
        assert isinstance(told, int)
        assert told > 0
    with pytest.raises(Gone, match="was taken, at"):
        store.take(at(pool, "100"), "777", "y")


def test_a_second_release_is_told_when_the_first_one_was(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    token = store.lease(pool, "777", "1", "x", 60_000).token
    store.release(pool, [("100", ITS_OWN, token)])
    for ani in ("777", ITS_OWN):
        (told,) = store.release(pool, [("100", ani, token)])
        assert isinstance(told, int)
        assert 0 <= now_ms(client) + told < 2_000
    assert store.release(pool, [("100", "888", ""), ("100", ITS_OWN, "none")]) == ["", ""]
    assert store.pool_stats([pool])[0].released_total == 1


def test_its_number_rests_as_after_a_take(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    store.release(pool, [("100", "777", "")])
    assert now_ms(client) < client.zscore(NUMBERS, "100") <= now_ms(client) + pool.rest_ms
    age(client, pool.rest_ms)
    assert store.lease(pool, "888", "1", "x", 60_000).dnis == "100"  # and the pair of the two rests longer
    assert now_ms(client) - 10_000 < client.zscore("cti:{system-y}:callers:100", "777") < now_ms(client)


def test_callers_on_one_number_who_are_released_in_one_step_leave_it_resting(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    for ani in "123":
        store.lease(pool, ani, ani, "x", 10_000 * int(ani))
    store.release(pool, [("100", ani, "") for ani in "23"])
    assert now_ms(client) + 13_000 < client.zscore(NUMBERS, "100") <= now_ms(client) + 15_000
    assert not client.exists("cti:{system-y}:shared")
    store.release(pool, [("100", "1", "")])
    assert client.zscore(NUMBERS, "100") <= now_ms(client) + 5_000


def test_a_call_leased_anew_since_it_was_listed_stays(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", cooldown_ms=0, remember_ms=1)
    listed = store.lease(pool, "777", "1", "x", 60_000)
    store.take(at(pool, "100"), "777", "y")
    age(client, 1_000)
    store.lease(pool, "777", "2", "x", 60_000)
    before = everything(client)
    assert store.release(pool, [("100", "777", listed.token), ("100", ITS_OWN, listed.token)]) == ["", ""]
    assert everything(client) == before


def test_it_is_counted_as_released_and_as_nothing_else(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    age(client, 10_000)
    store.release(pool, [("100", "777", "")])
    age(client, 120_000)
    (figures,) = store.pool_stats([pool])
    counted = {name: n for name, n in figures.counts.items() if n}
    assert counted == {"leased_total": 1, "released_total": 1}  # and not as one that nobody asked for
    assert figures.transits == {}
    held_ms = sum(counters.get("held_ms", 0) for _, counters in store.pool_hours(pool, 24))  # two hours, just after one
    assert 10_000 <= held_ms < 12_000


def test_it_says_nothing_of_whether_the_number_is_picked_up(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", cooldown_ms=0)
    store.lease(pool, "1", "1", "x", 5_000)
    age(client, 10_000)
    store.lease(pool, "2", "1", "x", 5_000)
    store.release(pool, [("100", "2", "")])
    assert store.pool_stats([pool])[0].missed == {"100": 1}


def test_the_user_may_lease_another_at_once(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "1", "1", "x", 60_000, max_live=1)
    with pytest.raises(TooManyLive):
        store.lease(pool, "2", "1", "x", 60_000, max_live=1)
    store.release(pool, [("100", "1", "")])
    assert store.lease(pool, "2", "1", "x", 60_000, max_live=1).dnis == "101"


@pytest.mark.parametrize("key", ["numbers", "shared", "pending", "live:x", "stats", "gone:101:888", "callers:101"])
def test_a_key_of_the_wrong_type_stops_it_before_anything_is_ended(
    client: Redis, store: Store, new_pool: MakePool, key: str
) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "777", "1", "x", 60_000)
    client.delete(f"cti:{{system-y}}:{key}")
    client.rpush(f"cti:{{system-y}}:{key}", "a list")
    client.expire(f"cti:{{system-y}}:{key}", 60)
    calls = {held: client.hgetall(held) for held in client.keys("*:call:*")}
    with pytest.raises(RedisUnavailable):
        store.release(pool, [("100", "777", ""), ("101", "888", ""), ("101", ITS_OWN, "token")])
    assert {held: client.hgetall(held) for held in client.keys("*:call:*")} == calls
    assert not client.exists("cti:{system-y}:gone:100:777")


def test_a_released_call_is_not_told_of_to_the_next_caller(store: Store, new_pool: MakePool, client: Redis) -> None:
    pool = new_pool("100", match="sole")
    store.lease(pool, "1", "first", "x", 60_000)
    store.release(pool, [("100", "1", "")])
    age(client, pool.rest_ms)
    store.lease(pool, "2", "second", "x", 60_000)
    held = store.take(at(pool, "100"), "2", "y")
    assert held
    assert held.value == "second"
