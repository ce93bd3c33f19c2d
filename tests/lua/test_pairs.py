"""A number and an ANI rest as a pair: as long as somebody may ask for their last call, they get no other together."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from cticache.data.replies import Held, Lease
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Gone, KeyReused, PoolExhausted, TooManyLive
from cticache.numbering.pool import MOST_CALLERS, Pool
from cticache.numbering.pools import Pools
from kit.aging import age, everything, hold, now_ms, on_the_second
from kit.model import outcome
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"
A, OTHER = "5551234567", "5557654321"
EACH_ANI = pytest.mark.parametrize("ani", [A, ""], ids=["a known ANI", "withheld"])
BY = pytest.mark.parametrize("by", ["take", "expiry"])


def lease(store: Store, pool: Pool, ani: str, ttl_s: int = 60, value: str = "", **more: Any) -> Lease:
    return store.lease(pool, ani, value or f'"of {ani}"', "x", ttl_s * 1000, **more)


def take(store: Store, pool: Pool, dnis: str, ani: str) -> str | None:
    held = store.take(at(pool, dnis), ani, "y")
    return held.value if held else None


def refused(store: Store, pool: Pool, ani: str, **more: Any) -> int:
    """The seconds after which one who gets no number is told to come back."""
    with pytest.raises(PoolExhausted) as error:
        lease(store, pool, ani, **more)
    assert error.value.retry_after is not None
    return error.value.retry_after


def called(client: Redis, store: Store, pool: Pool, dnis: str, ani: str, *, by: str = "take") -> None:
    """A call of this ANI on the number has just been taken, or has just run out."""
    assert lease(store, pool, ani, 10).dnis == dnis
    if by == "take":
        assert take(store, pool, dnis, ani) == f'"of {ani}"'
    else:
        age(client, 10_000)


# What must not meet the next call of the same ANI


@EACH_ANI
def test_a_repeated_take_does_not_meet_the_same_anis_next_call(
    client: Redis, store: Store, new_pool: MakePool, ani: str
) -> None:
    pool = new_pool("100")
    called(client, store, pool, "100", ani)
    for waited_s in (5, 54):
        age(client, waited_s * 1000)
        outcome(lambda: lease(store, pool, ani, value='"next"'))
        with pytest.raises(Gone):
            take(store, pool, "100", ani)
    assert refused(store, pool, ani) == 1
    age(client, 1_000)
    assert take(store, pool, "100", ani) is None
    assert lease(store, pool, ani, value='"next"').dnis == "100"
    assert take(store, pool, "100", ani) == '"next"'


@EACH_ANI
def test_a_call_that_ran_out_and_arrives_late_does_not_meet_the_same_anis_next_call(
    client: Redis, store: Store, new_pool: MakePool, ani: str
) -> None:
    pool = new_pool("100")
    called(client, store, pool, "100", ani, by="expiry")
    for waited_s in (5, 54):
        age(client, waited_s * 1000)
        outcome(lambda: lease(store, pool, ani, value='"next"'))
        assert store.read(at(pool, "100"), ani, "y") is None
        assert take(store, pool, "100", ani) is None
    assert refused(store, pool, ani) == 1
    age(client, 1_000)
    assert lease(store, pool, ani, value='"next"').dnis == "100"


@EACH_ANI
@BY
def test_a_late_renewal_does_not_change_the_same_anis_next_call(
    client: Redis, store: Store, new_pool: MakePool, ani: str, by: str
) -> None:
    pool = new_pool("100")
    called(client, store, pool, "100", ani, by=by)
    age(client, 5_000)
    outcome(lambda: lease(store, pool, ani, value='"next"'))
    late = outcome(lambda: store.renew(at(pool, "100"), ani, 60_000, '"late"'))
    assert not isinstance(late, Held)
    age(client, 55_000)
    assert lease(store, pool, ani, value='"next"').dnis == "100"
    assert take(store, pool, "100", ani) == '"next"'


@pytest.mark.parametrize("match", ["exact", "suffix"])
@BY
def test_on_the_fallback_number_they_rest_too(
    client: Redis, store: Store, new_pool: MakePool, by: str, match: str
) -> None:
    pool = new_pool("100", match=match, exhausted="fallback", fallback="900")
    lease(store, pool, "1", 600)
    called(client, store, pool, "900", A, by=by)
    for waited_s in (5, 54):
        age(client, waited_s * 1000)
        outcome(lambda: lease(store, pool, A, value='"next"'))
        assert not isinstance(outcome(lambda: store.renew(at(pool, "900"), A, 60_000, '"late"')), Held)
        assert not isinstance(outcome(lambda: store.take(at(pool, "900"), A, "y")), Held)
    assert refused(store, pool, A) == 1
    assert lease(store, pool, OTHER, value='"another"').dnis == "900"
    age(client, 1_000)
    assert lease(store, pool, A, value='"next"').dnis == "900"
    assert (take(store, pool, "900", A), take(store, pool, "900", OTHER)) == ('"next"', '"another"')


@EACH_ANI
@BY
@pytest.mark.parametrize(
    ("old_rules", "new_rules", "rests_s"),
    [
        ({}, {}, 60),
        ({"remember_ms": 90_000}, {}, 90),
        ({}, {"remember_ms": 90_000}, 90),
        ({"cooldown_ms": 80_000}, {"remember_ms": 90_000}, 90),
        ({"remember_ms": 90_000}, {"cooldown_ms": 80_000}, 90),
        ({"match": "suffix"}, {"remember_ms": 90_000}, 90),
    ],
    ids=str,
)
def test_a_number_that_changes_pools_rests_the_longest_cool_down_and_remember_of_both(
    client: Redis,
    store: Store,
    *,
    old_rules: dict[str, Any],
    new_rules: dict[str, Any],
    rests_s: int,
    ani: str,
    by: str,
) -> None:
    old = make_pool("100", name="old", **old_rules)
    sync(store, Pools([old, make_pool("200", name="new")]), take_over=True)
    lease(store, old, ani, 10)
    new = make_pool("100", name="new", exhausted="reject", **new_rules)
    pools = Pools([make_pool("200", name="old", **old_rules), new])
    sync(store, pools, take_over=True)
    if by == "take":
        assert [take(store, place.pool, "100", ani) for place in pools.of("100")] == [f'"of {ani}"', None]
    # The new pool was promised an end that a take does not bring forward.
    waits_s = 10 + rests_s
    if by == "expiry":
        age(client, 10_000)
        waits_s -= 10
    for waited_s in (6, waits_s - 7):
        age(client, waited_s * 1000)
        sync(store, pools, take_over=False)
        outcome(lambda: lease(store, new, ani, value='"next"'))
        for place in pools.of("100"):
            assert not isinstance(outcome(lambda place=place: store.take(place, ani, "y")), Held)
    assert refused(store, new, ani) == 1
    age(client, 1_000)
    assert lease(store, new, ani, value='"next"').dnis == "100"


@EACH_ANI
@BY
def test_a_number_that_left_and_came_back_has_not_forgotten_its_pairs(
    client: Redis, store: Store, ani: str, by: str
) -> None:
    here = Pools([pool := make_pool("100"), make_pool("200", name="other")])
    away = Pools([make_pool("200"), make_pool("100", name="other")])
    sync(store, here, take_over=True)
    called(client, store, pool, "100", ani, by=by)
    for pools in (away, here):
        sync(store, pools, take_over=True)
    age(client, 6_000)
    assert refused(store, pool, ani) == 54
    assert lease(store, pool, OTHER).dnis == "100"


@pytest.mark.parametrize("exhausted", ["share", "fallback"])
def test_a_number_on_its_way_out_is_known_until_a_renewed_call_has_rested_there(
    client: Redis, store: Store, exhausted: str
) -> None:
    pool = make_pool("100", exhausted=exhausted, fallback="900")
    sync(store, Pools([pool]), take_over=True)
    lease(store, pool, OTHER, 600)
    dnis = lease(store, pool, A, 10).dnis
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    take(store, pool, "100", OTHER)
    store.renew(at(pool, dnis), A, 60_000)
    age(client, 119_000)
    sync(store, pools, take_over=False)
    assert pools.of(dnis)
    age(client, 1_000)
    sync(store, pools, take_over=False)
    assert not pools.of(dnis)


def test_a_renewed_pair_rests_from_its_new_end(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, A, 60)
    store.renew(at(pool, "100"), A, 10_000)
    age(client, 16_000)
    assert refused(store, pool, A) == 54
    age(client, 54_000)
    assert lease(store, pool, A).dnis == "100"


# Numbers passed over


def two_rested(client: Redis, store: Store, new_pool: MakePool, **rules: Any) -> Pool:
    """A pool of which 100 has been free longest, but has just had a call of A; 101 has been free for less."""
    pool = new_pool("100-101", **rules)
    called(client, store, pool, "100", A)
    client.zadd(NUMBERS, {"101": now_ms(client) + 5_000})
    age(client, 6_000)
    return pool


def test_a_number_passed_over_keeps_its_score_and_others_get_it_at_once(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = two_rested(client, store, new_pool)
    score = client.zscore(NUMBERS, "100")
    assert lease(store, pool, A).dnis == "101"
    assert client.zscore(NUMBERS, "100") == score
    assert store.pool_stats([pool])[0].free == 1
    assert lease(store, pool, OTHER)[:2] == ("leased", "100")


def test_a_refusal_for_the_pairs_sake_changes_nothing_but_its_counter(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109", exhausted="reject")
    for dnis in sorted(pool.numbers):
        called(client, store, pool, dnis, "")
    age(client, 6_000)
    before = everything(client)
    for _ in range(20):
        refused(store, pool, "")
    after = everything(client)
    assert {key for key in after if after[key] != before.get(key)} == {key for key in after if ":stats" in key}
    seen = store.pool_stats([pool])[0]
    assert (seen.free, seen.rejected_total) == (10, 20)
    assert {lease(store, pool, str(ani)).dnis for ani in range(10)} == set(pool.numbers)


@pytest.mark.parametrize(("exhausted", "dnis"), [("share", "104"), ("reject", ""), ("fallback", "900")])
def test_at_most_share_scan_free_numbers_are_looked_at_then_it_is_as_if_none_were_free(
    client: Redis, store: Store, new_pool: MakePool, exhausted: str, dnis: str
) -> None:
    pool = new_pool("100-104", share_scan=2, exhausted=exhausted, fallback="900")
    for one in ("100", "101", "102"):
        called(client, store, pool, one, A)
    assert lease(store, pool, OTHER, 30).dnis == "103"
    assert lease(store, pool, "1", 300).dnis == "104"
    age(client, 35_000)
    assert client.zrange(NUMBERS, 0, 3) == ["100", "101", "102", "103"]
    on_the_second(client)
    if exhausted == "reject":
        assert refused(store, pool, A) == 25
    else:
        assert lease(store, pool, A).dnis == dnis
    far = replace(pool, share_scan=4)
    assert lease(store, far, A)[:2] == ("leased", "103")
    assert lease(store, pool, "2").dnis == "100"


def test_of_the_free_numbers_one_that_is_in_use_is_put_right_and_one_passed_over_is_not(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    """As in an edited database: 101 has a live call, and its score says free."""
    pool = new_pool("100-102", exhausted="reject")
    called(client, store, pool, "100", A)
    lease(store, pool, OTHER)
    client.zadd(NUMBERS, {"100": 1, "101": 2, "102": 3})
    assert lease(store, pool, A).dnis == "102"
    assert client.zscore(NUMBERS, "100") == 1
    assert client.zscore(NUMBERS, "101") > now_ms(client) + 60_000


def test_of_a_number_that_tails_tell_apart_all_who_left_are_looked_at_or_it_is_lent_to_nobody(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", match="suffix")
    lease(store, pool, "1", 600)
    crowd = {f"777{number:07}": now_ms(client) - 1_000 for number in range(MOST_CALLERS)}
    client.zadd("cti:{system-y}:callers:100", crowd)
    refused(store, pool, "2225557777")
    client.zrem("cti:{system-y}:callers:100", "7770000000")
    assert lease(store, pool, "2225557777").outcome == "shared"


# When to come back


def test_retry_after_is_when_this_pair_may_next_have_one_of_the_numbers_that_it_has(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101", exhausted="reject")
    lease(store, pool, A, 60)
    lease(store, pool, A, 30)
    on_the_second(client)
    assert refused(store, pool, A) == 90
    assert refused(store, pool, OTHER) == 35
    age(client, 90_000)
    assert lease(store, pool, A).dnis == "101"


def test_retry_after_is_when_this_pair_may_next_have_one_of_those_passed_over(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101", exhausted="reject")
    called(client, store, pool, "100", A)
    age(client, 20_000)
    called(client, store, pool, "101", A)
    age(client, 6_000)
    on_the_second(client)
    assert refused(store, pool, A) == 34
    age(client, 33_000)
    assert refused(store, pool, A) == 1
    age(client, 1_000)
    assert lease(store, pool, A).dnis == "100"


@pytest.mark.parametrize(
    ("of", "ttl_s", "seconds"),
    [
        ("another ANI, soon", 10, 15),
        ("another ANI, late", 300, 50),
        ("another ANI, soon, after this one", 10, 35),
        ("another ANI, for long, after this one", 40, 45),
        ("this ANI", 10, 50),
    ],
)
def test_retry_after_counts_both_the_number_passed_over_and_the_one_in_use(
    client: Redis, store: Store, new_pool: MakePool, *, of: str, ttl_s: int, seconds: int
) -> None:
    """Number 100 is free and rests for A for 50 s more; 101 is in use, and may rest for A for 35 s more."""
    pool = new_pool("100-101", exhausted="reject")
    client.zadd(NUMBERS, {"100": 2, "101": 1})
    if of.endswith("after this one"):
        called(client, store, pool, "101", A)
        age(client, 15_000)
    client.zadd(NUMBERS, {"100": 1})
    called(client, store, pool, "100", A)
    age(client, 10_000)
    client.zadd(NUMBERS, {"101": 0})
    assert lease(store, pool, A if of == "this ANI" else OTHER, ttl_s).dnis == "101"
    on_the_second(client)
    assert refused(store, pool, A) == seconds
    age(client, seconds * 1000)
    assert lease(store, pool, A)


def test_retry_after_is_when_this_pair_may_have_the_fallback_number_if_that_is_sooner(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", exhausted="fallback", fallback="900", max_callers=2)
    lease(store, pool, "1", 600)
    called(client, store, pool, "900", A)
    age(client, 20_000)
    on_the_second(client)
    assert refused(store, pool, A) == 40
    for ani in "23":
        lease(store, pool, ani, 300)
    assert refused(store, pool, A) == 585  # the fallback number has all the callers it may have
    for ani in "23":
        take(store, pool, "900", ani)
    age(client, 40_000)
    assert lease(store, pool, A).dnis == "900"


# Beside the rest of a lease


def test_max_live_counts_no_call_that_is_over_though_its_pair_rests(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101", exhausted="reject")
    assert lease(store, pool, A, max_live=1).dnis == "100"
    assert take(store, pool, "100", A)
    client.zadd(NUMBERS, {"101": now_ms(client) + 60_000})
    age(client, 5_000)
    assert refused(store, pool, A, max_live=1) == 55
    assert lease(store, pool, OTHER, max_live=1).dnis == "100"
    with pytest.raises(TooManyLive):
        lease(store, pool, A, max_live=1)
    seen = store.pool_stats([pool])[0]
    assert (seen.rejected_total, seen.over_max_live_total) == (1, 1)


def test_a_key_is_told_that_its_call_is_over_while_the_pair_rests_and_another_key_gets_no_such_number(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, A, 600, key="k")
    assert take(store, pool, "100", A)
    age(client, 6_000)
    with pytest.raises(Gone):
        lease(store, pool, A, 600, key="k")
    assert refused(store, pool, A, key="another") == 54
    age(client, 54_000)
    assert lease(store, pool, A, 30, key="another").outcome == "leased"
    with pytest.raises(KeyReused):
        lease(store, pool, OTHER, 600, key="k")


def test_within_the_retry_window_the_call_after_a_taken_one_is_put_on_another_number(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = two_rested(client, store, new_pool, retry_window_ms=20_000)
    second = lease(store, pool, A)
    assert second[:2] == ("leased", "101")
    assert lease(store, pool, A)[:3] == ("replayed", "101", second.token)
    with pytest.raises(Gone):
        take(store, pool, "100", A)
    assert take(store, pool, "101", A)


# Capacity


@pytest.mark.parametrize(
    ("ani", "requests", "remember_s", "leased", "more"),
    [
        # No number is asked for again within 200 s. Those whose calls ended less than 60 s ago rest for this ANI.
        ("", 250, 60, 250, 200 - 59),
        (A, 200, 60, 200, 200 - 59),
        # 200 numbers that rest for 300 s: of each 300 requests the first 200 are served. At the end it is 100 s into
        # the second time, and the number of the 101st request of the first has just rested.
        ("", 400, 300, 300, 1),
    ],
)
def test_of_200_numbers_those_are_free_that_arithmetic_says(
    client: Redis,
    store: Store,
    new_pool: MakePool,
    tell: Callable[[str], None],
    long: bool,
    *,
    ani: str,
    requests: int,
    remember_s: int,
    leased: int,
    more: int,
) -> None:
    """One request a second, each call taken at once; in the long form for 600 s more, which change nothing."""
    if long:
        requests, leased = requests + 600, leased + (600 if remember_s == 60 else 400)
    pool = new_pool("1000-1199", exhausted="reject", remember_ms=remember_s * 1000)
    since = hold(client, now_ms(client), 1_000)
    for _ in range(requests):
        got = outcome(lambda: lease(store, pool, ani))
        if isinstance(got, Lease):
            assert take(store, pool, got.dnis, ani)
        since = hold(client, since + 1_000, 1_000)  # takes back what has passed, but for one second more
    seen = store.pool_stats([pool])[0]
    assert (seen.leased_total, seen.rejected_total) == (leased, requests - leased)
    # The calls that ended 1, 2, 3 and 4 s ago: their numbers cool down.
    assert (seen.size, seen.leased, seen.cooling, seen.free) == (200, 0, 4, 196)
    # Time must not pass meanwhile: in the next second another number has rested, and one more has cooled down.
    dnises = list[str]()
    for number in range(more + 1):
        since = hold(client, since, 1_000) if number % 10 == 0 else since
        if isinstance(got := outcome(lambda: lease(store, pool, ani)), Lease):
            dnises.append(got.dnis)
    assert len(dnises) == len(set(dnises)) == more
    served = 0
    for number in range(201):
        since = hold(client, since, 1_000) if number % 10 == 0 else since
        served += isinstance(outcome(lambda number=number: lease(store, pool, str(number))), Lease)
    assert served == 196 - more
    tell(
        f"capacity: {requests} requests of {'one ANI' if ani else 'withheld callers'}, one a second, a pair rests for "
        f"{remember_s} s: {leased} leased; then of 200 numbers {seen.free} are free, {more} of them for the same ANI"
    )


@EACH_ANI
def test_200_free_numbers_that_all_rest_for_one_ani_are_free_for_all_others(
    client: Redis, store: Store, new_pool: MakePool, ani: str, long: bool
) -> None:
    refusals = 800 if long else 100
    pool = new_pool("1000-1199", exhausted="reject")
    for _ in range(200):
        assert take(store, pool, lease(store, pool, ani).dnis, ani)
    age(client, 6_000)
    for _ in range(refusals):
        refused(store, pool, ani)
    seen = store.pool_stats([pool])[0]
    assert (seen.leased_total, seen.rejected_total, seen.free) == (200, refusals, 200)
    assert len({lease(store, pool, str(one)).dnis for one in range(200)}) == 200
