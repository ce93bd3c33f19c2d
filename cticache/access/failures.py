"""What is known of wrong passwords of the last minute: by name, and by the site that they came from.

This process counts its own. Each is also told to whoever counts for all processes, in a thread, so that nobody waits
for it; the counts that come back are what is acted on to spare the machine, and are forgotten when nobody answers.

Those that come again while they are known to be wrong are no guesses: they are told so that somebody mends the client,
many in one, and make nobody wait but their own site.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from queue import Empty, Full, Queue

from cticache.access.turns import ASKED_BEFORE, CALM, FROM_BUSY_SITE, WARY
from cticache.errors import Refusal

_log = logging.getLogger(__name__)

UNKNOWN = "@unknown"
"""The name that all names have which are no user's; no user's has an ``@``."""
_WINDOW_S = 60.0
_IDLE_S = 5.0
"""The thread ends when there has been nothing to tell for this long."""
_AGAIN_S = 1.0
"""What came again is told of one name at a time, this long after the last: a client in a loop costs Redis nothing."""
_MOST_UNTOLD = 100
"""Failures that may wait to be told; no more are told while Redis hangs."""

Report = Callable[[str, str, int], tuple[int, int]]
"""Counts a failure of a name and a site for all processes or, from 1 on, so many that were known to be failures;
returns how many each has had lately without those.
"""


class _Count:
    """Failures within a window: ``here`` of this process, ``shared`` of all of them."""

    __slots__ = ("here", "shared", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.here = self.shared = 0


class Failures:
    """Who has had many wrong passwords lately."""

    def __init__(self, many: int, size: int, report: Report | None = None) -> None:
        """``many``: how many in a minute are; ``size``: of how many sites to know; without ``report`` none are told."""
        self.many, self.size = many, size
        """As above; they may be changed."""
        self._report = report
        self._names: dict[str, _Count] = {}
        self._sites: OrderedDict[str, _Count] = OrderedDict()
        self._lock = threading.Lock()
        self._untold: Queue[tuple[str, str]] = Queue(_MOST_UNTOLD)
        self._again: dict[str, tuple[str, int]] = {}
        """Name -> the site that it came from last, and how many came again and are not told yet."""
        self._telling = False

    def add(self, name: str, site: str) -> None:
        """Count a password that was found to be wrong; ``name`` is a user's, or UNKNOWN."""
        with self._lock:
            self._of_name(name).here += 1
            self._of_site(site).here += 1
            if self._report:
                try:
                    self._untold.put_nowait((name, site))
                except Full:
                    return
                self._see_to_telling()

    def again(self, name: str, site: str) -> None:
        """Count a password that was known to be wrong: it makes its site alone busy, in this process."""
        with self._lock:
            self._of_site(site).here += 1
        self.along(name, site)

    def along(self, name: str, site: str) -> None:
        """Tell of a password that was found to be wrong for somebody else who brought it at the same time."""
        if not self._report:
            return
        with self._lock:
            _, times = self._again.get(name, (site, 0))
            self._again[name] = site, times + 1
            self._see_to_telling()

    def rank(self, name: str, site: str, *, asked_before: bool) -> int:
        """How a check of this name for this site ranks among those who wait."""
        if name == UNKNOWN or self._has_many(self._names.get(name)):
            return ASKED_BEFORE if asked_before else WARY
        return FROM_BUSY_SITE if self.is_busy(site) else CALM

    def is_busy(self, site: str) -> bool:
        """Whether a site has sent many wrong passwords lately."""
        return self._has_many(self._sites.get(site))

    def are_many(self, name: str, site: str) -> bool:
        """Whether all processes together have seen many, of the name or from the site."""
        counts = (self._names.get(name), self._sites.get(site))
        return any(_is_recent(count) and count.shared >= self.many for count in counts if count)

    def _has_many(self, count: _Count | None) -> bool:
        return count is not None and _is_recent(count) and max(count.here, count.shared) >= self.many

    def _of_name(self, name: str) -> _Count:
        count = self._names.get(name)
        if not count or not _is_recent(count):
            count = self._names[name] = _Count()
        return count

    def _of_site(self, site: str) -> _Count:
        count = self._sites.get(site)
        if not count or not _is_recent(count):
            count = self._sites[site] = _Count()
        self._sites.move_to_end(site)
        while len(self._sites) > self.size:
            self._sites.popitem(last=False)
        return count

    def _see_to_telling(self) -> None:
        if not self._telling:
            self._telling = True
            threading.Thread(target=self._tell, name="failures", daemon=True).start()

    def _tell(self) -> None:
        again_at = busy_at = time.monotonic()
        while True:
            try:
                self._learn(*self._untold.get(timeout=_AGAIN_S))
                busy_at = time.monotonic()
            except Empty:
                pass
            now = time.monotonic()
            if now - again_at >= _AGAIN_S and self._again:
                self._learn(*self._next_again())
                again_at = busy_at = now
            with self._lock:
                if now - busy_at >= _IDLE_S and self._untold.empty() and not self._again:
                    self._telling = False
                    return

    def _next_again(self) -> tuple[str, str, int]:
        """Whose turn it is to be told of: who has waited longest."""
        with self._lock:
            name = next(iter(self._again))
            return name, *self._again.pop(name)

    def _learn(self, name: str, site: str, again: int = 0) -> None:
        assert self._report  # noqa: S101 - for the type checker
        try:
            of_name, of_site = self._report(name, site, again)
        except Refusal:
            self._forget()
        except Exception as error:  # noqa: BLE001 - the next one is told all the same
            _log.error("a failed login could not be counted: %s", type(error).__name__)
            self._forget()
        else:
            if again:
                return  # they make nobody wait, nor wait longer
            with self._lock:
                self._of_name(name).shared = of_name
                self._of_site(site).shared = of_site

    def _forget(self) -> None:
        """Act on no count that nobody keeps up any more."""
        with self._lock:
            for count in (*self._names.values(), *self._sites.values()):
                count.shared = 0


def _is_recent(count: _Count) -> bool:
    return time.monotonic() - count.since < _WINDOW_S
