"""Whose call is meant, what a repeated request gets, and who is told apart: each promise in the fewest steps.

tests/lua/test_model.py has all of them together; these say in one line which one is broken.
"""

from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.replies import Held, Lease
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Ambiguous, Gone, KeyReused, PoolExhausted, RedisUnavailable, Stale, TooManyLive
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools
from kit.aging import age, now_ms
from kit.model import outcome
from kit.older import STAND_IN, hasty, withhold
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]


def lease(store: Store, pool: Pool, ani: str, value: str = "", **more: object) -> Lease:
    return store.lease(pool, ani, value or f'"{ani}"', "x", 60_000, **more)  # type: ignore[arg-type]


def take(store: Store, place: Place, ani: str, user: str = "y", **more: str) -> str | None:
    held = store.take(place, ani, user, **more)
    return held.value if held else None


def place(pool: Pool, rule: str, dnis: str = "100") -> Place:
    """The number under a rule other than the pool's: so a pool may hold calls that the rule does not tell apart."""
    return Place(pool, dnis, rule)  # type: ignore[arg-type]


# ---- whose call


def test_suffix_finds_the_one_call_whose_last_digits_agree(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=4)
    lease(store, pool, "15551234")
    lease(store, pool, "15555678")
    held = store.read(at(pool, "100"), "5551234", "y")
    assert held
    assert (held.value, held.grade) == ('"15551234"', "suffix")
    assert store.read(at(pool, "100"), "234", "y") is None
    assert store.read(at(pool, "100"), "15559999", "y") is None


def test_two_calls_whose_last_digits_agree_are_never_guessed(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match_digits=4)
    lease(store, pool, "15551234")
    lease(store, pool, "25551234")
    for presented in ("5551234", "15551234"):
        for ask in (
            lambda presented=presented: store.read(place(pool, "suffix"), presented, "y"),
            lambda presented=presented: store.take(place(pool, "suffix"), presented, "y"),
            lambda presented=presented: store.renew(place(pool, "suffix"), presented, 60_000),
        ):
            with pytest.raises(Ambiguous):
                ask()
    assert store.pool_stats([pool])[0].ambiguous_total == 6
    assert take(store, at(pool, "100"), "25551234") == '"25551234"'
    assert take(store, place(pool, "suffix"), "5551234") == '"15551234"'


def test_sole_finds_the_only_call_and_never_one_of_two(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, "1")
    held = store.read(place(pool, "sole"), "999", "y")
    assert held
    assert (held.value, held.grade) == ('"1"', "sole")
    lease(store, pool, STAND_IN)
    withhold(client, "100")
    for presented in ("999", "1999"):
        with pytest.raises(Ambiguous):
            store.take(place(pool, "sole"), presented, "y")
    assert take(store, place(pool, "sole"), "1") == '"1"'


def test_a_withheld_number_has_no_last_digits(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=1)
    lease(store, pool, STAND_IN, '"withheld"')
    lease(store, pool, "12")
    withhold(client, "100")
    assert take(store, at(pool, "100"), "3") is None
    assert take(store, at(pool, "100"), "") == '"withheld"'


# ---- a repeated take


@pytest.mark.parametrize("rule", ["suffix", "sole"])
def test_a_repeated_take_is_told_so_and_never_gets_the_call_that_is_left(
    store: Store, new_pool: MakePool, rule: str
) -> None:
    pool = new_pool("100", match_digits=4)
    lease(store, pool, "15551234")
    lease(store, pool, "25551234")
    assert take(store, at(pool, "100"), "15551234") == '"15551234"'
    with pytest.raises(Gone):
        take(store, place(pool, rule), "15551234")


@pytest.mark.parametrize(("rule", "presented"), [("suffix", "5551234"), ("sole", "999")])
def test_a_take_is_remembered_under_the_presented_ani_too(
    store: Store, new_pool: MakePool, rule: str, presented: str
) -> None:
    pool = new_pool("100", match_digits=4)
    lease(store, pool, "15551234")
    assert take(store, place(pool, rule), presented) == '"15551234"'
    lease(store, pool, "35551234")
    for ani in (presented, "15551234"):
        with pytest.raises(Gone):
            take(store, place(pool, rule), ani)


