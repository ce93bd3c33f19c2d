"""Every refused request: a line in the log, as far as there are not too many, and a count.

Of what goes on, Redis that is away or the pools that are not in place, the first line is a warning; what repeats it is
none, or it would drown the lines that tell why, and when it is over.

    id=bc259e291c000001 user=- address=192.0.2.1 method=GET route=- code=unauthorized status=401 ms=0.2

Nothing in it is a client's own text: a name is there only if it is a user's, the route is the pattern that a URL
fits, and the id is a client's own only where it cannot hold a number. So nobody puts a field, a number or a password
there.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from cticache.errors import NotReady, RedisRefuses, RedisUnavailable, Refusal, refusals
from cticache.journal.counts import Counts
from cticache.journal.limited import Limited
from cticache.journal.spells import Spells
from cticache.logs import NO_NUMBERS, Fields

_log = logging.getLogger("cticache.refused")
_LEFT_OUT = "%s refusals of code %s were not logged"
_OF_CLIENTS = (501, 505)
"""Faults of a client, for all that they begin with 5: it wants what HTTP has and this service has not."""
CODES = tuple(sorted({kind.code for kind in refusals()}))
"""The code of every refusal."""
_LINE = Fields("a refused request", "id", "user", "address", "method", "route", "code", "status", "ms")


class Refused:
    """Tells of refused requests."""

    def __init__(
        self,
        lines_per_s: float = 20,
        burst: int = 200,
        counts: Counts | None = None,
        repeat_s: float = 600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The limits hold for each code. What goes on is warned of once in ``repeat_s`` seconds."""
        self._counts = counts or Counts()
        self._lines = Limited(_log, _LEFT_OUT, lines_per_s, burst)
        self._lasting = Limited(_log, _LEFT_OUT, lines_per_s, burst, level=logging.INFO)
        self._planned = Limited(_log, _LEFT_OUT, 0, 1, is_told_soon=False, level=logging.INFO)
        self._causes = Limited(_log, "%s causes of %s were not logged", lines_per_s, burst, level=logging.INFO)
        self._spells = Spells(repeat_s, clock)

    def change(self, lines_per_s: float, burst: int, repeat_s: float) -> None:
        """Other limits hold from now on."""
        self._lines.change(lines_per_s, burst)
        self._lasting.change(lines_per_s, burst)
        self._spells.repeat_s = repeat_s
        self._causes.change(lines_per_s, burst)

    def count(self, refusal: Refusal) -> None:
        """Count it, and log what caused a fault on this side: what Redis said, say. Numbers in that are masked."""
        self._counts.add("refusals", refusal.code)
        if refusal.login:
            self._counts.add("logins", refusal.login)
        if refusal.__cause__ and refusal.status >= 500:
            why = refusal.why if isinstance(refusal, RedisUnavailable) else ""
            cause = f"{why} ({refusal.__cause__})" if why else refusal.__cause__
            self._say(self._causes, refusal, "%s: %s", refusal.code, cause)

    def log(
        self,
        refusal: Refusal,
        request_id: str,
        *,
        address: str,
        user: str = "",
        method: str = "",
        route: str = "",
        ms: float | None = None,
    ) -> None:
        """Write its line: a fault on this side as a warning, the first one of what goes on, and what is planned once.

        ``ms``: how long the request took; None for one that the server refused before its turn came.
        """
        texts = (text or "-" for text in (request_id, user, address, method, route))
        fields = (*texts, refusal.code, refusal.status, "-" if ms is None else ms)
        self._say(self._lines_of(refusal), refusal, _LINE, *fields, extra=NO_NUMBERS)

    def _say(self, lines: Limited, refusal: Refusal, line: str, *fields: object, extra: Any = None) -> None:
        level = self._level(refusal)
        if level == logging.WARNING and _lasts(refusal):  # one in a while; what came before it must not hide it
            _log.log(level, line, *fields, extra=extra)
        else:
            lines.log(refusal.code, level, line, *fields, extra=extra)

    def _lines_of(self, refusal: Refusal) -> Limited:
        if refusal.is_planned:
            return self._planned
        return self._lasting if _lasts(refusal) else self._lines

    def _level(self, refusal: Refusal) -> int:
        """A fault on this side is a warning; of what goes on, one in ``repeat_s`` is."""
        if refusal.status < 500 or refusal.status in _OF_CLIENTS or refusal.is_planned:
            return logging.INFO
        if not _lasts(refusal):
            return logging.WARNING
        why = refusal.why if isinstance(refusal, RedisRefuses) else ""  # in which way Redis is away is no matter
        before = self._spells.untold((refusal.code, why), has_been_over=False)
        return logging.INFO if before is None else logging.WARNING

    def totals(self) -> dict[str, int]:
        """How often this process has answered each code."""
        return self._counts.of("refusals", CODES)

    def close(self) -> None:
        """Tell what has not been logged."""
        self._lines.close()
        self._lasting.close()
        self._planned.close()
        self._causes.close()


def _lasts(refusal: Refusal) -> bool:
    """Whether it goes on for everybody, until what is behind it is over."""
    return isinstance(refusal, RedisUnavailable | NotReady)
