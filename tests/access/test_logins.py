"""Who waits for whom while passwords are checked."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from cticache.access import passwords
from cticache.access.failures import UNKNOWN
from cticache.access.order import Job
from cticache.access.passwords import Verifier
from cticache.access.users import User
from cticache.errors import TooManyLogins
from kit.running import until

MANY = 3
RIGHT = "right"


class Door:
    """A verifier whose hashes end one by one, when the test lets them; at first they all may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked: list[str] = []
        self._may = threading.Semaphore(1000)
        self._clients = ThreadPoolExecutor(100)
        self.reported: list[tuple[str, str, int]] = []
        monkeypatch.setattr(passwords, "_matches", self._matches)

    def opened(self, **limits: Any) -> "Door":
        users = [User(name, f"the hash of {name}") for name in ("bob", "eve")]
        self.verifier = Verifier(users, 60, 1000, **{"many": MANY, "report": self._report} | limits)
        return self

    def _report(self, name: str, site: str, again: int) -> tuple[int, int]:
        self.reported.append((name, site, again))
        return 0, 0

    def _matches(self, stored: str, password: str) -> bool:
        self.checked.append(password)
        assert self._may.acquire(timeout=20)
        return password == RIGHT and stored.startswith("the hash of ")

    def hold(self) -> None:
        while self._may.acquire(blocking=False):
            pass
        self.checked.clear()

    def let(self, count: int = 1000) -> None:
        self._may.release(count)

    def ask(self, name: str, password: str, address: str = "203.0.113.1") -> "Future[User | None]":
        """A client that asks; it waits by the time that this returns, unless it is answered at once."""
        verifier = self.verifier
        before = verifier._room.taken
        asked = self._clients.submit(verifier.user, name, password, lambda: address)
        until(lambda: asked.done() or verifier._room.taken > before)
        return asked

    def attack(self, name: str, count: int = MANY, address: str = "203.0.113.1") -> None:
        """So many wrong passwords, and they are known to be."""
        for at in range(count):
            assert self.verifier.user(name, f"guess {at}", lambda: address) is None

    def close(self) -> None:
        self.let()
        self._clients.shutdown()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door = Door(monkeypatch)
    yield door
    door.close()


def refused(asked: "Future[User | None]") -> bool:
    error = asked.exception(20)
    return isinstance(error, TooManyLogins) and error.retry_after == 1


def test_who_is_known_passes_whatever_goes_on(door: Door) -> None:
    door.opened(room=1)
    assert door.verifier.user("bob", RIGHT)
    door.attack("bob", 10)
    door.hold()
    waiting = door.ask("bob", "wrong")
    assert door.verifier.user("bob", RIGHT, lambda: pytest.fail("nobody asks from where"))
    assert not waiting.done()


def test_a_new_login_of_a_name_that_is_not_attacked_is_next(door: Door) -> None:
    door.opened().attack("bob")
    door.hold()
    waiting = [door.ask("bob", f"wrong {n}") for n in range(20)] + [door.ask(f"no {n}", "wrong") for n in range(20)]
    until(lambda: len(door.checked) == 1)  # of all that are attacked one is under way
    for _ in range(2):
        good = door.ask("eve", RIGHT, "198.51.100.1")
        until(lambda: door.checked[1:] == [RIGHT])
    assert not any(each.done() for each in waiting)
    door.let()
    assert good.result(20)
    assert {each.result(20) for each in waiting} == {None}


@pytest.mark.parametrize("good", ["198.51.100.1", "2001:db8:0:2::1"])
def test_the_right_password_from_elsewhere_is_the_turn_after_next(door: Door, good: str) -> None:
    """An IPv6 client has a /64 of addresses; they are one."""
    door.opened().attack("bob")
    door.hold()
    for n in range(20):
        door.ask("bob", f"wrong {n}", f"2001:db8:0:1::{n:x}")
    client = door.ask("bob", RIGHT, good)
    door.let(2)
    until(lambda: len(door.checked) == 3)
    assert RIGHT in door.checked[1:]
    door.let()
    assert client.result(20)


def test_who_was_put_off_goes_before_those_who_are_new(door: Door) -> None:
    door.opened(wait_s=20.0).attack("bob")
    door.hold()
    door.ask("bob", "wrong")
    until(lambda: door.checked)
    door.verifier._wait_s = 0.001
    assert refused(door.ask("bob", RIGHT))
    door.verifier._wait_s = 20.0
    for n in range(20):
        door.ask("bob", f"wrong {n}")
    again = door.ask("bob", RIGHT)
    door.let(1)
    until(lambda: len(door.checked) == 2)
    assert door.checked == ["wrong", RIGHT]
    door.let()
    assert again.result(20)


def test_of_those_who_were_put_off_who_came_first_goes_first(door: Door) -> None:
    """In whatever order they come again."""
    door.opened(wait_s=20.0).attack("bob")
    door.hold()
    door.ask("bob", "begun")
    until(lambda: door.checked)
    came = [f"wrong {n}" for n in range(4)]
    door.verifier._wait_s = 0.001
    for password in (*came, *came):
        assert refused(door.ask("bob", password))
    door.verifier._wait_s = 20.0
    again = [door.ask("bob", password) for password in reversed(came)]
    door.let()
    assert {each.result(20) for each in again} == {None}
    assert door.checked == ["begun", *came]


