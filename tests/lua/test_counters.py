"""What a pool's operator needs to know, counted in passing: in all and by the hour."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from cticache.data.replies import PoolStats
from cticache.data.store import Store
from cticache.errors import Ambiguous, Gone, KeyReused, NotReady, PoolExhausted, Stale, TooManyLive
from cticache.numbering.pool import Pool
from kit.aging import age, an_hour_passes, everything, now_ms
from kit.samples import at

MakePool = Callable[..., Pool]
STATS = "cti:{system-y}:stats"
PENDING = "cti:{system-y}:pending"
UNCLAIMED = "cti:{system-y}:unclaimed"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "5551234567", "15551234567", "9991234567", "5557654321", "8005550000"


def lease(store: Store, pool: Pool, ani: str, ttl_s: int = 60, **more: Any) -> str:
    return store.lease(pool, ani, '"v"', more.pop("lessee", "x"), ttl_s * 1000, **more).dnis


def stats(store: Store, pool: Pool) -> PoolStats:
    return store.pool_stats([pool])[0]


def counted(client: Redis) -> dict[str, int]:
    return {name: int(count) for name, count in client.hgetall(STATS).items()}


def this_hour(client: Redis) -> int:
    return now_ms(client) // HOUR_MS


# Each counter


def a_lease(store: Store, new_pool: MakePool) -> None:
    lease(store, new_pool("100"), A)


def a_shared_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    lease(store, pool, OTHER, 30)


def a_lease_on_the_fallback_number(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="fallback", fallback="900")
    lease(store, pool, A)
    lease(store, pool, OTHER, 30)


def a_rejected_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    lease(store, pool, A)
    with pytest.raises(PoolExhausted):
        lease(store, pool, OTHER)


def a_withheld_lease_and_a_rejected_one(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, "", max_live=1)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "")
    with pytest.raises(TooManyLive):
        lease(store, pool, "", max_live=1)


def a_lease_over_max_live(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-101")
    lease(store, pool, A, max_live=1)
    with pytest.raises(TooManyLive):
        lease(store, pool, OTHER, max_live=1)


def a_replayed_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    for _ in range(2):
        lease(store, pool, A, key="k")
    with pytest.raises(KeyReused):
        lease(store, pool, OTHER, key="k")


def a_renewal(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 1000)
    store.renew(at(pool, "100"), A, 2_000_000)


def a_renewal_of_another_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    with pytest.raises(Stale):
        store.renew(at(pool, "100"), A, 60_000, if_match='"no"')


def a_take_of_another_lease(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    with pytest.raises(Stale):
        store.take(at(pool, "100"), A, "y", if_match='"no"')


def an_exact_take(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    store.take(at(pool, "100"), A, "y")
    with pytest.raises(Gone):
        store.take(at(pool, "100"), A, "y")


def a_take_by_suffix(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix")
    lease(store, pool, A)
    store.take(at(pool, "100"), A_AS_Y_SEES_IT, "y")


def a_sole_take_after_two_reads(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="sole", exhausted="reject")
    lease(store, pool, A)
    for ani in (PBX, A):
        store.read(at(pool, "100"), ani, "y")
    store.take(at(pool, "100"), A, "y")


def a_take_by_uui_a_repeated_one_and_a_miss(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    token = store.lease(pool, A, '"v"', "x", 60_000).token
    assert store.take(at(pool, "100"), PBX, "y", token=token)
    with pytest.raises(Gone):
        store.take(at(pool, "100"), PBX, "y", token=token)
    assert store.take(at(pool, "100"), PBX, "y", token="none") is None


def a_replayed_take(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A)
    for _ in range(2):
        store.take(at(pool, "100"), A, "y", key="k")


def three_ambiguous_questions(store: Store, new_pool: MakePool) -> None:
    lease(store, new_pool("100"), A)
    lease(store, new_pool("100"), SAME_TAIL)
    place = at(new_pool("100", match="suffix"), "100")
    for ask in (
        lambda: store.read(place, A, "y"),
        lambda: store.take(place, A, "y"),
        lambda: store.renew(place, A, 60_000),
    ):
        with pytest.raises(Ambiguous):
            ask()
    store.explain(place, A)


def what_is_not_there(store: Store, new_pool: MakePool) -> None:
    place = at(new_pool("100"), "100")
    store.read(place, A, "y")
    store.take(place, A, "y", key="k")
    store.renew(place, A, 60_000)
    store.explain(place, A)


TAKEN = {"taken": 1, "t1": 1}
COUNTS: dict[Callable[[Store, MakePool], None], dict[str, int]] = {
    a_lease: {"leased": 1, "held_ms": 60_000, "peak": 1},
    a_shared_lease: {"leased": 2, "shared": 1, "held_ms": 90_000, "peak": 1},
    a_lease_on_the_fallback_number: {"leased": 2, "fallback": 1, "held_ms": 90_000, "peak": 1},
    a_rejected_lease: {"leased": 1, "rejected": 1, "held_ms": 60_000, "peak": 1},
    a_withheld_lease_and_a_rejected_one: {
        "leased": 1,
        "rejected": 1,
        "withheld": 2,
        "over_max_live": 1,
        "held_ms": 60_000,
        "peak": 1,
    },
    a_lease_over_max_live: {"leased": 1, "over_max_live": 1, "held_ms": 60_000, "peak": 1},
    a_replayed_lease: {"leased": 1, "replayed": 1, "held_ms": 60_000, "peak": 1},
    a_renewal: {"leased": 1, "renewed": 1, "held_ms": 2_000_000, "peak": 1},
    a_renewal_of_another_lease: {"leased": 1, "stale": 1, "held_ms": 60_000, "peak": 1},
    a_take_of_another_lease: {"leased": 1, "stale": 1, "held_ms": 60_000, "peak": 1},
    an_exact_take: {"leased": 1, "match_exact": 1, "gone": 1, "held_ms": 0, "peak": 1} | TAKEN,
    a_take_by_suffix: {"leased": 1, "match_suffix": 1, "held_ms": 0, "peak": 1} | TAKEN,
    a_sole_take_after_two_reads: {"leased": 1, "match_sole": 1, "held_ms": 0, "peak": 1} | TAKEN,
    a_take_by_uui_a_repeated_one_and_a_miss: {
        "leased": 1,
        "match_uui": 1,
        "gone": 1,
        "missed": 1,
        "held_ms": 0,
        "peak": 1,
    }
    | TAKEN,
    a_replayed_take: {"leased": 1, "match_exact": 1, "replayed": 1, "held_ms": 0, "peak": 1} | TAKEN,
    three_ambiguous_questions: {"leased": 2, "shared": 1, "ambiguous": 3, "held_ms": 120_000, "peak": 1},
    what_is_not_there: {"missed": 3},
}


@pytest.mark.parametrize(("doing", "counts"), COUNTS.items(), ids=[doing.__name__ for doing in COUNTS])
def test_it_counts_what_was_done_and_nothing_else_in_all_and_in_this_hour(
    client: Redis,
    store: Store,
    new_pool: MakePool,
    doing: Callable[[Store, MakePool], None],
    counts: dict[str, int],
) -> None:
    hours = {this_hour(client)}
    doing(store, new_pool)
    hours.add(this_hour(client))
    seen, expected = counted(client), dict(counts)
    assert seen.pop("held_ms", 0) == pytest.approx(expected.pop("held_ms", 0), abs=2_000)
    assert seen == expected
    by_hour = store.pool_hours(new_pool("100"), 2)
    assert {hour for hour, _ in by_hour} <= hours
    for name in seen.keys() - {"peak"}:
        assert sum(counters.get(name, 0) for _, counters in by_hour) == seen[name]


def test_the_figures_say_what_was_counted(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", match="suffix", max_callers=2)
    lease(store, pool, A, key="k", max_live=2)
    lease(store, pool, A, key="k", max_live=2)
    lease(store, pool, OTHER)
    with pytest.raises(PoolExhausted):
        lease(store, pool, "1")
    with pytest.raises(TooManyLive):
        lease(store, pool, "1", max_live=1)
    store.renew(at(pool, "100"), OTHER, 60_000)
    store.take(at(pool, "100"), A_AS_Y_SEES_IT, "y")
    store.read(at(pool, "100"), OTHER, "y")
    seen = stats(store, pool)
    assert (seen.leased_total, seen.shared_total, seen.fallback_total, seen.rejected_total) == (2, 1, 0, 1)
    assert (seen.over_max_live_total, seen.taken_total, seen.renewed_total, seen.replayed_total) == (1, 1, 1, 1)
    assert (seen.match_exact_total, seen.match_suffix_total, seen.match_sole_total) == (1, 1, 0)
    assert (seen.ambiguous_total, seen.unclaimed_total, seen.peak) == (0, 0, 1)
    assert (seen.transits, seen.missed) == ({1: 1}, {})


def test_pools_are_counted_apart(store: Store, new_pool: MakePool) -> None:
    one, two = new_pool("100", name="one"), new_pool("200", name="two")
    lease(store, one, A)
    assert [seen.leased_total for seen in store.pool_stats([one, two])] == [1, 0]
    assert len(store.pool_hours(one, 24)) == 1
    assert store.pool_hours(two, 24) == []


# By the hour


def test_an_hour_that_begins_while_the_hours_are_read_costs_none_of_them(
    client: Redis, store: Store, new_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, hours = new_pool("100-139"), 30
    for leases in range(1, hours + 1):
        for ani in range(leases):
            lease(store, pool, str(ani))
        age(client, 60_000)
        an_hour_passes(client)
    run = store._run

    def run_and_let_pass(*asked: Any, **arguments: Any) -> Any:
        reply = run(*asked, **arguments)
        an_hour_passes(client)
        return reply

    monkeypatch.setattr(store, "_run", run_and_let_pass)
    assert {counters.get("leased", 0) for _, counters in store.pool_hours(pool, hours + 5)} >= {*range(1, hours + 1)}


def test_each_hour_has_its_own_counters_the_oldest_first(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    for leases in (3, 0, 1):
        for ani in range(leases):
            store.take(at(pool, lease(store, pool, str(ani))), str(ani), "y")
        an_hour_passes(client)
    lease(store, pool, A)
    last = this_hour(client)
    seen = [(last - hour, counters["leased"], counters.get("taken", 0)) for hour, counters in store.pool_hours(pool, 5)]
    assert seen == [(3, 3, 3), (1, 1, 1), (0, 1, 0)]
    assert [last - hour for hour, _ in store.pool_hours(pool, 3)] == [1, 0]
    assert [last - hour for hour, _ in store.pool_hours(pool, 1)] == [0]
    assert counted(client)["leased"] == stats(store, pool).leased_total == 5


def test_an_hour_is_kept_for_eight_days_whatever_is_counted_first(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 1000)
    for ask in (
        lambda: store.renew(at(pool, "100"), A, 60_000),
        lambda: store.read(at(pool, "100"), A, "y"),
        lambda: store.take(at(pool, "100"), A, "y", key="k"),
        lambda: store.take(at(pool, "100"), A, "y", key="k"),
        lambda: lease(store, pool, OTHER, 1),
        lambda: age(client, 1_000) or stats(store, pool),
    ):
        client.delete(*client.keys("*:stats:*"))
        ask()
        (key,) = client.keys("*:stats:*")
        hour = int(key.rpartition(":")[2])
        assert hour == this_hour(client)
        assert client.pttl(key) + now_ms(client) == pytest.approx((hour + 1) * HOUR_MS + 8 * DAY_MS, abs=2_000)
    assert client.ttl(STATS) == -1


def test_more_counting_does_not_prolong_an_hour(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    lease(store, pool, "1")
    (key,) = client.keys("*:stats:*")
    client.pexpire(key, 1_000_000)
    lease(store, pool, "2")
    assert client.pttl(key) <= 1_000_000


# How long numbers are held


def held_ms(client: Redis) -> int:
    return counted(client)["held_ms"]


def near(expected_ms: int) -> Any:
    return pytest.approx(expected_ms, abs=2_000)


def test_held_is_the_time_from_each_lease_to_its_end(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    first = lease(store, pool, "1", 100)
    lease(store, pool, "2", 50)
    assert held_ms(client) == 150_000
    age(client, 30_000)
    store.take(at(pool, first), "1", "y")
    assert held_ms(client) == near(30_000 + 50_000)
    age(client, 20_000)
    stats(store, pool)
    assert held_ms(client) == near(30_000 + 50_000)


def test_a_renewal_adds_what_it_prolongs_and_takes_off_what_it_shortens(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, "1", 100)
    age(client, 60_000)
    store.renew(at(pool, "100"), "1", 100_000)
    assert held_ms(client) == near(160_000)
    age(client, 10_000)
    store.renew(at(pool, "100"), "1", 5_000)
    assert held_ms(client) == near(75_000)
    store.take(at(pool, "100"), "1", "y")
    assert held_ms(client) == near(70_000)


def test_what_a_lease_held_is_booked_in_its_own_hour(client: Redis, store: Store, new_pool: MakePool) -> None:
    """It was given back in the hour of the take: too much in the one, less than nothing in the other."""
    pool = new_pool("100-109", max_ttl_ms=3 * HOUR_MS)
    taken, renewed = lease(store, pool, "1", 5_000), lease(store, pool, "2", 5_000)
    age(client, HOUR_MS)
    an_hour_passes(client)
    store.renew(at(pool, renewed), "2", 7_200_000)
    store.take(at(pool, taken), "1", "y")
    (last, then), (this, now) = store.pool_hours(pool, 2)
    assert this == last + 1
    assert then["held_ms"] == near(HOUR_MS + HOUR_MS + 7_200_000)
    assert "held_ms" not in now
    assert (then["leased"], now["taken"], now["renewed"]) == (2, 1, 1)
    assert all(client.ttl(key) > 7 * 24 * 3_600 for key in client.keys("*:stats:*"))


def test_the_hour_that_runs_is_told(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    lease(store, pool, "1")
    ((this, _),) = store.pool_hours(pool, 2)
    assert this == now_ms(client) // HOUR_MS
    age(client, HOUR_MS)
    an_hour_passes(client)
    lease(store, pool, "2")
    assert [counters["leased"] for _, counters in store.pool_hours(pool, 2)] == [1, 1]


# How long a call is on its way


@pytest.mark.parametrize(
    ("transit_ms", "seconds"),
    [
        (0, 1),
        (1_100, 2),
        (2_100, 3),
        (58_100, 59),
        (59_100, 60),
        (60_100, 65),
        (64_100, 65),
        (65_100, 70),
        (299_100, 300),
        (300_100, 360),
        (359_100, 360),
        (360_100, 420),
        (3_599_100, 3_600),
        (3_600_100, 4_200),
        (4_199_100, 4_200),
        (4_200_100, 4_800),
        (86_000_000, 86_400),
    ],
)
def test_a_take_counts_the_time_since_its_lease_rounded_up_to_a_step(
    client: Redis, store: Store, new_pool: MakePool, transit_ms: int, seconds: int
) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 86_400)
    age(client, transit_ms)
    store.take(at(pool, "100"), A, "y")
    assert stats(store, pool).transits == {seconds: 1}


def test_transits_add_up_by_their_steps_the_shortest_first(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-109")
    for transit_ms in (70_100, 100, 9_100, 100):
        dnis = lease(store, pool, A, 600)
        age(client, transit_ms)
        store.take(at(pool, dnis), A, "y")
    assert list(stats(store, pool).transits.items()) == [(1, 2), (10, 1), (75, 1)]


def test_a_renewal_does_not_shorten_the_way_and_a_replay_or_a_read_is_none(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 600)
    age(client, 4_100)
    store.read(at(pool, "100"), A, "y")
    store.renew(at(pool, "100"), A, 600_000)
    assert stats(store, pool).transits == {}
    age(client, 4_000)
    for _ in range(2):
        store.take(at(pool, "100"), A, "y", key="k")
    assert stats(store, pool).transits == {9: 1}


# Most numbers at once


def test_the_peak_is_the_most_numbers_leased_at_once(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-103")
    dnises = [lease(store, pool, ani) for ani in "123"]
    assert stats(store, pool).peak == 3
    for dnis, ani in zip(dnises, "123", strict=True):
        store.take(at(pool, dnis), ani, "y")
    lease(store, pool, "4")
    assert stats(store, pool).peak == 3
    age(client, 5_000)
    for ani in "567":
        lease(store, pool, ani)
    assert stats(store, pool).peak == 4


@pytest.mark.parametrize(("match", "exhausted"), [("exact", "share"), ("suffix", "share"), ("exact", "fallback")])
def test_the_peak_counts_numbers_not_callers(store: Store, new_pool: MakePool, match: str, exhausted: str) -> None:
    pool = new_pool("100-101", match=match, exhausted=exhausted, fallback="900")
    for ani in range(8):
        lease(store, pool, f"212000000{ani}")
    assert stats(store, pool).peak == 2


def test_each_hour_has_a_peak_of_its_own(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-103")
    for ani in "123":
        store.take(at(pool, lease(store, pool, ani)), ani, "y")
    dnises = [(lease(store, pool, ani), ani) for ani in "4"]
    age(client, HOUR_MS)
    an_hour_passes(client)
    for dnis, ani in dnises:
        store.take(at(pool, dnis), ani, "y")
    age(client, 5_000)
    for ani in "56":
        lease(store, pool, ani)
    assert [counters["peak"] for _, counters in store.pool_hours(pool, 2)] == [1, 2]
    assert stats(store, pool).peak == 2


# Calls that nobody asked for


def test_a_call_that_ended_before_anybody_asked_is_counted_once(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-109")
    lease(store, pool, "1", 10)
    lease(store, pool, "2", 20)
    assert stats(store, pool).unclaimed_total == 0
    age(client, 10_000)
    for _ in range(2):
        assert stats(store, pool).unclaimed_total == 1
    age(client, 10_000)
    seen = stats(store, pool)
    assert (seen.unclaimed_total, seen.missed) == (2, {"100": 1, "101": 1})
    assert not client.exists(PENDING)
    assert [counters["unclaimed"] for _, counters in store.pool_hours(pool, 1)] == [2]


@pytest.mark.parametrize("match", ["exact", "suffix", "sole"])
@pytest.mark.parametrize("claim", ["read", "take"])
def test_a_call_that_was_asked_for_is_not_missed(
    client: Redis, store: Store, new_pool: MakePool, claim: str, match: str
) -> None:
    ani = {"exact": A, "suffix": A_AS_Y_SEES_IT, "sole": PBX}[match]
    pool = new_pool("100", match=match, exhausted="reject")
    lease(store, pool, A, 10)
    assert client.zrange(PENDING, 0, -1) == [f"100:{A}"]
    getattr(store, claim)(at(pool, "100"), ani, "y")
    assert not client.exists(PENDING)
    age(client, 10_000)
    seen = stats(store, pool)
    assert (seen.unclaimed_total, seen.missed) == (0, {})
    assert getattr(seen, f"match_{match}_total") == 1


def test_the_lessees_own_read_is_no_claim(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 10, lessee="bob")
    before = everything(client)
    assert store.read(at(pool, "100"), A, "bob")
    assert everything(client) == before
    age(client, 10_000)
    assert stats(store, pool).unclaimed_total == 1


def test_a_lessee_that_takes_has_claimed(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 10, lessee="bob")
    assert store.take(at(pool, "100"), A, "bob")
    age(client, 10_000)
    seen = stats(store, pool)
    assert (seen.unclaimed_total, seen.match_exact_total) == (0, 1)


def test_a_renewed_call_is_missed_at_its_new_end_only(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 10)
    store.renew(at(pool, "100"), A, 20_000)
    age(client, 10_000)
    assert stats(store, pool).unclaimed_total == 0
    age(client, 10_000)
    assert stats(store, pool).unclaimed_total == 1


def test_a_claimed_call_that_is_renewed_is_still_claimed(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    lease(store, pool, A, 10)
    store.read(at(pool, "100"), A, "y")
    store.renew(at(pool, "100"), A, 20_000)
    age(client, 20_000)
    assert stats(store, pool).unclaimed_total == 0


def missed_once(client: Redis, store: Store, pool: Pool, times: int = 1) -> None:
    for _ in range(times):
        lease(store, pool, A, 10)
        age(client, 10_000 + pool.pair_rest_ms)


def test_a_number_is_named_with_how_many_in_a_row_were_missed_until_one_is_claimed(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    for times in (1, 2, 3):
        missed_once(client, store, pool)
        assert stats(store, pool).missed == {"100": times}
    lease(store, pool, A, 10)
    assert stats(store, pool).missed == {"100": 3}
    store.read(at(pool, "100"), A, "x")
    assert stats(store, pool).missed == {"100": 3}
    store.read(at(pool, "100"), A, "y")
    assert stats(store, pool).missed == {}
    age(client, 10_000 + pool.pair_rest_ms)
    missed_once(client, store, pool, 2)
    assert stats(store, pool).missed == {"100": 2}
    lease(store, pool, A, 10)
    store.take(at(pool, "100"), A, "y")
    seen = stats(store, pool)
    assert (seen.missed, seen.unclaimed_total) == ({}, 5)


def test_the_numbers_most_missed_are_named_first_and_no_more_than_twenty(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-129")
    lease(store, pool, A, 10)
    age(client, 10_000)
    assert stats(store, pool).missed == {"100": 1}
    client.zadd(UNCLAIMED, {str(dnis): dnis - 98 for dnis in range(101, 130)})
    missed = stats(store, pool).missed
    assert list(missed.items()) == [(str(dnis), dnis - 98) for dnis in range(129, 109, -1)]


def test_what_was_missed_is_forgotten_eight_days_after_the_last(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    for _ in range(2):
        missed_once(client, store, pool)
        stats(store, pool)
        assert client.pttl(UNCLAIMED) == near(8 * DAY_MS)
        client.pexpire(UNCLAIMED, DAY_MS)


def test_a_lease_counts_the_call_of_the_same_caller_that_ended_before_it(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    client.zadd(PENDING, {f"900:{ani}": 1 for ani in range(100)})
    missed_once(client, store, pool)
    lease(store, pool, A, 10)
    assert client.zscore(UNCLAIMED, "100") == 1
    assert client.zscore(PENDING, f"100:{A}") > now_ms(client)
    age(client, 10_000)
    assert stats(store, pool).missed == {"900": 100, "100": 2}


def test_5000_ended_calls_are_counted_in_bounded_steps(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("10000-14999")
    live_member = f"{lease(store, pool, A, 600)}:{A}"
    ended = {f"{dnis}:777": now_ms(client) - 1000 - int(dnis) for dnis in pool.numbers}
    client.zadd(PENDING, ended)
    for step in range(1, 6):
        assert stats(store, pool).unclaimed_total == step * 1000
        assert client.zcard(PENDING) == 5001 - step * 1000
    assert stats(store, pool).unclaimed_total == 5000
    assert client.zrange(PENDING, 0, -1) == [live_member]
    assert client.zcard(UNCLAIMED) == 5000


def test_leases_count_ended_calls_in_passing_a_few_each(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("10000-10999")
    client.zadd(PENDING, {f"{dnis}:777": 1 for dnis in pool.numbers})
    for leases in range(1, 11):
        lease(store, pool, str(leases))
        assert counted(client)["unclaimed"] == 32 * leases
    assert client.zcard(PENDING) == 1000 - 320 + 10


def test_a_call_refused_before_the_numbers_are_in_place_is_none_for_want_of_a_number(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    client.delete("cti:{system-y}:numbers")
    for ani in (A, ""):
        with pytest.raises(NotReady):
            store.lease(pool, ani, "v", "x", 60_000)
    assert not client.exists("cti:{system-y}:stats")
