from collections.abc import Callable

from aging import age, everything, now_ms
from redis import Redis

from cticache.pools import Pool
from cticache.store import Store

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"
CALL = "cti:{system-y}:call:100:777"


def test_the_time_starts_again(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", "1", "x", 60_000)
    age(client, 50_000)
    assert store.renew(pool, "100", "777", 60_000) == ("1", leased.token)
    assert 59_000 < client.pttl(CALL) <= 60_000
    assert now_ms(client) + 64_000 < client.zscore(NUMBERS, "100") <= now_ms(client) + 65_000
    age(client, 59_000)
    assert store.read(pool, "100", "777")


def test_the_time_may_be_made_shorter(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    store.renew(pool, "100", "777", 1_000)
    assert client.pttl(CALL) <= 1_000
    assert client.zscore(NUMBERS, "100") <= now_ms(client) + 6_000


def test_the_value_is_replaced_if_one_is_given(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", "1", "x", 60_000)
    assert store.renew(pool, "100", "777", 60_000, '""') == ('""', leased.token)
    assert store.take(pool, "100", "777") == ('""', leased.token)


def test_what_is_not_live_is_not_renewed(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    age(client, 60_000)
    before = everything(client)
    assert store.renew(pool, "100", "777", 60_000, "2") is None
    assert everything(client) == before


def test_a_sharer_renewed_does_not_shorten_the_others_rest(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "1", "1", "x", 60_000)
    store.lease(pool, "2", "2", "x", 30_000)
    store.renew(pool, "100", "2", 10_000)
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 64_000
    assert client.zscore("cti:{system-y}:shared", "100") <= now_ms(client) + 10_000
    store.renew(pool, "100", "2", 90_000)
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 94_000
    assert now_ms(client) + 50_000 < client.zscore("cti:{system-y}:shared", "100") <= now_ms(client) + 60_000
