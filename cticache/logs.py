"""Where the log goes, and what never gets into it."""

import logging
import re
import threading
import time
from contextlib import suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

from cticache.numbering.ani import masked

AUDIT = "cticache.audit"
"""The name of the audit's logger, by which operators filter."""
NO_NUMBERS = {"no_numbers": True}
"""The ``extra`` of a record in which nothing is a telephone number, though a host or a time may look like one."""
_KEY = re.compile(r"(?<=/DNIS-ANI/)([^\s/?:\"']*):([^\s/?\"']*)")
_LONG_NUMBER = re.compile(r"\d(?:[ ()/-]*\d){5,}")
_MOST_WAITING = 100_000
"""Lines kept while nobody reads the log: some 20 MB."""
_MOST_AT_ONCE = 1000
_FLUSH_S = 1.0
_GATHER_S = 0.01
"""How long a line waits for others: a thread that woke for each line would fight the loop for the interpreter."""


def without_numbers(text: str) -> str:
    """The text with only the last digits left of every telephone number in it.

    A count that may reach six digits is logged with commas between its thousands, so that it is left alone.
    """
    text = _KEY.sub(lambda key: f"{masked(key[1])}:{masked(key[2])}", text)
    return _LONG_NUMBER.sub(lambda match: masked(match[0]), text)


class _Masking(logging.Formatter):
    """Shows no telephone number in full, neither in messages nor in tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        # The audit masks by itself, and its DNIS, tokens and digests must stay whole.
        if record.name != AUDIT and not hasattr(record, "no_numbers"):
            record.message = without_numbers(record.message)
        return super().formatMessage(record)

    def formatTime(self, record: logging.LogRecord, _datefmt: str | None = None) -> str:  # noqa: N802 - logging's own name
        """As logging writes it; the part down to the seconds is formatted once a second."""
        second = int(record.created)
        return f"{_written_out(second)},{int(record.msecs):03d}"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return without_numbers(super().formatException(ei))


@lru_cache(1)
def _written_out(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


class _Stream(logging.StreamHandler[Any]):
    """Writes to the standard error stream from a thread, so that nobody who logs waits for the reader of the log.

    A full pipe would stop the loop, and the service with it. When too many lines are waiting, new ones are dropped, and
    how many is logged once there is room.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._lost = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record written soon; it is formatted here, because its arguments may change."""
        if self._waiting.qsize() >= _MOST_WAITING:
            self._lost += 1
            return
        try:
            self._waiting.put(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what has been logged is written, but for a moment only: nobody may be reading."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(_FLUSH_S)

    def _write(self) -> None:
        while True:
            batch = [self._waiting.get()]
            if isinstance(batch[0], str):
                time.sleep(_GATHER_S)
            with suppress(Empty):
                while len(batch) < _MOST_AT_ONCE:
                    batch.append(self._waiting.get_nowait())
            if self._lost:
                lost, self._lost = self._lost, 0
                batch.append(f"{lost:,} lines of the log are lost: they were not read in time{self.terminator}")
            try:
                self.stream.write("".join(line for line in batch if isinstance(line, str)))
                self.stream.flush()
            except (OSError, ValueError):
                pass  # there is no reader any more
            for mark in batch:
                if isinstance(mark, threading.Event):
                    mark.set()


def configure() -> None:
    """Log to the standard error stream, one line for each record, with telephone numbers masked."""
    # What no line shows need not be collected for each record (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Stream()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("waitress.queue").disabled = True  # a line for every request that waits for a thread
