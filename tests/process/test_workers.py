"""Several processes on one socket: the parent that watches them, against what may happen to them."""

import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import resource_tracker

import pytest

from cticache.loop import console, ears, upward
from cticache.loop.listen import reserve
from cticache.loop.pipes import Reported
from cticache.loop.worker import Worker
from cticache.loop.workers import Workers
from kit.processes import KILLED, kill, lives
from kit.serving import until
from kit.young import (
    BIG_REPORT,
    Interrupted,
    answer_by_what_they_have,
    answer_whether_all_have_it,
    answer_whether_it_drains,
    answer_with_pid,
    ask_their_parent,
    die_at_once,
    die_young_but_for_the_first,
    hang_on,
    repeat_what_it_is_told,
    report_and_die,
    report_at_the_end,
    report_without_end,
    serve_and_die,
)

_WAIT_S = 60.0 if sys.platform == "win32" else 20.0


STOP_S = 5.0


class Parent:
    """The parent's loop in a thread of this process."""

    def __init__(self, count: int, serve: Callable[[socket.socket, upward.Parent], None]) -> None:
        self.listener = reserve("127.0.0.1", 0)
        self.listener.listen()
        self.news: object = "news"
        self.heard: list[object] = []
        self.reported: list[object] = []
        self.workers = Workers(count, serve, self.listener, STOP_S, reported=self.report, answer=self.answer)
        self._thread = threading.Thread(target=partial(self.workers.run, lambda: self.news, self.heard.append))
        self._thread.start()

    def report(self, what: str | tuple[int, str]) -> None:
        """Keep what a worker reports, or which one it is."""
        self.reported.append(what if isinstance(what, str) else what[0])

    def answer(self, question: str) -> str:
        """To every question but one, which no answer is found to."""
        if question == "which?":
            raise LookupError(question)
        return f"{question} Yes."

    def stop(self) -> None:
        self.workers.stop()
        self._thread.join(_WAIT_S)
        assert not self._thread.is_alive()
        self.listener.close()

    def ask(self) -> tuple[int, str]:
        """The number of a process that serves, and what it was told."""
        with socket.create_connection(self.listener.getsockname(), timeout=_WAIT_S) as client:
            pid, told = client.recv(100).decode().split(" ", 1)
            return int(pid), told

    def configure(self, nth: int, what: str, told: str = "") -> None:
        """Have the workers go by this, of which those that run are told; AssertionError if they do not."""
        given = (nth, having(what), told or what)
        configuring = threading.Thread(target=self.workers.configure, args=given, daemon=True)
        configuring.start()
        configuring.join(_WAIT_S)
        assert not configuring.is_alive()

    def pids(self) -> set[int]:
        return {worker.process.pid for worker in self.workers._workers if worker.process and worker.process.pid}


@pytest.fixture
def parent() -> Iterator[Callable[..., Parent]]:
    started: list[Parent] = []

    def start(count: int, serve: Callable[[socket.socket, upward.Parent], None] = answer_with_pid) -> Parent:
        started.append(Parent(count, serve))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_all_workers_serve_on_one_socket(parent: Callable[..., Parent]) -> None:
    running = parent(2)
    seen: set[int] = set()
    until(lambda: bool(seen.add(running.ask()[0]) or len(seen) == 2))
    assert seen == running.pids()


def test_a_worker_that_is_killed_is_replaced_and_others_serve_meanwhile(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture
) -> None:
    running = parent(2)
    until(lambda: len(running.pids()) == 2)
    killed, stays = running.pids()
    until(lambda: running.ask()[0] == stays)
    kill(killed)
    assert running.ask()[0] != killed
    until(lambda: len(running.pids() - {killed}) == 2)
    (new,) = running.pids() - {stays}
    until(lambda: running.ask()[0] == new)
    ended = f"process {killed}, has ended with {KILLED}"
    (told,) = [record for record in caplog.records if ended in record.getMessage()]
    assert getattr(told, "occasion", "") == "worker_died"  # for the Event Log of Windows