def test_a_take_repeated_under_its_key_gets_the_same_value_whoever_called_since(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    """The pair's rest keeps such a call off the number; a shorter one must not let the key meet it."""
    pool = new_pool("100", cooldown_ms=0)
    lease(store, pool, "777", '"first"')
    first = store.take(at(pool, "100"), "777", "y", key="k")
    again = store.take(at(pool, "100"), "777", "y", key="k")
    lease(store, hasty(pool), "777", '"second"')
    assert first
    assert again == store.take(at(pool, "100"), "777", "y", key="k") == first._replace(left_ms=0, replayed=True)
    assert store.pool_stats([pool])[0].replayed_total == 2
    assert take(store, at(pool, "100"), "777", "another", key="k") == '"second"'
    age(client, 60_000)
    assert take(store, at(pool, "100"), "777", key="k") is None


def test_a_takes_key_is_good_for_one_call(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, "1")
    lease(store, pool, "2")
    assert take(store, at(pool, "100"), "1", key="k") == '"1"'
    with pytest.raises(KeyReused):
        take(store, at(pool, "100"), "2", key="k")
    assert take(store, at(pool, "100"), "2") == '"2"'


@pytest.mark.parametrize(("match", "presented"), [("suffix", "5551234"), ("sole", "999")])
def test_a_number_whose_calls_may_be_mistaken_rests_as_long_as_a_take_is_remembered(
    client: Redis, store: Store, new_pool: MakePool, match: str, presented: str
) -> None:
    pool = new_pool("100", match=match, match_digits=4, exhausted="reject", cooldown_ms=0)
    lease(store, pool, "15551234")
    take(store, at(pool, "100"), presented)
    age(client, 59_000)
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "25551234")
    assert refused.value.retry_after == 1
    with pytest.raises(Gone):
        take(store, at(pool, "100"), presented)
    age(client, 1_000)
    lease(store, pool, "25551234")
    assert take(store, at(pool, "100"), presented) == '"25551234"'


