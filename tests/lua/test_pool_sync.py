from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from cticache.data.keys import Keys
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.data.sync import learn_leaving, sync
from cticache.data.task import CHANGE_STEP
from cticache.errors import BadArgument, PoolExhausted
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, everything, now_ms
from kit.between import BEGUN, WAYS, Between, KilledError, killed
from kit.samples import at, make_pool

NUMBERS = "cti:{system-y}:numbers"
LEAVING = "cti:{system-y}:leaving"

MakePool = Callable[..., Pool]


def numbers(client: Redis) -> set[str]:
    return set(client.zrange(NUMBERS, 0, -1))


def calls(client: Redis, script: str = "evalsha") -> int:
    stats = client.info("commandstats").get(f"cmdstat_{script}", {"calls": 0})
    return int(stats["calls"])


def test_the_configured_numbers_are_put_in_place_as_they_are_written(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    new_pool("007-009, +15550, 5551234560-5551234569")
    assert numbers(client) == {"007", "008", "009", "+15550", *(f"555123456{digit}" for digit in range(10))}


def test_a_pool_larger_than_a_step_is_put_in_place_whole(client: Redis, store: Store, new_pool: MakePool) -> None:
    new_pool("10000-12345")
    assert client.zcard(NUMBERS) == 2346
    new_pool("12000-13000")
    assert numbers(client) == {str(number) for number in range(12000, 13001)}


def test_a_restart_with_nothing_changed_is_one_call(client: Redis, store: Store) -> None:
    pools = Pools([make_pool("10000-12345")])
    sync(store, pools, take_over=True)
    before = calls(client)
    sync(store, pools, take_over=True)
    assert calls(client) - before == 2  # whose word counts, and begin


def test_live_leases_and_cool_downs_are_left_alone(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-104")
    store.lease(pool, "777", "1", "x", 60_000)
    store.lease(pool, "778", "1", "x", 60_000)
    store.take(at(pool, "101"), "778", "y")
    before = everything(client)
    new_pool("100-105")
    after = everything(client)
    assert [entry for entry in after.pop(NUMBERS) if entry[0] != "105"] == before.pop(NUMBERS)
    kept = [key for key in before if not key.endswith((":synced", ":in_place", ":ruling"))]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


def test_a_number_taken_out_is_not_leased_but_its_call_can_be_taken(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    assert numbers(client) == {"200"}
    assert store.take(*pools.of("100"), "777", "y")
    assert numbers(client) == {"200"}


def test_a_number_taken_out_is_still_known_after_another_restart(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    new_pool("200")
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    assert pools.of("100")
    age(client, 120_000)
    sync(store, pools, take_over=True)
    assert not pools.of("100")
    assert not client.exists(LEAVING)


class Meanwhile(Store):
    """A store that does something after each page of the leaving numbers."""

    deed: Callable[[], object]

    def pool_sync(self, *steps: Step) -> list[Any]:
        replies = super().pool_sync(*steps)
        if steps[0].step == "leaving":
            self.deed()
        return replies


@pytest.mark.parametrize("ends", ["one after the other", "many at a time", "all at once"])
def test_no_leaving_number_is_missed_while_others_end(client: Redis, store: Store, ends: str) -> None:
    """Pages by place missed as many of them as ended before the next page."""
    late = now_ms(client) + 60_000
    apart = {"one after the other": 1, "many at a time": 400, "all at once": 10_000}[ends]
    early = {f"1{number:05}": now_ms(client) + 5_000 + number // 10 for number in range(700)}
    staying = {f"2{number:05}": late + number // apart for number in range(2_300)}
    client.zadd(LEAVING, early | staying)
    client.expire(LEAVING, 100)
    ended = iter(range(200, len(early), 50))
    through = Meanwhile(store._scripts, Keys("cti"), retry_after=2)
    through.deed = lambda: client.zremrangebyscore(LEAVING, "-inf", sorted(early.values())[next(ended)])
    pools = Pools([make_pool("900")])
    learn_leaving(through, pools)
    assert pools.leaving
    assert staying.keys() <= set(pools.leaving["system-y"])


def test_of_the_leaving_numbers_those_whose_calls_have_ended_are_dropped(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101")
    for ani, ttl_ms in (("1", 60_000), ("2", 90_000)):
        store.lease(pool, ani, "1", "x", ttl_ms)
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    assert client.zrange(LEAVING, 0, -1) == ["100", "101"]
    age(client, 120_000)
    sync(store, pools, take_over=False)
    assert client.zrange(LEAVING, 0, -1) == ["101"]
    assert pools.of("101")
    assert not pools.of("100")


def test_a_renewed_call_keeps_its_leaving_number_known(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", "1", "x", 60_000)
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    age(client, 50_000)
    store.renew(at(pool, "100"), "777", 60_000)
    age(client, 50_000)
    sync(store, pools, take_over=True)
    assert store.read(*pools.of("100"), "777", "y")


def test_a_number_without_a_call_just_goes(client: Redis, store: Store, new_pool: MakePool) -> None:
    new_pool("100")
    pools = Pools([make_pool("200")])
    sync(store, pools, take_over=True)
    assert not pools.of("100")
    assert not client.exists(LEAVING)


def test_draining_numbers_are_not_leased_and_their_calls_can_be_taken(
    client: Redis, store: Store, new_pool: MakePool
) -> None:
    pool = new_pool("100-101", exhausted="reject")
    store.lease(pool, "777", "1", "x", 60_000)
    pools = Pools([draining := make_pool("100-101", draining="100", exhausted="reject")])
    sync(store, pools, take_over=True)
    assert store.lease(draining, "1", "1", "x", 60_000).dnis == "101"
    with pytest.raises(PoolExhausted):
        store.lease(draining, "2", "2", "x", 60_000)
    assert pools.of("100") == [at(draining, "100")]
    assert store.take(at(draining, "100"), "777", "y")
    with pytest.raises(PoolExhausted):
        store.lease(draining, "2", "2", "x", 60_000)


def test_a_number_put_back_rests_until_its_last_call_has_ended(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100", exhausted="reject")
    store.lease(pool, "777", "1", "x", 60_000)
    new_pool("200")
    new_pool("100", exhausted="reject")
    assert not client.exists(LEAVING)
    assert client.zscore(NUMBERS, "100") > now_ms(client) + 64_000
    with pytest.raises(PoolExhausted) as refused:
        store.lease(pool, "888", "1", "x", 60_000)
    assert refused.value.retry_after == 65
    assert store.take(at(pool, "100"), "777", "y")


def test_a_number_that_moves_is_leased_in_its_new_pool_only_after_its_last_call(client: Redis, store: Store) -> None:
    sync(store, Pools([one := make_pool("100-101", name="one"), make_pool("200", name="two")]), take_over=True)
    store.lease(one, "777", "1", "x", 60_000)
    two = make_pool("100-101", name="two", exhausted="reject")
    pools = Pools([make_pool("200", name="one"), two])
    sync(store, pools, take_over=True)
    assert store.lease(two, "888", "1", "x", 60_000).dnis == "101"
    with pytest.raises(PoolExhausted) as refused:
        store.lease(two, "999", "1", "x", 60_000)
    assert refused.value.retry_after == 65
    assert [place.pool.name for place in pools.of("100")] == ["one", "two"]
    assert store.take(pools.of("100")[0], "777", "y")


def test_an_emptied_redis_is_filled_again_by_itself(client: Redis, store: Store) -> None:
    pools = Pools([pool := make_pool("100-109")])
    sync(store, pools, take_over=True)
    client.flushall()
    sync(store, pools, take_over=False)
    assert len(numbers(client)) == 10
    client.zrem(NUMBERS, "105")
    sync(store, pools, take_over=False)
    assert len(numbers(client)) == 10
    assert store.pool_stats([pool])[0].free == 10


def test_the_last_one_started_decides_and_the_others_do_not_fight_it(client: Redis, store: Store) -> None:
    old, new = Pools([make_pool("100")]), Pools([make_pool("200")])
    assert not sync(store, old, take_over=True)
    assert not sync(store, new, take_over=True)
    before = everything(client)
    assert sync(store, old, take_over=False) == {"system-y"}
    assert everything(client) == before
    assert numbers(client) == {"200"}


@pytest.mark.parametrize(("step", "lists"), WAYS)
def test_a_service_that_takes_over_during_a_sync_wins_and_the_other_ends_quietly(
    client: Redis, store: Store, between: Between, new_pool: MakePool, step: str, *, lists: bool
) -> None:
    new_pool("100-104")
    first, last = Pools([make_pool("200-204")]), Pools([make_pool("300-304")])
    between.happens(step, lambda: sync(store, last, take_over=True), lists=lists)
    assert sync(between, first, take_over=True) == {"system-y"}
    assert not sync(store, last, take_over=False)
    assert numbers(client) == set(make_pool("300-304").numbers)
    assert sync(store, first, take_over=False) == {"system-y"}


@pytest.mark.parametrize(("step", "lists"), BEGUN)
def test_a_service_that_does_not_rule_leaves_a_sync_under_way_alone(
    client: Redis, store: Store, between: Between, step: str, *, lists: bool
) -> None:
    first, last = Pools([make_pool("100-104")]), Pools([make_pool("200-204")])
    sync(store, first, take_over=True)
    seen = []
    between.happens(step, lambda: seen.append(sync(store, first, take_over=False)), lists=lists)
    assert not sync(between, last, take_over=True)
    assert seen == [{"system-y"}]
    assert numbers(client) == set(make_pool("200-204").numbers)


@pytest.mark.parametrize(("step", "lists"), WAYS)
def test_a_sync_during_which_redis_is_emptied_is_begun_again(
    client: Redis, between: Between, new_pool: MakePool, step: str, *, lists: bool
) -> None:
    new_pool("100-104")
    between.happens(step, client.flushall, lists=lists)
    assert not sync(between, Pools([make_pool("200-204")]), take_over=True)
    assert numbers(client) == set(make_pool("200-204").numbers)


def test_two_that_take_over_at_once_never_mix_their_pools(client: Redis, store: Store, between: Between) -> None:
    first = Pools([make_pool("100", name="one"), make_pool("200", name="two")])
    last = Pools([make_pool("200", name="one"), make_pool("100", name="two")])
    between.happens("begin", lambda: sync(store, last, take_over=True), pool="two")
    assert sync(between, first, take_over=True) == {"one", "two"}
    assert not sync(store, last, take_over=False)
    assert client.zrange("cti:{one}:numbers", 0, -1) == ["200"]
    assert client.zrange("cti:{two}:numbers", 0, -1) == ["100"]


@pytest.mark.parametrize(("step", "lists"), WAYS)
def test_services_with_the_same_numbers_bring_them_in_line_together(
    client: Redis, store: Store, between: Between, new_pool: MakePool, step: str, *, lists: bool
) -> None:
    new_pool("100-104")
    pools = Pools([make_pool("200-204")])
    between.happens(step, lambda: sync(store, pools, take_over=True), lists=lists)
    assert not sync(between, pools, take_over=True)
    assert numbers(client) == set(make_pool("200-204").numbers)


@pytest.mark.parametrize(("step", "lists"), BEGUN)
@pytest.mark.parametrize("heir", ["103-107", "100-104", "200"])
def test_a_sync_that_died_half_way_is_finished_by_one_with_the_same_numbers_or_by_the_next_to_take_over(
    client: Redis, store: Store, between: Between, step: str, *, lists: bool, heir: str
) -> None:
    old, new = Pools([make_pool("100-104")]), Pools([make_pool("103-107")])
    sync(store, old, take_over=True)
    between.happens(step, killed, lists=lists)
    with pytest.raises(KilledError):
        sync(between, new, take_over=True)
    assert sync(store, old, take_over=False) == {"system-y"}
    assert not sync(store, Pools([make_pool(heir)]), take_over=heir != "103-107")
    assert numbers(client) == set(make_pool(heir).numbers)


def test_a_rollback_after_half_a_sync_is_not_taken_for_done_by_the_count_alone(client: Redis, store: Store) -> None:
    old = make_pool("100-104")
    sync(store, Pools([old]), take_over=True)
    other = make_pool("102-106")
    assert store.pool_sync(Step(other, "begin", fingerprint="x", count=5)) == [
        [0, 0, 5, old.numbers.fingerprint(), "100-104"]
    ]
    assert store.pool_sync(Step(other, "drop", fingerprint="x", dnises=["100", "101"])) == [2]
    assert store.pool_sync(Step(other, "add", fingerprint="x", dnises=["105", "106"])) == [2]
    sync(store, Pools([old]), take_over=True)
    assert numbers(client) == set(old.numbers)


def test_numbers_that_can_be_gone_through_once_arrive_though_the_script_is_sent_again(
    client: Redis, store: Store
) -> None:
    pool = make_pool("100-104")
    assert store.pool_sync(Step(pool, "begin", fingerprint="x", count=5)) == [[0, 0, 0, "", ""]]
    client.script_flush()
    assert store.pool_sync(Step(pool, "add", fingerprint="x", dnises=iter(["100", "101"]))) == [2]
    assert numbers(client) == {"100", "101"}


def test_a_claim_without_its_fingerprint_is_refused(client: Redis, store: Store) -> None:
    for step, claims in (("claim", ["one"]), ("dance", ["one", "x"])):
        with pytest.raises(BadArgument):
            store._run("pool_claim", Keys("cti").pool_claim(), step=step, numbers="", most_services=1, claims=claims)
    assert not client.keys()


@pytest.mark.parametrize(
    "arguments", [{"step": "dance"}, {"step": "add", "free_ms": -1}, {"step": "list", "cursor": "x"}]
)
def test_a_step_outside_the_contract_is_refused(store: Store, arguments: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        store.pool_sync(Step(make_pool(), **arguments))  # type: ignore[arg-type]


def test_a_million_numbers_come_in_bounded_steps(client: Redis, store: Store, long: bool) -> None:
    size = 1_000_000 if long else 10_000
    pool = make_pool(f"5550000000-{5550000000 + size - 1}")
    steps: list[int] = []
    step = store.pool_sync
    store.pool_sync = lambda *asked: steps.extend(len([*each.dnises]) for each in asked) or step(*asked)  # type: ignore[method-assign]
    sync(store, Pools([pool]), take_over=True)
    assert client.zcard(NUMBERS) == size
    sync(store, Pools([make_pool("200")]), take_over=True)
    assert numbers(client) == {"200"}
    sync(store, Pools([pool]), take_over=True)
    sync(store, Pools([make_pool(f"5550000000-{5550000000 + size - 1}", name="renamed")]), take_over=True)
    assert not client.exists(NUMBERS)
    assert client.zcard("cti:{renamed}:numbers") == size
    assert max(steps) <= CHANGE_STEP


@pytest.mark.parametrize("of_one_pool", [True, False])
@pytest.mark.parametrize("ani", ["", "777"])
def test_a_number_in_another_spelling_is_lent_only_after_its_last_call_in_the_first(
    client: Redis, store: Store, ani: str, of_one_pool: bool
) -> None:
    rules = {"country": Country.of("1"), "exhausted": "reject"}
    before = Pools([here := make_pool("5554000000", name="here", **rules), make_pool("900", name="there", **rules)])
    sync(store, before, take_over=True)
    store.lease(here, ani, "1", "x", 60_000)
    numbers = ("+15554000000", "900") if of_one_pool else ("901", "+15554000000")
    pools = Pools(make_pool(each, name=name, **rules) for each, name in zip(numbers, ("here", "there"), strict=True))
    sync(store, pools, take_over=True)
    pool = pools.get("here" if of_one_pool else "there")
    assert pool
    with pytest.raises(PoolExhausted) as refused:
        store.lease(pool, ani, "2", "x", 60_000)
    assert refused.value.retry_after in range(119, 121)
    age(client, 120_000)
    assert store.lease(pool, ani, "2", "x", 60_000).dnis == "+15554000000"
