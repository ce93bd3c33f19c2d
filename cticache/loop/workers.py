"""Several processes that share one listening socket: a parent starts them, watches them and stops them.

The parent keeps the pools in line and serves nobody; each worker has a pipe, over which it learns what the parent knows
of the pools, and tells and asks what pipes.py lists. A worker whose pipe closes has lost its parent, and ends: none is
left behind, however the parent dies. One that is told to end is heard to its last word.

Another configuration comes over that pipe, too: a worker serves by it without being replaced, so no client notices.
Only one that does not take it in time is. Each is told when all do, for until then it lends no number by it.

A worker that dies is replaced at once if it had begun to serve, which it tells over its pipe. One that dies before that
has failed to start, and its place is filled more and more slowly; but while none lives, one is started within a second.
"""

import logging
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, NamedTuple

from cticache.logs import WORKER_DIED
from cticache.loop.console import deaf_to_ctrl_c, ready
from cticache.loop.ending import Ending
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
_LOOK_S = 0.2
"""How often the parent checks whether there is news for its workers."""
_SOON_S = 0.02
"""The same before the port is open."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
"""Between the death of a worker that has failed to start and the next attempt: twice as long each time."""
_NOBODY_S = 1.0
"""The longest pause while no worker lives."""
_LONGER_S = 2.0
"""A worker that is still alive this long after the time for the requests under way is killed."""
_LAST_WORDS_S = 2.0
"""For how long a worker that has ended is heard out: what it said is in its pipe."""
_JUST_HEARD_S = 0.02
"""How long a word that has been read may take to be acted on."""
_TO_CONFIGURE_S = 5.0
"""How long a worker may take to serve by another configuration: some hundredths, unless it is stopped or starts."""
_CONFIGURE_LOOK_S = 0.005
"""How often it is looked whether they do."""
_MOST_ANSWERS = 4
"""Questions of workers that are answered at the same time."""

Serve = Callable[[socket.socket, Parent], None]
"""What a worker runs: it serves on the socket until the news ends. A module's function, so that it can be pickled."""


class _Worker:
    """One place among the workers, and the process that fills it now."""

    def __init__(self, number: int, listener: socket.socket, ears: "_Ears") -> None:
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

    def look_after(
        self, configured: "_Configured", released_nth: int, news: Any, *, others_live: bool, drains: bool
    ) -> None:
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

    def _start(self, configured: "_Configured") -> None:
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


class _Ears:
    """What all workers say, heard by a thread each, and who acts on it."""

    def __init__(self, reported: Callable[[Any], None], answer: Callable[[Any], Any], patience_s: float) -> None:
        """``patience_s``: for how many seconds whoever asks waits for the answer."""
        self.reported = reported
        self._answer = answer
        self._patience_s = patience_s
        self._answering = ThreadPoolExecutor(_MOST_ANSWERS, "answer")
        self._said: SimpleQueue[tuple[_Worker, Any]] = SimpleQueue()
        self.bell, self._ringing = _SPAWN.Pipe(duplex=False)
        """Can be read once there is something to look at."""
        self._is_rung = threading.Lock()

    def wake(self) -> None:
        """Have the parent look at once."""
        if self._is_rung.acquire(blocking=False):
            self._ringing.send_bytes(b"!")

    def said(self, worker: _Worker, what: Any) -> None:
        """Keep what a worker has said until it is looked at."""
        self._said.put((worker, what))
        self.wake()

    def looked_at(self) -> list[tuple[_Worker, Any]]:
        """What the workers have said since."""
        if self.bell.poll():
            self.bell.recv_bytes()
            self._is_rung.release()
        return [self._said.get() for _ in range(self._said.qsize())]

    def asked(self, question: Any, tell: Callable[[Any], None]) -> None:
        """Answer a worker's question in a thread; with None where that fails, which is logged."""
        with suppress(RuntimeError):  # at the end nobody is answered any more
            self._answering.submit(self._answered, question, tell, time.monotonic() + self._patience_s)

    def close(self) -> None:
        """Answer nobody any more."""
        self._answering.shutdown(wait=False, cancel_futures=True)
        self.bell.close()
        self._ringing.close()

    def _answered(self, question: Any, tell: Callable[[Any], None], until: float) -> None:
        if time.monotonic() > until:
            return  # nobody waits for it any more: those who do come sooner
        answer = None
        try:
            answer = self._answer(question)
        except Exception:  # noqa: BLE001 - whoever asks must hear that there is no answer
            _log.exception("a question of a worker could not be answered")
        tell(answer)


class _Configured(NamedTuple):
    """A configuration that workers serve by."""

    nth: int
    """How many there were before it."""
    serve: Serve
    """What a worker runs that starts with it."""
    what: Any
    """What one is told that runs."""


