"""Slow hashes worked out beside all else, in turns such that nobody's wrong passwords hold up another's right one.

At most one hash of a name is under way. Of those who wait, the calm come first; within a rank the turns go round the
names, and for each name round the sites from which it is asked for: whoever sends many, from however many connections,
waits for himself. Of the ranks that are not calm one hash is under way at a time, and there may be a rest after it, in
which none of a name with many failures is begun.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Set
from concurrent.futures import Future

HASHERS = 2
"""Hashes worked out at once: each takes 19 MiB and a core."""
CALM, FROM_BUSY_SITE, ASKED_BEFORE, WARY = range(4)
"""The ranks: neither name nor site has many failures; the site alone has; the name has, and these very credentials
were put off before, as a client's right ones are and a guesser's are not; the name has."""
_IDLE_S = 5.0
"""A thread with nothing to do ends after this long."""


class Job:
    """One check, which several requests may wait for."""

    __slots__ = ("future", "name", "rank", "site", "waiting", "work")

    def __init__(self, rank: int, name: str, site: str, work: Callable[[], bool]) -> None:
        self.rank = rank
        self.name = name
        self.site = site
        self.work = work
        self.future: Future[bool] = Future()
        self.waiting = 0
        """How many requests wait for it."""

    def do(self) -> None:
        """Work it out, and tell those who wait."""
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class _Ring:
    """Jobs, whose turns go round the names, and for each name round the sites."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, OrderedDict[str, deque[Job]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, job: Job, most: int) -> bool:
        """Queue it, unless so many of its name and site are queued; whether it is."""
        jobs = self._names.setdefault(job.name, OrderedDict()).setdefault(job.site, deque())
        if len(jobs) >= most:
            return False
        jobs.append(job)
        return True

    def next(self, busy: Set[str]) -> Job | None:
        """Take the job whose turn it is; None when all are of names that are busy."""
        for name, sites in self._names.items():
            if name not in busy:
                site, jobs = next(iter(sites.items()))
                job = jobs.popleft()
                sites.move_to_end(site)
                self._names.move_to_end(name)
                self._tidy(job)
                return job
        return None

    def remove(self, job: Job) -> bool:
        """Take this job out; whether it was there."""
        try:
            self._names[job.name][job.site].remove(job)
        except (KeyError, ValueError):
            return False
        self._tidy(job)
        return True

    def _tidy(self, job: Job) -> None:
        sites = self._names[job.name]
        if not sites[job.site]:
            del sites[job.site]
        if not sites:
            del self._names[job.name]


class Turns:
    """Does the jobs in turns, in threads of its own, which end when there is nothing to do."""

    def __init__(self, rest_s: Callable[[Job], float]) -> None:
        """``rest_s``: for how many seconds to rest after a job that is not calm, before one of a wary name."""
        self._rest_s = rest_s
        self._changed = threading.Condition()
        self._rings = [_Ring() for _ in range(WARY + 1)]
        self._busy: set[str] = set()
        """Names of which a hash is under way."""
        self._wary = False
        """Whether one is under way that is not calm."""
        self._rests_until = 0.0
        self._threads = 0

    def add(self, job: Job, most: int) -> bool:
        """Queue it, unless ``most`` of its name, site and rank are queued; whether it is."""
        with self._changed:
            if not self._rings[job.rank].add(job, most):
                return False
            if self._threads < HASHERS:
                threading.Thread(target=self._run, name="argon2", daemon=True).start()
                self._threads += 1
            self._changed.notify()
            return True

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
