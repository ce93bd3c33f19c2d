"""Where the log goes, and what never gets into it."""

import io
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

from cticache import journald
from cticache.numbering.ani import masked

_log = logging.getLogger(__name__)

AUDIT = "cticache.audit"
"""The name of the audit's logger, by which operators filter."""
NO_NUMBERS = {"no_numbers": True}
"""The ``extra`` of a record in which nothing is a telephone number, though a host or a time may look like one."""
REDIS_AWAY, REDIS_BACK, WORKER_DIED = ({"occasion": word} for word in ("redis_away", "redis_back", "worker_died"))
"""The ``extra`` of records that are for the Windows Event Log, too."""
FORMATS = ("text", "json")
"""What a line may be: text for people, or a JSON object (RFC 8259) for programs."""
LEVELS = ("debug", "info", "warning", "error")
"""The least level that is logged."""
_KEY = re.compile(r"(?<=/DNIS-ANI/)([^\s/?:\"']*):([^\s/?\"']*)")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV4 = rf"(?<![\d.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?\d)"
_BETWEEN_DIGITS = r"[\x00- \x7f-\xa0\u2010-\u2015\u2028-\u202f\u2066-\u2069\u2212()./-]*"
"""What a telephone number may have between two digits, and what would be escaped there."""
_LONG_NUMBER = re.compile(rf"({_IPV4})|\d(?:{_BETWEEN_DIGITS}(?!{_IPV4})\d){{5,}}")
_OWN, _WAITRESS = "cticache", "waitress"
_SERVED_PATH = re.compile(r"(?<= while serving )([A-Za-z/_-]*+)(.+)", re.DOTALL)
"""The path that waitress names, which has escapes resolved and whatever spelling of a number the client chose."""
_MOST_WAITING = 100_000
"""Lines kept while nobody reads the log: some 20 MB."""
_MOST_AT_ONCE = 1000
_FLUSH_S = 1.0
_GATHER_S = 0.03
"""How long a line waits for others: a thread that woke for each line would fight the loop for the interpreter.

At 10,000 requests a second that is a third of the wake-ups of 10 ms, here and in the parent that writes the lines.
"""


def without_numbers(text: str) -> str:
    """The text with only the last digits left of every telephone number in it; an IPv4 address is none.

    A count that may reach six digits is logged with commas between its thousands, so that it is left alone.
    """
    text = _KEY.sub(lambda key: f"{masked(key[1])}:{masked(key[2])}", text)
    return _LONG_NUMBER.sub(lambda match: match[1] or masked(match[0]), text)


def escaped(text: str) -> str:
    """The text in one line, and in its own order: what cannot be printed as Python writes it in a string.

    That are line ends of every kind (C0, C1, U+2028, U+2029), what changes the direction of writing, invisible
    characters, and lone surrogates, which no stream takes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Fields(str):
    """The text of a line that is all fields, ``id=%s user=%s``; as JSON each of them has its own place.

    A value that is ``-`` is not known, and null there.
    """

    what: str
    """What such a line is about, the same for all of them."""
    names: tuple[str, ...]

    def __new__(cls, what: str, *names: str) -> "Fields":
        """``what`` stands as the message in JSON, where the fields are apart from it."""
        made = super().__new__(cls, " ".join(f"{name}=%s" for name in names))
        made.what, made.names = what, names
        return made


_UNSHOWN: dict[str, object] = {
    **dict.fromkeys(("pathname", "filename", "module", "funcName", "threadName", "processName"), ""),
    **dict.fromkeys(("lineno", "thread", "process", "relativeCreated"), 0),
    "exc_text": None,
    **dict.fromkeys(("name", "msg", "exc_info", "stack_info", "levelno", "levelname", "args", "created", "msecs")),
}
"""What a record has beside what a line shows; a handler that is not this module's may want to show it."""


