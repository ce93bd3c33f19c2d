"""Under whatever wrong passwords, from however many addresses, who comes again with a right one gets in.

Time is counted in turns, each a hash and the rest after it; clients wait and come again by that clock.
"""

import heapq
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

from cticache.access import passwords
from cticache.access.passwords import Verifier
from cticache.access.users import User
from cticache.errors import TooManyLogins
from kit.running import until

RIGHT = "right"
TURN_S = 0.12
CYCLE = 17
"""Turns from when a client asks, waits for a second, and is told to come in another, to when it asks again."""
NAMES = [f"user-{n}" for n in range(25)]
Play = Callable[[], None]


class Siege:
    """A verifier, and clients that take no time but that which they wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = 0
        self._now = 0.0
        self._begun = 0
        self._may = threading.Semaphore(0)
        self._due: list[tuple[float, int, greenlet, Future[Any] | None]] = []
        self._order = count()
        self._guesses = count()
        self._stage = getcurrent()
        monkeypatch.setattr(passwords, "_matches", self._matches)
        users = [User(name, f"the hash of {name}") for name in NAMES]
        self.verifier = Verifier(users, 3600, 10_000, 100, self.wait, wait_s=1.0, many=3)

    def _matches(self, stored: str, password: str) -> bool:
        self._begun += 1
        assert self._may.acquire(timeout=20)
        return password == RIGHT and stored.startswith("the hash of ")

    def wait(self, future: "Future[Any] | None", seconds: float) -> None:
        """A client waits."""
        heapq.heappush(self._due, (self._now + seconds, next(self._order), getcurrent(), future))
        self._stage.switch()

    def begin(self, play: Play) -> None:
        greenlet(play, self._stage).switch()

    def turn(self) -> None:
        """The hash that is under way ends, and the next begins; those who have waited for it, or in vain, go on."""
        self.turns += 1
        begun = self._begun
        if begun:
            self._may.release()
            if any(self.verifier._turns._rings):
                until(lambda: self._begun > begun)
        self._now += TURN_S
        done = [each for each in self._due if each[0] <= self._now or (each[3] and each[3].done())]
        self._due = [each for each in self._due if each not in done]
        heapq.heapify(self._due)
        for _, _, client, _ in sorted(done, key=lambda each: each[:2]):
            client.switch()

    # Those who besiege; none of them minds Retry-After

    def fresh(self, name: str, address: str) -> Play:
        """A guesser that never sends a password twice."""

        def play() -> None:
            while True:
                self.guess(name, address, f"fresh {next(self._guesses)}")

        return play

    def repeating(self, name: str, address: str) -> Play:
        """A guesser that sends a password until it is told that it is wrong, and then again, twice."""

        def play() -> None:
            while True:
                guess, told = f"repeated {next(self._guesses)}", 0
                while told < 3:
                    told += self.guess(name, address, guess)

        return play

    def guess(self, name: str, address: str, password: str) -> bool:
        """Whether it is told to be wrong."""
        try:
            assert self.verifier.user(name, password, lambda: address) is None
        except TooManyLogins:
            return False
        self.wait(None, TURN_S)
        return True

    def close(self) -> None:
        self._may.release(100_000)
        for _, _, client, _ in self._due:
            client.throw()


class Good:
    """A client with the right password, on so many connections; it minds Retry-After."""

    def __init__(self, siege: Siege, name: str, address: str, connections: int = 1) -> None:
        self.attempts = 0
        self.is_in = False
        self._siege = siege
        self._who = name, RIGHT, lambda: address
        self._began = siege.turns
        for at in range(connections):
            siege.begin(lambda at=at: self._play(at / connections))

    def _play(self, after_s: float) -> None:
        self._siege.wait(None, after_s * CYCLE * TURN_S)
        while True:
            self.attempts += 1
            try:
                assert self._siege.verifier.user(*self._who)
            except TooManyLogins as refusal:
                self._siege.wait(None, refusal.retry_after)
            else:
                self.is_in = True
                return

    def comes_in(self, within: int) -> int:
        """How many turns it took, at most so many."""
        while not self.is_in:
            assert self._siege.turns - self._began < within, f"{self.attempts} attempts in vain"
            self._siege.turn()
        return self._siege.turns - self._began


@pytest.fixture
def siege(monkeypatch: pytest.MonkeyPatch) -> Iterator[Siege]:
    siege = Siege(monkeypatch)
    yield siege
    siege.close()


def run(siege: Siege, turns: int) -> None:
    for _ in range(turns):
        siege.turn()


def test_from_130_addresses_with_wrong_passwords_a_right_one_waits_for_one_turn_of_each(siege: Siege) -> None:
    for n in range(130):
        for guesser in (siege.repeating, siege.repeating, siege.fresh):
            siege.begin(guesser("user-0", f"203.0.113.{n}"))
    run(siege, 40)
    good = Good(siege, "user-0", "198.51.100.1")
    good.comes_in(within=130 + 3 * CYCLE)
    assert good.attempts <= 11


def test_while_guesses_are_never_repeated_the_second_attempt_is_the_last(siege: Siege) -> None:
    for n in range(130):
        siege.begin(siege.fresh("user-0", f"203.0.113.{n}"))
    run(siege, 40)
    good = Good(siege, "user-0", "198.51.100.1")
    good.comes_in(within=2 * CYCLE)
    assert good.attempts <= 2


def test_guessers_of_many_names_keep_out_nobody_whose_name_they_have_left(siege: Siege) -> None:
    """A name that nobody else waits for keeps its place among the names."""
    for name in NAMES:
        for _ in range(3):
            siege.verifier._failures.add(name, "203.0.113.1")
    for name in NAMES[1:]:
        for n in range(8):
            siege.begin(siege.repeating(name, f"203.0.113.{n}"))
    run(siege, 40)
    Good(siege, NAMES[0], "198.51.100.1").comes_in(within=len(NAMES) + 3 * CYCLE)


@pytest.mark.parametrize("queue", [10, 100])
def test_behind_one_address_with_guessers_it_waits_for_those_who_came_before(siege: Siege, queue: int) -> None:
    """As behind a proxy that nobody has named; more of them wait than may have a turn, too."""
    siege.verifier._queue = queue
    for _ in range(60):
        siege.begin(siege.repeating("user-0", "203.0.113.1"))
    run(siege, 40)
    Good(siege, "user-0", "203.0.113.1").comes_in(within=60 + 4 * CYCLE)


def test_of_a_client_with_several_connections_one_that_waits_already_holds_up_no_other(siege: Siege) -> None:
    """One of them always waits since before any was put off."""
    for n in range(30):
        for _ in range(3):
            siege.begin(siege.repeating("user-0", f"203.0.113.{n}"))
    run(siege, 40)
    Good(siege, "user-0", "198.51.100.1", connections=4).comes_in(within=30 + 4 * CYCLE)
