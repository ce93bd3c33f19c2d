"""Threads of which one that waits has another stand in for it."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from cticache.loop import stand_ins
from cticache.loop.stand_ins import StandIns
from kit.running import until


class Task:
    """A request that does this."""

    def __init__(self, do: object) -> None:
        self.service = do

    def cancel(self) -> None:
        raise AssertionError


@pytest.fixture
def threads() -> Iterator[StandIns]:
    threads = StandIns(2)
    yield threads
    assert threads.shutdown(timeout=20)
    assert not threads.threads


def running(threads: StandIns) -> int:
    with threads.lock:
        return len(threads.threads) - threads.stop_count


def test_while_many_wait_others_are_served(threads: StandIns) -> None:
    future: Future[bool] = Future()
    waited, served = threading.Semaphore(0), threading.Event()
    for _ in range(20):
        threads.add_task(Task(lambda: (threads.wait(future, 20), waited.release())))
    until(lambda: running(threads) == 22)
    threads.add_task(Task(served.set))
    assert served.wait(20)
    future.set_result(True)
    assert all(waited.acquire(timeout=20) for _ in range(20))
    until(lambda: len(threads.threads) == 2)  # the others have ended


def test_who_waits_in_vain_goes_on(threads: StandIns) -> None:
    waited = threading.Event()
    threads.add_task(Task(lambda: (threads.wait(Future(), 0.01), waited.set())))
    assert waited.wait(20)


def test_of_those_who_waited_in_vain_one_goes_on_after_the_other(
    threads: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited for what is done by then is not kept."""
    both = threading.Barrier(2)
    together: list[bool] = []

    def sleep(_seconds: float) -> None:
        try:
            both.wait(0.5)
        except threading.BrokenBarrierError:
            together.append(False)
        else:
            together.append(True)

    monkeypatch.setattr(stand_ins.time, "sleep", sleep)
    done: Future[bool] = Future()
    done.set_result(True)
    waited = threading.Semaphore(0)
    for future in (Future(), Future(), done):
        threads.add_task(Task(lambda future=future: (threads.wait(future, 0.01), waited.release())))
    assert all(waited.acquire(timeout=20) for _ in range(3))
    assert together == [False, False]


def test_where_the_system_has_no_more_threads_nobody_waits_and_it_is_told_once(
    threads: StandIns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    waited = threading.Semaphore(0)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "cticache"):
        patch.setattr(threads, "start_new_thread", none)
        for _ in range(5):
            threads.add_task(Task(lambda: (threads.wait(Future(), 3600), waited.release())))
        assert all(waited.acquire(timeout=20) for _ in range(5))
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("cticache")]
    assert line == "this system allows no more than 2 threads here: allow more, or set [server] auth_threads lower"
    assert running(threads) == 2
