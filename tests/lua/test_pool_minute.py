"""What was done with a pool, kept once a minute for an hour."""

from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.counters import BY_MINUTE, COUNTERS, KEPT_MINUTES
from cticache.data.keys import Keys
from cticache.data.replies import LastMinutes
from cticache.data.store import Store
from cticache.errors import RedisRefuses, RedisUnavailable
from cticache.numbering.pool import Pool
from kit.aging import early_in_a_minute, everything, minutes_pass, now_ms
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]
MINUTES = "cti:{system-y}:minutes"


@pytest.fixture(autouse=True)
def in_one_minute(client: Redis) -> None:
    early_in_a_minute(client)


def last(store: Store, pool: Pool, back: int = KEPT_MINUTES) -> LastMinutes:
    return store.pool_minutes([pool], back)[0]


def leased(store: Store, pool: Pool) -> list[int]:
    """How many leases there were by each minute that is kept."""
    return [each.counts.get("leased", 0) for each in last(store, pool).kept]


def test_it_is_how_full_the_pool_is_and_what_was_counted(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    for ani in ("1", "2", "3"):
        store.lease(pool, ani, "1", "x", 60_000)
    store.take(at(pool, "100"), "1", "y")
    store.take(at(pool, "100"), "999", "y")
    before = now_ms(client)
    assert store.pool_minute([pool]) == 1
    (kept,) = last(store, pool).kept
    assert before <= kept.at_ms <= now_ms(client)
    assert (kept.size, kept.free, kept.leased) == (5, 2, 2)
    assert kept.counts == {"leased": 3, "taken": 1, "match_exact": 1, "missed": 1}
    assert kept.counts.keys() <= set(BY_MINUTE) <= {counter.field for counter in COUNTERS}


def test_it_is_kept_once_a_minute_whoever_comes(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool, other = new_pool("100-104"), Store(store._scripts, Keys("cti"), 2)
    assert [each.pool_minute([pool]) for each in (store, other, store)] == [1, 0, 0]
    store.lease(pool, "1", "1", "x", 60_000)
    store.pool_minute([pool])
    assert leased(store, pool) == [0]
    minutes_pass(client)
    assert [each.pool_minute([pool]) for each in (other, store)] == [1, 0]
    assert leased(other, pool) == [0, 1]


def test_an_hour_is_kept_and_no_more(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for _ in range(KEPT_MINUTES + 3):
        minutes_pass(client)
        store.pool_minute([pool])
    assert client.hlen(MINUTES) == KEPT_MINUTES + 1
    ages = [last(store, pool).now_ms // 60_000 - each.at_ms // 60_000 for each in last(store, pool).kept]
    assert ages[0] >= 60
    assert len(last(store, pool, 11).kept) == 11
    assert last(store, pool, 0).kept == []


def test_it_ends_by_itself_two_hours_after_the_last(client: Redis, store: Store, new_pool: MakePool) -> None:
    store.pool_minute([new_pool("100")])
    assert 7_190_000 < client.pttl(MINUTES) <= 7_200_000


def test_a_clock_set_ahead_leaves_a_gap(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    store.pool_minute([pool])
    minutes_pass(client, 30)
    store.lease(pool, "1", "1", "x", 60_000)
    store.pool_minute([pool])
    assert leased(store, pool) == [0, 1]
    minutes_pass(client, 40)
    store.pool_minute([pool])
    assert leased(store, pool) == [1, 1]
    assert client.hlen(MINUTES) == 3
    minutes_pass(client, 3 * 60)
    store.pool_minute([pool])
    assert leased(store, pool) == [1]
    assert client.hlen(MINUTES) == 2


def test_with_a_clock_set_back_it_begins_anew(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    for _ in range(20):
        store.pool_minute([pool])
        minutes_pass(client)
    minutes_pass(client, -10)
    assert all(each.at_ms <= last(store, pool).now_ms for each in last(store, pool).kept)
    store.lease(pool, "1", "1", "x", 60_000)
    assert store.pool_minute([pool]) == 1
    assert leased(store, pool) == [1]
    assert client.hlen(MINUTES) == 2


def test_with_a_clock_put_right_by_a_moment_nothing_is_lost(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.pool_minute([pool])
    minutes_pass(client, 2)
    store.pool_minute([pool])
    minutes_pass(client, -1)
    before = client.hgetall(MINUTES)
    assert store.pool_minute([pool]) == 0
    assert client.hgetall(MINUTES) == before


def test_an_emptied_redis_begins_anew(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    store.lease(pool, "1", "1", "x", 60_000)
    store.pool_minute([pool])
    client.flushall()
    assert last(store, pool).kept == []
    store.pool_minute([pool])
    (kept,) = last(store, pool).kept
    assert (kept.size, kept.counts) == (0, {})


def test_to_look_writes_nothing(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.pool_minute([pool])
    before = everything(client)
    last(store, pool)
    assert everything(client) == before


def test_a_key_of_the_wrong_type_stops_it_before_it_writes(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for key in ("cti:{system-y}:stats", "cti:{system-y}:numbers"):
        held = client.dump(key)
        client.set(key, "x", px=60_000)
        with pytest.raises(RedisUnavailable):
            store.pool_minute([pool])
        assert not client.exists(MINUTES)
        client.delete(key)
        if held:
            client.restore(key, 0, held)


@pytest.mark.one_server
def test_many_pools_are_asked_some_at_a_time(client: Redis, store: Store) -> None:
    pools = [make_pool(f"{at}", name=f"p{at}") for at in range(1, 102)]
    asked = []
    run, store._replies = store._replies, lambda some: asked.append(len(some)) or run(some)  # type: ignore
    assert store.pool_minute(pools) == len(store.pool_minutes(pools, 1)) == 101
    assert asked == [50, 50, 1] * 2
    asked.clear()
    store.pool_minutes(pools, KEPT_MINUTES)
    assert max(asked) * KEPT_MINUTES <= 400


def test_a_counter_that_is_no_number_is_not_kept_and_keeps_no_other_pool_from_it(client: Redis, store: Store) -> None:
    pools = [make_pool(f"{at}", name=f"p{at}") for at in range(1, 61)]
    client.hset("cti:{p3}:stats", "leased", "abc")
    with pytest.raises(RedisRefuses):
        store.pool_minute(pools)
    assert [len(last.kept) for last in store.pool_minutes(pools, 1)] == [1, 1, 0, *[1] * 57]
    client.hdel("cti:{p3}:stats", "leased")
    assert store.pool_minute(pools) == 1
