"""What a process that serves may tell and ask of its parent, over its pipe."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any, Protocol

from cticache.loop.pipes import (
    Answer,
    Asked,
    Configure,
    Configured,
    Drain,
    End,
    News,
    Outbox,
    Pipe,
    Release,
    Reported,
    Said,
    Serving,
)

_log = logging.getLogger(__name__)

_MOST_ASKED = 100
"""Questions of one process that may wait for their answer."""


class Upward(Protocol):
    """Whoever has the overview of all processes that serve together."""

    @property
    def number(self) -> int:
        """Which of those that serve this one is, from 1; whoever replaces it has the same."""

    def ask(self, question: Any) -> "Future[Any]":
        """The answer, once it has come; None where there is none."""

    def mention(self, what: Any) -> None:
        """Tell something, before what is asked next; nobody waits, and nobody may be there to hear it."""

    def report(self, what: Any) -> None:
        """Tell something, and wait until it is under way; OSError where nobody is there to hear it."""


class Alone:
    """For a process that serves alone, and has the overview itself."""

    number = 1

    def __init__(self, answer: Callable[[Any], Any], reported: Callable[[Any], None]) -> None:
        """``answer`` may block: it is called in a thread."""
        self._answer = answer
        self._answering = ThreadPoolExecutor(2, "answer")
        self.mention = self.report = reported

    def ask(self, question: Any) -> "Future[Any]":
        """As Upward says."""
        return self._answering.submit(self._answer, question)

    def close(self) -> None:
        """Answer nothing any more."""
        self._answering.shutdown(cancel_futures=True)


class Parent:
    """A worker's end of the pipe."""

    def __init__(self, pipe: Pipe, number: int) -> None:
        self._pipe = pipe
        self._outbox = Outbox(pipe)
        self._numbers = count(1)
        self._asked: dict[int, Future[Any]] = {}
        self.number = number
        """Which place among the workers this one fills, from 1; whoever replaces it has the same."""

    def follow(
        self,
        told: Callable[[Any], None],
        ended: Callable[[], None],
        draining: Callable[[], None] = lambda: None,
        configured: Callable[[Any], None] = lambda _what: None,
        released: Callable[[], None] = lambda: None,
    ) -> None:
        """Call ``told`` with each piece of news, and ``ended`` when there will be no more; all from a thread.

        Some time before the end ``draining`` may be called, when the worker is to let go of its clients; and
        ``configured`` with another configuration, by which it serves from its return on. One that it raises an error
        for has the parent end the worker. ``released`` is called once all workers serve by its configuration.
        """
        threading.Thread(
            target=self._follow, args=(told, ended, draining, configured, released), name="news", daemon=True
        ).start()

    def tell_serving(self) -> None:
        """Tell the parent that this worker can serve: it has not failed to start."""
        try:
            self._outbox.send(Serving())
        except OSError:
            pass  # it is gone, which ``ended`` tells

    def tell(self, what: Any) -> None:
        """Say something that may change the news, unless the parent is gone; nobody waits for it."""
        self._outbox.put(Said(what))

    def mention(self, what: Any) -> None:
        """As Upward says."""
        if len(self._asked) < _MOST_ASKED:
            self._outbox.put(Reported(what))

    def report(self, what: Any) -> None:
        """As Upward says."""
        self._outbox.send(Reported(what))

    def ask(self, question: Any) -> "Future[Any]":
        """As Upward says; nobody waits for the parent to hear it. There is no answer where too many are waited for."""
        number, answer = next(self._numbers), Future[Any]()
        if len(self._asked) >= _MOST_ASKED:
            answer.set_result(None)
            return answer
        self._asked[number] = answer
        answer.add_done_callback(lambda _: self._asked.pop(number, None))
        self._outbox.put(Asked(number, question), lambda: not answer.cancelled())
        return answer

    def _follow(
        self,
        told: Callable[[Any], None],
        ended: Callable[[], None],
        draining: Callable[[], None],
        configured: Callable[[Any], None],
        released: Callable[[], None],
    ) -> None:
        try:
            while True:
                match self._pipe.recv():
                    case News(news):
                        told(news)
                    case Answer(number, answer):
                        future = self._asked.get(number)
                        if future and future.set_running_or_notify_cancel():
                            future.set_result(answer)
                    case Configure(nth, what):
                        self._outbox.put(Configured(nth, not _is_done(configured, what)))
                    case Release():
                        released()
                    case Drain():
                        draining()
                    case End():
                        break
        except (EOFError, OSError):
            pass
        ended()


def _is_done(configured: Callable[[Any], None], what: Any) -> bool:
    """Whether the worker serves by this configuration now."""
    try:
        configured(what)
    except Exception:  # noqa: BLE001 - the parent must hear of it
        _log.exception("this process cannot serve by the new configuration, and is replaced")
        return False
    return True
