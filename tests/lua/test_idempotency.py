"""A request that is repeated is one lease, and one take; under a key, and for clients that cannot send one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from cticache.data.replies import Lease, utc
from cticache.data.store import Store
from cticache.errors import Gone, KeyReused, PoolExhausted, TooManyLive
from cticache.numbering.pool import Pool
from kit.aging import age, everything, now_ms
from kit.older import hasty
from kit.racing import at_once
from kit.samples import at

MakePool = Callable[..., Pool]
TTL_MS = 60_000
WINDOW_MS = 20_000
REPLY = "cti:{system-y}:reply:x:k"
TAKEN = "cti:{system-y}:taken:y:k"
A, A_AS_Y_SEES_IT, OTHER = "5551234567", "15551234567", "5557654321"


def lease(store: Store, pool: Pool, ani: str = A, value: str = '"v"', **more: Any) -> Lease:
    return store.lease(pool, ani, value, more.pop("lessee", "x"), more.pop("ttl_ms", TTL_MS), **{"key": "k"} | more)


def same(answer: Lease, first: Lease) -> bool:
    return answer.outcome == "replayed" and answer[1:4] == first[1:4]


# A lease under a key


@pytest.mark.parametrize("ani", [A, ""])
def test_a_lease_repeated_under_its_key_is_one_lease(client: Redis, store: Store, new_pool: MakePool, ani: str) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool, ani)
    assert first.outcome == "leased"
    for _ in range(3):
        again = lease(store, pool, ani)
        assert same(again, first)
        assert TTL_MS - 1000 < again.left_ms <= TTL_MS
    assert len(client.keys("*:call:*")) == 1
    figures = store.pool_stats([pool])[0]
    assert (figures.leased, figures.leased_total, figures.replayed_total) == (1, 1, 3)


def test_a_replay_changes_nothing_but_its_counter(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    lease(store, pool)
    before = everything(client)
    lease(store, pool)
    after = everything(client)
    assert {key for key in after if after[key] != before.get(key)} == {key for key in after if ":stats" in key}


def test_a_key_is_its_users_own(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    leases = {who: lease(store, pool, lessee=who) for who in ("x", "bob")}
    assert leases["x"].dnis != leases["bob"].dnis
    for who, first in leases.items():
        assert same(lease(store, pool, lessee=who), first)


def test_a_key_counts_in_one_pool(store: Store, new_pool: MakePool) -> None:
    one, two = new_pool("100-109", name="one"), new_pool("200-209", name="two")
    leases = [lease(store, pool) for pool in (one, two)]
    assert [first.dnis[0] for first in leases] == ["1", "2"]
    assert same(lease(store, one), leases[0])
    assert same(lease(store, two), leases[1])


def test_another_key_is_another_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    assert len({lease(store, pool, key=key).dnis for key in ("k", "K", "k:", "kk")}) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"value": '"w"'},
        {"value": '"v" '},
        {"ani": OTHER},
        {"ani": ""},
        {"sent": f"+{A}"},
        {"ttl_ms": TTL_MS + 1000},
    ],
    ids=str,
)
def test_a_key_used_for_another_request_is_refused_and_nothing_changes(
    client: Redis, store: Store, new_pool: MakePool, changed: dict[str, Any]
) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    before = everything(client)
    with pytest.raises(KeyReused):
        lease(store, pool, **changed)
    assert everything(client) == before
    assert same(lease(store, pool), first)


def over(store: Store, pool: Pool, **more: Any) -> str:
    """A request under the key of a call that is over leases nothing; returns what it is told."""
    before = store.pool_stats([pool])[0].leased_total
    with pytest.raises(Gone) as refused:
        lease(store, pool, **more)
    assert store.pool_stats([pool])[0].leased_total == before
    return str(refused.value)


def test_a_lease_whose_call_was_taken_is_not_made_again_and_the_client_is_told_since_when(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109", cooldown_ms=0, match="sole", exhausted="reject")
    first = lease(store, pool)
    age(client, 20_000)
    taken_ms = now_ms(client)
    assert store.take(at(pool, first.dnis), A, "y")
    age(client, 70_000)
    assert utc(taken_ms - 70_000)[:18] in over(store, pool)
    assert not client.keys("*:call:*")


def test_a_lease_whose_call_ran_out_is_not_made_again_and_the_client_is_told_since_when(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    age(client, TTL_MS + 30_000)
    assert utc(first.leased_ms - 30_000) in over(store, pool)


def test_a_replay_that_is_too_late_is_not_told_of_a_later_call_of_the_same_caller(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", cooldown_ms=0, remember_ms=1_000, exhausted="reject")
    lease(store, pool)
    store.take(at(pool, "100"), A, "y")
    age(client, 1_000)
    second = lease(store, pool, key="another")
    over(store, pool)
    again = lease(store, pool, key="another")
    assert (again.outcome, again.token) == ("replayed", second.token)


def test_of_a_call_that_is_gone_before_its_time_no_time_to_come_is_told(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    client.delete(f"cti:{{system-y}}:call:100:{A}")
    told = over(store, pool)
    since = told[told.index("20") :].partition(";")[0]
    assert utc(first.leased_ms) <= since <= utc(now_ms(client))


def test_a_key_lives_until_the_latest_end_of_its_call_and_the_remember_time(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    assert TTL_MS + 59_000 < client.pttl(REPLY) <= TTL_MS + 60_000
    store.renew(at(pool, first.dnis), A, 10 * TTL_MS)
    store.renew(at(pool, first.dnis), A, TTL_MS)
    assert 10 * TTL_MS + 59_000 < client.pttl(REPLY) <= 10 * TTL_MS + 60_000
    store.take(at(pool, first.dnis), A, "y")
    age(client, 10 * TTL_MS + 58_000)
    over(store, pool)
    age(client, 2_000)
    assert not client.exists(REPLY)
    later = lease(store, pool)
    assert later.outcome == "leased"
    assert later.token != first.token


def test_a_call_that_was_renewed_is_replayed_until_its_new_end(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    age(client, TTL_MS - 1_000)
    renewed_ms = now_ms(client)
    store.renew(at(pool, first.dnis), A, 2 * TTL_MS)
    age(client, TTL_MS)
    again = lease(store, pool)
    assert (again.outcome, again.token) == ("replayed", first.token)
    age(client, TTL_MS + 5_000)
    assert utc(renewed_ms - 5_000)[:18] in over(store, pool)


def test_the_key_of_one_lease_is_not_told_of_the_take_of_another(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    """A key that was lost and used again belongs to its later lease."""
    pool = new_pool("100-109")
    first = lease(store, pool)
    client.delete(REPLY)
    second = lease(store, pool)
    assert store.take(at(pool, first.dnis), A, "y")
    assert lease(store, pool).token == second.token
    store.renew(at(pool, second.dnis), A, TTL_MS)
    assert lease(store, pool).token == second.token


def test_neither_a_take_nor_a_renewal_makes_a_key_that_is_not_there(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    client.delete(REPLY)
    store.renew(at(pool, first.dnis), A, TTL_MS)
    store.take(at(pool, first.dnis), A, "y")
    assert not client.exists(REPLY)


def test_after_its_time_the_key_may_be_used_for_another_request(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    lease(store, pool)
    age(client, TTL_MS + 60_000)
    assert lease(store, pool, OTHER, '"w"').outcome == "leased"


def test_a_shared_lease_and_one_on_the_fallback_number_are_replayed(store: Store, new_pool: MakePool) -> None:
    for exhausted, outcome in (("share", "shared"), ("fallback", "fallback")):
        pool = new_pool("100", name=exhausted, exhausted=exhausted, fallback="900")
        lease(store, pool, OTHER, key="other")
        first = lease(store, pool)
        assert first.outcome == outcome
        assert same(lease(store, pool), first)


def test_a_full_pool_still_replays(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    first = lease(store, pool)
    with pytest.raises(PoolExhausted):
        lease(store, pool, OTHER, key="other")
    assert same(lease(store, pool), first)


def test_a_user_with_all_the_leases_allowed_still_gets_a_replay(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool, max_live=1)
    with pytest.raises(TooManyLive):
        lease(store, pool, key="other", max_live=1)
    assert same(lease(store, pool, max_live=1), first)
    with pytest.raises(KeyReused):
        lease(store, pool, value='"w"', max_live=1)


def test_a_refused_lease_is_tried_anew_under_its_key(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, OTHER, key="other", max_live=1)
    for most in (0, 1):
        with pytest.raises((PoolExhausted, TooManyLive)):
            lease(store, pool, max_live=most)
    assert not client.exists(REPLY)
    age(client, TTL_MS + 5_000)
    assert lease(store, pool).outcome == "leased"


def test_64_at_once_under_one_key_are_one_lease(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-199")
    answers = at_once(lambda _: lease(store, pool))
    assert len({answer[1:4] for answer in answers}) == 1
    assert Counter(answer.outcome for answer in answers) == {"leased": 1, "replayed": 63}
    assert len(client.keys("*:call:*")) == 1
    assert store.pool_stats([pool])[0].leased == 1


def test_64_at_once_under_16_keys_are_16_leases(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-199")
    answers = at_once(lambda number: lease(store, pool, key=str(number % 16)))
    assert len({answer.dnis for answer in answers}) == len(client.keys("*:call:*")) == 16
    for number in range(16):
        assert len({answer[1:4] for answer in answers[number::16]}) == 1


# The retry window, for clients that cannot send a key


@pytest.fixture
def windowed(new_pool: MakePool) -> Pool:
    return new_pool("100-109", retry_window_ms=WINDOW_MS)


def bare(store: Store, pool: Pool, ani: str = A, value: str = '"v"', **more: Any) -> Lease:
    return lease(store, pool, ani, value, key="", **more)


def test_the_same_post_within_the_window_is_one_lease(client: Redis, store: Store, windowed: Pool) -> None:
    first = bare(store, windowed)
    age(client, WINDOW_MS - 2_000)
    again = bare(store, windowed)
    assert same(again, first._replace(leased_ms=first.leased_ms - WINDOW_MS + 2_000))
    assert TTL_MS - WINDOW_MS + 1_000 < again.left_ms <= TTL_MS - WINDOW_MS + 2_000
    assert len(client.keys("*:call:*")) == 1
    assert store.pool_stats([windowed])[0].replayed_total == 1


def test_a_retry_does_not_open_the_window_again(client: Redis, store: Store, windowed: Pool) -> None:
    bare(store, windowed)
    age(client, WINDOW_MS - 2_000)
    assert bare(store, windowed).outcome == "replayed"
    age(client, 2_000)
    assert bare(store, windowed).outcome == "leased"


def test_the_window_is_as_long_as_the_pool_says(client: Redis, store: Store, windowed: Pool) -> None:
    bare(store, windowed)
    (key,) = client.keys("*:retry:*")
    assert WINDOW_MS - 1_000 < client.pttl(key) <= WINDOW_MS


def test_without_a_window_the_same_post_is_another_lease(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    assert {bare(store, pool).outcome for _ in range(3)} == {"leased"}
    assert not client.keys("*:retry:*")
    assert len(client.keys("*:call:*")) == 3


def test_a_withheld_callers_post_is_never_taken_for_a_retry(client: Redis, store: Store, windowed: Pool) -> None:
    assert len({bare(store, windowed, "").dnis for _ in range(3)}) == 3
    assert not client.keys("*:retry:*")


@pytest.mark.parametrize(
    "changed",
    [
        {"value": '"w"'},
        {"ani": OTHER},
        {"sent": f"+{A}"},
        {"ttl_ms": TTL_MS + 1000},
        {"lessee": "bob"},
    ],
    ids=str,
)
def test_another_users_post_or_another_body_is_never_a_retry(
    store: Store, windowed: Pool, changed: dict[str, Any]
) -> None:
    first = bare(store, windowed)
    other = bare(store, windowed, **changed)
    assert other.outcome == "leased"
    assert other.dnis != first.dnis
    assert same(bare(store, windowed), first)


def test_another_pools_post_is_never_a_retry(store: Store, new_pool: MakePool, windowed: Pool) -> None:
    other = new_pool("200-209", name="other", retry_window_ms=WINDOW_MS)
    assert bare(store, windowed).dnis[0] == "1"
    assert bare(store, other).dnis[0] == "2"


def test_after_the_take_the_same_post_is_a_new_lease(store: Store, windowed: Pool) -> None:
    first = bare(store, windowed)
    assert store.take(at(windowed, first.dnis), A, "y")
    second = bare(store, windowed)
    assert second.outcome == "leased"
    assert second.token != first.token
    assert same(bare(store, windowed), second)


def test_a_key_that_is_what_a_post_without_one_goes_by_is_a_key_of_its_own(
    client: Redis, store: Store, windowed: Pool
) -> None:
    first = bare(store, windowed)
    (kept,) = client.keys("*:retry:*")
    second = lease(store, windowed, A, '"v"', key=kept.rpartition(":")[2])
    assert second.outcome == "leased"
    assert second.token != first.token


def test_after_the_call_has_expired_the_same_post_is_a_new_lease(client: Redis, store: Store, windowed: Pool) -> None:
    first = bare(store, windowed, ttl_ms=5_000)
    age(client, 5_000)
    assert client.keys("*:retry:*")
    second = bare(store, windowed, ttl_ms=5_000)
    assert second.outcome == "leased"
    assert second.token != first.token


def test_a_later_call_of_the_same_caller_on_the_same_number_is_no_retry_of_the_first(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100", remember_ms=10_000, exhausted="reject", retry_window_ms=WINDOW_MS)
    bare(store, pool, value='"first"')
    store.take(at(pool, "100"), A, "y")
    age(client, 10_000)
    assert client.keys("*:retry:*")
    bare(store, pool, value='"second"')
    with pytest.raises(PoolExhausted):
        bare(store, pool, value='"first"')


def test_a_clients_key_goes_before_the_window(store: Store, windowed: Pool) -> None:
    first = bare(store, windowed)
    keyed = lease(store, windowed)
    assert keyed.dnis != first.dnis
    assert same(bare(store, windowed), first)
    assert same(lease(store, windowed), keyed)


def test_64_at_once_within_the_window_are_one_lease(client: Redis, store: Store, windowed: Pool) -> None:
    answers = at_once(lambda _: bare(store, windowed))
    assert len({answer[1:4] for answer in answers}) == 1
    assert len(client.keys("*:call:*")) == 1


# A take under a key


@pytest.mark.parametrize(
    ("match", "ani", "grade"), [("exact", A, "exact"), ("suffix", A_AS_Y_SEES_IT, "suffix"), ("sole", "", "sole")]
)
def test_a_take_repeated_under_its_key_hands_the_same_data_over_again(
    client: Redis, store: Store, new_pool: MakePool, *, match: str, ani: str, grade: str
) -> None:
    pool = new_pool("100", match=match, exhausted="reject")
    leased = store.lease(pool, A, '["v"]', "x", TTL_MS)
    first = store.take(at(pool, "100"), ani, "y", key="k")
    assert first
    assert first[:4] == ('["v"]', leased.token, grade, leased.leased_ms)
    assert not first.replayed
    for _ in range(3):
        assert store.take(at(pool, "100"), ani, "y", key="k") == first._replace(left_ms=0, replayed=True)
    figures = store.pool_stats([pool])[0]
    assert (figures.taken_total, figures.replayed_total) == (1, 3)
    assert not client.keys("*:call:*")


def test_a_replayed_take_changes_nothing_but_its_counter(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, A, '"v"', "x", TTL_MS)
    store.take(at(pool, "100"), A, "y", key="k")
    before = everything(client)
    store.take(at(pool, "100"), A, "y", key="k")
    after = everything(client)
    assert {key for key in after if after[key] != before.get(key)} == {key for key in after if ":stats" in key}


def test_a_takes_key_used_for_another_call_is_refused_and_that_call_stays(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    one, other = (store.lease(pool, ani, f'"{ani}"', "x", TTL_MS).dnis for ani in (A, OTHER))
    assert store.take(at(pool, one), A, "y", key="k")
    before = everything(client)
    for dnis, ani in ((other, OTHER), (one, OTHER), (other, A), (one, A_AS_Y_SEES_IT), (one, "")):
        with pytest.raises(KeyReused):
            store.take(at(pool, dnis), ani, "y", key="k")
    assert everything(client) == before
    assert store.take(at(pool, other), OTHER, "y", key="k2").value == f'"{OTHER}"'  # type: ignore[union-attr]


@pytest.mark.parametrize("again", [{"user": "bob", "key": "k"}, {"user": "y", "key": "k2"}, {"user": "y", "key": ""}])
def test_another_user_another_key_or_no_key_finds_the_call_gone(
    store: Store, new_pool: MakePool, again: dict[str, str]
) -> None:
    pool = new_pool("100")
    store.lease(pool, A, '"v"', "x", TTL_MS)
    assert store.take(at(pool, "100"), A, "y", key="k")
    with pytest.raises(Gone):
        store.take(at(pool, "100"), A, **again)


def test_a_takes_key_counts_in_one_pool(store: Store, new_pool: MakePool) -> None:
    one, two = new_pool("100", name="one"), new_pool("200", name="two")
    for pool, dnis in ((one, "100"), (two, "200")):
        store.lease(pool, A, f'"{dnis}"', "x", TTL_MS)
        assert store.take(at(pool, dnis), A, "y", key="k").value == f'"{dnis}"'  # type: ignore[union-attr]


def test_a_take_is_remembered_for_as_long_as_its_pool_says(client: Redis, store: Store, new_pool: MakePool) -> None:
    for seconds in (60, 7):
        pool = new_pool("100", name=f"for-{seconds}", remember_ms=seconds * 1000)
        store.lease(pool, A, '"v"', "x", TTL_MS)
        store.take(at(pool, "100"), A, "y", key="k")
        for kind in ("taken:y:k", f"gone:100:{A}"):
            left = client.pttl(f"cti:{{for-{seconds}}}:{kind}")
            assert seconds * 1000 - 1000 < left <= seconds * 1000
        age(client, seconds * 1000 - 2_000)
        assert store.take(at(pool, "100"), A, "y", key="k").replayed  # type: ignore[union-attr]
        age(client, 2_000)
        assert store.take(at(pool, "100"), A, "y", key="k") is None


def test_a_replayed_take_is_not_given_the_same_callers_next_call(store: Store, new_pool: MakePool) -> None:
    """The pair's rest keeps that call off the number; a shorter one must not allow it."""
    pool = new_pool("100", cooldown_ms=0, exhausted="reject")
    store.lease(pool, A, '"first"', "x", TTL_MS)
    first = store.take(at(pool, "100"), A, "y", key="k")
    store.lease(hasty(pool), A, '"second"', "x", TTL_MS)
    assert first
    assert store.take(at(pool, "100"), A, "y", key="k") == first._replace(left_ms=0, replayed=True)
    assert store.take(at(pool, "100"), A, "y", key="k2").value == '"second"'  # type: ignore[union-attr]


