from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import Ambiguous, Gone
from cticache.numbering.pool import Pool
from kit.aging import age, dumped, everything
from kit.model import outcome
from kit.samples import at

MakePool = Callable[..., Pool]
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "5551234567", "15551234567", "9991234567", "5557654321", "8005550000"

PEEKED = {
    "a hit": ("exact", [A], A, "exact"),
    "a hit by a tail": ("suffix", [A], A_AS_Y_SEES_IT, "suffix"),
    "a hit of the only call": ("sole", [A], PBX, "sole"),
    "a hit of a withheld one": ("sole", [A], "", "sole"),
    "a miss": ("exact", [], A, None),
    "a miss beside a call that it is like": ("exact", [A], A_AS_Y_SEES_IT, None),
    "a miss beside a call that it is unlike": ("exact", [A], PBX, None),
    "a miss under suffix": ("suffix", [A], OTHER, None),
    "a miss under sole": ("sole", [], PBX, None),
    "two that fit under suffix": ("suffix", [A, SAME_TAIL], A_AS_Y_SEES_IT, Ambiguous),
    "two that fit under sole": ("sole", [A, OTHER], PBX, Ambiguous),
    "one that was taken": ("exact", [OTHER], OTHER, Gone),
    "one that was taken, under suffix": ("suffix", [OTHER], OTHER, Gone),
    "one that was taken, under sole": ("sole", [OTHER], OTHER, Gone),
}


def test_a_value_is_read_as_often_as_asked(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", '{"a":[]}', "x", 60_000)
    store.read(at(pool, "100"), "777", "y")
    before = everything(client)
    for _ in range(2):
        assert store.read(at(pool, "100"), "777", "y")[:2] == ('{"a":[]}', leased.token)  # type: ignore[index]
    assert everything(client) == before


@pytest.mark.parametrize(("rule", "callers", "ani", "right"), PEEKED.values(), ids=PEEKED.keys())
def test_who_peeks_is_answered_as_a_reader_is_and_leaves_no_trace(
    client: Redis,
    store: Store,
    new_pool: MakePool,
    *,
    rule: str,
    callers: list[str],
    ani: str,
    right: str | type[Exception] | None,
) -> None:
    pool, place = new_pool("100"), at(new_pool("100"), "100")._replace(rule=rule)  # type: ignore[arg-type]
    for each in callers:
        store.lease(pool, each, f'"of {each}"', "x", 60_000)
    if right is Gone:
        store.take(place, ani, "y")
    before = dumped(client)
    peeked = outcome(lambda: store.read(place, ani, "y", peek=True))
    assert dumped(client) == before
    read = outcome(lambda: store.read(place, ani, "y"))
    assert dumped(client) != before  # a question is counted, and the first hit is a pick-up
    if isinstance(right, str):
        assert peeked[:4] == read[:4] == ('"of 5551234567"', read.token, right, read.leased_ms)
    elif right:
        assert type(peeked) is type(read) is right
        assert str(peeked) == str(read)
    else:
        assert peeked is read is None


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