class _Record(logging.LogRecord):
    """A record without what no line shows: to find that out takes longer than to write the line."""

    def __init__(  # noqa: PLR0917 - as logging calls it
        self,
        name: str,
        level: int,
        _pathname: str,
        _lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        _func: str | None = None,
        sinfo: str | None = None,
        **_kwargs: object,
    ) -> None:
        """What logging knows of it."""
        self.__dict__ = _UNSHOWN.copy()
        self.name, self.msg, self.exc_info, self.stack_info = name, msg, exc_info, sinfo
        self.levelno, self.levelname = level, logging.getLevelName(level)
        # One mapping alone fills places with names, as in LogRecord.
        self.args = args[0] if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        self.created = time.time()
        self.msecs = self.created % 1 * 1000


def said(record: logging.LogRecord) -> str:
    """The message of a record, with telephone numbers masked; not yet one line."""
    message = record.getMessage()
    if record.name == _WAITRESS:
        message = _SERVED_PATH.sub("\\1\N{HORIZONTAL ELLIPSIS}", message)
    return message if _is_masked(record) else without_numbers(message)


def _is_masked(record: logging.LogRecord) -> bool:
    """Whether there is nothing to mask. The audit masks by itself; its DNIS, tokens and digests must stay whole."""
    return record.name == AUDIT or hasattr(record, "no_numbers")


class _OneLine(logging.Formatter):
    """Makes one line of each record, and indented ones of its traceback; no telephone number is shown in full in them.

    So what stands at the beginning of a line was written by the service, whatever a client sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and below it those of its traceback."""
        second = int(record.created)
        time_ = f"{_written_out(second)}.{int(record.msecs):03d}Z"
        line = escaped(f"{time_} {record.levelname} {record.name}: {said(record)}")
        if record.exc_info:  # never record.exc_text, which another formatter may have made
            line += _indented(self.formatException(record.exc_info))
        return line + _indented(record.stack_info) if record.stack_info else line

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return without_numbers(super().formatException(ei))


