"""What one process has counted since its start, and what all that serve together have, those that have ended included.

A process counts in its own memory. Now and then it tells its parent, who adds up: so a figure is the same whichever
process is asked, and none is lost with the process that counted it, but for the last moment of one that was killed.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http import HTTPMethod
from typing import NamedTuple

Key = tuple[str, ...]
"""What is counted, and what tells it apart from others of its kind: ``("refusals", "gone")``."""

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Up to how many seconds an answer took; the last step has no bound."""
_METHODS = frozenset(HTTPMethod)
_TELL_S = 1.0
"""How often a process tells what it has counted."""


class Answers(NamedTuple):
    """Requests of one route that were answered."""

    route: str
    """The pattern that their URL fits; empty where it fits none."""
    method: str
    """Empty for one that HTTP does not have: a client could make up any number of them."""
    status: int


class Told(NamedTuple):
    """What one process tells of itself."""

    number: int
    """Which of those that serve it is; whoever replaces it has the same."""
    pid: int
    nth: int
    """How often it had told before: what is heard late is out of date."""
    counts: Mapping[Key, float]
    """Since its start."""
    answers: Mapping[Answers, tuple[float, ...]]
    """By how long they took, as BOUNDS_S has it; and then all their seconds together."""
    gauges: Mapping[str, float]
    """What holds now, of this process alone."""


class Counts:
    """What one process counts; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Key] = Counter()
        self._answers: dict[tuple[str | None, str, object], list[float]] = {}
        self._nth = 0

    def add(self, *key: str) -> None:
        """Count one more of these."""
        with self._lock:
            self._counts[key] += 1

    def of(self, kind: str, names: Iterable[str]) -> dict[str, int]:
        """How often each of one kind has been counted."""
        return {name: self._counts[kind, name] for name in names}

    def answered(self, route: str | None, method: str, status: object, seconds: float) -> None:
        """Count an answer, whose status is a code or a line that begins with it."""
        row = self._answers.get((route, method, status)) or self._row(route, method, status)
        with self._lock:
            row[bisect_left(BOUNDS_S, seconds)] += 1
            row[-1] += seconds

    def told(self, number: int, pid: int, more: Mapping[Key, float], gauges: Mapping[str, float]) -> Told:
        """All of it, and what others have counted."""
        with self._lock:
            answers = {
                Answers(route or "", method, int(str(status)[:3])): tuple(row)
                for (route, method, status), row in self._answers.items()
            }
            self._nth += 1
            return Told(number, pid, self._nth, {**self._counts, **more}, answers, gauges)

    def _row(self, route: str | None, method: str, status: object) -> list[float]:
        known = method if method in _METHODS else ""
        with self._lock:
            return self._answers.setdefault((route, known, status), [0.0] * (len(BOUNDS_S) + 2))


class Sums:
    """What all processes that serve together have counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, Told] = {}
        self._counts: Counter[Key] = Counter()
        """Of the processes that have been replaced."""
        self._answers: dict[Answers, list[float]] = {}

    def add(self, told: Told) -> None:
        """Learn what a process tells; one that takes the place of another counts on from there."""
        with self._lock:
            before = self._last.get(told.number)
            if before and before.pid != told.pid:
                self._counts.update(before.counts)
                _add_up(self._answers, before.answers)
            elif before and before.nth > told.nth:
                return
            self._last[told.number] = told

    def counts(self) -> Mapping[Key, float]:
        """How often there was each thing, since the service was started."""
        with self._lock:
            counts: Counter[Key] = Counter(self._counts)
            for told in self._last.values():
                counts.update(told.counts)
            return counts

    def of(self, kind: str) -> Mapping[str, int]:
        """How often each thing of one kind has been counted, by its name."""
        return {key[1]: int(count) for key, count in self.counts().items() if key[0] == kind}

    def answers(self) -> Mapping[Answers, list[float]]:
        """How many answers there were, by how long they took, and then all their seconds together."""
        with self._lock:
            answers = {key: list(row) for key, row in self._answers.items()}
            for told in self._last.values():
                _add_up(answers, told.answers)
            return answers

    def gauges(self) -> Mapping[int, Mapping[str, float]]:
        """What holds of each process now, by its number."""
        with self._lock:
            return {number: told.gauges for number, told in sorted(self._last.items())}


def _add_up(sums: dict[Answers, list[float]], more: Mapping[Answers, tuple[float, ...]]) -> None:
    for key, row in more.items():
        sums[key] = [one + other for one, other in zip(sums.get(key, [0.0] * len(row)), row, strict=True)]


class Telling:
    """A thread that tells every second what this process has counted."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """``tell`` raises OSError where there is nobody to hear it."""
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Tell it once more, and end; nothing is told where it has not begun."""
        self._ended.set()
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        until = time.monotonic()
        try:
            while not self._ended.wait(max(until - time.monotonic(), 0)):
                until = time.monotonic() + _TELL_S
                self._tell()
            self._tell()
        except OSError:
            pass  # the parent is gone, and this process about to end
