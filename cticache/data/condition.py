"""What is known of the pools: whether they are in place, and what else an operator must see.

The keeper of the pools writes it; the worker processes are sent it, and show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cticache.data.outage import Outage
from cticache.errors import NotReady, Refusal

Kind = Literal["overruled", "redis", "rules", "sync", "loss", "clock"]
"""Another service's numbers count; Redis is away or refuses what keeping the pools takes; another service has other
rules; numbers are being put in place; Redis came back without its data; its clock jumped.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Condition:
    """The pools as one process knows them."""

    in_place: bool = False
    """Whether they are as configured here."""
    overruled: frozenset[str] = frozenset()
    """The pools that are otherwise under the service that rules; while there are any, that service knows numbers and
    pools that this one does not.
    """
    ruler: str = ""
    """Which service that is, in words."""
    notes: Mapping[Kind, str] = field(default_factory=dict)
    """A sentence for each kind of thing that holds now."""

    unsure: frozenset[str] | None = None
    """The pools in which numbers may be free that are not configured here: this service has not yet taken them out.
    None: all of them, since it has just been started.
    """

    outage: Outage | None = None
    """Why the pools cannot be kept in place, where Redis is the reason."""

    def is_unsure(self, pool: str) -> bool:
        """Whether a number that is not configured here could be leased from this pool."""
        return self.unsure is None or pool in self.unsure

    def not_yet(self, sentence: str) -> Refusal:
        """The refusal for want of what this service has not learnt yet: that of Redis, where it is the reason."""
        return self.outage.refusal() if self.outage else NotReady(sentence, retry_after=1)

    def why_not(self) -> str:
        """Why the pools are not in place, in words."""
        reason = self.notes.get("overruled") or "The pools are not in place yet."
        return " ".join([reason, *(self.notes[kind] for kind in KINDS[1:] if kind in self.notes)])