def test_a_take_in_the_last_millisecond_of_a_call_gets_its_value(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", cooldown_ms=0)
    for ani in map(str, range(5_000)):
        store.lease(pool, ani, '"value"', "x", 1)
        held = outcome(lambda ani=ani: store.take(at(pool, "100"), ani, "y"))
        assert not isinstance(held, RedisUnavailable), "the script has deleted the value"
        if isinstance(held, Held) and held.left_ms == 0:
            assert held.value == '"value"'
            return
    pytest.fail("no take came in the last millisecond")


# ---- a repeated lease


def test_a_post_repeated_under_its_key_is_one_lease_also_after_the_take(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    first = lease(store, pool, "777", key="k")
    assert lease(store, pool, "777", key="k")[:3] == ("replayed", first.dnis, first.token)
    take(store, at(pool, first.dnis), "777")
    with pytest.raises(Gone):
        lease(store, pool, "777", key="k")
    assert store.pool_stats([pool])[0].leased_total == 1
    age(client, 120_000)
    assert lease(store, pool, "777", key="k").token != first.token


def test_a_posts_key_is_its_users_own(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    ours = store.lease(pool, "777", '"ours"', "x", 60_000, key="k")
    theirs = store.lease(pool, "888", '"theirs"', "another", 60_000, key="k")
    assert theirs.outcome == "leased"
    assert theirs.dnis != ours.dnis


@pytest.mark.parametrize("change", [{"sent": "2", "ani": "2"}, {"value": "2"}, {"sent": "+1"}, {"ttl_ms": 30_000}])
def test_a_posts_key_is_good_for_one_request(store: Store, new_pool: MakePool, change: dict[str, object]) -> None:
    pool = new_pool("100-101")
    request = {"ani": "1", "value": "1", "lessee": "x", "ttl_ms": 60_000, "sent": "1", "key": "k"}
    store.lease(pool, **request)  # type: ignore[arg-type]
    with pytest.raises(KeyReused):
        store.lease(pool, **request | change)  # type: ignore[arg-type]
    assert store.pool_stats([pool])[0].leased_total == 1


def test_within_the_retry_window_the_same_post_is_one_lease_while_its_call_is_live(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-103", retry_window_ms=10_000)
    first = lease(store, pool, "777")
    assert lease(store, pool, "777").outcome == "replayed"
    assert lease(store, pool, "777", '"other"').outcome == "leased"
    take(store, at(pool, first.dnis), "777")
    assert lease(store, pool, "777").outcome == "leased"
    age(client, 10_000)
    assert lease(store, pool, "777").outcome == "leased"


def test_withheld_callers_are_not_one_because_they_say_the_same(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101", retry_window_ms=10_000)
    assert {lease(store, pool, "", '"same"').outcome for _ in range(2)} == {"leased"}


# ---- a user's most leases


def test_a_user_has_no_more_live_leases_than_allowed_and_a_repeated_one_is_answered(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    for ani in "12":
        lease(store, pool, ani, max_live=2, key=ani)
    with pytest.raises(TooManyLive) as refused:
        lease(store, pool, "3", max_live=2)
    assert refused.value.retry_after == 60
    assert lease(store, pool, "2", max_live=2, key="2").outcome == "replayed"
    assert store.lease(pool, "3", "3", "another", 60_000, max_live=2).outcome == "leased"
    take(store, at(pool, "100"), "1")
    lease(store, pool, "4", max_live=2)
    age(client, 60_000)
    lease(store, pool, "5", max_live=2)


# ---- who is told apart


def test_where_last_digits_tell_calls_apart_no_two_on_a_number_agree_in_them(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=4)
    lease(store, pool, "15551234")
    for ani in ("25551234", "1234", "15551234"):
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)
    assert {lease(store, pool, ani).outcome for ani in ("234", "15555678")} == {"shared"}


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_a_withheld_caller_is_put_on_no_number_that_is_in_use_or_rests_nor_on_the_fallback_number(
    client: Redis, store: Store, new_pool: MakePool, match: str
) -> None:
    for exhausted in ("share", "fallback"):
        pool = new_pool("100", name=exhausted, match=match, exhausted=exhausted, fallback="900")
        lease(store, pool, "1")
        with pytest.raises(PoolExhausted):
            lease(store, pool, "")
        take(store, at(pool, "100"), "1")
        with pytest.raises(PoolExhausted) as refused:
            lease(store, pool, "")
        assert refused.value.retry_after == pool.rest_ms // 1000
        age(client, pool.rest_ms)
        assert lease(store, pool, "").outcome == "leased"


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_nobody_is_put_beside_a_withheld_caller(client: Redis, store: Store, new_pool: MakePool, match: str) -> None:
    pool = new_pool("100-101", match=match)
    assert lease(store, pool, "").dnis == "100"
    assert [lease(store, pool, ani).dnis for ani in "123"] == ["101"] * 3
    store.renew(at(pool, "100"), "", 600_000)
    age(client, 125_000)
    assert [lease(store, pool, ani)[:2] for ani in "12"] == [("leased", "101"), ("shared", "101")]


def test_nobody_is_put_beside_a_withheld_caller_on_the_fallback_number(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", exhausted="fallback", fallback="900")
    assert [lease(store, pool, ani).dnis for ani in ("1", STAND_IN)] == ["100", "900"]
    withhold(client, "900")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "2")
    assert take(store, at(pool, "900"), "")
    assert lease(store, pool, "2").dnis == "900"


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_a_withheld_caller_whom_an_older_release_put_beside_another_gets_no_more_company(
    client: Redis, store: Store, new_pool: MakePool, match: str
) -> None:
    pool = new_pool("100", match=match)
    for ani in ("1", STAND_IN):
        store.lease(pool, ani, f'"{ani}"', "x", 60_000, max_live=2)
    withhold(client, "100")
    assert store.pool_stats([pool])[0].shared == 1
    assert set(client.zrange("cti:{system-y}:live:x", 0, -1)) == {"100:", "100:1"}
    for ttl_ms, ani in ((60_000, "2"), (600_000, "3")):
        assert store.renew(at(pool, "100"), "", ttl_ms)
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)
    assert take(store, at(pool, "100"), "") == f'"{STAND_IN}"'
    assert lease(store, pool, "2").outcome == "shared"
    assert [take(store, at(pool, "100"), ani) for ani in "12"] == ['"1"', '"2"']


@pytest.mark.parametrize(("there", "comes", "rests_s"), [("", "1", 65), ("1", "", 65), ("", "", 120)])
def test_a_number_that_only_seems_free_is_not_lent_beside_or_to_a_withheld_caller(
    client: Redis, store: Store, new_pool: MakePool, *, there: str, comes: str, rests_s: int
) -> None:
    """As in an edited database: the score says free, and the last of the listed callers has lost its call."""
    pool = new_pool("100")
    lease(store, pool, there)
    client.zadd("cti:{system-y}:callers:100", {"9": now_ms(client) + 60_000})
    client.zadd("cti:{system-y}:numbers", {"100": 0})
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, comes)
    assert refused.value.retry_after == rests_s
    age(client, rests_s * 1000)
    assert lease(store, pool, comes).outcome == "leased"


def test_a_number_with_a_withheld_call_that_is_not_listed_is_lent_when_that_has_ended(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, "")
    client.delete("cti:{system-y}:callers:100")
    client.zadd("cti:{system-y}:numbers", {"100": 0})
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "1")
    assert refused.value.retry_after == 65
    age(client, 65_000)
    assert lease(store, pool, "1").outcome == "leased"


def test_a_fallback_number_is_shared_under_the_same_rules(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=4, exhausted="fallback", fallback="900", max_callers=2)
    lease(store, pool, "1")
    assert lease(store, pool, "15551234")[:2] == ("fallback", "900")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "25551234")
    assert lease(store, pool, "2").dnis == "900"
    with pytest.raises(PoolExhausted):
        lease(store, pool, "3")
    assert take(store, at(pool, "900"), "99991234") == '"15551234"'
    seen = store.pool_stats([pool])[0]
    assert (seen.size, seen.fallback_total, seen.shared) == (1, 2, 0)


def test_a_call_just_taken_is_told_from_the_next_one_on_a_shared_number(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", match="suffix", match_digits=4)
    store.lease(pool, "1", '"1"', "x", 600_000)
    lease(store, pool, "15551234")
    assert take(store, at(pool, "100"), "5551234") == '"15551234"'
    lease(store, pool, "2")
    age(client, 59_000)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "35551234")
    with pytest.raises(Gone):
        take(store, at(pool, "100"), "5551234")
    age(client, 1_000)
    assert lease(store, pool, "35551234").outcome == "shared"


def test_a_renewed_call_is_told_apart_as_long_as_it_lives(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=4)
    lease(store, pool, "15551234")
    store.renew(at(pool, "100"), "15551234", 600_000)
    age(client, 500_000)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "25551234")
    assert take(store, at(pool, "100"), "5551234") == '"15551234"'


