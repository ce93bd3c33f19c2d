"""Connections that were closed on clients: a count for each cause, and now and then a line of how many, whose, and why.

167 connections closed, nothing came within [server] header_timeout: 160 from 192.0.2.1, 7 from 192.0.2.9
"""

import logging
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from cticache.journal.counts import Counts
from cticache.logs import NO_NUMBERS

_log = logging.getLogger("cticache.loop.door")

CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "gave_way": "beyond [server] connections, to make room for newcomers",
        "silent": "nothing came within [server] header_timeout",
        "header": "the header of a request was not whole within [server] header_timeout",
        "body": "the body of a request was not whole within [server] body_timeout",
        "unread": "an answer was not read within [server] idle_timeout",
        "per_address": "beyond [server] connections_per_address",
    }
)
"""Why a connection is closed whose client would have kept it, and how the log says it. Who has been answered, and asks
nothing more within idle_timeout, is not counted: that is how connections end."""
_LOG_S = 10.0
"""How often at most each kind of trouble is logged."""
_MOST_ADDRESSES = 1000
"""How many are told apart in that time; the others are counted together."""
_NAMED = 3
"""Addresses in a line, those with the most."""


class Closed:
    """Tells of them, from one thread."""

    def __init__(self, counts: Counts | None = None) -> None:
        self._counts = counts or Counts()
        self._addresses: dict[str, Counter[str]] = {}
        self._other: dict[str, int] = {}
        self._told_at = float("-inf")

    def add(self, cause: str, address: str) -> None:
        """One more was closed for this cause."""
        self._counts.add("closed", cause)
        seen = self._addresses.setdefault(cause, Counter())
        seen[address if address in seen or len(seen) < _MOST_ADDRESSES else ""] += 1

    def note(self, text: str, count: int = 0) -> None:
        """Another trouble at the door: once more, or so many. The text has a place for the number."""
        self._other[text] = count or self._other.get(text, 0) + 1

    def tell(self, now: float) -> None:
        """Log what has come together, unless the last lines are not long ago."""
        if not (self._addresses or self._other) or now < self._told_at + _LOG_S:
            return
        self._told_at = now
        for cause, seen in self._addresses.items():
            total = seen.total()
            what = "connection" if total == 1 else "connections"
            _log.warning("%s %s closed, %s: %s", f"{total:,}", what, CAUSES[cause], _from(seen), extra=NO_NUMBERS)
        for text, count in self._other.items():
            _log.warning(text, f"{count:,}", extra=NO_NUMBERS)
        self._addresses, self._other = {}, {}

    def totals(self) -> dict[str, int]:
        """How many this process has closed for each cause."""
        return self._counts.of("closed", CAUSES)


def _from(seen: Counter[str]) -> str:
    named = Counter({address: count for address, count in seen.items() if address}).most_common(_NAMED)
    others = seen.total() - sum(count for _, count in named)
    told = [f"{count:,} from {address}" for address, count in named]
    return ", ".join([*told, f"{others:,} from others"] if others else told)