class _Json(logging.Formatter):
    """Makes a JSON object in one line of each record, under the rules of the text: each string in it keeps them."""

    def format(self, record: logging.LogRecord) -> str:
        """The object; a traceback is one string in it, with its line ends."""
        day, _, clock = _written_out(int(record.created)).partition(" ")
        told: dict[str, object] = {
            "time": f"{day}T{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        if isinstance(record.msg, Fields) and isinstance(record.args, tuple):
            told["message"] = record.msg.what
            as_shown = str if _is_masked(record) else without_numbers
            for name, value in zip(record.msg.names, record.args, strict=True):
                told[name] = None if value == "-" else escaped(as_shown(value)) if isinstance(value, str) else value
        else:
            told["message"] = escaped(said(record))
        traces = [self.formatException(record.exc_info)] if record.exc_info else []
        traces += [record.stack_info] if record.stack_info else []
        if traces:
            told["traceback"] = "\n".join(escaped(line) for trace in traces for line in trace.split("\n"))
        return _ENCODED(told)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return without_numbers(super().formatException(ei))


_ENCODED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_FORMATTERS: dict[str, type[logging.Formatter]] = {"text": _OneLine, "json": _Json}


def _indented(text: str) -> str:
    return "".join(f"\n  {escaped(line)}" for line in text.split("\n"))


@lru_cache(1)
def _written_out(second: int) -> str:
    """The time in UTC: in local time an hour comes twice each autumn, and nodes may be in two zones."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))


class _Finished(str):
    """Lines of another process."""

    __slots__ = ()


class _Stream(logging.StreamHandler[Any]):
    """Writes to the standard error stream from a thread, so that nobody who logs waits for the reader of the log.

    A full pipe would stop the loop, and the service with it. When too many lines are waiting, new ones are dropped, and
    how many is logged once there is room.
    """

    def __init__(self, elsewhere: Callable[[str], None] | None = None) -> None:
        """``elsewhere`` is given the lines instead, and raises OSError where it takes none."""
        super().__init__()
        self._elsewhere = elsewhere
        self._refused = 0
        """How many lines it has not taken since it last took some."""
        self._waiting: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._lost = 0
        self._passing = threading.Lock()
        self._passed_on = 0
        """How many lines of other processes are waiting."""
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record written soon; it is formatted here, because its arguments may change."""
        if self._waiting.qsize() >= _MOST_WAITING:
            self._lost += 1
            return
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - logging's own handleError would print the arguments as they are
            reason = f"a line of {record.name} could not be made: {type(error).__name__}"
            self._waiting.put(self._line(logging.ERROR, reason))
            return
        self._waiting.put(line + self.terminator)

    def pass_on(self, lines: str) -> None:
        """Have lines written soon that another process has finished."""
        count = lines.count("\n")
        with self._passing:
            if self._passed_on >= _MOST_WAITING:
                self._lost += count
                return
            self._passed_on += count
        self._waiting.put(_Finished(lines))

    def _line(self, level: int, message: str) -> str:
        """A line of this module's own."""
        return self.format(_Record(__name__, level, "", 0, message, None, None)) + self.terminator

    def flush(self) -> None:
        """Wait until what has been logged is written, but for a moment only: nobody may be reading."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(_FLUSH_S)

    def _write(self) -> None:
        while True:
            batch = [self._waiting.get()]
            if type(batch[0]) is str:  # those of another process have waited there
                time.sleep(_GATHER_S)
            with suppress(Empty):
                while len(batch) < _MOST_AT_ONCE:
                    batch.append(self._waiting.get_nowait())
            if self._lost:
                lost, self._lost = self._lost, 0
                why = f"{lost:,} lines of the log are lost: they were not read in time"
                batch.append(self._line(logging.WARNING, why))
            self._out("".join(line for line in batch if isinstance(line, str)))
            for each in batch:
                if isinstance(each, threading.Event):
                    each.set()
                elif isinstance(each, _Finished):
                    with self._passing:
                        self._passed_on -= each.count("\n")

    def _out(self, lines: str) -> None:
        if self._elsewhere and lines:
            try:
                self._elsewhere(lines)
            except OSError:
                self._refused += lines.count("\n")
            else:
                if self._refused:
                    refused, self._refused = self._refused, 0
                    _log.warning("%s lines of the log went to standard error: their file took none", f"{refused:,}")
                return
        if not self.stream:  # a service of Windows has none
            return
        try:
            self.stream.write(lines)
            self.stream.flush()
        except (OSError, ValueError):
            pass  # there is no reader any more


class Unsaid(Exception):
    """Stands in a traceback for an exception whose text may quote a caller's data."""


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return
    name = ended.thread.name if ended.thread else "?"
    trace = (ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)
    _log.critical("thread %s has ended with %s", name, ended.exc_type.__name__, exc_info=trace)


def in_utf8(stream: object) -> None:
    """Have this stream written in UTF-8, whatever the locale or the code page; what is no text, as an escape."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write(lines: str) -> None:
    """Have lines written that another process has finished."""
    for handler in logging.root.handlers:
        if isinstance(handler, _Stream):
            handler.pass_on(lines)


def configure(style: str = "text", level: str = "info", elsewhere: Callable[[str], None] | None = None) -> None:
    """Log to the standard error stream in UTF-8, one line for each record, with telephone numbers masked.

    ``style`` is one of FORMATS, ``level`` one of LEVELS. What ends a thread is logged, too, and not printed past the
    log. In systemd's journal each line has its priority. ``elsewhere`` is given the lines in place of the stream,
    finished and several at once; the stream has those for which it raises OSError.
    """
    in_utf8(sys.stderr)
    # What no line shows need not be collected for each record (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.setLogRecordFactory(_Record)
    logging.basicConfig(handlers=[_Stream(elsewhere)], force=True)
    change(style, level)
    threading.excepthook = _log_end_of_thread
    logging.getLogger("waitress.queue").disabled = True  # a line for every request that waits for a thread


def change(style: str, level: str) -> None:
    """Write the log in this form from now on, from this level on, as ``configure`` explains them."""
    formatter = _FORMATTERS[style]()
    for handler in logging.root.handlers:
        if isinstance(handler, _Stream):
            handler.setFormatter(journald.Marked(formatter) if journald.reads(sys.stderr) else formatter)
    least = logging.getLevelNamesMapping()[level.upper()]
    # Below INFO only the service's own lines are known to have no value in them: libraries keep to INFO.
    logging.root.setLevel(max(least, logging.INFO))
    logging.getLogger(_OWN).setLevel(least)
    # Below WARNING waitress has a line for each client that goes in mid-answer.
    logging.getLogger(_WAITRESS).setLevel(max(least, logging.WARNING))
