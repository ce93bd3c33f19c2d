"""Whose turn it is among those who wait: that of who has had none for longest, whether he waits all the time or not.

Who is put off and comes again keeps his place by that. If his place were only among those who wait just then, guessers
who come in such numbers that one of each address always waits would stay before him for ever.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Set
from concurrent.futures import Future
from operator import attrgetter

_KEPT = 4096
"""Of so many sites it is known when they had their turn: those that came last. That is twice as many as could come by
the time that a client which was put off comes again."""


class Job:
    """One check, which several requests may wait for."""

    __slots__ = ("future", "key", "name", "rank", "since", "site", "waiting", "work")

    def __init__(
        self, rank: int, name: str, site: str, work: Callable[[], bool], *, since: int = 0, key: bytes = b""
    ) -> None:
        """``since``: when these credentials first came, a smaller number being earlier; ``key`` tells them apart."""
        self.rank = rank
        self.name = name
        self.site = site
        self.work = work
        self.since = since
        self.key = key
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


class _Turns:
    """Who had a turn when; who has had none is taken for one who had it when he first came."""

    def __init__(self) -> None:
        self._had: OrderedDict[Hashable, int] = OrderedDict()
        self._count = 0

    def came(self, key: Hashable) -> None:
        """Know of who waits."""
        if key in self._had:
            self._had.move_to_end(key)
        else:
            self.had(key)

    def had(self, key: Hashable) -> None:
        """Note that it was this one's turn."""
        self._count += 1
        self._had[key] = self._count
        self._had.move_to_end(key)
        if len(self._had) > _KEPT:
            self._had.popitem(last=False)

    def last(self, key: Hashable) -> int:
        """When this one had it: a smaller number is longer ago."""
        return self._had.get(key, self._count)


class Order:
    """Jobs that wait. Turns go round the names, for each name round the sites, and for each site by the time."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, list[Job]]] = {}
        self._names = _Turns()
        self._sites = _Turns()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job, most: int) -> Job | None:
        """Queue it; if more than ``most`` of its name and site are queued then, the one who came last is out."""
        self._names.came(job.name)
        self._sites.came((job.name, job.site))
        jobs = self._jobs.setdefault(job.name, {}).setdefault(job.site, [])
        insort(jobs, job, key=attrgetter("since"))
        return jobs.pop() if len(jobs) > most else None

    def next(self, busy: Set[str]) -> Job | None:
        """Take the job whose turn it is; None when all are of names that are busy."""
        name = min((name for name in self._jobs if name not in busy), key=self._names.last, default=None)
        if name is None:
            return None
        site = min(self._jobs[name], key=lambda site: self._sites.last((name, site)))
        self._names.had(name)
        self._sites.had((name, site))
        job = self._jobs[name][site].pop(0)
        self._tidy(job)
        return job

    def remove(self, job: Job) -> bool:
        """Take this job out; whether it was there."""
        try:
            self._jobs[job.name][job.site].remove(job)
        except (KeyError, ValueError):
            return False
        self._tidy(job)
        return True

    def _tidy(self, job: Job) -> None:
        sites = self._jobs[job.name]
        if not sites[job.site]:
            del sites[job.site]
        if not sites:
            del self._jobs[job.name]
