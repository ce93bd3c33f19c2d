"""What the clients asked and were answered while a fault befell the service, and what that fault may cost."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kit.checkout import ROOT

CLOSED = "closed"
"""The connection ended without an answer: nobody knows what was done."""
HUNG = "no answer"
"""A client gave up after its own patience: nobody knows what was done."""
NOBODY = "nobody"
"""Nobody listened, and nothing was asked."""
EVER = float("inf")


class Entry(NamedTuple):
    """One request and its answer. Times are in seconds of the monotonic clock."""

    begin: float
    end: float
    what: str
    """lease, read, renew, take; or garbage, from which an answer is all that is wanted."""
    pool: str
    dnis: str
    """The number that was asked for; of a lease, the number that was lent."""
    ani: str
    call: str
    """The call that was meant. Its value names it."""
    key: str = ""
    version: int = 0
    """Of the value that was sent."""
    status: int = 0
    """0 without an answer."""
    code: str = ""
    """The refusal's, or why there is no answer."""
    got: str = ""
    """The call whose value was answered; of a lease, its token."""
    got_version: int = 0
    replayed: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether it was carried out or not, and nobody knows which."""
        return (self.status == 0 and self.code != NOBODY) or self.code in ("redis_unavailable", "internal")


class Window(NamedTuple):
    """A time in which what was acknowledged may be lost: Redis itself promises no more. In seconds, as in Entry."""

    begin: float
    end: float

    def meets(self, entry: Entry) -> bool:
        """Whether the request was under way within it."""
        return entry.begin <= self.end and entry.end >= self.begin


class Course(NamedTuple):
    """What befell, and what it may cost."""

    begin: float
    end: float
    """When what was harmed was whole again, or another had taken its place: the service has to recover from then on."""
    may_lose: Sequence[Window] = ()
    may_close: bool = False
    """Whether a connection may end without an answer, and nobody listen for a while: a process dies."""
    held_s: float = 0.0
    """For how long nobody can answer, because nobody lives who could."""
    recovers_s: float = 2.0
    """Within so long after the end a lease is answered, besides what nobody can."""
    spared: Sequence[str] = ()
    """Pools that the fault does not touch: none of their requests may be refused, or answered later for it."""
    is_all: Callable[[], bool] = lambda: True
    """Whether nothing else befell by the end: a sentinel may take a server of a busy machine for dead."""
    extra: Sequence[Entry] = ()
    """What others than the load have asked."""


def documented() -> frozenset[tuple[int, str]]:
    """The status and code of each refusal that docs/troubles.md explains."""
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "docs" / "troubles.md").read_text("utf-8"), re.MULTILINE)
    return frozenset((int(status), code) for status, code in rows)
