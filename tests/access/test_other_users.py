"""Other users while the service runs: who is right by now, at once, and what stays known."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cticache.access import passwords
from cticache.access.passwords import Verifier, hashed
from cticache.access.users import User, token_digest
from cticache.errors import TooManyLogins
from kit.serving import until

ONE, TWO = hashed("one"), hashed("two")
TOKEN, OTHER_TOKEN = "a" * 64, "b" * 64


def user(name: str = "bob", password: str = ONE, token: str = "", max_live: int = 0, following: str = "") -> User:
    tokens = frozenset({token_digest(token)} if token else ())
    return User(name, password, token=tokens, max_live=max_live, password_next=following)


def change(verifier: Verifier, *users: User, many: int = 10, room: int | None = None, wait_s: float = 30.0) -> None:
    verifier.change(users, 60, 100, 100, wait_s=wait_s, room=room, many=many)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The password of each check that really hashes, in order."""
    calls: list[str] = []
    really: Callable[[str, str], bool] = passwords._matches

    def matches(stored: str, password: str) -> bool:
        calls.append(password)
        return really(stored, password)

    monkeypatch.setattr(passwords, "_matches", matches)
    return calls


def test_a_password_is_right_or_wrong_from_the_change_on(checked: list[str]) -> None:
    verifier = Verifier([user()], 60, 100)
    assert verifier.user("bob", "one")
    assert verifier.user("bob", "two") is None
    change(verifier, user(password=TWO))
    assert verifier.user("bob", "one") is None
    assert verifier.user("bob", "two") == user(password=TWO)
    change(verifier, user("eve"))
    assert verifier.user("bob", "two") is None
    assert not verifier.knows("bob")
    assert verifier.user("eve", "one") == user("eve")


def test_a_token_is_right_or_wrong_from_the_change_on() -> None:
    verifier = Verifier([user(token=TOKEN)], 60, 100)
    assert verifier.user("bob", TOKEN)
    change(verifier, user(token=OTHER_TOKEN))
    assert verifier.user("bob", TOKEN) is None
    assert verifier.bearer(TOKEN) is None
    assert verifier.bearer(OTHER_TOKEN) == verifier.user("bob", OTHER_TOKEN) == user(token=OTHER_TOKEN)


def test_who_has_the_same_secrets_is_known_with_the_rights_of_now_and_hashes_nothing(checked: list[str]) -> None:
    verifier = Verifier([user()], 60, 100)
    assert verifier.user("bob", "one") == user()
    checked.clear()
    change(verifier, user(max_live=7))
    assert verifier.user("bob", "one") == user(max_live=7)
    assert not checked


def test_a_second_password_costs_a_stranger_as_much_from_then_on(checked: list[str]) -> None:
    verifier = Verifier([user()], 60, 100)
    change(verifier, user(following=TWO))
    assert verifier.user("bob", "two")
    checked.clear()
    assert verifier.user("nobody", "x") is None
    assert checked == ["x", "x"]
    change(verifier, user())
    assert verifier.user("nobody", "y") is None
    assert checked == ["x", "x", "y"]


def test_who_has_guessed_is_not_forgotten() -> None:
    verifier = Verifier([user()], 60, 100)
    for guess in range(3):
        assert verifier.user("bob", f"x{guess}", lambda: "192.0.2.1") is None
    change(verifier, user(), many=3)
    assert verifier._failures.is_busy("192.0.2.1")


def test_the_limits_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier([user()], 60, 100, room=100)
    change(verifier, user(), room=0)
    with pytest.raises(TooManyLogins):
        verifier.user("bob", "one")


@pytest.mark.parametrize("password", ["one", "two"])
def test_a_verdict_that_is_under_way_counts_for_nobody_who_comes_after_the_change(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    really: Callable[[str, str], bool] = passwords._matches

    def matches(stored: str, given: str) -> bool:
        verdict = really(stored, given)
        if not begun.is_set():
            begun.set()
            goes_on.wait(20)
        return verdict

    monkeypatch.setattr(passwords, "_matches", matches)
    verifier = Verifier([user()], 60, 100)
    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(verifier.user, "bob", password)
        assert begun.wait(20)
        change(verifier, user(password=TWO))
        after = pool.submit(verifier.user, "bob", password)
        until(lambda: verifier._underway)
        goes_on.set()
        assert bool(before.result(20)) == (password == "one")
        assert bool(after.result(20)) == (password == "two")
    assert bool(verifier.user("bob", password)) == (password == "two")
    assert not verifier._underway
