"""What the faults' checker tells of a history, and what it must not: short histories, written down by hand."""

from typing import Any

import pytest

from kit.faults.checker import excused, findings, slow, violations
from kit.faults.history import CLOSED, EVER, HUNG, NOBODY, Course, Entry, Window, documented

QUIET = Course(0, 0)
LOST_UNTIL_10 = Course(9, 10, may_lose=[Window(-EVER, 10)])


def entry(what: str, begin: float, end: float, status: int, call: str = "a", **more: Any) -> Entry:
    """Unless it says otherwise, each call is of one ANI and on one number, and answered with its own value."""
    own: dict[str, Any] = {"pool": "one", "dnis": "5550", "ani": f"ani of {call}"}
    if status in (200, 201):
        own["got"] = f"token of {call}" if what == "lease" else call
    return Entry(begin, end, what, call=call, status=status, **own | more)


def lease(begin: float, end: float, call: str = "a", **more: Any) -> Entry:
    return entry("lease", begin, end, more.pop("status", 201), call, **more)


def told(*log: Entry, course: Course = QUIET) -> list[str]:
    """The kinds of the violations."""
    return [line.partition(":")[0] for line in violations(findings(log, course, documented()))]


def spared(*log: Entry, course: Course) -> list[str]:
    """The kinds of what is excused; nothing else is told."""
    found = findings(log, course, documented())
    assert violations(found) == []
    return list(excused(found).elements())


def test_a_call_that_is_leased_renewed_read_and_taken_is_as_it_should_be() -> None:
    renewed = entry("renew", 2, 3, 200, version=1, got_version=1)
    log = lease(0, 1), renewed, entry("read", 4, 5, 200, got_version=1), entry("take", 6, 7, 200, got_version=1)
    assert told(*log, entry("take", 8, 9, 410, code="gone"), lease(10, 11, "b")) == []


def test_a_value_goes_to_nobody_else() -> None:
    other = lease(0, 1, "b", dnis="5551")
    assert told(lease(0, 1), other, entry("read", 2, 3, 200, got="b")) == ["lease lost", "somebody else's value"]
    swapped = entry("read", 2, 3, 200, dnis="5551")
    assert told(lease(0, 1), swapped) == ["somebody else's value"]
    assert told(lease(0, 1), entry("read", 2, 3, 200, got="c")) == ["lease lost", "value of no lease"]
    assert told(lease(0, 1), entry("read", 2, 3, 200, got_version=7)) == ["value that nobody sent"]


def test_a_call_of_which_no_answer_came_may_be_there_or_not() -> None:
    unknown = lease(0, 1, status=503, code="redis_unavailable", dnis="")
    assert told(unknown, entry("read", 2, 3, 200)) == []
    maybe = entry("take", 2, 3, 503, code="redis_unavailable")
    for answer in (entry("read", 4, 5, 200), entry("read", 4, 5, 410, code="gone")):
        assert told(lease(0, 1), maybe, answer) == []


@pytest.mark.parametrize("what", ["read", "renew", "take"])
@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (410, "gone")])
def test_what_was_acknowledged_is_there_until_it_is_taken(what: str, status: int, code: str) -> None:
    missed = entry(what, 20, 21, status, code=code)
    assert told(lease(0, 1), missed) == ["lease lost"]
    assert told(lease(20, 21), missed) == []  # at once
    assert told(lease(0, 1), entry("take", 2, 3, 200), missed) == []
    assert spared(lease(0, 1), missed, course=LOST_UNTIL_10) == ["lease lost"]
    assert told(lease(11, 12), missed, course=LOST_UNTIL_10) == ["lease lost"]


def test_a_take_under_a_key_is_answered_again_and_counts_as_one() -> None:
    unknown = entry("take", 2, 3, 503, code="redis_unavailable", key="k")
    assert told(lease(0, 1), unknown, entry("take", 4, 5, 200, key="k", replayed=True)) == []
    assert told(lease(0, 1), unknown, entry("take", 4, 5, 410, code="gone", key="k")) == ["lease lost"]
    assert told(lease(0, 1), unknown, entry("take", 60, 61, 410, code="gone", key="k")) == []  # forgotten by then
    first, again = entry("take", 2, 3, 200, key="k"), entry("take", 4, 5, 200, key="k", replayed=True)
    assert told(lease(0, 1), first, again) == []
    assert told(lease(0, 1), again) == ["replayed without a first time"]
    assert told(lease(0, 1), first, again._replace(key="other")) == [
        "answered after its take",
        "replayed without a first time",
    ]


