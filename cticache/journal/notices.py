"""Warnings of what the system of one user does again and again: told at once, and then seldom, with their number."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cticache.logs import NO_NUMBERS

_log = logging.getLogger(__name__)


@dataclass
class _Seen:
    told_at: float
    last_at: float
    untold: int = 0


class Notices:
    """Those of one process; any thread may tell them."""

    def __init__(self, repeat_s: float = 600, clock: Callable[[], float] = time.monotonic) -> None:
        """``repeat_s``: how long a warning is not repeated."""
        self.repeat_s = repeat_s
        """As above; it may be changed."""
        self._clock = clock
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._lock = threading.Lock()

    def over_max_live(self, user: str, pool: str) -> None:
        """A lease was refused, for the user has as many as allowed; told again once that has been over for a while."""
        if (before := self._before(("max_live", user, pool), has_been_over=True)) is not None:
            _log.warning(
                "user %s has met [user:%s] max_live in pool %s: its leases there are refused until calls end, "
                "see cticache leases --user %s%s",
                user,
                user,
                pool,
                user,
                _more(before),
                extra=NO_NUMBERS,
            )

    def of_no_pool(self, user: str, shown: str) -> None:
        """A user has asked for a number that is in no pool; told again after a while if that goes on.

        ``shown``: the number as the audit shows it, by its last digits where it may be a caller's.
        """
        if (before := self._before(("no_pool", user), has_been_over=False)) is not None:
            _log.warning(
                "user %s asks for numbers that are in no pool, such as %s: compare them with [pool] numbers%s",
                user,
                shown,
                _more(before),
                extra=NO_NUMBERS,
            )

    def _before(self, what: tuple[str, ...], *, has_been_over: bool) -> int | None:
        """How often this was not told since it was told last; None if it is not to be told now."""
        with self._lock:
            now = self._clock()
            seen = self._seen.get(what)
            if seen and now - (seen.last_at if has_been_over else seen.told_at) < self.repeat_s:
                seen.untold += 1
                seen.last_at = now
                return None
            self._seen[what] = _Seen(now, now)
            return seen.untold if seen else 0


def _more(count: int) -> str:
    return f" ({count:,} more times since that was said last)" if count else ""
