"""What found nothing is counted, and what that says of the ANI: by a fixed number of counters, whoever asks."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from redis import Redis

from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.errors import Ambiguous, Gone, RedisUnavailable, Stale
from cticache.link.connection import Runner
from cticache.numbering.pool import Pool
from kit.aging import age, everything
from kit.older import STAND_IN, withhold
from kit.samples import at

MakePool = Callable[..., Pool]
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "2125551234", "12125551234", "3135551234", "4159990000", "8005550000"
OPERATIONS = ("read", "take", "renew")


def ask(store: Store, pool: Pool, ani: str, dnis: str = "100", operation: str = "take", **more: Any) -> Any:
    who = 60_000 if operation == "renew" else "y"
    return getattr(store, operation)(at(pool, dnis), ani, who, **more)


def lease(store: Store, pool: Pool, *anis: str, ttl_s: int = 60) -> list[str]:
    return [store.lease(pool, ani, f'"of {ani}"', "x", ttl_s * 1000).dnis for ani in anis]


def misses(store: Store, pool: Pool) -> dict[str, int]:
    """The counters of what found nothing that are not 0."""
    (stats,) = store.pool_stats([pool])
    told = {name.removesuffix("_total"): count for name, count in stats.counts.items() if count}
    return {name: count for name, count in told.items() if re.match("missed|gone|stale|other", name)}


def one(kind: str, **more: int) -> dict[str, int]:
    return {"missed": 1, "other_live": 1, f"other_{kind}": 1} | more


# How the two ANI differ

KINDS = {
    "the calling code more": (7, A, A_AS_Y_SEES_IT, "more"),
    "the calling code less": (7, A_AS_Y_SEES_IT, A, "less"),
    "an area code more": (7, "5551234", A, "more"),
    "just a tail left": (7, A, A[-7:], "less"),
    "a trunk prefix for a calling code": (7, "49301234567", "0301234567", "tail"),
    "another area": (7, A, SAME_TAIL, "tail"),
    "fewer digits in common than a tail has": (7, A, A[-6:], "unlike"),
    "a tail of four": (4, A, "9991234", "tail"),
    "four digits of a tail of four": (4, A, "1234", "less"),
    "three digits of a tail of four": (4, A, "234", "unlike"),
    "a tail of seven where ten are asked for": (10, A, SAME_TAIL, "tail"),
    "seven digits where ten are asked for": (10, A, A[-7:], "less"),
    "six digits where ten are asked for": (10, A, A[-6:], "unlike"),
    "a plus more": (7, A, f"+{A}", "tail"),
    "a plus and the calling code more": (7, A, f"+{A_AS_Y_SEES_IT}", "more"),
    "a plus and the calling code less": (7, f"+{A_AS_Y_SEES_IT}", A, "less"),
    "a plus for the last digit of a tail": (7, "1551234", "+551234", "unlike"),
    "withheld on the way": (7, A, "", "withheld"),
    "withheld from the start": (7, "", A, "withheld"),
    "the PBX's own number": (7, A, PBX, "unlike"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("digits", "kept", "presented", "kind"), KINDS.values(), ids=KINDS.keys())
def test_a_miss_beside_a_live_call_is_counted_by_how_the_two_ani_differ(
    store: Store, new_pool: MakePool, *, digits: int, kept: str, presented: str, kind: str, operation: str
) -> None:
    pool = new_pool("100", match_digits=digits)
    lease(store, pool, kept)
    assert ask(store, pool, presented, operation=operation) is None
    assert misses(store, pool) == one(kind)
    told = store.explain(at(pool, "100"), presented)
    assert (told.grade, told.kind, told.like) == ("", kind, kept)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_miss_where_nobody_is_live_is_no_more_than_a_miss(
    client: Redis, store: Store, new_pool: MakePool, operation: str
) -> None:
    pool = new_pool("100-101")
    assert ask(store, pool, A, operation=operation) is None
    lease(store, pool, A)
    assert ask(store, pool, A, "101", operation=operation) is None
    age(client, 60_000)  # it has ended, and is counted as never asked for only afterwards
    assert ask(store, pool, OTHER, operation=operation) is None
    assert store.explain(at(pool, "100"), OTHER)[3:5] == ("", "")
    assert misses(store, pool) == {"missed": 3}


def test_a_listed_caller_whose_call_is_lost_is_nobody(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    client.delete(f"cti:{{system-y}}:call:100:{A}")
    ask(store, pool, OTHER)
    assert misses(store, pool) == {"missed": 1}
    assert not client.exists(f"cti:{{system-y}}:call:100:{A}")


def test_a_call_is_counted_once_however_often_and_as_whoever_it_is_asked_for(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    for ani, operation in product((A_AS_Y_SEES_IT, "", PBX, PBX), OPERATIONS):
        ask(store, pool, ani, operation=operation)
    assert misses(store, pool) == one("more", missed=12)


def test_a_call_that_was_asked_for_is_not_the_one_that_is_meant(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    assert ask(store, pool, A, operation="read")
    ask(store, pool, A_AS_Y_SEES_IT)
    assert misses(store, pool) == {"missed": 1}
    assert store.explain(at(pool, "100"), A_AS_Y_SEES_IT)[3:5] == ("more", A)


def test_a_call_that_was_asked_for_under_another_ani_is_found_under_its_own_for_as_long_as_before(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    call = f"cti:{{system-y}}:call:100:{A}"
    age(client, 20_000)
    ask(store, pool, A_AS_Y_SEES_IT)
    assert client.hget(call, "other") == "1"
    assert 39_000 < client.pttl(call) <= 40_000
    assert ask(store, pool, A).value == f'"of {A}"'


# Which of several calls

SHARING = [
    (["more", "less", "tail", "withheld", "unlike"], "more"),
    (["unlike", "withheld", "tail", "less"], "less"),
    (["tail", "withheld", "unlike"], "tail"),
    (["unlike", "withheld"], "withheld"),
    (["unlike"], "unlike"),
]
LIKE = {"more": "5551234", "less": A_AS_Y_SEES_IT, "tail": SAME_TAIL, "withheld": STAND_IN, "unlike": OTHER}


@pytest.mark.parametrize(("live", "kind"), SHARING)
@pytest.mark.parametrize("reverse", [False, True])
def test_of_several_calls_the_most_like_is_meant(
    client: Redis, store: Store, new_pool: MakePool, *, live: list[str], kind: str, reverse: bool
) -> None:
    pool = new_pool("100")
    for each in sorted(live[:4], reverse=reverse):
        lease(store, pool, LIKE[each])
        age(client, 1_000)
    if "withheld" in live[:4]:
        withhold(client, "100")
    for _ in range(2):
        ask(store, pool, A)
    assert misses(store, pool) == one(kind, missed=2)
    like = "" if kind == "withheld" else LIKE[kind]
    assert client.hget(f"cti:{{system-y}}:call:100:{like}", "other") == "1"
    assert store.explain(at(pool, "100"), A)[3:5] == (kind, like)


def test_of_several_as_like_the_last_one_is_meant(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for ani in (OTHER, PBX, "9"):
        lease(store, pool, ani)
        age(client, 1_000)
    ask(store, pool, A)
    assert client.hget("cti:{system-y}:call:100:9", "other") == "1"


def test_no_more_than_four_calls_are_looked_at(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for ani in (A_AS_Y_SEES_IT, "1", "2", "3"):
        lease(store, pool, ani)
        age(client, 1_000)
    assert store.explain(at(pool, "100"), A)[3:5] == ("less", A_AS_Y_SEES_IT)
    lease(store, pool, "4")
    assert store.explain(at(pool, "100"), A)[3:5] == ("unlike", "4")
    ask(store, pool, A)
    assert misses(store, pool) == one("unlike")


# One constant


def missed_as(store: Store, pool: Pool, *presented: str, start: int = 0) -> None:
    """As many calls, each of another caller on another number, asked for as these."""
    for at_, ani in enumerate(presented):
        (dnis,) = lease(store, pool, f"77{start + at_}")
        ask(store, pool, ani, dnis)


def test_the_ani_of_the_miss_before_on_another_call_is_a_constant(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    missed_as(store, pool, PBX, PBX, PBX)
    assert misses(store, pool) == {"missed": 3, "other_live": 3, "other_unlike": 1, "other_constant": 2}


def test_the_same_call_asked_for_again_is_no_constant(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    lease(store, pool, A)
    for _ in range(3):
        ask(store, pool, PBX)
    assert misses(store, pool) == one("unlike", missed=3)


def test_only_the_last_ani_is_known(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    missed_as(store, pool, PBX, OTHER, PBX)
    assert misses(store, pool) == {"missed": 3, "other_live": 3, "other_unlike": 3}


@pytest.mark.parametrize("between", ["", "9990774", "774"], ids=["withheld", "a prefix more", "found"])
def test_what_is_explained_otherwise_does_not_come_between(store: Store, new_pool: MakePool, between: str) -> None:
    pool = new_pool("100-109", match_digits=3)
    missed_as(store, pool, PBX)
    missed_as(store, pool, between, start=4)
    missed_as(store, pool, PBX, start=5)
    assert misses(store, pool)["other_constant"] == 1


def test_a_constant_is_known_for_an_hour_in_its_pool(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool, other = new_pool("100-109"), new_pool("200", name="other")
    missed_as(store, pool, PBX)
    missed_as(store, other, PBX)
    age(client, 3_590_000)
    missed_as(store, pool, PBX)
    age(client, 3_600_000)
    missed_as(store, pool, PBX)
    assert misses(store, pool) == {"missed": 3, "other_live": 3, "other_unlike": 2, "other_constant": 1}
    assert misses(store, other) == one("unlike")


# Whoever asks


def test_nothing_grows_with_the_ani_that_are_asked_for(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    lease(store, pool, A)
    ask(store, pool, OTHER)
    before = everything(client)
    for ani in range(1_000):
        for dnis in ("100", "101"):
            ask(store, pool, f"415999{ani:04d}", dnis)
    after = everything(client)
    assert after.keys() == before.keys()
    assert misses(store, pool) == one("unlike", missed=2_001)
    assert {key: held for key, held in after.items() if ":stats" not in key} == {
        key: held for key, held in before.items() if ":stats" not in key
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_question_that_is_not_the_last_counts_nothing(
    client: Redis, store: Store, new_pool: MakePool, operation: str
) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    before = everything(client)
    assert ask(store, pool, A_AS_Y_SEES_IT, operation=operation, last=False) is None
    assert everything(client) == before


def test_what_was_taken_or_is_another_lease_is_counted_as_that(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101", exhausted="reject")
    lease(store, pool, A, OTHER)
    for operation in ("take", "renew"):
        with pytest.raises(Stale):
            ask(store, pool, A, operation=operation, if_match='"no"')
    ask(store, pool, A)
    for operation in OPERATIONS:
        with pytest.raises(Gone):
            ask(store, pool, A, operation=operation)
    assert misses(store, pool) == {"stale": 2, "gone": 3}


# A full Redis


@pytest.fixture(params=["as written", "without flags"])
def full_store(request: pytest.FixtureRequest, store: Store, runner: Runner) -> Store:
    """Without flags, any server does what 6.2 does: it looks for memory at the first write that may need some."""
    if request.param == "as written":
        return store
    sources = {name: re.sub(r"\A#!", "-- ", source) for name, source in read_scripts().items()}
    scripts = Scripts(runner, sources)
    scripts.load()
    return Store(scripts, Keys("cti"), retry_after=2)


@contextmanager
def full(client: Redis) -> Iterator[None]:
    before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        for name, text in before.items():
            client.config_set(name, text)


@pytest.mark.one_server
@pytest.mark.parametrize("operation", ["read", "take"])
def test_a_full_redis_says_what_is_not_there_as_any_other(
    client: Redis, full_store: Store, new_pool: MakePool, operation: str
) -> None:
    store, pool = full_store, new_pool("100-101")
    lease(store, pool, A, OTHER, SAME_TAIL)
    ask(store, pool, OTHER, "101", key="k")
    with full(client):
        with pytest.raises(RedisUnavailable):
            lease(store, pool, PBX)
        assert ask(store, pool, PBX, operation=operation) is None
        assert ask(store, pool, PBX, "101", operation=operation) is None
        with pytest.raises(Gone):
            ask(store, pool, OTHER, "101", operation=operation)
        with pytest.raises(Ambiguous):
            ask(store, replace(pool, match="suffix"), A_AS_Y_SEES_IT, operation=operation)
        if operation == "take":
            assert ask(store, pool, OTHER, "101", key="k").replayed
            with pytest.raises(Stale):
                ask(store, pool, A, if_match='"no"')
    expected = one("unlike", missed=2, gone=1) | ({"stale": 1} if operation == "take" else {})
    assert misses(store, pool) == expected
    (stats,) = store.pool_stats([pool])
    assert (stats.ambiguous_total, stats.replayed_total) == (1, int(operation == "take"))