def test_two_takes_never_have_the_same_value() -> None:
    together = entry("take", 2, 5, 200), entry("take", 3, 4, 200)
    assert told(lease(0, 1), *together) == ["taken twice"]
    after = entry("take", 2, 3, 200), entry("take", 20, 21, 200)
    assert told(lease(0, 1), *after) == ["answered after its take", "taken twice"]
    assert spared(lease(0, 1), *after, course=LOST_UNTIL_10) == ["answered after its take", "taken twice"]


def test_what_was_taken_is_not_read_again() -> None:
    read = entry("read", 20, 21, 200)
    assert told(lease(0, 1), entry("take", 2, 3, 200), read) == ["answered after its take"]
    assert spared(lease(0, 1), entry("take", 2, 3, 200), read, course=LOST_UNTIL_10) == ["answered after its take"]


def test_a_renewal_that_was_acknowledged_is_kept() -> None:
    renewed = entry("renew", 2, 3, 200, version=1, got_version=1)
    assert told(lease(0, 1), renewed, entry("read", 20, 21, 200)) == ["renewal lost"]
    assert spared(lease(0, 1), renewed, entry("read", 20, 21, 200), course=LOST_UNTIL_10) == ["renewal lost"]


def test_a_number_has_one_caller_at_a_time() -> None:
    assert told(lease(0, 1), lease(20, 21, "b")) == ["number live twice"]
    assert told(lease(0, 1), lease(0.5, 2, "b")) == []  # either may have come first
    assert told(lease(0, 1), entry("take", 2, 3, 200), lease(20, 21, "b")) == []
    assert told(lease(0, 1), entry("take", 2, 30, 0, code=CLOSED), lease(20, 21, "b")) == ["no answer"]
    assert spared(lease(0, 1), lease(20, 21, "b"), course=LOST_UNTIL_10) == ["number live twice"]


def test_a_lease_under_a_key_is_one_lease() -> None:
    first, again = lease(0, 1, key="k"), lease(20, 21, key="k", replayed=True)
    assert told(first, again) == []
    anew = again._replace(got="another token", dnis="5551", replayed=False)
    assert told(first, anew) == ["leased twice"]
    assert spared(first, anew, course=LOST_UNTIL_10) == ["leased twice"]
    over = lease(20, 21, key="k", status=410, code="gone", dnis="")
    assert told(first, over) == ["lease lost"]
    assert told(first, entry("take", 2, 3, 200), over) == []


def test_a_refusal_is_one_that_is_documented_and_that_a_sound_request_may_get() -> None:
    assert told(entry("read", 0, 1, 500, code="internal")) == ["refusal that is not documented"]
    assert told(entry("read", 0, 1, 503, code="no code")) == ["refusal that is not documented"]
    assert told(entry("read", 0, 1, 401, code="unauthorized")) == ["refused a sound request"]
    assert told(entry("garbage", 0, 1, 401, code="unauthorized")) == []
    assert told(entry("garbage", 0, 1, 400, code="<html>")) == ["refusal that is not documented"]
    checked_anew = entry("read", 0, 1, 429, code="too_many_logins")
    assert told(checked_anew) == ["refused a sound request"]
    assert told(checked_anew, course=Course(0, 1, may_close=True)) == []
    for code in ("redis_unavailable", "not_ready", "pool_exhausted"):
        assert told(entry("read", 0, 1, 503, code=code)) == []
        touched = Course(0, 1, spared=["one"])
        assert told(entry("read", 0, 1, 503, code=code), course=touched) == ["refused in a pool that nothing befell"]


def test_every_request_has_an_answer_unless_a_process_died() -> None:
    for code in (CLOSED, NOBODY):
        assert told(entry("read", 0, 1, 0, code=code)) == ["no answer"]
        assert told(entry("read", 0, 1, 0, code=code), course=Course(0, 1, may_close=True)) == []
    assert told(entry("read", 0, 1, 0, code=HUNG), course=Course(0, 1, may_close=True)) == ["no answer"]
    assert told(entry("garbage", 0, 1, 0, code=CLOSED)) == []
    assert told(entry("garbage", 0, 1, 0, code=HUNG)) == ["no answer"]


def test_an_answer_that_came_too_late_is_told() -> None:
    assert len(slow([entry("read", 0, 2, 200), entry("read", 0, 1, 200)], 1.5)) == 1
