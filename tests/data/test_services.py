"""Services with different pools on one real Redis: of those that live the one started last rules."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis import Redis

from cticache.data import keeper as keeper_module
from cticache.data.keeper import Keeper
from cticache.data.replies import utc
from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.data.task import CHANGE_STEP
from cticache.numbering.country import Country
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.between import Between
from kit.samples import make_pool

NUMBERS = "cti:{system-y}:numbers"
RULING = "cti:{@all}:ruling"
SERVICES = "cti:{@all}:services"

Service = Callable[..., Keeper]


@pytest.fixture
def service(store: Store) -> Service:
    """Makes a service that looks when it is told to; it has looked once."""

    def make(numbers: str, *, look: bool = True, at: Store = store, **rules: object) -> Keeper:
        keeper = Keeper(at, Pools([make_pool(numbers, **rules)]), interval=3600)
        if look:
            keeper._look()
        return keeper

    return make


def ends(keeper: Keeper) -> None:
    """The end of a service whose thread has not been started."""
    keeper._registration.leave()


def dies(client: Redis, keeper: Keeper) -> None:
    """Its registration runs out, as it does when it looks no more."""
    assert client.delete(f"cti:{{@all}}:service:{keeper._registration.service}")


def numbers(client: Redis) -> list[str]:
    return client.zrange(NUMBERS, 0, -1)


@pytest.mark.parametrize("killed", [False, True])
def test_when_the_one_that_rules_goes_the_one_before_has_its_numbers_put_back(
    client: Redis, service: Service, *, killed: bool
) -> None:
    first = service("100")
    canary = service("200")
    for _ in range(2):
        assert not first._look()
        assert (numbers(client), first.condition.in_place) == (["200"], False)
    if killed:
        dies(client, canary)
    else:
        ends(canary)
    assert first._look()
    assert (numbers(client), first.condition.in_place) == (["100"], True)


def test_of_three_services_in_turn_the_last_of_the_living_rules(client: Redis, service: Service) -> None:
    one, two, three = service("100"), service("200"), service("300")
    assert numbers(client) == ["300"]
    assert not one._look()
    assert not two._look()
    dies(client, three)
    assert not one._look()
    assert two._look()
    assert not one._look()
    assert numbers(client) == ["200"]
    four = service("400")
    assert not two._look()
    ends(two)
    ends(four)
    assert one._look()
    assert numbers(client) == ["100"]


@pytest.mark.parametrize("lost", ["all", "the registrations"])
def test_who_was_overruled_does_not_rule_because_the_others_registration_is_gone_with_its_own(
    client: Redis, service: Service, lost: str
) -> None:
    """Redis was emptied, or its clock has jumped: the one that rules comes back at its next look."""
    first, last = service("100"), service("200")
    assert not first._look()
    for _ in range(2):
        for key in client.keys("*" if lost == "all" else "cti:{@all}:service*"):
            client.delete(key)
        assert not first._look()
        assert "100" not in numbers(client)
        assert first.condition.overruled == {"system-y"}
        assert last._look()
        assert not first._look()
        assert numbers(client) == ["200"]


def test_who_was_overruled_rules_if_it_is_still_the_last_at_its_next_look(client: Redis, service: Service) -> None:
    first, last = service("100"), service("200")
    assert not first._look()
    client.flushall()
    assert not first._look()
    assert first._look()
    assert numbers(client) == ["100"]
    assert last._look()  # it was only held up for long
    assert not first._look()
    assert numbers(client) == ["200"]


def test_who_rules_goes_on_when_redis_was_emptied(client: Redis, service: Service) -> None:
    first, last = service("100"), service("200")
    client.flushall()
    assert last._look()
    assert numbers(client) == ["200"]
    assert not first._look()
    assert numbers(client) == ["200"]


def test_the_order_of_the_starts_outlives_a_clock_that_is_set_back(client: Redis, service: Service) -> None:
    first = service("100")
    started = client.zscore(SERVICES, first._registration.service) + 3_600_000
    client.zadd(SERVICES, {first._registration.service: started})
    last = service("200")
    assert client.zscore(SERVICES, last._registration.service) == started + 1
    assert numbers(client) == ["200"]


def test_services_that_died_are_not_listed_for_ever(client: Redis, service: Service) -> None:
    one, two, three = service("100"), service("100"), service("100")
    dies(client, one)
    dies(client, two)
    assert three._look()
    assert client.zrange(SERVICES, 0, -1) == [three._registration.service]
    ends(three)
    assert not client.keys("cti:{@all}:service*")


def test_a_registration_lives_for_three_looks_and_at_least_three_seconds(client: Redis, store: Store) -> None:
    pools = Pools([make_pool()])
    for interval, most in ((5, 15_000), (0.5, 3_000), (20, 60_000)):
        registration = Registration(store, pools, "x", interval)
        registration.look()
        key = f"cti:{{@all}}:service:{registration.service}"
        assert most - 1_000 < client.pttl(key) <= most
        assert client.pttl(SERVICES) >= client.pttl(key)
    Registration(store, pools, "x", 1).look()
    assert client.pttl(SERVICES) > 50_000  # as long as the longest


def test_a_stopped_service_rules_no_longer_even_if_redis_is_away(
    client: Redis, store: Store, redis_url: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    one = service("100", look=False)
    one.start()
    assert one.synced.wait(10)
    one.stop()
    assert not client.exists(SERVICES)
    never = service("100", look=False)
    never.start()
    never.stop()
    assert not caplog.records


@pytest.mark.parametrize("rules", [{"cooldown_ms": 6_000}, {"match": "suffix"}, {"draining": "900"}])
def test_a_service_with_other_rules_alone_stays_ready_and_says_so_once(
    client: Redis, service: Service, caplog: pytest.LogCaptureFixture, rules: dict[str, object]
) -> None:
    first = service("100")
    last = service("100", **rules)
    for _ in range(3):
        assert first._look()
        assert last._look()
    assert first.condition.in_place
    note = first.condition.notes["rules"]
    assert last._registration._who in note
    assert utc(last._registration._start_ms) in note
    assert last.condition.notes == {}
    assert [record.getMessage() for record in caplog.records] == [note]
    ends(last)
    assert first._look()
    assert first.condition.notes == {}


def test_the_rules_are_all_of_a_pool_but_its_numbers_and_the_order_of_the_pools(store: Store) -> None:
    def rules(*pools: Pool) -> str:
        return Registration(store, Pools(pools), "x", 1).rules

    one, two = make_pool("100", country=Country.of("44")), make_pool("200", name="two")
    same = replace(one, numbers=NumberSet.parse("100-109", 10), country=replace(Country.of("44"), longest=99))
    assert rules(one, two) == rules(same, two)
    assert rules(one, two) != rules(two, one)
    others = [
        replace(one, **{name: value})
        for name, value in {
            "ttl_ms": 1,
            "max_ttl_ms": 2,
            "cooldown_ms": 3,
            "exhausted": "reject",
            "fallback": "900",
            "share_scan": 4,
            "max_callers": 5,
            "match": "sole",
            "match_digits": 6,
            "country": None,
            "withheld": ("0",),
            "dnis_digits": 7,
            "retry_window_ms": 8,
            "remember_ms": 9,
            "draining": NumberSet.parse("101", 1),
        }.items()
    ]
    assert len({rules(one), *map(rules, others)}) == len(others) + 1


def test_who_rules_is_named_with_what_differs(store: Store, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"p{number:02}" for number in range(12)]
    first = Keeper(store, Pools([make_pool("100", name="same")]), interval=3600)
    last = Keeper(
        store,
        Pools([make_pool("100", name="same"), *(make_pool(f"2{name[1:]}", name=name) for name in names)]),
        interval=3600,
    )
    assert first._look()
    assert last._look()
    assert not first._look()
    condition = first.condition
    assert condition.overruled == set(names)
    assert condition.ruler == f"{last._registration._who}, its pools in force since {utc(last._registration._start_ms)}"
    (record,) = caplog.records
    assert record.getMessage() == condition.notes["overruled"]
    assert (
        f"rules this Redis: {condition.ruler}. Not as configured here: {', '.join(names[:10])} and 2 more. "
        in (condition.notes["overruled"])
    )


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("5551234500-5551234599", "5551234500-5551234600", "the first only there is \N{HORIZONTAL ELLIPSIS}600"),
        ("5551234500-5551234599", "5551234501-5551234599", "the first only here is \N{HORIZONTAL ELLIPSIS}500"),
        ("100-104, 200", "100-103, 300", "the first only there is 300, the first only here is 104"),
    ],
)
def test_the_first_number_that_differs_is_named_by_its_last_digits_and_logged_once(
    service: Service, caplog: pytest.LogCaptureFixture, first: str, last: str, says: str
) -> None:
    keeper = service(first)
    service(last)
    for _ in range(3):
        assert not keeper._look()
    (record,) = caplog.records
    assert f"Not as configured here: system-y (of pool system-y {says}). Give both" in record.getMessage()
    assert keeper.condition.notes["overruled"] == record.getMessage()


@pytest.mark.parametrize("ranges", ["", "100", "x", "9-1"])
def test_no_number_is_named_where_it_is_not_certain_which_are_in_place(
    client: Redis, service: Service, ranges: str
) -> None:
    first = service("100")
    service("200")
    client.set("cti:{system-y}:in_place", ranges)
    assert not first._look()
    assert "Not as configured here: system-y. Give both" in first.condition.notes["overruled"]


def test_what_somebody_else_has_put_in_the_place_of_the_ranges_keeps_no_service_from_looking(
    client: Redis, service: Service
) -> None:
    first = service("100")
    service("200")
    client.delete("cti:{system-y}:in_place")
    client.hset("cti:{system-y}:in_place", "x", "y")
    assert not first._look()
    assert first.condition.overruled == {"system-y"}


def test_of_a_service_that_has_not_claimed_yet_nobody_takes_the_pools(client: Redis, service: Service) -> None:
    first = service("100")
    last = service("200", look=False)
    last._registration.look()
    assert first._look()  # as long as nothing is changed
    assert sync(first._sync._store, Pools([make_pool("300")]), take_over=True)  # a third one is refused
    assert numbers(client) == ["100"]
    assert last._look()
    assert not first._look()


def test_who_is_overtaken_between_its_look_and_its_claim_leaves_the_pools_alone(
    client: Redis, between: Between, service: Service
) -> None:
    first = service("100", look=False, at=between)
    ask = between.pool_claim

    def overtaken(*args: object, **named: object) -> object:
        between.pool_claim = ask  # type: ignore[method-assign]
        service("200")
        return ask(*args, **named)  # type: ignore[arg-type]

    between.pool_claim = overtaken  # type: ignore[method-assign,assignment]
    assert not first._look()
    assert numbers(client) == ["200"]
    assert "just been started" in first.condition.ruler
    assert not first._look()
    assert "process" in first.condition.ruler


def test_the_claims_of_an_older_version_are_overwritten_and_its_pools_drained(client: Redis, service: Service) -> None:
    client.hset(RULING, mapping={"system-y": make_pool("200").numbers.fingerprint(), "old": "x", "older": ""})
    client.zadd("cti:{old}:numbers", {"900": 0})
    first = service("100")
    assert numbers(client) == ["100"]
    assert client.hkeys(RULING) == ["system-y", "@"]
    assert client.zrange("cti:{@all}:former", 0, -1) == ["old"]  # the other one had nothing left
    assert not client.exists("cti:{old}:numbers")
    for _ in range(2):
        first._look()
    assert not client.exists("cti:{@all}:former")


def test_while_a_sync_goes_on_for_long_its_service_stays_registered(
    client: Redis, between: Between, service: Service
) -> None:
    first = service(f"10000-{10000 + 3 * CHANGE_STEP - 1}", look=False, at=between)
    between.happens("add", lambda: dies(client, first))
    first._interval = 0
    assert first._look()
    assert client.exists(f"cti:{{@all}}:service:{first._registration.service}")


def test_a_sync_that_takes_long_says_how_far_it_is(
    between: Between, service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    keeper = service(f"1000000-{1000000 + 4 * CHANGE_STEP - 1}", look=False, at=between)
    noted = []
    between.happens("finish", lambda: noted.append(dict(keeper.condition.notes)))
    keeper.start()
    assert keeper.synced.wait(10)
    keeper.stop()
    assert noted == [{}]  # it was quick
    monkeypatch.setattr(keeper_module, "_PROGRESS_S", 0)
    caplog.clear()
    keeper = service(f"1000000-{1000000 + 8 * CHANGE_STEP - 1}", look=False, at=between)
    between.happens("finish", lambda: noted.append(dict(keeper.condition.notes)))
    keeper.start()
    assert keeper.synced.wait(10)
    keeper.stop()
    says = [f"Pool system-y: {done * CHANGE_STEP:,} of 2,400 numbers are in place." for done in range(4, 8)]
    assert noted[1:] == [{"sync": says[-1]}]
    assert [record.getMessage() for record in caplog.records if "are in place." in record.getMessage()][:4] == says
    assert keeper.condition.notes == {}


def test_ten_thousand_pools_are_claimed_at_once(client: Redis, store: Store) -> None:
    """More words than Lua's unpack can put on its stack."""
    claims = {f"p{number}": "x" * 32 for number in range(10_000)}
    assert store.pool_claim("take_over", "y", claims).numbers == "y"
    assert client.hlen(RULING) == 10_001
    assert len(store.pool_claim("take_over", "z", {"p7": "x"}).former) == 9_999
    assert set(store.pool_claim("list").pools) == {"p7", "@"}
    assert store.pool_claim("take_over", "y", claims).former == {}


