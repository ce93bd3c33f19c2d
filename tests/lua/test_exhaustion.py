"""More callers than numbers: who shares with whom, the fallback number, and one user's share of a pool."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from cticache.data.replies import Lease
from cticache.data.store import Store
from cticache.data.sync import learn_leaving
from cticache.errors import Gone, PoolExhausted, RedisUnavailable, TooManyLive
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, everything, now_ms, on_the_second
from kit.samples import at

MakePool = Callable[..., Pool]
NUMBERS = "cti:{system-y}:numbers"
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER = "5551234567", "15551234567", "9991234567", "5557654321"


def lease(store: Store, pool: Pool, ani: str, ttl_s: int = 60, **more: Any) -> Lease:
    return store.lease(pool, ani, f'"of {ani}"', more.pop("lessee", "x"), ttl_s * 1000, **more)


def taken(store: Store, pool: Pool, dnis: str, ani: str) -> str:
    held = store.take(at(pool, dnis), ani, "y")
    assert held
    return held.value


# What a lease writes besides


@pytest.mark.parametrize(("name", "exhausted"), [("shared", "share"), ("leaving", "fallback"), ("unclaimed", "reject")])
def test_a_key_of_a_wrong_type_stops_a_lease_before_it_writes(
    client: Redis, store: Store, new_pool: MakePool, name: str, exhausted: str
) -> None:
    pool = new_pool("5551234560-5551234561", exhausted=exhausted, fallback="5559990000")
    lease(store, pool, "1")
    if name == "unclaimed":
        age(client, 61_000)  # the call of before is counted in passing
    else:
        lease(store, pool, "2")
    client.set(f"cti:{{system-y}}:{name}", "poison", px=60_000)
    before = everything(client)
    with pytest.raises(RedisUnavailable):
        lease(store, pool, "3")
    assert everything(client) == before


@pytest.mark.parametrize("max_live", [0, 5])
@pytest.mark.parametrize("name", ["live:x", "lessees", "numbers", "pending", "stats", "stats:", "callers:5551234560"])
def test_a_key_of_a_wrong_type_stops_a_user_s_first_lease_before_it_writes(
    client: Redis, store: Store, new_pool: MakePool, name: str, max_live: int
) -> None:
    pool = new_pool("5551234560-5551234561")
    hour = str(now_ms(client) // 3_600_000) if name == "stats:" else ""
    client.delete(f"cti:{{system-y}}:{name}{hour}")
    client.set(f"cti:{{system-y}}:{name}{hour}", "poison", px=60_000)
    before = everything(client)
    with pytest.raises(RedisUnavailable):
        lease(store, pool, "1", max_live=max_live)
    assert everything(client) == before


def test_a_list_of_lessees_of_a_wrong_type_stops_the_lease_that_would_list_the_user_anew(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("5551234560-5551234561")
    lease(store, pool, "1", ttl_s=60)
    client.set("cti:{system-y}:lessees", "poison", px=60_000)
    before = everything(client)
    with pytest.raises(RedisUnavailable):
        lease(store, pool, "2", ttl_s=600)
    assert everything(client) == before


# Sharing


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_10_numbers_serve_200_callers_and_each_is_picked_up_right(
    client: Redis, store: Store, new_pool: MakePool, match: str
) -> None:
    pool = new_pool("5551234560-5551234569", match=match)
    pairs = [(lease(store, pool, ani).dnis, ani) for ani in (str(2_120_000_000 + 37 * n) for n in range(200))]
    assert len(set(pairs)) == 200
    assert set(Counter(dnis for dnis, _ in pairs).values()) == {20}
    for dnis, ani in pairs:
        presented = ani if match == "exact" else f"1{ani}"
        held = store.read(at(pool, dnis), presented, "y")
        assert held
        assert (held.value, held.grade) == (f'"of {ani}"', match)
    for dnis, ani in reversed(pairs):
        assert taken(store, pool, dnis, ani if match == "exact" else f"1{ani}") == f'"of {ani}"'
    assert not client.keys("*:call:*")
    figures = store.pool_stats([pool])[0]
    assert (figures.leased_total, figures.shared_total, figures.taken_total) == (200, 190, 200)


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_10_withheld_callers_have_10_numbers_and_the_next_caller_has_none(
    store: Store, new_pool: MakePool, match: str
) -> None:
    pool = new_pool("5551234560-5551234569", match=match)
    dnises = {lease(store, pool, "").dnis for _ in range(10)}
    assert dnises == set(pool.numbers)
    for ani in ("", A):
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)


def test_under_exact_equal_tails_may_share(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    assert [lease(store, pool, ani).outcome for ani in (A, SAME_TAIL)] == ["leased", "shared"]
    for ani in (A, SAME_TAIL):
        assert taken(store, pool, "100", ani) == f'"of {ani}"'


def test_under_suffix_no_number_has_two_equal_tails(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-102", match="suffix")
    tails = [f"{area}1234567" for area in (212, 313, 414)]
    dnises = {ani: lease(store, pool, ani).dnis for ani in tails}
    assert len(set(dnises.values())) == 3
    with pytest.raises(PoolExhausted):
        lease(store, pool, "5151234567")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "1234567")
    assert lease(store, pool, OTHER).outcome == "shared"
    for ani, dnis in dnises.items():
        assert taken(store, pool, dnis, f"1{ani}") == f'"of {ani}"'


def test_under_suffix_the_pools_own_digits_tell_calls_apart(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", match_digits=4)
    lease(store, pool, "2125550001")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "3139990001")
    assert lease(store, pool, "3139990002").outcome == "shared"


def test_under_suffix_an_ani_too_short_for_a_tail_shares_by_itself(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix")
    for ani in (A, A[-6:], A[-5:]):
        lease(store, pool, ani)
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)
    for ani in (A, A[-6:], A[-5:]):
        assert taken(store, pool, "100", ani) == f'"of {ani}"'


def test_under_suffix_a_resting_number_is_lent_to_nobody(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix")
    lease(store, pool, A)
    assert taken(store, pool, "100", A_AS_Y_SEES_IT)
    on_the_second(client)
    for ani in (OTHER, SAME_TAIL, "", "1"):
        with pytest.raises(PoolExhausted) as refused:
            lease(store, pool, ani)
        assert refused.value.retry_after == 60
    age(client, 60_000)
    assert lease(store, pool, OTHER).outcome == "leased"


def test_under_suffix_a_number_whose_call_expired_rests_as_long(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", match="suffix")
    lease(store, pool, A, 10)
    age(client, 10_000)
    on_the_second(client)
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, OTHER)
    assert refused.value.retry_after == 60


def test_under_exact_a_resting_number_is_shared_but_not_with_the_caller_who_just_left(
    store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    assert taken(store, pool, "100", A)
    with pytest.raises(PoolExhausted):
        lease(store, pool, A)
    assert lease(store, pool, SAME_TAIL).dnis == "100"


@pytest.mark.parametrize("by", ["take", "expiry"])
def test_under_suffix_a_tail_that_just_left_a_shared_number_does_not_come_back_to_it(
    client: Redis, store: Store, new_pool: MakePool, by: str
) -> None:
    pool = new_pool("100", match="suffix")
    lease(store, pool, OTHER, 600)
    lease(store, pool, A, 10)
    if by == "take":
        assert taken(store, pool, "100", A)
    else:
        age(client, 10_000)
    for ani in (A, SAME_TAIL, A[-7:]):
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)
    assert lease(store, pool, "2120000000", 600).outcome == "shared"
    age(client, 60_000)
    assert lease(store, pool, SAME_TAIL).outcome == "shared"


def test_under_suffix_no_more_than_max_callers_share_a_number(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101", match="suffix", max_callers=2)
    for ani in range(4):
        lease(store, pool, f"212000000{ani}")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "2120000004")


@pytest.mark.parametrize("match", ["exact", "suffix", "sole"])
def test_reject_gives_nobody_a_number_in_use(store: Store, new_pool: MakePool, match: str) -> None:
    pool = new_pool("100-101", match=match, exhausted="reject")
    assert {lease(store, pool, ani).outcome for ani in (A, OTHER)} == {"leased"}
    with pytest.raises(PoolExhausted):
        lease(store, pool, "1")


# The fallback number


@pytest.fixture
def fallen(new_pool: MakePool) -> Pool:
    """A pool of one number, to fall back on 900 for at most three callers."""
    return new_pool("100", exhausted="fallback", fallback="900", max_callers=3)


def test_callers_beyond_the_pools_own_numbers_get_the_fallback_number(store: Store, fallen: Pool) -> None:
    leases = [lease(store, fallen, ani) for ani in "1234"]
    assert [(got.outcome, got.dnis) for got in leases] == [("leased", "100"), *[("fallback", "900")] * 3]
    for got, ani in zip(leases, "1234", strict=True):
        assert store.read(at(fallen, got.dnis), ani, "y").value == f'"of {ani}"'  # type: ignore[union-attr]


def test_the_fallback_number_has_at_most_max_callers(client: Redis, store: Store, fallen: Pool) -> None:
    for ani in "1234":
        lease(store, fallen, ani)
    on_the_second(client)
    with pytest.raises(PoolExhausted) as refused:
        lease(store, fallen, "5")
    assert refused.value.retry_after == 65
    assert taken(store, fallen, "900", "3")
    assert lease(store, fallen, "5").dnis == "900"


def test_an_ani_is_once_on_the_fallback_number(store: Store, fallen: Pool) -> None:
    assert [lease(store, fallen, A).dnis for _ in range(2)] == ["100", "900"]
    with pytest.raises(PoolExhausted):
        lease(store, fallen, A)
    assert lease(store, fallen, OTHER).dnis == "900"


def test_an_ani_just_taken_from_the_fallback_number_does_not_come_back_before_the_two_have_rested(
    client: Redis, store: Store, fallen: Pool
) -> None:
    lease(store, fallen, "1", 600)
    lease(store, fallen, A)
    assert taken(store, fallen, "900", A)
    with pytest.raises(PoolExhausted):
        lease(store, fallen, A)
    assert lease(store, fallen, OTHER).dnis == "900"
    age(client, 55_000)
    with pytest.raises(PoolExhausted):
        lease(store, fallen, A)
    age(client, 5_000)
    assert lease(store, fallen, A).dnis == "900"


def test_under_suffix_the_fallback_number_has_no_two_equal_tails(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", exhausted="fallback", fallback="900", match="suffix")
    lease(store, pool, "1", 600)
    assert lease(store, pool, A, 600).dnis == "900"
    with pytest.raises(PoolExhausted):
        lease(store, pool, SAME_TAIL)
    assert lease(store, pool, OTHER, 600).dnis == "900"
    assert taken(store, pool, "900", A_AS_Y_SEES_IT) == f'"of {A}"'
    with pytest.raises(PoolExhausted):
        lease(store, pool, SAME_TAIL)
    with pytest.raises(Gone):
        store.take(at(pool, "900"), A_AS_Y_SEES_IT, "y")
    age(client, 60_000)
    assert lease(store, pool, SAME_TAIL).dnis == "900"


def test_a_call_on_the_fallback_number_is_read_renewed_and_taken(client: Redis, store: Store, fallen: Pool) -> None:
    lease(store, fallen, "1", 600)
    leased = lease(store, fallen, A)
    place = at(fallen, "900")
    assert store.explain(place, A)[:2] == ("exact", A)
    assert store.renew(place, A, 120_000, '"new"')[:2] == ('"new"', leased.token)  # type: ignore[index]
    assert 119_000 < client.pttl(f"cti:{{system-y}}:call:900:{A}") <= 120_000
    assert taken(store, fallen, "900", A) == '"new"'
    with pytest.raises(Gone):
        store.take(place, A, "y")


def test_the_fallback_number_never_becomes_one_of_the_pools(client: Redis, store: Store, fallen: Pool) -> None:
    for ani in "123":
        lease(store, fallen, ani)
    store.renew(at(fallen, "900"), "2", 600_000)
    taken(store, fallen, "900", "2")
    age(client, 66_000)
    assert [lease(store, fallen, ani).dnis for ani in "45"] == ["100", "900"]
    assert client.zrange(NUMBERS, 0, -1) == ["100"]
    assert store.pool_stats([fallen])[0].size == 1


def test_a_number_of_the_pool_that_is_free_again_comes_before_the_fallback_number(
    client: Redis, store: Store, fallen: Pool
) -> None:
    lease(store, fallen, "1")
    assert lease(store, fallen, "2").dnis == "900"
    taken(store, fallen, "100", "1")
    assert lease(store, fallen, "3").dnis == "900"
    age(client, 5_000)
    assert lease(store, fallen, "4").dnis == "100"


def test_who_is_on_the_fallback_number_is_forgotten_when_the_last_of_them_has_rested(
    client: Redis, store: Store, fallen: Pool
) -> None:
    lease(store, fallen, "1", 600)
    lease(store, fallen, "2", 60)
    lease(store, fallen, "3", 30)
    assert 119_000 < client.pttl("cti:{system-y}:callers:900") <= 120_000


def test_the_fallback_number_is_among_those_that_leave_until_the_last_of_its_callers_has_rested(
    client: Redis, store: Store, fallen: Pool
) -> None:
    for ani, ttl_s in (("1", 600), ("2", 60), ("3", 30)):
        lease(store, fallen, ani, ttl_s)
    until_ms = client.zscore("cti:{system-y}:leaving", "900")
    assert until_ms
    assert 119_000 < until_ms - now_ms(client) <= 120_000
    age(client, 119_000)
    pools = Pools([fallen])
    learn_leaving(store, pools)
    assert [place.dnis for place in pools.of("900")] == ["900"]


# One user's share


def test_a_user_may_have_so_many_leases_live_and_no_more(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    for ani in "123":
        assert lease(store, pool, ani, max_live=3).outcome == "leased"
    before = everything(client)
    with pytest.raises(TooManyLive):
        lease(store, pool, "4", max_live=3)
    after = everything(client)
    assert {key for key in after if after[key] != before.get(key)} == {key for key in after if ":stats" in key}
    assert store.pool_stats([pool])[0].over_max_live_total == 1
    assert store.pool_stats([pool])[0].rejected_total == 0


def test_max_live_counts_each_user_in_each_pool(store: Store, new_pool: MakePool) -> None:
    one, two = new_pool("100-109", name="one"), new_pool("200-209", name="two")
    lease(store, one, "1", max_live=1)
    with pytest.raises(TooManyLive):
        lease(store, one, "2", max_live=1)
    assert lease(store, one, "2", lessee="bob", max_live=1)
    assert lease(store, two, "2", max_live=1)
    assert lease(store, one, "3", lessee="boundless")


def test_it_tells_to_the_second_when_the_users_first_lease_ends(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    for ani, ttl_s in (("1", 600), ("2", 40), ("3", 90)):
        lease(store, pool, ani, ttl_s, max_live=3)
    lease(store, pool, "4", 10, lessee="bob", max_live=3)
    on_the_second(client)
    with pytest.raises(TooManyLive, match="40 s") as refused:
        lease(store, pool, "5", max_live=3)
    assert refused.value.retry_after == 40
    age(client, 39_000)
    with pytest.raises(TooManyLive) as refused:
        lease(store, pool, "5", max_live=3)
    assert refused.value.retry_after == 1
    age(client, 1_000)
    assert lease(store, pool, "5", 60, max_live=3)
    on_the_second(client)
    with pytest.raises(TooManyLive) as refused:
        lease(store, pool, "6", max_live=3)
    assert refused.value.retry_after == 50


def test_it_tells_how_many_the_user_has_though_fewer_are_allowed_since(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    for ani in "123":
        lease(store, pool, ani, max_live=9)
    with pytest.raises(TooManyLive, match=r"User x has 3 live leases in .*, and max_live allows 2; the first"):
        lease(store, pool, "4", max_live=2)
    lease(store, pool, "5", lessee="bob")
    with pytest.raises(TooManyLive, match=r"User bob has 1 live lease in .*, and max_live allows 1; the first"):
        lease(store, pool, "6", lessee="bob", max_live=1)


def test_a_lease_that_was_taken_counts_no_longer(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    for ani in "123456":
        dnis = lease(store, pool, ani, max_live=1).dnis
        with pytest.raises(TooManyLive):
            lease(store, pool, "9", max_live=1)
        assert taken(store, pool, dnis, ani)
        assert not client.exists("cti:{system-y}:live:x")


def test_a_lease_that_was_renewed_counts_until_its_new_end(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    dnis = lease(store, pool, "1", 10, max_live=1).dnis
    store.renew(at(pool, dnis), "1", 100_000)
    on_the_second(client)
    age(client, 50_000)
    with pytest.raises(TooManyLive) as refused:
        lease(store, pool, "2", max_live=1)
    assert refused.value.retry_after == 50
    store.renew(at(pool, dnis), "1", 5_000)
    age(client, 5_000)
    assert lease(store, pool, "2", max_live=1)


def test_shared_and_fallback_leases_count_and_refused_ones_do_not(store: Store, new_pool: MakePool) -> None:
    for exhausted in ("share", "fallback"):
        pool = new_pool("100", name=exhausted, exhausted=exhausted, fallback="900", max_callers=2)
        lease(store, pool, "1", max_live=3)
        lease(store, pool, "2", max_live=3)
        with pytest.raises(PoolExhausted):
            lease(store, pool, "2", max_live=3)
        if exhausted == "fallback":
            lease(store, pool, "3", max_live=3)
            with pytest.raises(TooManyLive):
                lease(store, pool, "4", max_live=3)


def test_what_a_user_has_live_is_forgotten_after_the_last_of_it(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    lease(store, pool, "1", 60, max_live=3)
    lease(store, pool, "2", 30, max_live=3)
    key = "cti:{system-y}:live:x"
    assert 119_000 < client.pttl(key) <= 120_000  # and a minute more, so that it need not be said with every lease
    store.renew(at(pool, "100"), "1", 90_000)
    store.renew(at(pool, "100"), "1", 150_000)
    assert 209_000 < client.pttl(key) <= 210_000
    store.renew(at(pool, "100"), "1", 90_000)
    age(client, 30_000)
    lease(store, pool, "3", 240, max_live=3)
    assert set(client.zrange(key, 0, -1)) == {"100:1", "102:3"}
    assert client.zscore(key, "100:1") <= now_ms(client) + 60_000


def test_a_runaway_user_leaves_numbers_to_the_others(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109", exhausted="reject")
    refused = 0
    for ani in range(50):
        try:
            lease(store, pool, str(ani), lessee="runaway", max_live=8)
        except TooManyLive:
            refused += 1
    assert refused == 42
    assert [lease(store, pool, ani).outcome for ani in ("98", "99")] == ["leased"] * 2
