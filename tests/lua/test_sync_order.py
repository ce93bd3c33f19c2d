"""Which numbers a sync touches, and in which order: nobody waits for a large pool without need."""

from typing import Any

import pytest
from redis import Redis

from cticache.data.keys import Keys
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.data.sync import AT_ONCE, sync
from cticache.data.task import CHANGE_STEP, LIST_STEP, MOST_RANGES
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pools import Pools
from kit.aging import age, now_ms
from kit.between import Between
from kit.samples import make_pool

IN_PLACE = "cti:{system-y}:in_place"
SYNCED = "cti:{system-y}:synced"
NUMBERS = "cti:{system-y}:numbers"


class Recording(Store):
    """A store that keeps the steps asked of it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._scripts, Keys("cti"), retry_after=2)
        self.trips: list[tuple[Step, ...]] = []

    def pool_sync(self, *steps: Step) -> list[Any]:
        self.trips.append(steps)
        return super().pool_sync(*steps)

    def asked(self) -> list[str]:
        """The steps, and how many numbers each was about."""
        said = [(each.step, len(list(each.dnises))) for trip in self.trips for each in trip]
        self.trips.clear()
        return [f"{step} {count}" if count else step for step, count in said]


@pytest.fixture
def recording(store: Store) -> Recording:
    return Recording(store)


def of(client: Redis, name: str = "system-y") -> set[str]:
    return set(client.zrange(f"cti:{{{name}}}:numbers", 0, -1))


def test_of_a_large_pool_only_what_changes_is_touched(client: Redis, recording: Recording) -> None:
    sync(recording, Pools([make_pool("10000-19999")]), take_over=True)
    recording.asked()
    for numbers, steps in (
        ("10000-19998", ["begin", "drop 1", "leaving", "finish"]),
        ("10000-20099", ["begin", "leaving", "add 101", "finish"]),
        ("10100-20199, 007", ["begin", "drop 100", "leaving", "add 101", "finish"]),
    ):
        pool = make_pool(numbers)
        sync(recording, Pools([pool]), take_over=True)
        assert recording.asked() == steps
        assert of(client) == set(pool.numbers)
        assert client.get(IN_PLACE) == str(pool.numbers)


@pytest.mark.parametrize("distrust", ["half a sync", "a number lost", "another's", "spoilt", "of more", "absent"])
def test_what_is_in_place_is_listed_where_that_is_not_certain(
    client: Redis, recording: Recording, distrust: str
) -> None:
    sync(recording, Pools([make_pool("100-109")]), take_over=True)
    if distrust == "half a sync":
        client.set(SYNCED, "syncing:" + client.get(SYNCED))
    elif distrust == "a number lost":
        client.zrem(NUMBERS, "104")
    elif distrust == "another's":  # of an older version, say, which knows nothing of them
        client.set(IN_PLACE, "200-209")
        assert of(client) == set(make_pool("100-109").numbers)
    elif distrust == "spoilt":
        client.set(IN_PLACE, "100-109, x")
    elif distrust == "of more":
        client.zadd(NUMBERS, {"900": 0})
    else:
        client.delete(IN_PLACE)
    recording.asked()
    sync(recording, Pools([make_pool("101-111")]), take_over=True)
    assert "list" in recording.asked()
    assert of(client) == set(make_pool("101-111").numbers)


def test_ranges_that_are_too_long_are_not_kept(
    client: Redis, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 9 * 700 - 2
    assert most < MOST_RANGES
    monkeypatch.setattr("cticache.data.task.MOST_RANGES", most)
    apart = [str(number) for number in range(1_000_000, 1_002_000, 2)]
    longest = NumberSet.parse(",".join(apart[:700]), 1_000)
    assert len(str(longest)) == most
    sync(recording, Pools([make_pool(str(longest))]), take_over=True)
    assert client.get(IN_PLACE) == str(longest)
    sync(recording, Pools([make_pool(",".join(apart))]), take_over=True)
    assert not client.exists(IN_PLACE)
    recording.asked()
    sync(recording, Pools([make_pool(",".join(apart[1:]))]), take_over=True)
    assert "list" in recording.asked()
    assert of(client) == set(apart[1:])


def test_an_empty_pool_is_not_listed(recording: Recording) -> None:
    sync(recording, Pools([make_pool("100-109")]), take_over=True)
    assert recording.asked() == ["begin", "leaving", "add 10", "finish"]


def test_the_smallest_pool_is_filled_first(client: Redis, between: Between) -> None:
    large, small = make_pool("10000-19999", name="large"), make_pool("20000-20009", name="small")
    seen = []
    between.happens("add", lambda: seen.append(client.get("cti:{small}:synced")), pool="large")
    assert not sync(between, Pools([large, small]), take_over=True)
    assert seen == [small.numbers.fingerprint()]


def test_who_lacks_little_is_filled_before_who_lacks_much(client: Redis, between: Between) -> None:
    sync(between, Pools([make_pool("10000-19999", name="large")]), take_over=True)
    grown, new = make_pool("10000-20009", name="large"), make_pool("30000-30099", name="new")
    seen = []
    between.happens("add", lambda: seen.append(client.get("cti:{large}:synced")), pool="new")
    assert not sync(between, Pools([new, grown]), take_over=True)
    assert seen == [grown.numbers.fingerprint()]


def test_a_large_pool_that_must_be_listed_holds_nobody_up_but_what_moves_rests(
    client: Redis, store: Store, between: Between
) -> None:
    before = make_pool("10000-14999", name="large")
    sync(store, Pools([before]), take_over=True)
    client.zadd("cti:{large}:numbers", {"10007": -1})
    assert store.lease(before, "777", "1", "x", 60_000).dnis == "10007"
    small, other = make_pool("10000-10009", name="small"), make_pool("20000-20009", name="other")
    large = make_pool("10010-14998, 30000", name="large")
    seen = []

    def look() -> None:
        for pool in (small, other):
            assert client.get(f"cti:{{{pool.name}}}:synced") == pool.numbers.fingerprint()
            assert of(client, pool.name) == set(pool.numbers)
        assert not of(client, "large") & set(small.numbers)
        seen.append(client.zscore("cti:{small}:numbers", "10007"))

    between.happens("list", look, pool="large", lists=True)
    assert not sync(between, Pools([large, small, other]), take_over=True)
    assert seen
    assert seen[0] > now_ms(client) + 60_000
    assert of(client, "large") == set(large.numbers)
    assert client.get("cti:{large}:synced") == large.numbers.fingerprint()
    age(client, 70_000)
    assert not sync(store, Pools([large, small, other]), take_over=True)


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        ({"a": 4_000}, ["a"]),
        ({"a": 4_000, "b": 3_000}, ["b", "a"]),
        ({"a": 90, "b": 3_000}, ["a", "b"]),
        ({"b": 100, "a": 5_000}, ["b", "a"]),
    ],
)
def test_of_pools_that_must_be_listed_the_smallest_comes_first(
    client: Redis, recording: Recording, sizes: dict[str, int], turns: list[str]
) -> None:
    def pools(first: int) -> Pools:
        starts = {name: 1_000_000 * at for at, name in enumerate(sizes, 1)}
        return Pools(
            [make_pool(f"{starts[n] + first}-{starts[n] + first + size - 1}", name=n) for n, size in sizes.items()]
        )

    sync(recording, pools(0), take_over=True)
    for name in sizes:
        client.delete(f"cti:{{{name}}}:in_place")
    recording.trips.clear()
    after = pools(10)
    sync(recording, after, take_over=True)
    steps = [each for trip in recording.trips for each in trip]
    assert [each.pool.name for each in steps if each.step == "finish"] == turns
    for turn, name in enumerate(turns):
        begun = next(at for at, each in enumerate(steps) if (each.step, each.pool.name) == ("list", name))
        assert [each.pool.name for each in steps[:begun] if each.step == "finish"] == turns[:turn]
        assert of(client, name) == set(next(pool for pool in after if pool.name == name).numbers)


def test_nothing_is_taken_out_one_by_one_where_listing_is_quicker(client: Redis, recording: Recording) -> None:
    """A small pool that must be listed, and a large one to be filled: that one waits for the few steps."""
    sync(recording, Pools([make_pool("100-149", name="small")]), take_over=True)
    client.delete("cti:{small}:in_place")
    recording.asked()
    sync(recording, Pools([make_pool("100-148", name="small"), make_pool("20000-29999", name="large")]), take_over=True)
    assert [step for step in recording.asked() if step.startswith("drop")] == ["drop 1"]


def test_many_pools_are_asked_in_one_trip(client: Redis, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 101
    assert count < AT_ONCE
    pools = Pools([make_pool(f"{number}", name=f"p{number}") for number in range(100_000, 100_000 + count)])
    sync(recording, pools, take_over=True)
    recording.trips.clear()
    sync(recording, pools, take_over=True)
    assert [len(trip) for trip in recording.trips] == [count]
    monkeypatch.setattr("cticache.data.sync.AT_ONCE", 50)
    recording.trips.clear()
    sync(recording, pools, take_over=True)
    assert [len(trip) for trip in recording.trips] == [50, 50, 1]


def test_each_step_is_bounded(client: Redis, recording: Recording) -> None:
    sync(recording, Pools([make_pool("10000-15999")]), take_over=True)
    sync(recording, Pools([make_pool("20000-25999")]), take_over=True)
    client.delete(IN_PLACE)
    sync(recording, Pools([make_pool("30000-35999"), make_pool("20000-20999", name="other")]), take_over=True)
    assert of(client) == set(make_pool("30000-35999").numbers)
    steps = [each for trip in recording.trips for each in trip]
    assert max(len(list(each.dnises)) for each in steps) == CHANGE_STEP
    assert {each.count for each in steps if each.step == "list"} == {LIST_STEP}


def test_nothing_is_left_of_a_pool_that_is_forgotten(client: Redis, store: Store) -> None:
    sync(store, Pools([make_pool("100-109", name="old")]), take_over=True)
    assert client.exists("cti:{old}:in_place")
    for _ in range(2):
        sync(store, Pools([make_pool("200")]), take_over=True)
    assert not client.keys("cti:{old}:*")
