"""What happened to the services on one Redis, kept together."""

from collections.abc import Sequence

from cticache.data.store.asking import Asking
from cticache.journal.events import MOST_EVENTS, Event

_EVENTS_KEPT_MS = 30 * 86_400_000


class Events(Asking):
    """What the services tell each other."""

    def event_tell(self, events: Sequence[Event]) -> int:
        """Add what happened to what the services on this Redis keep together; how many were added.

        The oldest first. Of more than are kept, those that would be dropped at once are not sent.
        """
        if not events:
            return 0
        told = [event.text() for event in events[-MOST_EVENTS:]]
        keys = self._keys.event_tell()
        return int(self._run("event_tell", keys, most=MOST_EVENTS, keep_ms=_EVENTS_KEPT_MS, told=told))

    def events(self, count: int = MOST_EVENTS) -> list[Event]:
        """What happened last to the services on this Redis, the newest first."""
        found = (Event.of(text) for text in self._run("events", self._keys.events(), most=count))
        return [event for event in found if event]
