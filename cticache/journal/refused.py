"""Every refused request: a line in the log, as far as there are not too many, and a count.

    id=bc259e291c000001 user=- address=192.0.2.1 method=GET route=- code=unauthorized status=401 ms=0.2

Nothing in it is a client's own text: a name is there only if it is a user's, the route is the pattern that a URL
fits, and the id is a client's own only where it cannot hold a number. So nobody puts a field, a number or a password
there.
"""

import logging

from cticache.errors import RedisUnavailable, Refusal, refusals
from cticache.journal.counts import Counts
from cticache.journal.limited import Limited
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

    def __init__(self, lines_per_s: float = 20, burst: int = 200, counts: Counts | None = None) -> None:
        """The limits hold for each code."""
        self._counts = counts or Counts()
        self._lines = Limited(_log, _LEFT_OUT, lines_per_s, burst)
        self._planned = Limited(_log, _LEFT_OUT, 0, 1, is_told_soon=False)
        self._causes = Limited(_log, "%s causes of %s were not logged", lines_per_s, burst)

    def change(self, lines_per_s: float, burst: int) -> None:
        """Other limits hold from now on."""
        self._lines.change(lines_per_s, burst)
        self._causes.change(lines_per_s, burst)

    def count(self, refusal: Refusal) -> None:
        """Count it, and log what caused a fault on this side: what Redis said, say. Numbers in that are masked."""
        self._counts.add("refusals", refusal.code)
        if refusal.login:
            self._counts.add("logins", refusal.login)
        if refusal.__cause__ and refusal.status >= 500:
            why = refusal.why if isinstance(refusal, RedisUnavailable) else ""
            cause = f"{why} ({refusal.__cause__})" if why else refusal.__cause__
            self._causes.log(refusal.code, logging.WARNING, "%s: %s", refusal.code, cause)

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
        """Write its line: a fault on this side as a warning, what is planned once and not as a warning.

        ``ms``: how long the request took; None for one that the server refused before its turn came.
        """
        is_ours = refusal.status >= 500 and refusal.status not in _OF_CLIENTS and not refusal.is_planned
        level = logging.WARNING if is_ours else logging.INFO
        texts = (text or "-" for text in (request_id, user, address, method, route))
        fields = (*texts, refusal.code, refusal.status, "-" if ms is None else ms)
        lines = self._planned if refusal.is_planned else self._lines
        lines.log(refusal.code, level, _LINE, *fields, extra=NO_NUMBERS)

    def totals(self) -> dict[str, int]:
        """How often this process has answered each code."""
        return self._counts.of("refusals", CODES)

    def close(self) -> None:
        """Tell what has not been logged."""
        self._lines.close()
        self._planned.close()
        self._causes.close()
