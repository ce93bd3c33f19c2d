from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import Gone
from cticache.numbering.pool import Pool
from kit.aging import age, but_counts, now_ms
from kit.samples import at

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"
SHARED = "cti:{system-y}:shared"


def test_a_value_is_handed_over_once(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", '["x"]', "x", 60_000)
    held = store.take(at(pool, "100"), "777", "y")
    assert held
    assert held[:4] == ('["x"]', leased.token, "exact", leased.leased_ms)
    assert 59_000 < held.left_ms <= 60_000
    assert not held.replayed
    with pytest.raises(Gone):
        store.take(at(pool, "100"), "777", "y")
    assert not client.exists("cti:{system-y}:call:100:777")


def test_a_taken_number_goes_into_its_cool_down(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    store.take(at(pool, "100"), "777", "y")
    assert now_ms(client) < client.zscore(NUMBERS, "100") <= now_ms(client) + 5_000


def test_one_sharer_taken_does_not_free_the_others_number(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "2", "x", 30_000)
    store.take(at(pool, "100"), "1", "y")
    assert now_ms(client) + 34_000 < client.zscore(NUMBERS, "100") <= now_ms(client) + 35_000
    assert store.take(at(pool, "100"), "2", "y")
    assert client.zscore(NUMBERS, "100") <= now_ms(client) + 5_000


def test_a_number_is_shared_only_while_two_are_live(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for ani in "123":
        store.lease(pool, ani, ani, "x", 10_000 * int(ani))
    assert now_ms(client) + 19_000 < client.zscore(SHARED, "100") <= now_ms(client) + 20_000
    store.take(at(pool, "100"), "3", "y")
    assert now_ms(client) + 9_000 < client.zscore(SHARED, "100") <= now_ms(client) + 10_000
    store.take(at(pool, "100"), "2", "y")
    assert client.zscore(SHARED, "100") is None


def test_an_expired_call_is_not_taken(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    age(client, 60_000)
    assert store.take(at(pool, "100"), "777", "y") is None
    assert store.pool_stats([pool])[0].taken_total == 0


def test_a_take_that_finds_nothing_changes_nothing(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    before = but_counts(client)
    assert store.take(at(pool, "100"), "778", "y") is None
    assert but_counts(client) == before


def test_the_callers_of_a_number_are_forgotten_when_the_last_of_them_has_rested(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    store.take(at(pool, "100"), "777", "y")
    assert 59_000 < client.pttl("cti:{system-y}:callers:100") <= 60_000


def test_a_sharer_whose_call_is_gone_holds_the_number_no_longer(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "2", "x", 60_000)
    client.delete("cti:{system-y}:call:100:2")
    store.take(at(pool, "100"), "1", "y")
    assert client.zscore(NUMBERS, "100") <= now_ms(client) + 5_000