def _answer(outbox: Outbox, number: int, answer: Any) -> None:
    outbox.put(Answer(number, answer))


def _no_answer(_question: Any) -> None:
    """There is nobody to ask."""


class Workers(Ending):
    """The parent's side."""

    def __init__(
        self,
        count: int,
        serve: Serve,
        listener: socket.socket,
        stop_s: float,
        *,
        reported: Callable[[Any], None] = lambda _what: None,
        answer: Callable[[Any], Any] = _no_answer,
        patience_s: float = 60.0,
    ) -> None:
        """``stop_s``: how many seconds the requests under way have at the end.

        ``reported`` gets what workers report, and ``answer`` answers what they ask, for which they wait for
        ``patience_s`` seconds; both in threads.
        """
        super().__init__(stop_s)
        self._listener = listener
        self._ears = _Ears(reported, answer, patience_s)
        self._configured = _Configured(0, serve, None)
        self._runs = False
        self._released_nth = 0
        """Which one all are known to serve by."""
        self._seen_nth = 0
        """Which configuration was looked after last: whoever has been started since then serves by it."""
        self._workers = [_Worker(number, listener, self._ears) for number in range(1, count + 1)]

    @property
    def restarts(self) -> int:
        """How many workers have been replaced."""
        return sum(worker.restarts for worker in self._workers)

    @property
    def pids(self) -> dict[int, int]:
        """The number of each worker that lives -> its process."""
        living = [(worker.number, worker.process) for worker in self._workers if worker.lives()]
        return {number: process.pid for number, process in living if process and process.pid}

    def configure(self, nth: int, serve: Serve, what: Any) -> None:
        """Have all serve by another configuration, and return once they do: those that run, which are told ``what``,
        and those that are started from now on, which run ``serve``. From a thread of its own; one at a time.

        A worker that does not take it in time is replaced: none is left that goes by the one before. ``nth`` is one
        more than that of the one before.
        """
        self._configured = _Configured(nth, serve, what)
        with suppress(OSError):  # it is over
            self._ears.wake()
        until = time.monotonic() + _TO_CONFIGURE_S
        while self._runs and ((behind := self._behind(nth)) or self._seen_nth < nth):
            if time.monotonic() > until:
                for worker in behind:
                    _log.error(
                        "worker %d has not taken the new configuration within %g s, and is replaced",
                        worker.number,
                        _TO_CONFIGURE_S,
                    )
                    worker.kill()
                until = time.monotonic() + _TO_CONFIGURE_S
            time.sleep(_CONFIGURE_LOOK_S)
        self._released_nth = nth
        with suppress(OSError):  # it is over
            self._ears.wake()

    def _behind(self, nth: int) -> list[_Worker]:
        return [each for each in self._workers if each.lives() and each.nth < nth]

    def run(
        self, news: Callable[[], Any], heard: Callable[[Any], None], opens: Callable[[], bool] = lambda: True
    ) -> None:
        """Keep the workers alive and informed until the end is due; ``heard`` gets what they say.

        Once a worker can serve, ``opens`` is asked until it says that the port is open. Then they are told the news.
        The socket is closed then, here first: whoever connects is let in by a worker, or is refused.
        """
        is_open, self._runs = False, True
        try:
            while not self.is_due():
                is_open = is_open or (any(worker.has_served for worker in self._workers) and opens())
                configured, latest, drains = self._configured, news() if is_open else None, self.letting_go
                for worker in self._workers:
                    others_live = any(other.lives() for other in self._workers if other is not worker)
                    worker.look_after(configured, self._released_nth, latest, others_live=others_live, drains=drains)
                self._seen_nth = configured.nth
                self._listen(heard, _LOOK_S if is_open else _SOON_S)
        finally:
            self._runs = False
            self._listener.close()
            self.tell_closed()
            for worker in self._workers:
                worker.end()
            until = time.monotonic() + self.stop_s + _LONGER_S
            for worker in self._workers:
                worker.join(until)
            self._ears.close()

    def _listen(self, heard: Callable[[Any], None], patience_s: float) -> None:
        """Wait until a worker dies or says something, or it is time to check again."""
        sentinels = [worker.process.sentinel for worker in self._workers if worker.process]
        patience_s = max(min(self.stop_at - time.monotonic(), patience_s), 0)
        ready([self._ears.bell, *sentinels], patience_s)
        for worker, what in self._ears.looked_at():
            worker.tell_anew()
            heard(what)


def _run(serve: Serve, listener: socket.socket, pipe: Pipe, number: int) -> None:
    serve(listener, Parent(pipe, number))