def test_who_gives_up_leaves_the_queue(door: Door) -> None:
    door.opened(wait_s=20.0).attack("bob")
    door.hold()
    door.ask("bob", "begun")
    until(lambda: door.checked)
    door.verifier._wait_s = 0.001
    assert all(refused(door.ask("bob", f"wrong {n}")) for n in range(5))
    assert len(door.verifier._underway) == 1
    assert not any(door.verifier._turns._rings)
    door.let()
    until(lambda: not door.verifier._underway)
    assert door.checked == ["begun"]


def test_what_has_waited_in_vain_is_kept_of_so_many(door: Door) -> None:
    door.opened(room=0)
    door.verifier._size = 5
    assert all(refused(door.ask("bob", f"wrong {n}")) for n in range(9))
    assert len(door.verifier._put_off) == 5


def test_all_names_that_are_no_users_wait_for_each_other(door: Door) -> None:
    door.opened().hold()
    for n in range(5):
        door.ask(f"nobody {n}", "wrong")
    until(lambda: door.checked)
    good = door.ask("eve", RIGHT)
    until(lambda: len(door.checked) == 2)
    assert door.checked == ["wrong", RIGHT]
    door.let()
    assert good.result(20)


def test_so_many_of_a_name_and_address_have_a_turn(door: Door) -> None:
    door.opened(queue=2).attack("bob")
    door.hold()
    under_way = door.ask("bob", "under way")
    until(lambda: door.checked)
    door.verifier._wait_s = 0.001
    in_vain = door.ask("bob", "0")
    assert refused(in_vain)
    door.verifier._wait_s = 20.0
    first, second = door.ask("bob", "1"), door.ask("bob", "2")
    door.verifier._wait_s = 0.001
    assert refused(door.ask("bob", "3"))
    door.verifier._wait_s = 20.0
    again = door.ask("bob", "0")
    door.let()
    assert under_way.result(20) is first.result(20) is second.result(20) is again.result(20) is None
    assert door.checked == ["under way", "0", "1", "2"]


def test_no_more_wait_than_there_is_room_for(door: Door) -> None:
    door.opened(room=7).hold()
    waiting = [door.ask("bob", f"wrong {n}") for n in range(4)]
    assert refused(door.ask("bob", "wrong"))
    waiting += [door.ask("nobody", "wrong") for n in range(2)]
    assert refused(door.ask("nobody", "wrong"))
    good = door.ask("eve", RIGHT)  # bob's and nobody's many left a place
    assert all(refused(door.ask(name, "wrong")) for name in ("bob", "eve", "nobody"))
    door.let()
    assert good.result(20)
    assert {each.result(20) for each in waiting} == {None}
    assert door.verifier.user("bob", RIGHT)


def test_who_sends_the_same_wrong_password_over_and_over_is_answered_slowly(door: Door) -> None:
    door.opened()
    waits: list[float] = []
    wait = door.verifier._wait

    def noted(future: "Future[bool]", seconds: float) -> None:
        waits.append(seconds)
        wait(future, 20 if len(waits) == 1 else 0)

    door.verifier._wait = noted
    for _ in range(MANY + 2):
        assert door.verifier.user("bob", "wrong", lambda: "203.0.113.1") is None
    assert len(waits) == 4  # the first had to be checked, and from the third on they are many
    assert all(22.5 <= wait <= 30.0 for wait in waits)
    assert len(set(waits)) == 4  # who came together does not come again together
    assert door.verifier.user("bob", "wrong", lambda: "198.51.100.1") is None
    assert len(waits) == 4
    assert not door.verifier._room.taken


def test_a_wrong_password_is_told_and_how_often_it_came_again_and_no_other_is(door: Door) -> None:
    door.opened(many=1000)
    for _ in range(3):
        door.verifier.user("bob", "wrong", lambda: "2001:db8::7")
        door.verifier.user("nobody", "wrong", lambda: "203.0.113.1")
        door.verifier.user("eve", RIGHT, lambda: "203.0.113.1")
    until(lambda: len(door.reported) == 4)
    first = [("bob", "2001:db8::/64"), (UNKNOWN, "203.0.113.1")]
    assert door.reported == [(*each, again) for again in (0, 2) for each in first]


def test_who_waits_along_with_the_same_wrong_password_is_told_too(door: Door) -> None:
    door.opened()
    door.hold()
    asked = [door.ask("bob", "wrong") for _ in range(5)]
    door.let()
    assert [each.result(20) for each in asked] == [None] * 5
    until(lambda: len(door.reported) == 2)
    assert door.reported == [("bob", "203.0.113.1", 0), ("bob", "203.0.113.1", 4)]
    assert not door.verifier._failures.is_busy("203.0.113.1")  # it was one guess


def test_hashes_rest_when_all_processes_have_seen_many(door: Door) -> None:
    door.opened(report=lambda _name, _site, _again: (MANY, 1)).attack("bob", 1)
    rests = door.verifier._turns._rest_s
    until(lambda: rests(Job(0, "bob", "198.51.100.1", bool)) > 0)
    assert rests(Job(0, "eve", "198.51.100.1", bool)) == 0
