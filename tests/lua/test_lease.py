from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import PoolExhausted
from cticache.numbering.pool import Pool
from kit.aging import age, now_ms
from kit.older import hasty
from kit.samples import at

MakePool = Callable[..., Pool]


def lease(store: Store, pool: Pool, ani: str, ttl_ms: int = 60_000) -> str:
    return store.lease(pool, ani, f'"{ani}"', "x", ttl_ms).dnis


def score(client: Redis, dnis: str) -> float:
    return client.zscore("cti:{system-y}:numbers", dnis)


def test_callers_get_numbers_of_their_own_while_there_are_any(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    assert {lease(store, pool, str(ani)) for ani in range(10)} == set(pool.numbers)


def test_the_number_that_has_been_free_longest_is_lent_first(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-102")
    client.zadd("cti:{system-y}:numbers", {"100": 3, "101": 1, "102": 2})
    assert [lease(store, pool, str(ani)) for ani in range(3)] == ["101", "102", "100"]


def test_the_call_is_stored_with_its_ttl_and_who_asked(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, "777", '{"a": [1]}', "bob", 60_000)
    call = client.hgetall("cti:{system-y}:call:100:777")
    assert call.pop("leased_ms").isdigit()
    assert call == {"value": '{"a": [1]}', "token": leased.token, "lessee": "bob"}
    assert 59_000 < client.pttl("cti:{system-y}:call:100:777") <= 60_000
    assert leased.outcome == "leased"


def test_a_leased_number_rests_until_the_end_of_the_lease_and_its_cool_down(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    before = now_ms(client)
    lease(store, pool, "777", 60_000)
    assert before + 65_000 <= score(client, "100") <= now_ms(client) + 65_000


def test_a_lease_that_ran_out_unclaimed_cools_down_too(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, "777", 60_000)
    age(client, 61_000)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "888")
    age(client, 4_000)
    assert lease(store, pool, "888") == "100"


def test_rejected_callers_are_told_to_the_second_when_a_number_falls_free(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101", exhausted="reject")
    lease(store, pool, "1", 60_000)
    lease(store, pool, "2", 30_000)
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "3")
    assert refused.value.retry_after == 35
    age(client, 34_000)
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "3")
    assert refused.value.retry_after == 1
    age(client, 1_000)
    assert lease(store, pool, "3") == "101"


def test_an_empty_pool_is_exhausted(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", draining="100")
    with pytest.raises(PoolExhausted, match="no numbers"):
        lease(store, pool, "1")


def test_an_exhausted_pool_shares_the_number_with_the_fewest_callers(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-102")
    dnises = [lease(store, pool, str(ani)) for ani in range(9)]
    assert sorted(dnises[:3]) == sorted(dnises[3:6]) == sorted(dnises[6:]) == ["100", "101", "102"]
    assert store.lease(pool, "9", '""', "x", 60_000).outcome == "shared"


def test_a_number_is_never_shared_by_two_calls_of_one_ani(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    assert {lease(store, pool, "777") for _ in range(2)} == {"100", "101"}
    with pytest.raises(PoolExhausted):
        lease(store, pool, "777")
    assert store.read(at(pool, "100"), "777", "y")


def test_no_more_than_max_callers_share_a_number(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", max_callers=3)
    for ani in range(3):
        lease(store, pool, str(ani))
    with pytest.raises(PoolExhausted):
        lease(store, pool, "3")


@pytest.mark.parametrize("exhausted", ["share", "fallback"])
def test_those_who_are_listed_and_no_longer_live_hide_none_of_the_callers_who_share_a_number(
    client: Redis, store: Store, new_pool: MakePool, exhausted: str
) -> None:
    """A list that had expired comes back with a clock that is set back; its times lie ahead of all others."""
    pool = new_pool("100", max_callers=3, exhausted=exhausted, fallback="900")
    callers = f"cti:{{system-y}}:callers:{lease(store, pool, '0')}"
    if exhausted == "fallback":
        callers = f"cti:{{system-y}}:callers:{lease(store, pool, '00')}"
    client.zadd(callers, {f"over {number}": now_ms(client) + 3_600_000 for number in range(5)})
    for ani in ("1", "2"):
        lease(store, pool, ani)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "3")


def test_only_share_scan_numbers_are_looked_at_those_that_end_soonest(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-103", share_scan=2, max_callers=2)
    ends = {lease(store, pool, str(ani), 10_000 * (ani + 1)): ani for ani in range(4)}
    shared = {lease(store, pool, str(ani), 1_000) for ani in range(10, 12)}
    assert {ends[dnis] for dnis in shared} == {0, 1}
    with pytest.raises(PoolExhausted):
        lease(store, pool, "12")


def test_a_cooling_number_is_used_last(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101", max_callers=2)
    first, second = lease(store, pool, "1"), lease(store, pool, "2")
    store.take(at(pool, first), "1", "y")
    assert lease(store, pool, "3") == second
    assert lease(store, pool, "4") == first
    assert not client.zscore("cti:{system-y}:shared", first)


def test_an_ani_whose_call_was_just_taken_does_not_get_that_number_back_before_the_two_have_rested(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, "777")
    store.take(at(pool, "100"), "777", "y")
    with pytest.raises(PoolExhausted):
        lease(store, pool, "777")
    assert lease(store, pool, "888") == "100"
    age(client, 55_000)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "777")
    age(client, 5_000)
    assert lease(store, pool, "777") == "100"


def test_reject_neither_shares_nor_uses_a_cooling_number(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, "1")
    store.take(at(pool, "100"), "1", "y")
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "2")
    assert refused.value.retry_after == 5


def test_a_call_that_exists_is_never_overwritten_whatever_the_scores_say(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, "777", 60_000)
    client.zadd("cti:{system-y}:numbers", {"100": 0})
    for ani in ("777", "888"):
        with pytest.raises(PoolExhausted):
            lease(store, pool, ani)
    client.delete("cti:{system-y}:callers:100")
    client.zadd("cti:{system-y}:numbers", {"100": 0})
    with pytest.raises(PoolExhausted) as refused:
        lease(store, pool, "777")
    assert refused.value.retry_after == 65
    assert store.read(at(pool, "100"), "777", "y") is not None


def test_a_wrong_score_is_put_right_and_the_next_free_number_is_lent(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    held = lease(store, pool, "777", 60_000)
    client.zadd("cti:{system-y}:numbers", {held: 0})
    assert lease(store, pool, "888") != held
    assert score(client, held) > now_ms(client) + 60_000


def test_a_listed_caller_whose_call_is_gone_is_not_live(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", max_callers=1)
    lease(store, pool, "777")
    client.delete("cti:{system-y}:call:100:777")
    assert lease(store, pool, "888") == "100"


def test_a_shared_number_rests_until_the_last_of_its_callers(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, "1", 60_000)
    lease(store, pool, "2", 1_000)
    assert score(client, "100") > now_ms(client) + 60_000
    lease(store, pool, "3", 90_000)
    assert score(client, "100") > now_ms(client) + 90_000


def test_a_number_that_is_no_longer_in_the_pool_does_not_come_back(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    dnis = lease(store, pool, "777")
    client.zrem("cti:{system-y}:numbers", dnis)
    store.renew(at(pool, dnis), "777", 60_000)
    store.take(at(pool, dnis), "777", "y")
    assert client.zscore("cti:{system-y}:numbers", dnis) is None


def test_withheld_callers_are_one_ani_and_share_no_number(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    assert {lease(store, pool, "") for _ in range(2)} == {"100", "101"}
    with pytest.raises(PoolExhausted):
        lease(store, pool, "")


def test_without_a_cool_down_a_taken_number_is_free_at_once(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", cooldown_ms=0, exhausted="reject")
    for ani in "123":
        assert lease(store, pool, ani) == "100"
        assert store.take(at(pool, "100"), ani, "y")


def test_the_callers_of_a_number_are_known_until_the_last_of_them_has_rested(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, "1", 60_000)
    lease(store, pool, "2", 30_000)
    assert 119_000 < client.pttl("cti:{system-y}:callers:100") <= 120_000


def test_a_second_call_that_ends_unclaimed_is_not_said_to_have_been_taken(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    """The pair's rest keeps it off the number; a shorter one must not let the take of the first be told of it."""
    pool = new_pool("100", cooldown_ms=0)
    lease(store, pool, "777", 10_000)
    assert store.take(at(pool, "100"), "777", "y")
    lease(store, hasty(pool), "777", 10_000)
    age(client, 10_000)
    assert store.read(at(pool, "100"), "777", "y") is None
