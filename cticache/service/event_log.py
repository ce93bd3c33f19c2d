"""The Windows Event Log: what an operator looks for there, each under an id of its own.

The texts are shown by EventCreate.exe, which every Windows has: its messages 1 to 1000 are the text itself.
"""

import logging
from contextlib import suppress

import pywintypes
import win32api
import win32con
import win32evtlog

from cticache.errors import UserError
from cticache.logs import escaped, said

STARTED, STOPPED, FAILED = 1, 2, 3
"""The ids; those of lines of the log are below. docs/windows.md has them all."""
OF_LINES = {"redis_away": 10, "redis_back": 11, "worker_died": 20}
"""By the occasion of a record."""
_SOURCES = r"SYSTEM\CurrentControlSet\Services\EventLog\Application"
_MESSAGES = r"%SystemRoot%\System32\EventCreate.exe"
_ALL_TYPES = 7


def register(source: str) -> None:
    """Have the Event Log know the source; UserError if it is another program's."""
    key = win32api.RegCreateKey(win32con.HKEY_LOCAL_MACHINE, rf"{_SOURCES}\{source}")
    with suppress(pywintypes.error):
        if win32api.RegQueryValueEx(key, "EventMessageFile")[0] != _MESSAGES:
            raise UserError(f"the Event Log has a source {source} of another program: give this service another --name")
    win32api.RegSetValueEx(key, "EventMessageFile", 0, win32con.REG_EXPAND_SZ, _MESSAGES)
    win32api.RegSetValueEx(key, "TypesSupported", 0, win32con.REG_DWORD, _ALL_TYPES)


def forget(source: str) -> None:
    """Have the Event Log no longer know it."""
    with suppress(pywintypes.error):
        win32api.RegDeleteKey(win32con.HKEY_LOCAL_MACHINE, rf"{_SOURCES}\{source}")


class EventLog(logging.Handler):
    """Writes to the Event Log under one source; a fault of that stops nothing."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record if it is one of those that stand there."""
        if id_ := OF_LINES.get(getattr(record, "occasion", "")):
            kind = "error" if record.levelno >= logging.ERROR else "warning"
            self.write(id_, kind, escaped(said(record)))

    def write(self, id_: int, kind: str, text: str) -> None:
        """Write an event: ``kind`` is error, warning or information."""
        kinds = {
            "error": win32evtlog.EVENTLOG_ERROR_TYPE,
            "warning": win32evtlog.EVENTLOG_WARNING_TYPE,
            "information": win32evtlog.EVENTLOG_INFORMATION_TYPE,
        }
        with suppress(pywintypes.error):
            source = win32evtlog.RegisterEventSource(None, self._source)
            try:
                win32evtlog.ReportEvent(source, kinds[kind], 0, id_, None, [text], None)
            finally:
                win32evtlog.DeregisterEventSource(source)
