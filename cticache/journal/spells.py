"""What happens again and again is told once, and then no more until it has not happened for a while."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Seen:
    told_at: float
    last_at: float
    untold: int = 0


class Spells:
    """Those of one process; any thread may ask."""

    def __init__(self, repeat_s: float = 600, clock: Callable[[], float] = time.monotonic) -> None:
        """``repeat_s``: how long a thing is not told again."""
        self.repeat_s = repeat_s
        """As above; it may be changed."""
        self._clock = clock
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._lock = threading.Lock()

    def untold(self, what: tuple[str, ...], *, has_been_over: bool = True) -> int | None:
        """It happens: how often it was not told since it was told last; None if it is not to be told now.

        It is told again once it has not happened for ``repeat_s``; or, unless it must have been over, that long after
        it was told last.
        """
        with self._lock:
            now = self._clock()
            seen = self._seen.get(what)
            if seen and now - (seen.last_at if has_been_over else seen.told_at) < self.repeat_s:
                seen.untold += 1
                seen.last_at = now
                return None
            self._seen[what] = _Seen(now, now)
            return seen.untold if seen else 0
