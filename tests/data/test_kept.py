"""What each release has left in Redis is read by this one: every call, every answer given, and what was counted."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cticache.data import format as formats
from cticache.data import keys
from cticache.data.format import FORMAT
from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.errors import Gone, PoolExhausted
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit import kept
from kit.aging import age
from kit.former import RELEASES
from kit.samples import at

FILES = sorted(RELEASES.glob("format-*.json"))
USER, TTL_MS = "ivr", 3_600_000
PASSING = {"tried_zset", "tried_hash", "tried_string", "tried_list"}
"""What is never kept."""

Call = dict[str, str]


class Kept:
    """What one release has left, in Redis again, and the pools as that release had them."""

    def __init__(self, document: dict[str, Any], client: Redis, store: Store) -> None:
        self.document = document
        self.store = store
        self.calls: list[Call] = document["calls"]
        self.pools: Pools = kept.pools_of(document["pools"])
        kept.put_back(client, document)

    def pool(self, call: Call) -> Pool:
        return self.pools.get(call["pool"]) or self.pools.former(call["pool"])

    def of(self, state: str) -> list[Call]:
        found = [call for call in self.calls if call["is"] == state]
        assert found
        return found

    def take(self, call: Call, key: str = "") -> str | None:
        held = self.store.take(at(self.pool(call), call["dnis"]), call["ani"], "agents", key=key)
        return held and held.value

    def begin(self) -> None:
        """A service of this release begins to keep the pools."""
        assert Keeper(self.store, self.pools, 600)._look()


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def left(request: pytest.FixtureRequest, client: Redis, store: Store) -> Kept:
    return Kept(json.loads(Path(request.param).read_text("utf-8")), client, store)


@pytest.fixture(params=[False, True], ids=["as it was", "after a look"])
def found(request: pytest.FixtureRequest, left: Kept) -> Kept:
    if request.param:
        left.begin()
    return left


def test_the_data_of_this_release_are_kept_for_later_ones() -> None:
    assert RELEASES / f"format-{FORMAT}.json" in FILES, "run scripts/keep_data.py"


def test_the_data_of_this_release_have_every_kind_of_key() -> None:
    listed = re.findall(r"^- ``cti:(\{\S+?\}):(\w+)", keys.__doc__ or "", re.MULTILINE)
    kinds = {(pool, name) for pool, name in listed if name not in PASSING}
    document = json.loads((RELEASES / f"format-{FORMAT}.json").read_text("utf-8"))
    names = [re.match(r"cti:(\{.+?\}):(\w+)", key) for _, key, *_ in document["keys"]]
    seen = {(name[1] if "@" in name[1] else "{pool}", name[2]) for name in names if name}
    assert seen == kinds


def test_every_live_call_is_explained_read_and_taken(found: Kept) -> None:
    for call in found.of("live"):
        place = at(found.pool(call), call["dnis"])
        assert found.store.explain(place, call["ani"]).grade == "exact"
        held = found.store.read(place, call["ani"], "agents", peek=True)
        assert (held and held.value) == call["value"]
        assert found.take(call) == call["value"]
        with pytest.raises(Gone):
            found.take(call)


def test_every_live_call_is_renewed_and_its_value_replaced(found: Kept) -> None:
    for call in found.of("live"):
        if call["dnis"] in found.pool(call).numbers:  # one that another pool waits for ends when it was to
            place = at(found.pool(call), call["dnis"])
            held = found.store.renew(place, call["ani"], 2 * TTL_MS, '"more"')
            assert held
            assert 1.9 * TTL_MS < held.left_ms <= 2 * TTL_MS
            assert found.take(call) == '"more"'


def test_every_live_call_is_listed_and_can_be_released(found: Kept) -> None:
    live = {(call["pool"], call["dnis"], call["ani"]) for call in found.of("live")}
    pools = [*found.pools, *{found.pool(call).name: found.pool(call) for call in found.of("live")}.values()]
    leases = {(pool.name, each.dnis, each.ani): each for pool in pools for each in found.store.pool_leases(pool).leases}
    assert leases.keys() == live
    assert {each.user for each in leases.values()} == {USER}
    for call in found.of("live"):
        lease = leases[call["pool"], call["dnis"], call["ani"]]
        assert found.store.release(found.pool(call), [(call["dnis"], call["ani"], "")]) == [lease.token]
        with pytest.raises(Gone):
            found.take(call)


@pytest.mark.parametrize("state", ["taken", "released"])
def test_a_call_that_is_over_is_known_to_be(found: Kept, state: str) -> None:
    for call in found.of(state):
        assert found.store.explain(at(found.pool(call), call["dnis"]), call["ani"]).grade == "gone"
        with pytest.raises(Gone):
            found.take(call)


def test_what_was_answered_under_a_key_is_answered_again(found: Kept) -> None:
    for call in (call for call in found.of("live") if call["key"] or found.pool(call).retry_window_ms):
        lease = found.store.lease(found.pool(call), call["ani"], call["value"], USER, TTL_MS, key=call["key"])
        assert (lease.outcome, lease.dnis) == ("replayed", call["dnis"])
    for call in found.of("taken"):
        assert found.take(call, call["key"]) == call["value"]
    for call in found.of("released"):
        with pytest.raises(Gone):
            found.store.lease(found.pool(call), call["ani"], call["value"], USER, TTL_MS, key=call["key"])


def test_what_was_counted_is_told_in_total_by_the_minute_and_by_the_hour(left: Kept) -> None:
    """Before a look: one that finds a loss, say, counts it."""
    pools = list(left.pools)
    for pool, figures in zip(pools, left.store.pool_stats(pools), strict=True):
        counted = left.document["counts"][pool.name]
        assert {name: count for name, count in figures.counts.items() if count} == counted
        ((_, hour),) = left.store.pool_hours(pool, 24)
        assert hour["leased"] == counted["leased_total"]
    for last in left.store.pool_minutes(pools, 10):
        assert len(last.kept) == 1
    assert left.store.login_failures().by_user == {USER: 1}


def test_services_and_events_are_told(left: Kept) -> None:
    assert left.store.data_format().format == left.document["format"]
    assert left.store.services()
    assert [event.said for event in left.store.events()] == ["something happened"]


def test_no_number_is_lent_to_two(found: Kept, client: Redis) -> None:
    """Of those that no call is on or was on of late, every one is lent; of the others none, until that is over."""
    found.begin()
    client.delete(*client.keys("cti:*:lost"))  # one pool would lend withheld callers nothing
    busy = {call["dnis"] for call in found.calls}
    lent = set[str]()
    for pool in found.pools:
        with suppress(PoolExhausted):
            while True:
                lent.add(found.store.lease(pool, "", "1", "x", TTL_MS).dnis)
    assert lent
    assert not lent & busy
    age(client, 2 * TTL_MS)
    for pool in found.pools:
        found.store.lease(pool, "", "1", "x", TTL_MS)


def test_a_service_of_this_release_gives_the_data_its_format_and_loses_nothing(left: Kept, client: Redis) -> None:
    before = {key for key in client.scan_iter() if ":call:" in key}
    left.begin()
    assert {key for key in client.scan_iter() if ":call:" in key} == before
    assert left.store.data_format().format == formats.FORMAT
