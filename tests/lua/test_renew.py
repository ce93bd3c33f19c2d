from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import PoolExhausted
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools
from kit.aging import age, but_counts, now_ms
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"
CALL = "cti:{system-y}:call:100:777"


def test_the_time_starts_again(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", "1", "x", 60_000)
    age(client, 50_000)
    assert store.renew(at(pool, "100"), "777", 60_000)[:2] == ("1", leased.token)  # type: ignore[index]
    assert 59_000 < client.pttl(CALL) <= 60_000
    assert now_ms(client) + 64_000 < client.zscore(NUMBERS, "100") <= now_ms(client) + 65_000
    age(client, 59_000)
    assert store.read(at(pool, "100"), "777", "y")


def test_the_time_may_be_made_shorter(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    store.renew(at(pool, "100"), "777", 1_000)
    assert client.pttl(CALL) <= 1_000
    assert client.zscore(NUMBERS, "100") <= now_ms(client) + 6_000


def test_the_value_is_replaced_if_one_is_given(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", "1", "x", 60_000)
    assert store.renew(at(pool, "100"), "777", 60_000, '""')[:2] == ('""', leased.token)  # type: ignore[index]
    assert store.take(at(pool, "100"), "777", "y")[:2] == ('""', leased.token)  # type: ignore[index]


def test_what_is_not_live_is_not_renewed(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    age(client, 60_000)
    before = but_counts(client)
    assert store.renew(at(pool, "100"), "777", 60_000, "2") is None
    assert but_counts(client) == before


def test_a_sharer_renewed_does_not_shorten_the_others_rest(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "2", "x", 30_000)
    store.renew(at(pool, "100"), "2", 10_000)
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 64_000
    assert client.zscore("cti:{system-y}:shared", "100") <= now_ms(client) + 10_000
    store.renew(at(pool, "100"), "2", 90_000)
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 94_000
    assert now_ms(client) + 50_000 < client.zscore("cti:{system-y}:shared", "100") <= now_ms(client) + 60_000


def test_a_call_on_a_number_that_is_another_pools_by_now_is_not_renewed_beyond_what_that_pool_was_told(
    client: Redis, store: Store
) -> None:
    sync(store, Pools([old := make_pool("100", name="old"), make_pool("200", name="new")]), take_over=True)
    leased = store.lease(old, "777", "1", "x", 60_000)
    new = make_pool("100", name="new", exhausted="reject")
    pools = Pools([make_pool("200", name="old"), new])
    sync(store, pools, take_over=True)
    (aware, _) = pools.of("100")
    unaware = Place(old, "100", old.match)  # of a service that does not know of the new pool
    for place in (aware, unaware):
        held = store.renew(place, "777", 3_600_000, "2")
        assert held
        assert (held.value, held.token) == ("2", leased.token)
        assert 59_000 < held.left_ms <= 60_000
    age(client, 60_000)
    assert not client.exists("cti:{old}:call:100:777")
    for _ in range(2):
        with pytest.raises(PoolExhausted):
            store.lease(new, "888", "3", "x", 60_000)
        age(client, 30_000)
    assert store.lease(new, "888", "3", "x", 60_000).dnis == "100"


def test_a_call_on_a_number_that_came_back_is_renewed_beyond_what_the_other_pool_was_told(
    client: Redis, store: Store
) -> None:
    here = Pools([old := make_pool("100", name="old"), make_pool("200", name="new")])
    there = Pools([make_pool("200", name="old"), make_pool("100", name="new")])
    sync(store, here, take_over=True)
    store.lease(old, "777", "1", "x", 60_000)
    sync(store, there, take_over=True)
    sync(store, here, take_over=True)
    held = store.renew(at(old, "100"), "777", 3_600_000)
    assert held
    assert held.left_ms == 3_600_000
    sync(store, there, take_over=True)
    new = there.get("new")
    assert new
    assert client.zscore("cti:{new}:numbers", "100") > now_ms(client) + 3_600_000


def test_of_many_numbers_that_came_back_none_is_promised_any_more(client: Redis, store: Store) -> None:
    """Though the last of them that leaves comes back before the others."""
    here = Pools([old := make_pool("1000-1700", name="old", remember_ms=1_000), make_pool("200", name="new")])
    there = Pools([make_pool("200", name="old", remember_ms=1_000), make_pool("1000-1700", name="new")])
    sync(store, here, take_over=True)
    store.lease(old, "777", "1", "x", 300_000)
    for number in range(600):
        store.lease(old, f"8{number}", "1", "x", 8_000)
    sync(store, there, take_over=True)
    age(client, 10_000)
    sync(store, here, take_over=True)
    assert not client.exists("cti:{old}:promised")


@pytest.mark.parametrize("as_what", ["draining", "fallback"])
def test_a_number_that_is_the_pools_again_and_not_leased_is_promised_no_more(
    client: Redis, store: Store, as_what: str
) -> None:
    here = Pools([old := make_pool("100-101", name="old"), make_pool("200", name="new")])
    there = Pools([make_pool("101", name="old"), make_pool("100", name="new")])
    again = {"draining": {"draining": "100"}, "fallback": {"exhausted": "fallback", "fallback": "100"}}[as_what]
    back = Pools([back_again := make_pool("101", name="old", **again), make_pool("200", name="new")])
    sync(store, here, take_over=True)
    store.lease(old, "777", "1", "x", 60_000)
    sync(store, there, take_over=True)
    assert client.exists("cti:{old}:promised")
    sync(store, back, take_over=True)
    assert not client.exists("cti:{old}:promised")
    held = store.renew(at(back_again, "100"), "777", 3_000_000)
    assert held
    assert held.left_ms == 3_000_000


def test_one_sharer_taken_does_not_free_the_number_of_one_who_was_renewed(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    for ani in "12":
        store.lease(pool, ani, ani, "x", 30_000)
    store.renew(at(pool, "100"), "1", 90_000)
    store.take(at(pool, "100"), "2", "y")
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 94_000
    assert client.pttl("cti:{system-y}:callers:100") > 94_000


def test_one_sharer_of_a_number_that_left_its_pool_is_renewed(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for ani in "12":
        store.lease(pool, ani, ani, "x", 30_000)
    sync(store, Pools([make_pool("200")]), take_over=True)
    held = store.renew(at(pool, "100"), "1", 90_000)
    assert held
    assert held.left_ms == 90_000
