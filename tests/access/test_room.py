"""Room for those who wait."""

import pytest

from cticache.access.room import Room


def fill(room: Room, name: str) -> int:
    """How many of this name come in, until one does not."""
    count = 0
    while room.enter(name):
        count += 1
    return count


@pytest.mark.parametrize("places", [2, 8, 100])
def test_one_name_leaves_half_of_it_free(places: int) -> None:
    room = Room(places)
    assert fill(room, "a") == places // 2
    assert room.enter("b")


def test_names_that_have_all_they_may_leave_as_much_free_as_each_has() -> None:
    room = Room(100)
    names = "abcd"
    for name in names * 25:  # by turns, as those come who are answered
        room.enter(name)
    assert [fill(room, name) for name in names] == [0, 0, 0, 0]
    assert fill(room, "another") == 10
    assert room.taken == 90


def test_who_leaves_gives_the_place_back() -> None:
    room = Room(4)
    for _ in range(10):
        assert fill(room, "a") == 2
        for _ in range(2):
            room.leave("a")
    assert room.taken == 0


def test_without_a_bound_all_come_in() -> None:
    room = Room(None)
    assert all(room.enter("a") for _ in range(1000))
