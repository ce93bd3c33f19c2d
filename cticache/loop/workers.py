"""Several processes that share one listening socket: a parent starts them, watches them and stops them.

The parent keeps the pools in line and serves nobody; each worker has a pipe, over which it learns what the parent knows
of the pools, and tells and asks what pipes.py lists. A worker whose pipe closes has lost its parent, and ends: none is
left behind, however the parent dies. One that is told to end is heard to its last word.

Another configuration comes over that pipe, too: a worker serves by it without being replaced, so no client notices.
Only one that does not take it in time is. Each is told when all do, for until then it lends no number by it.
"""

import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cticache.loop.console import ready
from cticache.loop.ears import Ears
from cticache.loop.ending import Ending
from cticache.loop.worker import InForce, Serve, Worker

_log = logging.getLogger(__name__)
_LOOK_S = 0.2
"""How often the parent checks whether there is news for its workers."""
_SOON_S = 0.02
"""The same before the port is open."""
_LONGER_S = 2.0
"""A worker that is still alive this long after the time for the requests under way is killed."""
_TO_CONFIGURE_S = 5.0
"""How long a worker may take to serve by another configuration: some hundredths, unless it is stopped or starts."""
_CONFIGURE_LOOK_S = 0.005
"""How often it is looked whether they do."""


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
        self._ears: Ears[Worker] = Ears(reported, answer, patience_s)
        self._configured = InForce(0, serve, None)
        self._runs = False
        self._released_nth = 0
        """Which one all are known to serve by."""
        self._seen_nth = 0
        """Which configuration was looked after last: whoever has been started since then serves by it."""
        self._workers = [Worker(number, listener, self._ears) for number in range(1, count + 1)]

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
        self._configured = InForce(nth, serve, what)
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

    def _behind(self, nth: int) -> list[Worker]:
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
