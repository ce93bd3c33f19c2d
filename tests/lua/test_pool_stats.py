from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.replies import PoolStats
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Gone, PoolExhausted
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, everything
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]


def stats(store: Store, pool: Pool) -> PoolStats:
    return store.pool_stats([pool])[0]


def test_every_number_is_free_leased_or_cooling(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    for ani in ("1", "2", "3"):
        store.lease(pool, ani, "1", "x", 60_000)
    store.take(at(pool, "100"), "1", "y")
    seen = stats(store, pool)
    assert (seen.size, seen.free, seen.leased, seen.cooling, seen.next_free_ms) == (5, 2, 2, 1, 0)
    age(client, 5_000)
    assert (stats(store, pool).free, stats(store, pool).cooling) == (3, 0)
    age(client, 55_000)
    assert (stats(store, pool).leased, stats(store, pool).cooling) == (0, 2)


def test_it_tells_to_the_millisecond_when_a_number_falls_free(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "1", "x", 30_000)
    assert 34_000 < stats(store, pool).next_free_ms <= 35_000


def test_a_pool_without_numbers_never_has_one_free(store: Store) -> None:
    assert stats(store, make_pool("100")).next_free_ms == -1


def test_shared_numbers_are_counted_while_they_are(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    assert stats(store, pool).shared == 0
    store.lease(pool, "2", "1", "x", 30_000)
    assert stats(store, pool).shared == 1
    age(client, 30_000)
    assert stats(store, pool).shared == 0


def test_numbers_on_their_way_out_are_counted(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "1", "1", "x", 60_000)
    sync(store, Pools([later := make_pool("101")]), take_over=True)
    assert stats(store, later).leaving == 1


def test_shared_numbers_are_counted_of_those_that_are_leased(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for ani, ttl_ms in (("1", 30_000), ("2", 90_000), ("3", 60_000)):
        store.lease(pool, ani, "1", "x", ttl_ms)
    later = new_pool("200")
    assert (stats(store, later).size, stats(store, later).leaving, stats(store, later).shared) == (1, 1, 0)
    back = new_pool("100,200")
    assert (stats(store, back).size, stats(store, back).leaving, stats(store, back).shared) == (2, 0, 1)
    age(client, 59_000)
    assert stats(store, back).shared == 1
    age(client, 1_000)
    assert stats(store, back).shared == 0


def test_the_counters_count(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", max_callers=2)
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "1", "x", 60_000)
    for _ in range(3):
        with pytest.raises(PoolExhausted):
            store.lease(pool, "3", "1", "x", 60_000)
    store.renew(at(pool, "100"), "1", 60_000)
    store.take(at(pool, "100"), "1", "y")
    with pytest.raises(Gone):
        store.take(at(pool, "100"), "1", "y")
    seen = stats(store, pool)
    assert (seen.leased_total, seen.shared_total, seen.rejected_total) == (2, 1, 3)
    assert (seen.taken_total, seen.renewed_total) == (1, 1)


def test_looking_changes_nothing(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    before = everything(client)
    stats(store, pool)
    assert everything(client) == before


def test_several_pools_are_one_round_trip_also_after_the_scripts_are_forgotten(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pools = [new_pool("100", name="one"), new_pool("200-201", name="two")]
    assert [seen.size for seen in store.pool_stats(pools)] == [1, 2]
    client.script_flush()
    assert [seen.size for seen in store.pool_stats(pools)] == [1, 2]