@pytest.mark.one_server
def test_a_look_with_all_in_place_is_one_script_and_two_for_each_pool_in_three_writes(
    client: Redis, store: Store
) -> None:
    pools = Pools([make_pool(f"{number}", name=f"p{number}") for number in range(100, 110)])
    keeper = Keeper(store, pools, interval=3600)
    keeper._look()
    asked: list[list[str]] = []
    run = store._scripts.run
    store._scripts.run = lambda each: asked.append([name for name, _, _ in each]) or run(each)  # type: ignore[method-assign,func-returns-value]
    assert keeper._look()
    assert asked == [["service_look"], ["pool_beat"] * 10, ["pool_sync"] * 10]
    client.zadd("cti:{p105}:leaving", {"900": 9e12})
    client.expire("cti:{p105}:leaving", 60)
    asked.clear()
    assert keeper._look()
    assert asked == [["service_look"], ["pool_beat"] * 10, ["pool_sync"] * 10, ["pool_sync"]]
    assert pools.leaving == {"p105": ["900"]}


# What they tell of themselves


def test_each_service_that_lives_is_listed_with_what_it_told_at_its_last_look(client: Redis, store: Store) -> None:
    told = iter("123")
    one = Registration(store, Pools([make_pool("100")]), "n", 5, tells=lambda: next(told))
    two = Registration(store, Pools([make_pool("100", cooldown_ms=1)]), "m", 1)
    for registration in (one, two, one):
        registration.look()
    last, first = store.services()
    assert first == (one.service, one._start_ms, "n", one.rules, one._who, "2", first.left_ms)
    assert 0 < first.left_ms <= 15_000
    assert last == (two.service, two._start_ms, "m", two.rules, two._who, "", last.left_ms)
    assert 0 < last.left_ms <= 3000
    assert client.delete(f"cti:{{@all}}:service:{two.service}")
    assert [each.service for each in store.services()] == [one.service]
    one.leave()
    assert store.services() == []


