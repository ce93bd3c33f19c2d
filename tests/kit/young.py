"""What the workers of tests/process/test_workers.py run, where each finds it without importing much else."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from cticache.loop.workers import News

_WAIT_S = 60.0


def answer_with_pid(listener: socket.socket, news: News) -> None:
    """A worker: answers each client with its process's number and what it was told last."""
    told: list[object] = ["nothing"]
    ended = threading.Event()
    news.follow(told.append, ended.set)

    def answer() -> object:
        news.tell_parent(f"served by {os.getpid()}")
        return told[-1]

    _serve(listener, news, ended, answer)


def _serve(listener: socket.socket, news: News, ended: threading.Event, answer: Callable[[], object]) -> None:
    """Tell each client the process's number, and this, until the end."""
    listener.settimeout(0.02)
    news.tell_serving()
    while not ended.is_set():
        try:
            client, _ = listener.accept()
        except (TimeoutError, BlockingIOError):
            continue
        with client:
            client.sendall(f"{os.getpid()} {answer()}".encode())


def die_at_once(_listener: socket.socket, _news: News) -> None:
    os._exit(7)


def hang_on(_listener: socket.socket, _news: News) -> None:
    time.sleep(600)


def repeat_what_it_is_told(listener: socket.socket, news: News) -> None:
    """A worker: sends each piece of news back."""
    ended = threading.Event()
    news.follow(news.tell_parent, ended.set)
    news.tell_serving()
    ended.wait(_WAIT_S)


class Interrupted:
    """Serves as ``answer_with_pid`` does, once Ctrl+C has come while it was being read: before any handler is set."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _interrupted, (os.getpid(),)

    def __call__(self, listener: socket.socket, news: News) -> None:
        answer_with_pid(listener, news)


def _interrupted(parent: int) -> Interrupted:
    assert os.getpid() != parent
    signal.raise_signal(signal.SIGINT)
    return Interrupted()


def die_young_but_for_the_first(listener: socket.socket, news: News) -> None:
    """A worker: the first of two serves, and the other one dies of its start."""
    if multiprocessing.current_process().name.endswith("-1"):
        answer_with_pid(listener, news)
    die_at_once(listener, news)


def serve_and_die(_listener: socket.socket, news: News) -> None:
    news.tell_serving()
    os._exit(9)


def answer_whether_it_drains(listener: socket.socket, news: News) -> None:
    """A worker: tells each client, beside its process's number, whether it has been told to let go of them."""
    draining, ended = threading.Event(), threading.Event()
    news.follow(lambda _told: None, ended.set, draining.set)
    _serve(listener, news, ended, draining.is_set)