def test_a_replayed_take_under_sole_is_not_given_another_callers_call(store: Store, new_pool: MakePool) -> None:
    """The rest forbids it; a rule that was changed on the way must not allow it."""
    pool = new_pool("100", cooldown_ms=0)
    sole = replace(pool, match="sole")
    store.lease(pool, A, '"first"', "x", TTL_MS)
    assert store.take(at(sole, "100"), "", "y", key="k").value == '"first"'  # type: ignore[union-attr]
    store.lease(pool, OTHER, '"next"', "x", TTL_MS)
    assert store.take(at(sole, "100"), "", "y", key="k").value == '"first"'  # type: ignore[union-attr]
    with pytest.raises(Gone):
        store.take(at(sole, "100"), "", "y")
    assert store.read(at(pool, "100"), OTHER, "y")


def test_a_take_that_found_nothing_leaves_its_key_free(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    assert store.take(at(pool, "100"), A, "y", key="k") is None
    assert not client.exists(TAKEN)
    store.lease(pool, A, '"v"', "x", TTL_MS)
    assert store.take(at(pool, "100"), A, "y", key="k").value == '"v"'  # type: ignore[union-attr]


def test_a_takes_key_and_a_leases_key_are_two_things(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool)
    assert store.take(at(pool, first.dnis), A, "x", key="k").value == '"v"'  # type: ignore[union-attr]
    over(store, pool)
    assert store.take(at(pool, first.dnis), A, "x", key="k").value == '"v"'  # type: ignore[union-attr]


def test_64_takes_at_once_under_one_key_all_get_the_value_and_one_took_it(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    leased = store.lease(pool, A, '"v"', "x", TTL_MS)
    answers = at_once(lambda _: store.take(at(pool, "100"), A, "y", key="k"))
    assert {answer and answer[:4] for answer in answers} == {('"v"', leased.token, "exact", leased.leased_ms)}
    assert Counter(answer and answer.replayed for answer in answers) == {False: 1, True: 63}
    figures = store.pool_stats([pool])[0]
    assert (figures.taken_total, figures.replayed_total) == (1, 63)