# ---- a late writer


def test_if_match_names_the_lease_that_is_meant(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    old = f'"{lease(store, pool, "777", "1").token}"'
    take(store, at(pool, "100"), "777")
    age(client, 60_000)
    new = f'"{lease(store, pool, "777", "2").token}"'
    for ask in (
        lambda tags: store.take(at(pool, "100"), "777", "y", if_match=tags),
        lambda tags: store.renew(at(pool, "100"), "777", 60_000, "3", if_match=tags),
    ):
        with pytest.raises(Stale):
            ask(old)
    assert store.read(at(pool, "100"), "777", "y").value == "2"  # type: ignore[union-attr]
    assert take(store, at(pool, "100"), "777", if_match=f"{old} {new}") == "2"


# ---- what is counted


def test_a_call_is_claimed_by_the_first_who_asks_but_its_lessee(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-102")
    for ani in "123":
        lease(store, pool, ani)
    store.read(at(pool, "100"), "1", "x")
    store.read(at(pool, "101"), "2", "y")
    store.read(at(pool, "101"), "2", "y")
    take(store, at(pool, "102"), "3", "x")
    age(client, 60_000)
    seen = store.pool_stats([pool])[0]
    assert (seen.match_exact_total, seen.unclaimed_total, seen.missed) == (2, 1, {"100": 1})


def test_ended_calls_that_nobody_asked_for_are_counted_by_the_next_lease_too(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    lease(store, pool, "1")
    age(client, 60_000)
    lease(store, pool, "2")
    assert client.hget("cti:{system-y}:stats", "unclaimed") == "1"
    assert client.zrange("cti:{system-y}:pending", 0, -1) == ["101:2"]


# ---- a number that moves


@pytest.mark.parametrize("taken", [False, True])
def test_a_number_that_moves_is_not_shared_in_its_new_pool_before_its_last_call_has_ended(
    client: Redis, store: Store, taken: bool
) -> None:
    old = make_pool("100", name="old")
    sync(store, Pools([old, make_pool("200", name="new")]), take_over=True)
    lease(store, old, "777", '"old"')
    new = make_pool("100", name="new", exhausted="share")
    pools = Pools([make_pool("200", name="old"), new])
    sync(store, pools, take_over=True)
    if taken:
        take(store, pools.of("100")[0], "777")
        age(client, 59_000)
    with pytest.raises(PoolExhausted):
        lease(store, new, "777", '"new"')


@pytest.mark.parametrize("change", [{"fallback": "901"}, {"exhausted": "share", "fallback": ""}])
def test_a_call_on_a_number_that_is_the_fallback_no_longer_can_be_taken(store: Store, change: dict[str, str]) -> None:
    rules = {"exhausted": "fallback", "fallback": "900"}
    sync(store, Pools([pool := make_pool("100", **rules)]), take_over=True)
    lease(store, pool, "1")
    assert lease(store, pool, "2").dnis == "900"
    pools = Pools([make_pool("100", **rules | change)])
    sync(store, pools, take_over=True)
    assert [take(store, found, "2") for found in pools.of("900")] == ['"2"']


def test_a_number_that_was_the_fallback_is_leased_in_another_pool_only_after_its_last_call(store: Store) -> None:
    old = make_pool("100", name="old", exhausted="fallback", fallback="900")
    sync(store, Pools([old, make_pool("200", name="new")]), take_over=True)
    lease(store, old, "1")
    assert lease(store, old, "2").dnis == "900"
    new = make_pool("900", name="new", exhausted="reject")
    sync(store, Pools([make_pool("100", name="old"), new]), take_over=True)
    with pytest.raises(PoolExhausted):
        lease(store, new, "2")


def test_a_number_that_becomes_a_fallback_takes_calls_only_after_its_last_call_in_the_old_pool(
    client: Redis, store: Store
) -> None:
    old = make_pool("100", name="old")
    sync(store, Pools([old, make_pool("200", name="new")]), take_over=True)
    lease(store, old, "777")
    new = make_pool("200", name="new", exhausted="fallback", fallback="100")
    pools = Pools([make_pool("101", name="old"), new])
    sync(store, pools, take_over=True)
    lease(store, pools.lendable(new), "1")
    with pytest.raises(PoolExhausted):
        lease(store, pools.lendable(new), "777")
    age(client, 115_000)
    sync(store, pools, take_over=True)
    assert lease(store, pools.lendable(new), "2").dnis == "200"
    with pytest.raises(PoolExhausted):
        lease(store, pools.lendable(new), "777")
    age(client, 5_000)
    sync(store, pools, take_over=True)
    assert lease(store, pools.lendable(new), "777").dnis == "100"
