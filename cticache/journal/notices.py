"""Warnings of what the system of one user does again and again: told at once, and then seldom, with their number."""

import logging
import time
from collections.abc import Callable

from cticache.journal.spells import Spells
from cticache.logs import NO_NUMBERS

_log = logging.getLogger(__name__)


class Notices:
    """Those of one process; any thread may tell them."""

    def __init__(self, repeat_s: float = 600, clock: Callable[[], float] = time.monotonic) -> None:
        """``repeat_s``: how long a warning is not repeated."""
        self._spells = Spells(repeat_s, clock)

    def change(self, repeat_s: float) -> None:
        """Do not repeat them for so long from now on."""
        self._spells.repeat_s = repeat_s

    def over_max_live(self, user: str, pool: str) -> None:
        """A lease was refused, for the user has as many as allowed; told again once that has been over for a while."""
        if (before := self._spells.untold(("max_live", user, pool))) is not None:
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
        if (before := self._spells.untold(("no_pool", user), has_been_over=False)) is not None:
            _log.warning(
                "user %s asks for numbers that are in no pool, such as %s: compare them with [pool] numbers%s",
                user,
                shown,
                _more(before),
                extra=NO_NUMBERS,
            )


def _more(count: int) -> str:
    return f" ({count:,} more times since that was said last)" if count else ""
