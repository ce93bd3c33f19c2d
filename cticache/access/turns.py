"""Slow hashes worked out beside all else, in turns such that nobody's wrong passwords hold up another's right one.

At most one hash of a name is under way. Of those who wait, the calm come first; within a rank the turns go round the
names, and for each name round the sites from which it is asked for, as cticache.access.order has it: whoever sends
many, from however many connections, waits for himself. Of the ranks that are not calm one hash is under way at a time,
and there may be a rest after it, in which none of a name with many failures is begun.
"""

import threading
import time
from collections.abc import Callable

from cticache.access.order import Job, Order

HASHERS = 2
"""Hashes worked out at once: each takes 19 MiB and a core."""
CALM, FROM_BUSY_SITE, ASKED_BEFORE, WARY = range(4)
"""The ranks: neither name nor site has many failures; the site alone has; the name has, and these very credentials
were put off before, as a client's right ones are and a guesser's are not; the name has."""
_IDLE_S = 5.0
"""A thread with nothing to do ends after this long."""


class Turns:
    """Does the jobs in turns, in threads of its own, which end when there is nothing to do."""

    def __init__(self, rest_s: Callable[[Job], float]) -> None:
        """``rest_s``: for how many seconds to rest after a job that is not calm, before one of a wary name."""
        self._rest_s = rest_s
        self._changed = threading.Condition()
        self._rings = [Order() for _ in range(WARY + 1)]
        self._busy: set[str] = set()
        """Names of which a hash is under way."""
        self._wary = False
        """Whether one is under way that is not calm."""
        self._rests_until = 0.0
        self._threads = 0

    def add(self, job: Job, most: int) -> Job | None:
        """Queue it. If more than ``most`` of its name, site and rank are then, who came last is out, and returned."""
        with self._changed:
            out = self._rings[job.rank].add(job, most)
            if self._threads < HASHERS:
                threading.Thread(target=self._run, name="argon2", daemon=True).start()
                self._threads += 1
            self._changed.notify()
            return out

    def remove(self, job: Job) -> bool:
        """Take it out again; False once it has been begun."""
        with self._changed:
            return self._rings[job.rank].remove(job)

    def _run(self) -> None:
        while job := self._take():
            job.do()
            with self._changed:
                self._busy.remove(job.name)
                if job.rank != CALM:
                    self._wary = False
                    self._rests_until = time.monotonic() + self._rest_s(job)
                self._changed.notify_all()

    def _take(self) -> Job | None:
        """The next job, once there is one; None when there has been nothing to do for long."""
        with self._changed:
            while not (job := self._next()):
                resting = self._rests_until - time.monotonic()
                if not self._changed.wait(resting if resting > 0 else _IDLE_S) and not any(self._rings):
                    self._threads -= 1
                    return None
            self._busy.add(job.name)
            self._wary |= job.rank != CALM
            return job

    def _next(self) -> Job | None:
        ranks = CALM + 1 if self._wary else ASKED_BEFORE if time.monotonic() < self._rests_until else WARY + 1
        return next((job for ring in self._rings[:ranks] if (job := ring.next(self._busy))), None)