def test_workers_are_told_what_is_new_and_the_parent_hears_them(parent: Callable[..., Parent]) -> None:
    running = parent(2)
    for news in ("first", "second"):
        running.news = news
        told: dict[int, str] = {}
        until(lambda told=told, news=news: bool(told.update([running.ask()]) or list(told.values()) == [news] * 2))
    until(lambda: {f"served by {pid}" for pid in running.pids()} <= set(running.heard))


def test_a_worker_that_is_replaced_is_told_too(parent: Callable[..., Parent]) -> None:
    running = parent(1)
    pid, _ = running.ask()
    kill(pid)
    until(lambda: running.ask()[0] != pid)
    until(lambda: running.ask()[1] == "news")


def test_a_worker_that_has_said_something_is_told_the_news_again(parent: Callable[..., Parent]) -> None:
    """What it said may have changed the news and been dealt with before anybody looked: it would wait for ever."""
    running = parent(1, repeat_what_it_is_told)
    until(lambda: running.heard[:3] == ["news"] * 3)


@pytest.mark.skipif(sys.platform == "win32", reason="a process there is deaf to the console, not to itself")
def test_ctrl_c_does_not_reach_a_worker_not_even_a_young_one(
    parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = resource_tracker.ResourceTracker()  # as in a service, in which nothing has been started before
    monkeypatch.setattr(resource_tracker, "ensure_running", tracker.ensure_running)
    monkeypatch.setattr(resource_tracker, "getfd", tracker.getfd)
    running = parent(1, Interrupted())
    pid, _ = running.ask()
    os.kill(pid, signal.SIGINT)
    assert running.ask()[0] == pid
    assert running.pids() == {pid}
    assert "has ended with" not in caplog.text


def test_a_wait_that_ctrl_c_breaks_off_as_on_windows_ends_nothing(
    parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[object] = []

    def broken_off(ends: list[object], timeout_s: float) -> list[object]:
        waits.append(ends)
        if len(waits) == 1:
            raise InterruptedError
        return list(really(ends, timeout_s))

    really = console.wait
    monkeypatch.setattr(console, "wait", broken_off)
    running = parent(1)
    until(lambda: len(waits) > 1)
    assert running.ask()[0] in running.pids()


def pauses(logged: str, after: str) -> list[float]:
    """The pauses, in seconds, before each new start, where the end was told in these words."""
    return [float(pause) for pause in re.findall(rf"ended with {after}; another is started in ([0-9.]+) s", logged)]


def test_workers_that_die_of_their_start_are_started_ever_more_slowly_while_another_lives(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture
) -> None:
    parent(2, die_young_but_for_the_first)
    until(lambda: len(pauses(caplog.text, "7 before it could serve")) >= 3)
    assert pauses(caplog.text, "7 before it could serve")[:3] == [0.5, 1, 2]


def test_while_no_worker_lives_one_is_started_within_a_second(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture
) -> None:
    parent(1, die_at_once)
    until(lambda: len(pauses(caplog.text, "7 before it could serve")) >= 3)
    assert pauses(caplog.text, "7 before it could serve")[:3] == [0.5, 1, 1]


def test_a_worker_that_dies_while_it_is_looked_at_is_not_taken_for_another_that_lives(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "lives", lambda _self: True)  # as it did a moment ago
    parent(1, die_at_once)
    until(lambda: len(pauses(caplog.text, "7 before it could serve")) >= 3)
    assert pauses(caplog.text, "7 before it could serve")[:3] == [0.5, 1, 1]


def test_workers_that_are_all_killed_as_soon_as_they_serve_are_replaced_at_once(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture
) -> None:
    """As by a request that a client repeats and that none survives: however often, somebody serves."""
    running, rounds = parent(2), 2
    for _ in range(rounds):
        until(lambda: sum(worker.has_served for worker in running.workers._workers) == 2)
        killed = running.pids()
        for pid in killed:
            kill(pid)
        until(lambda killed=killed: len(running.pids() - killed) == 2)
        assert running.ask()[0] not in killed
    assert pauses(caplog.text, str(KILLED)) == [0] * 2 * rounds


def test_what_a_worker_says_last_counts_however_soon_it_dies(
    parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture
) -> None:
    parent(1, serve_and_die)
    until(lambda: len(pauses(caplog.text, "9")) >= 3)
    assert not pauses(caplog.text, "9 before it could serve")
    assert set(pauses(caplog.text, "9")) == {0}


def test_workers_that_die_during_the_drain_are_replaced_and_the_new_ones_are_told_of_it(
    parent: Callable[..., Parent],
) -> None:
    running = parent(2, answer_whether_it_drains)
    running.workers.drain(600)
    for _ in range(2):
        draining: set[int] = set()
        until(lambda draining=draining: bool(draining.update(let_go(running)) or len(draining) == 2))
        assert draining == running.pids()
        for pid in draining:
            kill(pid)
        until(lambda draining=draining: len(running.pids() - draining) == 2)
    ended = running.pids()
    running.stop()
    assert not any(map(lives, ended))
    running.listener = reserve("127.0.0.1", 0)  # for the fixture to close


def let_go(running: Parent) -> set[int]:
    """The process that has just served, if it lets go of its clients."""
    pid, drains = running.ask()
    return {pid} if drains == "True" else set()


def having(what: str) -> Callable[[socket.socket, upward.Parent], None]:
    return partial(answer_by_what_they_have, has=what)


def test_another_configuration_is_taken_by_those_that_run_and_by_those_that_start(
    parent: Callable[..., Parent],
) -> None:
    running = parent(2, having("first"))
    until(lambda: all(worker.has_served for worker in running.workers._workers))
    pids = running.pids()
    running.configure(1, "second")
    assert {running.ask()[1] for _ in range(10)} == {"second"}
    assert running.pids() == pids
    for pid in pids:
        kill(pid)
    until(lambda: len(running.pids() - pids) == 2)
    assert {running.ask()[1] for _ in range(10)} == {"second"}


@pytest.mark.parametrize("told", ["wrong", "slow"])
def test_a_worker_that_does_not_take_it_is_replaced_by_one_that_has_it(
    parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: str
) -> None:
    monkeypatch.setattr("cticache.loop.workers._TO_CONFIGURE_S", 0.2 if told == "slow" else _WAIT_S)
    running = parent(1, having("first"))
    until(lambda: running.workers._workers[0].has_served)
    pids = running.pids()
    running.configure(1, "second", told)
    assert running.ask()[1] == "second"
    assert not pids & running.pids()
    assert ("worker 1 has not taken the new configuration" in caplog.text) == (told == "slow")


def test_a_worker_is_told_that_all_have_it_once_they_do(
    parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cticache.loop.workers._TO_CONFIGURE_S", 0.5)
    running = parent(2, partial(answer_whether_all_have_it, has="first"))

    def both_say(what: str) -> bool:
        last = dict(running.ask() for _ in range(10))
        return [*last.values()] == [what, what]

    until(lambda: both_say("first: True"))
    serve = partial(answer_whether_all_have_it, has="another")
    configuring = threading.Thread(target=running.workers.configure, args=(1, serve, "another"))
    configuring.start()
    answers = set()
    while configuring.is_alive():
        answer = running.ask()[1]
        if configuring.is_alive():
            answers.add(answer)
    assert "another: False" in answers
    assert "another: True" not in answers
    until(lambda: both_say("another: True"))


def test_one_that_is_just_being_started_takes_it_and_one_at_the_end_is_waited_for_no_longer(
    parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_starting, has_returned = threading.Event(), threading.Event()
    really = Worker._start

    def start(self: Worker, *given: object) -> None:
        is_starting.set()
        has_returned.wait(0.3)  # it must not return before
        really(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "_start", start)
    running = parent(1, having("first"))
    assert is_starting.wait(_WAIT_S)
    running.configure(1, "second")
    has_returned.set()
    assert [worker.nth for worker in running.workers._workers] == [1]
    assert running.ask()[1] == "second"
    running.stop()
    running.configure(2, "third")
    running.listener = reserve("127.0.0.1", 0)  # for the fixture to close


def test_workers_ask_and_are_answered(parent: Callable[..., Parent], caplog: pytest.LogCaptureFixture) -> None:
    running = parent(2, ask_their_parent)
    for _ in range(4):
        assert running.ask()[1] == "['open? Yes.', None]"
    assert "LookupError: which?" in caplog.text


def test_what_a_worker_reports_last_is_heard_however_it_ends(parent: Callable[..., Parent]) -> None:
    running = parent(1, report_and_die)
    until(lambda: len(running.reported) > 2)
    assert set(running.reported) == {"the last word"}
    told_to_end = parent(1, report_at_the_end)
    told_to_end.ask()
    told_to_end.stop()
    assert told_to_end.reported == [BIG_REPORT]
    told_to_end.listener = reserve("127.0.0.1", 0)  # for the fixture to close


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_worker_that_is_stopped_in_the_midst_of_a_word_holds_up_neither_its_parent_nor_the_others(
    parent: Callable[..., Parent],
) -> None:
    running = parent(2, report_without_end)
    until(lambda: len(set(running.reported)) == 2)
    stopped, stays = running.pids()
    os.kill(stopped, signal.SIGSTOP)
    try:
        for _ in range(200):  # more than the pipe of the one that is stopped holds
            running.news = f"news {time.monotonic()} {'x' * 5_000}"
            time.sleep(0.002)
        running.news = "the latest"
        until(lambda: running.ask() == (stays, "the latest"))
    finally:
        os.kill(stopped, signal.SIGCONT)
    until(lambda: running.ask() == (stopped, "the latest"))


def test_a_question_that_nobody_waits_for_any_more_is_not_asked_and_too_many_are_not_answered() -> None:
    ours, theirs = multiprocessing.Pipe()
    child = upward.Parent(theirs, 1)
    with child._outbox._lock:  # so that nothing is sent yet
        answers = [child.ask(number) for number in range(150)]
        assert [answer.done() for answer in answers] == [False] * 100 + [True] * 50
        for answer in answers[:99]:
            answer.cancel()
        child.mention("the last")
    sent = []
    while not isinstance(message := ours.recv(), Reported):
        sent.append(message.number)
    assert sent in ([100], [1, 100])  # the first may have been on its way
    ours.close()
    theirs.close()


def test_a_question_is_not_answered_once_nobody_waits_for_it() -> None:
    heard: ears.Ears[str] = ears.Ears(lambda _what: None, lambda question: question, patience_s=-1)
    told: list[object] = []
    heard.asked("too late", told.append)
    heard._answering.shutdown(wait=True)
    assert not told
    heard.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_parent_that_is_stopped_holds_up_no_worker() -> None:
    ours, theirs = multiprocessing.Pipe()
    child = upward.Parent(theirs, 1)

    def say() -> None:
        for number in range(2_000):  # more than a pipe holds of which nobody reads
            child.tell(f"{number} {'x' * 1_000}")
            child.mention("x")
            child.ask(number)

    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    saying.join(_WAIT_S)
    assert not saying.is_alive()
    assert ours.recv().what.startswith("0 ")
    ours.close()
    theirs.close()


def test_a_stop_ends_all_workers(parent: Callable[..., Parent]) -> None:
    running = parent(3)
    until(lambda: len(running.pids()) == 3)
    pids = running.pids()
    running.ask()
    running.workers.stop()
    until(lambda: not any(map(lives, pids)))


def test_a_worker_that_does_not_end_is_killed(parent: Callable[..., Parent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cticache.loop.workers._LONGER_S", 0.2 - STOP_S)
    running = parent(1, hang_on)
    until(lambda: len(running.pids()) == 1)
    (pid,) = running.pids()
    running.stop()
    assert not lives(pid)
    running.listener = reserve("127.0.0.1", 0)  # for the fixture to close
