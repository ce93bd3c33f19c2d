from collections.abc import Callable

from redis import Redis

from cticache.data.store import Store
from cticache.numbering.pools import Pool
from kit.aging import age, everything
from kit.samples import at

MakePool = Callable[..., Pool]


def test_a_value_is_read_as_often_as_asked(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", '{"a":[]}', "x", 60_000)
    store.read(at(pool, "100"), "777", "y")
    before = everything(client)
    for _ in range(2):
        assert store.read(at(pool, "100"), "777", "y")[:2] == ('{"a":[]}', leased.token)  # type: ignore[index]
    assert everything(client) == before


def test_nobody_elses_value_is_read(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "777", "1", "x", 60_000)
    assert store.read(at(pool, "100"), "778", "y") is None
    assert store.read(at(pool, "101"), "777", "y") is None


def test_an_expired_value_is_gone(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    age(client, 60_000)
    assert store.read(at(pool, "100"), "777", "y") is None


def test_two_pools_keep_their_calls_apart(store: Store, new_pool: MakePool) -> None:
    one, other = new_pool("100", name="system-y"), new_pool("200", name="other")
    store.lease(one, "777", "1", "x", 60_000)
    store.lease(other, "777", "2", "x", 60_000)
    assert store.read(at(one, "100"), "777", "y").value == "1"  # type: ignore[union-attr]
    assert store.read(at(other, "200"), "777", "y").value == "2"  # type: ignore[union-attr]
    assert store.read(at(other, "100"), "777", "y") is None
