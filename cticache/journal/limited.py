"""Lines of the log of which somebody outside can cause as many as he likes."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOLD_S = 1.0
"""How long after the first line that is left out it is told how many were."""


@dataclass
class _Kind:
    allowance: float
    since: float
    left_out: int = 0


class Limited:
    """Lines of several kinds: of each at most ``burst`` at once, and ``per_s`` a second over time.

    Each kind has its own allowance, so that a flood of one does not hide another. How many lines of a kind were left
    out is logged a second later, and at ``close``.
    """

    def __init__(
        self,
        logger: logging.Logger,
        left_out: str,
        per_s: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_told_soon: bool = True,
        level: int = logging.WARNING,
    ) -> None:
        """``left_out``: the line that tells how many of which kind were left out, with a place for each.

        Unless ``is_told_soon``, that is told at ``close`` alone. ``level``: that of this line.
        """
        self._logger = logger
        self._left_out = left_out
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._is_told_soon = is_told_soon
        self._level = level
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def change(self, per_s: float, burst: int) -> None:
        """Allow as many from now on."""
        self._per_s, self._burst = per_s, burst

    def log(self, kind: str, level: int, line: str, *values: object, extra: Mapping[str, Any] | None = None) -> None:
        """Log the line, or count it where there were too many of its kind."""
        with self._lock:
            now = self._clock()
            known = self._kinds.setdefault(kind, _Kind(self._burst, now))
            known.allowance = min(known.allowance + (now - known.since) * self._per_s, self._burst)
            known.since = now
            may = known.allowance >= 1
            if may:
                known.allowance -= 1
            else:
                known.left_out += 1
                self._tell_soon()
        if may:
            self._logger.log(level, line, *values, extra=extra)

    def close(self) -> None:
        """Tell how many lines were left out since that was told last."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
                self._timer = None
            left_out = {kind: known.left_out for kind, known in self._kinds.items() if known.left_out}
            for kind in left_out:
                self._kinds[kind].left_out = 0
        for kind, count in left_out.items():
            self._logger.log(self._level, self._left_out, f"{count:,}", kind)

    def _tell_soon(self) -> None:
        if self._is_told_soon and not self._timer:
            self._timer = threading.Timer(_TOLD_S, self.close)
            self._timer.daemon = True
            self._timer.start()
