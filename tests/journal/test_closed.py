"""What the log says of connections that were closed on clients."""

import pytest

from cticache.journal.closed import _MOST_ADDRESSES, CAUSES, Closed


def test_a_line_says_how_many_from_where_and_why(caplog: pytest.LogCaptureFixture) -> None:
    closed = Closed()
    for address, count in (("192.0.2.1", 2), ("192.0.2.2", 1200), ("192.0.2.3", 3), ("::1", 1), ("192.0.2.5", 1)):
        for _ in range(count):
            closed.add("silent", address)
    closed.add("body", "192.0.2.9")
    closed.tell(0)
    assert caplog.messages == [
        f"1,207 connections closed, {CAUSES['silent']}: 1,200 from 192.0.2.2, 3 from 192.0.2.3, 2 from 192.0.2.1, "
        "2 from others",
        f"1 connection closed, {CAUSES['body']}: 1 from 192.0.2.9",
    ]
    assert closed.totals() == dict.fromkeys(CAUSES, 0) | {"silent": 1207, "body": 1}


def test_lines_are_far_between_and_nothing_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    closed = Closed()
    for now in range(20):
        closed.add("silent", "192.0.2.1")
        closed.tell(now)
    closed.tell(20)
    closed.tell(40)
    assert [message.split()[0] for message in caplog.messages] == ["1", "10", "9"]


def test_any_number_of_addresses_takes_a_bounded_room(caplog: pytest.LogCaptureFixture) -> None:
    closed = Closed()
    for number in range(_MOST_ADDRESSES + 500):
        closed.add("silent", f"2001:db8::{number:x}")
    assert len(closed._addresses["silent"]) == _MOST_ADDRESSES + 1
    closed.tell(0)
    assert caplog.messages[0].startswith(f"{_MOST_ADDRESSES + 500:,} connections closed")
    assert caplog.messages[0].endswith(f"{_MOST_ADDRESSES + 497:,} from others")
