"""What happened to a service that an operator should see, kept for whoever sends it to all others on its Redis.

Each warning or error of the log is an event: its text is what the log says, so no value and no whole number is in it.
The line of a refused request is none: who asks every second while Redis is away would push out why it is.
"""

import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cticache.logs import Fields, escaped, said

MOST_EVENTS = 200
"""Kept in one process until they are taken, and in Redis for all."""
_BURST = 5
"""Events of one kind, a logger's one template, in a period."""
_MOST_KINDS = 500
_YEAR_9999_MS = 253_370_764_800_000
"""Beyond it no calendar has a date."""
_LONGEST = 500
"""Characters of a text."""


class Event(NamedTuple):
    """Something that happened."""

    ms: int
    """When, in ms since 1970 by the clock of the machine."""
    level: str
    logger: str
    said: str
    """One line, with telephone numbers masked."""
    node: str
    """Where it happened."""

    def text(self) -> str:
        """The same as a JSON object."""
        return json.dumps(self._asdict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "Event | None":
        """What ``text`` made; None for what another release wrote, and which cannot be read here."""
        try:
            told = json.loads(text)
            ms, *texts = int(told["ms"]), *(str(told[name]) for name in cls._fields[1:])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        return cls(ms, *map(escaped, texts)) if 0 <= ms < _YEAR_9999_MS else None


@dataclass
class _Kind:
    since: float
    count: int = 0
    left_out: int = 0


class Events(logging.Handler):
    """Keeps the events of this process until they are taken; nobody who logs waits for that.

    Where there are more than can be kept, the oldest are dropped, and it is told how many. A kind of which there are
    many is told five times in a period, and how many more there were with the first one after that.
    """

    def __init__(self, node: str, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``node``: how this service is called among those on its Redis."""
        super().__init__(logging.WARNING)
        self._node = node
        self.period_s = period_s
        """How long a kind is told five times alone; it may be changed."""
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._dropped = 0
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, unless there were too many of its kind."""
        if isinstance(record.msg, Fields):  # one request; what it met with has a line of its own
            return
        try:
            more = self._left_out_before(record)
            if more is None:
                return
            text = escaped(said(record))[:_LONGEST]
            if record.exc_info and record.exc_info[0]:
                text += f" ({record.exc_info[0].__name__})"  # its own text may quote a caller's data
            if more:
                text += f" ({more:,} more like it before)"
        except Exception:  # noqa: BLE001 - the log tells of a line that cannot be made
            return
        self._add(Event(int(record.created * 1000), record.levelname, record.name, text, self._node))

    def take(self) -> list[Event]:
        """Those kept since the last time, the oldest first."""
        self.acquire()
        try:
            taken, dropped = [*self._kept], self._dropped
            self._kept.clear()
            self._dropped = 0
        finally:
            self.release()
        if dropped:
            why = f"{dropped:,} events before these were dropped: there were too many at once"
            taken.insert(0, Event(taken[0].ms, "WARNING", __name__, why, self._node))
        return taken

    def _add(self, event: Event) -> None:
        self._dropped += len(self._kept) == MOST_EVENTS
        self._kept.append(event)

    def _left_out_before(self, record: logging.LogRecord) -> int | None:
        """How many of its kind were left out until this one; None if it is to be left out itself."""
        kind = record.name, str(record.msg)
        now = self._clock()
        known = self._kinds.get(kind)
        left_out = 0
        if not known or now - known.since >= self.period_s:
            left_out = known.left_out if known else 0
            known = self._kinds[kind] = _Kind(now)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
        known.count += 1
        if known.count > _BURST:
            known.left_out += 1
            return None
        return left_out
