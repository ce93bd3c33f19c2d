"""What the workers of tests/process/test_workers.py run, where each finds it without importing much else."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from cticache.loop.upward import Parent

_WAIT_S = 60.0


def answer_with_pid(listener: socket.socket, parent: Parent) -> None:
    """A worker: answers each client with its process's number and what it was told last."""
    told: list[object] = ["nothing"]
    ended = threading.Event()
    parent.follow(told.append, ended.set)

    def answer() -> object:
        parent.tell(f"served by {os.getpid()}")
        return told[-1]

    _serve(listener, parent, ended, answer)


def _serve(listener: socket.socket, parent: Parent, ended: threading.Event, answer: Callable[[], object]) -> None:
    """Tell each client the process's number, and this, until the end."""
    listener.settimeout(0.02)
    parent.tell_serving()
    while not ended.is_set():
        try:
            client, _ = listener.accept()
        except (TimeoutError, BlockingIOError):
            continue
        with client:
            client.sendall(f"{os.getpid()} {answer()}".encode())


def die_at_once(_listener: socket.socket, _parent: Parent) -> None:
    os._exit(7)


def hang_on(_listener: socket.socket, _parent: Parent) -> None:
    time.sleep(600)


def repeat_what_it_is_told(listener: socket.socket, parent: Parent) -> None:
    """A worker: sends each piece of news back."""
    ended = threading.Event()
    parent.follow(parent.tell, ended.set)
    parent.tell_serving()
    ended.wait(_WAIT_S)


class Interrupted:
    """Serves as ``answer_with_pid`` does, once Ctrl+C has come while it was being read: before any handler is set."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _interrupted, (os.getpid(),)

    def __call__(self, listener: socket.socket, parent: Parent) -> None:
        answer_with_pid(listener, parent)


def _interrupted(parent: int) -> Interrupted:
    assert os.getpid() != parent
    signal.raise_signal(signal.SIGINT)
    return Interrupted()


def die_young_but_for_the_first(listener: socket.socket, parent: Parent) -> None:
    """A worker: the first of two serves, and the other one dies of its start."""
    if multiprocessing.current_process().name.endswith("-1"):
        answer_with_pid(listener, parent)
    die_at_once(listener, parent)


def serve_and_die(_listener: socket.socket, parent: Parent) -> None:
    parent.tell_serving()
    os._exit(9)


def answer_whether_it_drains(listener: socket.socket, parent: Parent) -> None:
    """A worker: tells each client, beside its process's number, whether it has been told to let go of them."""
    draining, ended = threading.Event(), threading.Event()
    parent.follow(lambda _told: None, ended.set, draining.set)
    _serve(listener, parent, ended, draining.is_set)


def answer_by_what_they_have(listener: socket.socket, parent: Parent, has: str) -> None:
    """A worker: tells each client which configuration it goes by; it cannot take ``wrong``, nor ``slow`` in time."""
    now, ended = [has], threading.Event()

    def configured(what: str) -> None:
        if what == "wrong":
            raise ValueError(what)
        while what == "slow":
            time.sleep(1)
        now.append(what)

    parent.follow(lambda _told: None, ended.set, configured=configured)
    _serve(listener, parent, ended, lambda: now[-1])


def answer_whether_all_have_it(listener: socket.socket, parent: Parent, has: str) -> None:
    """A worker: tells each client what it has, and whether all have that; the second of them hangs on ``another``."""
    now, all_have, ended = [has], threading.Event(), threading.Event()

    def configured(what: str) -> None:
        all_have.clear()
        now.append(what)
        if what == "another" and parent.number == 2:
            hang_on(listener, parent)

    parent.follow(lambda _told: None, ended.set, configured=configured, released=all_have.set)
    _serve(listener, parent, ended, lambda: f"{now[-1]}: {all_have.is_set()}")


def ask_their_parent(listener: socket.socket, parent: Parent) -> None:
    """A worker: tells each client what its parent answers to two questions."""
    ended = threading.Event()
    parent.follow(lambda _told: None, ended.set)
    _serve(listener, parent, ended, lambda: [parent.ask(question).result(_WAIT_S) for question in ("open?", "which?")])


def report_and_die(_listener: socket.socket, parent: Parent) -> None:
    """A worker: reports one thing, and is gone."""
    parent.tell_serving()
    parent.report("the last word")
    os._exit(9)


BIG_REPORT = "x" * 1_000_000
"""More than a pipe holds."""


def report_at_the_end(listener: socket.socket, parent: Parent) -> None:
    """A worker: reports once it has been told to end."""
    ended = threading.Event()
    parent.follow(lambda _told: None, ended.set)
    _serve(listener, parent, ended, os.getpid)
    parent.report(BIG_REPORT)


def report_without_end(listener: socket.socket, parent: Parent) -> None:
    """A worker: answers as ``answer_with_pid``, and reports what a pipe does not hold, again and again."""

    def report() -> None:
        while True:
            parent.report((os.getpid(), BIG_REPORT))

    threading.Thread(target=report, daemon=True).start()
    answer_with_pid(listener, parent)
