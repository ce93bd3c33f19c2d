"""What the system of one user does again and again: a warning at once, and then seldom."""

import pytest

from cticache.journal.notices import Notices
from kit.monotonic import Monotonic


@pytest.fixture
def notices(clock: Monotonic) -> Notices:
    return Notices(600, clock)


def test_max_live_is_told_again_only_once_it_has_not_been_met_for_a_while(
    notices: Notices, clock: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1235):
        notices.over_max_live("ivr", "x")
    for _ in range(3):
        clock.now += 599
        notices.over_max_live("ivr", "x")
    notices.over_max_live("ivr", "y")
    notices.over_max_live("bot", "x")
    line = (
        "user {0} has met [user:{0}] max_live in pool {1}: its leases there are refused until calls end, "
        "see cticache leases --user {0}"
    )
    told = [line.format("ivr", "x"), line.format("ivr", "y"), line.format("bot", "x")]
    assert caplog.messages == told
    clock.now += 600
    notices.over_max_live("ivr", "x")
    assert caplog.messages[3:] == [f"{told[0]} (1,237 more times since that was said last)"]


def test_numbers_of_no_pool_are_told_by_user_and_once_in_a_while_as_long_as_it_goes_on(
    notices: Notices, clock: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    line = "user {} asks for numbers that are in no pool, such as {}: compare them with [pool] numbers"
    for _ in range(8):
        notices.of_no_pool("acd", "\u2026567")
        clock.now += 100
    notices.of_no_pool("pbx", "999")
    assert caplog.messages == [
        line.format("acd", "\u2026567"),
        line.format("acd", "\u2026567") + " (5 more times since that was said last)",
        line.format("pbx", "999"),
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
