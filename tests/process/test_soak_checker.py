"""What the soak tells as a fault, and what it must not: short histories, written down by hand."""

from typing import Any

import pytest

from kit.soak import MS, UNKNOWN, Course, Entry, Event, faults
from kit.soak_services import NUMBERS, pools

SERVICES = {name: pools(8, 0, numbers) for name, numbers in NUMBERS.items()}
BOTH, OF_A, MOVED = "3000", "3040", "3050"
"""Numbers of the pool sole, in A and B; in A alone; in A, and in B's pool suffix."""


def entry(what: str, begin: int, end: int, ani: str, answer: str, **more: Any) -> Entry:
    """Times in ms; a token is a call's, and its value unless another is given."""
    token = more.get("token", "")
    written = more.pop("written", token if what == "lease" else "")
    pool, dnis = more.pop("pool", "sole"), more.pop("dnis", BOTH)
    ttl_ms = more.pop("ttl_ms", 1000)
    key, more = more.pop("key", ""), {"value": token} | more
    return Entry(begin * MS, end * MS, what, pool, dnis, ani, "x", key, ttl_ms, written, answer, **more)


def lease(begin: int, end: int, ani: str, token: str, **more: Any) -> Entry:
    return entry("lease", begin, end, ani, "leased", token=token, **more)


def take(begin: int, end: int, ani: str, answer: str, token: str = "", **more: Any) -> Entry:
    return entry("take", begin, end, ani, answer, token=token, **more)


def told(*log: Entry, befell: tuple[Event, ...] = ()) -> list[str]:
    """The kinds of the faults."""
    course = Course(SERVICES["A"], SERVICES, befell, 3000 * MS)
    return [fault.partition(":")[0] for fault in faults(log, course)]


def event(begin: int, what: str, lasting: int) -> Event:
    return Event(begin * MS, (begin + 10) * MS, what, lasting * MS)


def test_a_request_that_was_held_up_for_longer_than_a_call_lives_is_not_done_twice() -> None:
    """The one that was asked first ran last, when the other's call had been taken and forgotten."""
    held_up = lease(0, 3000, "1", "late", key="k", pool="exact", dnis="1001", ttl_ms=5000)
    in_time = lease(10, 20, "1", "early", key="k", pool="exact", dnis="1000", ttl_ms=5000)
    taken = take(30, 40, "1", "exact", "early", pool="exact", dnis="1000")
    assert told(held_up, in_time, taken) == []
    assert told(held_up._replace(end=900 * MS), in_time, taken) == ["done twice under one key"]
    assert told(held_up, in_time) == ["done twice under one key"]


LOST = "lent while the call that was lost may be on the way"


@pytest.mark.parametrize("what", ["flushed", "ahead"])
def test_after_a_loss_no_number_is_lent_on_which_a_lost_call_may_be_on_its_way(what: str) -> None:
    before, loss = lease(0, 10, "1", "a"), event(100, what, 8000)
    assert told(before, lease(500, 510, "2", "b"), befell=(loss,)) == [LOST]
    assert told(before, lease(1980, 1985, "2", "b"), befell=(loss,)) == [LOST]
    assert told(before, lease(2010, 2015, "2", "b"), befell=(loss,)) == []
    exact = {"pool": "exact", "dnis": "1000"}
    before = lease(0, 10, "1", "a", **exact)
    assert told(before, lease(500, 510, "", "b", **exact), befell=(loss,)) == [LOST]
    assert told(before, lease(500, 510, "1", "b", **exact), befell=(loss,)) == []


def test_what_was_lost_is_not_found_and_after_a_loss_nothing_is_found_by_a_tail() -> None:
    suffix = {"pool": "suffix", "dnis": "2000"}
    before, loss = lease(0, 10, "7123", "a", **suffix), event(100, "flushed", 8000)
    assert told(before, take(200, 210, "7123", "none", **suffix), befell=(loss,)) == []
    assert told(before, take(200, 210, "7123", "exact", "a", **suffix), befell=(loss,)) == ["not live"]
    anew = lease(2500, 2510, "7123", "b", **suffix)
    assert told(anew, take(2600, 2610, "15123", "none", **suffix), befell=(loss,)) == []
    assert told(anew, take(2600, 2610, "15123", "suffix", "b", **suffix), befell=(loss,)) == [
        "found by a tail after a loss"
    ]
    assert told(anew, take(2600, 2610, "15123", "none", **suffix)) == ["lost"]
    late = lease(12_000, 12_010, "7123", "c", **suffix), take(12_100, 12_110, "15123", "none", **suffix)
    assert told(*late, befell=(loss,)) == ["lost"]
    assert told(*late, befell=(loss, event(5000, "back", 10_000))) == []  # the care begins anew


def test_where_the_clock_was_set_back_a_call_lives_longer_by_its_length() -> None:
    called, back = lease(0, 10, "1", "a"), event(500, "back", 10_000)
    assert told(called, take(1400, 1410, "1", "exact", "a")) == ["not live"]
    assert told(called, take(1400, 1410, "1", "exact", "a"), befell=(back,)) == []
    assert told(called, take(900, 910, "1", "none"), befell=(back,)) == ["lost"]
    assert told(called, take(4600, 4610, "1", "exact", "a"), befell=(back,)) == ["not live"]


@pytest.mark.parametrize(("dnis", "pool"), [(OF_A, "sole"), (MOVED, "sole"), (BOTH, "sole")])
def test_a_service_that_just_took_over_may_not_know_the_numbers_of_the_other(dnis: str, pool: str) -> None:
    called = lease(0, 10, "1", "a", dnis=dnis, pool=pool)
    missed = take(200, 210, "1", "none", dnis=dnis, pool="", service="B")
    took_over = event(100, "services", 3000)
    assert told(called, missed) == ["lost"]
    assert told(called, missed._replace(service="A"), befell=(took_over,)) == ["lost"]
    assert told(called, missed, befell=(took_over,)) == (["lost"] if dnis == BOTH else [])


def test_a_number_that_moved_rests_for_all() -> None:
    called, taken = lease(0, 10, "1", "a", dnis=MOVED), take(20, 30, "1", "exact", "a", dnis=MOVED)
    moved = {"dnis": MOVED, "pool": "suffix"}
    assert told(called, taken, lease(900, 910, "12", "b", **moved)) == ["lent while it could be mistaken for another"]
    assert told(called, taken, lease(1100, 1110, "12", "b", **moved)) == []


def test_what_had_no_answer_may_have_been_done_or_not() -> None:
    called = lease(0, 10, "1", "a", ttl_ms=5000)
    unknown = take(20, 30, "1", UNKNOWN, key="k")
    for answer, token in (("exact", "a"), ("none", "")):
        assert told(called, unknown, take(100, 110, "1", answer, token)) == []
    again = take(100, 110, "1", "exact", "a", key="k", replayed=True)
    assert told(called, unknown, again) == []
    assert told(called, unknown, again, take(200, 210, "1", "exact", "a")) == [
        "taken more than once",
        "not live",
        "answered after it was taken",
    ]
    assert told(called, again) == ["replayed, and not what was answered before"]


def test_a_lease_without_an_answer_is_known_by_its_value() -> None:
    unknown = entry("lease", 0, 50, "1", UNKNOWN, dnis="", written="a")
    found = take(100, 110, "1", "exact", "a")
    assert told(unknown, found) == []
    assert told(found) == ["of no lease of this number"]
    assert told(unknown, found, take(200, 210, "1", "exact", "a"))[0] == "taken more than once"