def test_a_service_of_an_older_release_is_listed_and_tells_nothing(client: Redis, store: Store) -> None:
    client.zadd(SERVICES, {"old": 1_700_000_000_000})
    client.hset("cti:{@all}:service:old", mapping={"numbers": "n", "rules": "r", "who": "process 1 on host"})
    for key in (SERVICES, "cti:{@all}:service:old"):
        client.pexpire(key, 9000)
    (old,) = store.services()
    assert old == ("old", 1_700_000_000_000, "n", "r", "process 1 on host", "", old.left_ms)


def test_a_service_that_cannot_tell_of_itself_is_registered_and_says_so_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def tells() -> str:
        raise OSError("no such file")

    registration = Registration(store, Pools([make_pool("100")]), "n", 5, tells=tells)
    for _ in range(3):
        registration.look()
    assert [each.told for each in store.services()] == [""]
    assert caplog.messages == ["what this service tells of itself to others could not be made"]


def test_what_a_service_tells_of_itself_is_asked_for_at_each_check(store: Store) -> None:
    asked: list[int] = []

    def tells() -> str:
        asked.append(1)
        return "{}"

    keeper = Keeper(store, Pools([make_pool("100")]), 3600, tells)
    keeper._look()
    keeper._look()
    assert len(asked) >= 2
    assert [each.told for each in store.services()] == ["{}"]


@pytest.mark.parametrize("start", ["1e300", "inf", "9007199254740993"])
def test_one_that_began_at_no_time_is_told_and_holds_up_no_look(client: Redis, service: Service, start: str) -> None:
    client.zadd(SERVICES, {"other": start})
    client.hset("cti:{@all}:service:other", mapping={"numbers": "x", "rules": "y", "who": "somebody"})
    keeper = service("100")
    for _ in range(3):
        keeper._look()
    assert keeper._registration._start_ms > 0
    client.delete("cti:{@all}:service:other")
    assert keeper._look()
