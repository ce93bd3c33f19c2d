"""One of several processes that share a listening socket, as its parent sees it: started, told what is new, replaced.

One that dies is replaced at once if it had begun to serve, which it tells over its pipe. One that dies before that has
failed to start, and its place is filled more and more slowly; but while none lives, one is started within a second.
"""

import logging
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from cticache.logs import WORKER_DIED
from cticache.loop.console import deaf_to_ctrl_c
from cticache.loop.ears import Ears
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
from cticache.loop.upward import Parent

_log = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")
"""The same on every system: Windows has no fork."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
"""Between the death of a worker that has failed to start and the next attempt: twice as long each time."""
_NOBODY_S = 1.0
"""The longest pause while no worker lives."""
_LAST_WORDS_S = 2.0
"""For how long a worker that has ended is heard out: what it said is in its pipe."""
_JUST_HEARD_S = 0.02
"""How long a word that has been read may take to be acted on."""

Serve = Callable[[socket.socket, Parent], None]
"""What a worker runs: it serves on the socket until the news ends. A module's function, so that it can be pickled."""


class InForce(NamedTuple):
    """A configuration that workers serve by."""

    nth: int
    """How many there were before it."""
    serve: Serve
    """What a worker runs that starts with it."""
    what: Any
    """What one is told that runs."""


class Worker:
    """One place among the workers, and the process that fills it now."""

    def __init__(self, number: int, listener: socket.socket, ears: "Ears[Worker]") -> None:
        self.number = number
        self._listener = listener
        self._ears = ears
        self._pause = 0.0
        self._start_at = 0.0
        self._told: Any = None
        self._drains = False
        self._told_nth = 0
        """Which configuration the process was told last, or started with."""
        self.nth = 0
        """Which one it is known to serve by."""
        self._released_nth = -1
        """By which one it knows that all serve."""
        self.has_served = False
        """Whether the process that fills it now could serve at any time."""
        self.restarts = 0
        """How many have filled it before."""
        self.process: SpawnProcess | None = None
        self._pipe: Pipe | None = None
        self._outbox: Outbox | None = None
        self._reader: threading.Thread | None = None

    def lives(self) -> bool:
        """Whether a process fills it that has not ended."""
        return bool(self.process and self.process.is_alive())

    def look_after(self, configured: InForce, released_nth: int, news: Any, *, others_live: bool, drains: bool) -> None:
        """Replace a process that has died, and tell a live one what is new."""
        now = time.monotonic()
        if self.process and not self.process.is_alive():
            self._bury(now, others_live=others_live)
        if not self.process and now >= self._start_at:
            self._start(configured)
        if configured.nth != self._told_nth:
            self._told_nth = configured.nth
            self._tell(Configure(configured.nth, configured.what))
            self._told = None  # what was told of another one by then is not listened to
        if self._released_nth < released_nth == self._told_nth:
            self._released_nth = released_nth
            self._tell(Release())
        if drains and not self._drains:
            self._drains = True
            self._tell(Drain())
        if news != self._told:
            self._told = news
            self._tell(News(news))

    def tell_anew(self) -> None:
        """Have it told the news again, even if nothing has changed."""
        self._told = None

    def end(self) -> None:
        """Have the process end by itself; one that does not serve yet is killed.

        It would hold the port open until it is done with its start, and nobody would answer.
        """
        self._tell(End())
        if self.process and not self._has_said_that_it_serves():
            self.process.kill()

    def _has_said_that_it_serves(self) -> bool:
        """Whether the process has, also if that is still to be heard: it is in the pipe, or just out of it."""
        gives_up = time.monotonic() + _LAST_WORDS_S
        with suppress(OSError):
            while not self.has_served and self._pipe and self._pipe.poll() and time.monotonic() < gives_up:
                time.sleep(_JUST_HEARD_S)
        if not self.has_served:
            time.sleep(_JUST_HEARD_S)
        return self.has_served

    def join(self, until: float) -> None:
        """Wait for the process to end, and kill it if that takes too long; all that it said is heard then."""
        if self.process:
            self.process.join(max(until - time.monotonic(), 0))
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
            self._hear_out()

    def kill(self) -> None:
        """Have another process take the place of this one."""
        if self.process:
            self.process.kill()

    def _start(self, configured: InForce) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=_run,
            args=(configured.serve, self._listener, theirs, self.number),
            name=f"cticache-{self.number}",
            daemon=True,
        )
        with deaf_to_ctrl_c():
            self.process.start()
        theirs.close()
        self.has_served, self._told, self._drains = False, None, False
        self.nth = self._told_nth = configured.nth
        self._released_nth = -1
        _log.info("worker %d is process %d", self.number, self.process.pid)
        self._outbox = Outbox(self._pipe)
        self._reader = threading.Thread(
            target=self._listen, args=(self._pipe, self._outbox, self.process), name=f"ear-{self.number}", daemon=True
        )
        self._reader.start()

    def _listen(self, pipe: Pipe, outbox: Outbox, process: SpawnProcess) -> None:
        """Hear what the process says until its end; in a thread, since it may be stopped in the midst of a word."""
        with suppress(EOFError, OSError):
            while True:
                match pipe.recv():
                    case Serving():
                        self.has_served = True
                        _log.info("worker %d serves", self.number)
                        self._ears.wake()
                    case Configured(_, True):
                        process.kill()
                    case Configured(nth, _):
                        self.nth = nth
                    case Said(what):
                        self._ears.said(self, what)
                    case Reported(what):
                        self._ears.reported(what)
                    case Asked(number, question):
                        self._ears.asked(question, partial(_answer, outbox, number))

    def _tell(self, message: Any) -> None:
        if self._outbox:
            self._outbox.put(message)

    def _bury(self, now: float, *, others_live: bool) -> None:
        assert self.process  # noqa: S101 - for the type checker
        self._hear_out()  # it may have said that it can serve a moment before its end
        self._pause = 0.0 if self.has_served else min(max(2 * self._pause, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        pause = self._pause if others_live else min(self._pause, _NOBODY_S)
        self._start_at = now + pause
        self.restarts += 1
        _log.error(
            "worker %d, process %d, has ended with %s%s; another is started in %g s",
            self.number,
            self.process.pid,
            self.process.exitcode,
            "" if self.has_served else " before it could serve",
            pause,
            extra=WORKER_DIED,
        )
        self.process = None

    def _hear_out(self) -> None:
        """Hear what a process has said that has ended."""
        if self._reader and self._outbox and self._pipe:
            self._reader.join(_LAST_WORDS_S)
            self._outbox.close()
            self._pipe.close()
        self._reader = self._outbox = self._pipe = None


def _answer(outbox: Outbox, number: int, answer: Any) -> None:
    outbox.put(Answer(number, answer))


def _run(serve: Serve, listener: socket.socket, pipe: Pipe, number: int) -> None:
    serve(listener, Parent(pipe, number))
