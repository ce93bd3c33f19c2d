"""What is known of wrong passwords of the last minute."""

import pytest

from cticache.access import failures
from cticache.access.failures import UNKNOWN, Failures
from cticache.access.turns import ASKED_BEFORE, CALM, FROM_BUSY_SITE, WARY
from cticache.errors import RedisUnavailable
from kit.running import until

MANY = 3


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the module sees; set its one element."""
    now = [1000.0]
    monkeypatch.setattr(failures.time, "monotonic", lambda: now[0])
    return now


def rank(known: Failures, name: str, site: str, *, asked_before: bool = False) -> int:
    return known.rank(name, site, asked_before=asked_before)


def test_a_name_and_a_site_are_calm_until_they_have_many() -> None:
    known = Failures(MANY, 100)
    for _ in range(MANY - 1):
        known.add("bob", "here")
    assert (rank(known, "bob", "here"), rank(known, "bob", "there")) == (CALM, CALM)
    known.add("bob", "here")
    assert (rank(known, "bob", "here"), rank(known, "bob", "there")) == (WARY, WARY)
    assert rank(known, "bob", "there", asked_before=True) == ASKED_BEFORE
    assert (rank(known, "eve", "here"), rank(known, "eve", "there")) == (FROM_BUSY_SITE, CALM)
    assert rank(known, "eve", "there", asked_before=True) == CALM


def test_what_is_no_users_name_is_never_calm() -> None:
    known = Failures(MANY, 100)
    assert (rank(known, UNKNOWN, "here"), rank(known, UNKNOWN, "here", asked_before=True)) == (WARY, ASKED_BEFORE)


def test_a_password_known_to_be_wrong_counts_for_its_site_alone() -> None:
    known = Failures(MANY, 100)
    for _ in range(MANY):
        known.again("bob", "here")
    assert known.is_busy("here")
    assert not known.is_busy("there")
    assert rank(known, "bob", "there") == CALM


def test_after_a_minute_all_are_calm_again(clock: list[float]) -> None:
    known = Failures(MANY, 100, lambda _name, _site, _again: (99, 99))
    for _ in range(MANY):
        known.add("bob", "here")
    until(lambda: known.are_many("bob", "there"))
    clock[0] += 59
    assert (rank(known, "bob", "there"), known.is_busy("here")) == (WARY, True)
    clock[0] += 2
    assert (rank(known, "bob", "there"), known.is_busy("here")) == (CALM, False)
    assert not known.are_many("bob", "here")


def test_what_other_processes_have_seen_counts_too() -> None:
    told: list[tuple[str, str]] = []

    def report(name: str, site: str, _again: int) -> tuple[int, int]:
        told.append((name, site))
        return (MANY, 1) if name == "bob" else (1, MANY)

    known = Failures(MANY, 100, report)
    known.add("bob", "here")
    until(lambda: known.are_many("bob", "elsewhere"))
    assert not known.are_many("eve", "here")
    assert rank(known, "bob", "elsewhere") == WARY
    known.add("eve", "there")
    until(lambda: known.are_many("joe", "there"))
    assert rank(known, "joe", "there") == FROM_BUSY_SITE
    assert told == [("bob", "here"), ("eve", "there")]


@pytest.mark.parametrize("error", [RedisUnavailable(), RuntimeError()], ids=["away", "broken"])
def test_what_nobody_keeps_up_any_more_is_not_acted_on(error: Exception) -> None:
    """What this process has seen itself still puts its own who wait in order."""
    answers: list[Exception | None] = [None, error]
    told: list[str] = []

    def report(name: str, _site: str, _again: int) -> tuple[int, int]:
        told.append(name)
        if answer := answers.pop(0):
            raise answer
        return 99, 99

    known = Failures(MANY, 100, report)
    known.add("bob", "here")
    until(lambda: known.are_many("bob", "here"))
    known.add("bob", "here")
    until(lambda: not known.are_many("bob", "here"))
    assert rank(known, "bob", "here") == CALM
    known.add("bob", "here")
    assert rank(known, "bob", "here") == WARY
    assert not known.are_many("bob", "here")


def test_what_comes_again_is_told_together_and_puts_nobody_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str, int]] = []

    def report(name: str, site: str, again: int) -> tuple[int, int]:
        told.append((name, site, again))
        return 99, 99

    monkeypatch.setattr(failures, "_AGAIN_S", 3600.0)
    known = Failures(MANY, 100, report)
    for at in range(500):
        known.again("bob", "here" if at else "there")
        known.again(UNKNOWN, "there")
    known.along("bob", "here")
    assert told == []
    monkeypatch.setattr(failures, "_AGAIN_S", 0.0)
    known.add("eve", "elsewhere")  # the thread looks again
    until(lambda: len(told) == 3)
    assert told == [("eve", "elsewhere", 0), ("bob", "here", 501), (UNKNOWN, "there", 500)]
    assert not known.are_many("bob", "here")
    assert rank(known, "bob", "nowhere") == CALM


def test_what_comes_again_is_told_at_most_once_a_second(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_AGAIN_S", 0.01)
    told: list[int] = []
    known = Failures(MANY, 100, lambda _name, _site, again: (told.append(again) or 1, 1))
    known.again("bob", "here")
    known.add("bob", "here")
    until(lambda: len(told) >= 1)
    assert told == [0]
    known.again("bob", "here")
    clock[0] += 0.02
    until(lambda: len(told) >= 2)
    assert told == [0, 2]
    known.again("bob", "here")
    known.again("eve", "here")
    known.add("bob", "here")
    until(lambda: len(told) >= 3)
    assert told == [0, 2, 0]
    clock[0] += 0.02
    until(lambda: len(told) >= 4)
    assert told == [0, 2, 0, 1]
    clock[0] += 0.02
    until(lambda: len(told) >= 5)
    assert told == [0, 2, 0, 1, 1]


def test_it_knows_of_so_many_sites_and_forgets_those_that_were_longest_quiet() -> None:
    known = Failures(1, 100)
    for at in range(300):
        known.add(UNKNOWN, f"site {at}")
    assert (len(known._sites), len(known._names)) == (100, 1)
    assert known.is_busy("site 299")
    assert not known.is_busy("site 0")


def test_the_thread_that_tells_ends_and_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_IDLE_S", 0.01)
    told: list[str] = []
    known = Failures(MANY, 100, lambda name, _site, _again: (told.append(name) or 1, 1))
    for name in ("bob", "eve"):
        known.add(name, "here")
        until(lambda name=name: name in told and not known._telling)
