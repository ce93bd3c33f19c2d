"""What goes over the pipe between a parent and one of its workers, and how: nobody waits for the one who reads.

A pipe holds some 64 KB. If the other side is stopped, or busy, whoever wrote to it would stand still with it: the loop
of a worker, and the parent that looks after all the others.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

Pipe = Any
"""An end of a pipe: a multiprocessing.connection.Connection, on Windows a PipeConnection."""


class Serving(NamedTuple):
    """A worker can serve."""


class Said(NamedTuple):
    """A worker has said something, and wants to be told the news again: it may have changed them."""

    what: Any


class Reported(NamedTuple):
    """A worker has told something that changes nothing: lines for the log, or what it has counted."""

    what: Any


class Asked(NamedTuple):
    """A worker asks; the answer has the same number."""

    number: int
    question: Any


class Answer(NamedTuple):
    """The parent's answer, or None where it has failed to find one."""

    number: int
    answer: Any


class News(NamedTuple):
    """The parent tells what is new."""

    news: Any


class Configure(NamedTuple):
    """A worker is to serve by another configuration."""

    nth: int
    """How many there were before it."""
    what: Any


class Configured(NamedTuple):
    """A worker serves by this configuration, or could not."""

    nth: int
    has_failed: bool


class Release(NamedTuple):
    """All workers serve by the configuration that this one was told last, or has started with."""


class Drain(NamedTuple):
    """A worker is to let go of its clients."""


class End(NamedTuple):
    """A worker is to end."""


class Outbox:
    """One side of a pipe, for writing."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._run, name="outbox", daemon=True).start()

    def put(self, message: NamedTuple, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Have a thread send it, after what was put before; it is lost where the other side is gone.

        When its turn has come, ``is_wanted`` is asked whether anybody still wants it sent.
        """
        self._waiting.put((message, is_wanted))

    def send(self, message: NamedTuple) -> None:
        """Send it at once, and wait for the reader where the pipe is full; OSError where the other side is gone."""
        with self._lock:
            self._pipe.send(message)

    def close(self) -> None:
        """Send what was put, and then nothing more."""
        self._waiting.put(None)

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            message, is_wanted = waiting
            try:
                if is_wanted():
                    self.send(message)
            except OSError:
                return
