"""What time Redis should have by now: as it said last, and the steady clock of this machine since."""

import time
from collections.abc import Mapping


class Clocks:
    """The time to expect of Redis's clock, for each pool: in a Cluster, two pools may be on two machines."""

    def __init__(self, most_off_s: float = 2.0) -> None:
        """``most_off_s``: seconds by which a reply may be off what was expected, above what the request took."""
        self.most_off_ms = round(most_off_s * 1000)
        self.ahead: Mapping[str, float] = {}
        """Pool -> ms by which Redis's clock is ahead of this machine's steady one, which all its processes share."""

    def expected(self, pool: str) -> int:
        """The ms since 1970 to be expected now; 0 while nothing is known."""
        ahead = self.ahead.get(pool)
        return 0 if ahead is None else round(_steady_ms() + ahead)

    def jumped(self, pool: str, said_ms: int, expected_ms: int) -> int:
        """By how many ms Redis's clock has jumped, ahead or (below 0) back; 0 if it has not.

        ``said_ms`` is what it said in reply to a request; ``expected_ms`` was to be expected when that was sent. The
        reply may be of any time since: a server that stood still for a while has not jumped.
        """
        if not expected_ms:
            return 0
        early, late = said_ms - expected_ms, said_ms - self.expected(pool)
        off = early if early < 0 else max(late, 0)
        return off if abs(off) > self.most_off_ms else 0


def ahead(said_ms: int) -> float:
    """By how many ms a clock that says this now is ahead of this machine's steady one."""
    return said_ms - _steady_ms()


def _steady_ms() -> float:
    return time.monotonic() * 1000
