"""Several processes that share one listening socket: a parent starts them, watches them and stops them.

The parent keeps the pools in line and serves nobody; each worker has a pipe, over which it learns what the parent knows
of the pools. A worker whose pipe closes has lost its parent, and ends: none is left behind, however the parent dies.

A worker that dies is replaced at once if it had begun to serve, which it tells over its pipe. One that dies before that
has failed to start, and its place is filled more and more slowly; but while none lives, one is started within a second.
"""

import logging
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Any

from cticache.loop.console import deaf_to_ctrl_c, ready
from cticache.loop.ending import Ending

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

Pipe = Any
"""An end of a pipe: a multiprocessing.connection.Connection, on Windows a PipeConnection."""
_SERVING = "serving"
"""What a worker tells its parent once it can serve; no other message is this word."""
_DRAIN = "drain"
"""What the parent tells its workers when they are to let go of their clients; no news is this word."""
Serve = Callable[[socket.socket, "News"], None]
"""What a worker runs: it serves on the socket until the news ends. A module's function, so that it can be pickled."""


class News:
    """A worker's end of the pipe."""

    def __init__(self, pipe: Pipe, number: int) -> None:
        self._pipe = pipe
        self.number = number
        """Which place among the workers this one fills, from 1; whoever replaces it has the same."""

    def follow(
        self, told: Callable[[Any], None], ended: Callable[[], None], draining: Callable[[], None] = lambda: None
    ) -> None:
        """Call ``told`` with each piece of news, and ``ended`` when there will be no more; all from a thread.

        Some time before the end ``draining`` may be called, when the worker is to let go of its clients.
        """
        threading.Thread(target=self._follow, args=(told, ended, draining), name="news", daemon=True).start()

    def tell_serving(self) -> None:
        """Tell the parent that this worker can serve: it has not failed to start."""
        self.tell_parent(_SERVING)

    def tell_parent(self, message: Any) -> None:
        """Send the parent a message, unless it is gone."""
        try:
            self._pipe.send(message)
        except OSError:
            pass

    def _follow(self, told: Callable[[Any], None], ended: Callable[[], None], draining: Callable[[], None]) -> None:
        try:
            while True:
                message = self._pipe.recv()
                if message == _DRAIN:
                    draining()
                else:
                    told(message)
        except (EOFError, OSError):
            ended()


class _Worker:
    """One place among the workers, and the process that fills it now."""

    def __init__(self, number: int, serve: Serve, listener: socket.socket) -> None:
        self.number = number
        self._serve = serve
        self._listener = listener
        self._pause = 0.0
        self._start_at = 0.0
        self._told: Any = None
        self._drains = False
        self.has_served = False
        """Whether the process that fills it now could serve at any time."""
        self.pipe: Pipe | None = None
        self.process: SpawnProcess | None = None

    def lives(self) -> bool:
        """Whether a process fills it that has not ended."""
        return bool(self.process and self.process.is_alive())

    def look_after(self, news: Any, *, others_live: bool, drains: bool) -> None:
        """Replace a process that has died, and tell a live one what is new."""
        now = time.monotonic()
        if self.process and not self.process.is_alive():
            self._bury(now, others_live=others_live)
        if not self.process and now >= self._start_at:
            self._start()
        if drains and not self._drains:
            self._drains = True
            self._tell(_DRAIN)
        if news != self._told:
            self._told = news
            self._tell(news)

    def hear(self) -> list[Any]:
        """The messages in its pipe. It is told the news again after one, even if that has changed nothing."""
        messages: list[Any] = []
        try:
            while self.pipe and self.pipe.poll():
                message = self.pipe.recv()
                if message == _SERVING:
                    self.has_served = True
                    _log.info("worker %d serves", self.number)
                else:
                    self._told = None
                    messages.append(message)
        except (EOFError, OSError):
            pass  # it has died: its sentinel says so, too
        return messages

    def end(self) -> None:
        """Close the pipe, so that the process ends by itself; one that does not serve yet is killed.

        It would hold the port open until it is done with its start, and nobody would answer.
        """
        if self.pipe:
            self.hear()
            self.pipe.close()
            self.pipe = None
        if self.process and not self.has_served:
            self.process.kill()

    def join(self, until: float) -> None:
        """Wait for the process to end, and kill it if that takes too long."""
        if self.process:
            self.process.join(max(until - time.monotonic(), 0))
            if self.process.is_alive():
                self.process.kill()
                self.process.join()

    def _start(self) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=_run,
            args=(self._serve, self._listener, theirs, self.number),
            name=f"cticache-{self.number}",
            daemon=True,
        )
        with deaf_to_ctrl_c():
            self.process.start()
        theirs.close()
        self.has_served, self._told, self._drains = False, None, False
        _log.info("worker %d is process %d", self.number, self.process.pid)

    def _tell(self, message: Any) -> None:
        try:
            if self.pipe:
                self.pipe.send(message)
        except OSError:
            pass  # it has just died; the next check finds out

    def _bury(self, now: float, *, others_live: bool) -> None:
        assert self.process  # noqa: S101 - for the type checker
        self.hear()  # it may have said that it can serve a moment before its end
        self._pause = 0.0 if self.has_served else min(max(2 * self._pause, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        pause = self._pause if others_live else min(self._pause, _NOBODY_S)
        self._start_at = now + pause
        _log.error(
            "worker %d, process %d, has ended with %s%s; another is started in %g s",
            self.number,
            self.process.pid,
            self.process.exitcode,
            "" if self.has_served else " before it could serve",
            pause,
        )
        self.end()
        self.process = None


class Workers(Ending):
    """The parent's side."""

    def __init__(self, count: int, serve: Serve, listener: socket.socket, stop_s: float) -> None:
        """``stop_s``: how many seconds the requests under way have at the end."""
        super().__init__(stop_s)
        self._listener = listener
        self._workers = [_Worker(number, serve, listener) for number in range(1, count + 1)]

    def run(
        self, news: Callable[[], Any], heard: Callable[[Any], None], opens: Callable[[], bool] = lambda: True
    ) -> None:
        """Keep the workers alive and informed until the end is due; ``heard`` gets their messages.

        Once a worker can serve, ``opens`` is asked until it says that the port is open. Then they are told the news.
        The socket is closed then, here first: whoever connects is let in by a worker, or is refused.
        """
        is_open = False
        try:
            while not self.is_due():
                is_open = is_open or (any(worker.has_served for worker in self._workers) and opens())
                latest, drains = news() if is_open else None, self.letting_go
                for worker in self._workers:
                    others_live = any(other.lives() for other in self._workers if other is not worker)
                    worker.look_after(latest, others_live=others_live, drains=drains)
                self._listen(heard, _LOOK_S if is_open else _SOON_S)
        finally:
            self._listener.close()
            self.tell_closed()
            for worker in self._workers:
                worker.end()
            until = time.monotonic() + self._stop_s + _LONGER_S
            for worker in self._workers:
                worker.join(until)

    def _listen(self, heard: Callable[[Any], None], patience_s: float) -> None:
        """Wait until a worker dies or sends a message, or it is time to check again."""
        pipes = {worker.pipe: worker for worker in self._workers if worker.pipe}
        sentinels = [worker.process.sentinel for worker in self._workers if worker.process]
        patience_s = max(min(self.stop_at - time.monotonic(), patience_s), 0)
        for end in ready([*pipes, *sentinels], patience_s):
            if worker := pipes.get(end):
                for message in worker.hear():
                    heard(message)


def _run(serve: Serve, listener: socket.socket, pipe: Pipe, number: int) -> None:
    serve(listener, News(pipe, number))
