"""The priority with which systemd's journal keeps a line: a number before it, sd-daemon(3)."""

import logging
import os
from collections.abc import Mapping
from typing import TextIO

STREAM = "JOURNAL_STREAM"
"""The variable by which systemd names the stream that the journal reads, by its device and inode: systemd.exec(5)."""
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Those of syslog(3)."""


def reads(stream: TextIO | None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to this stream goes straight to the journal: it may have been redirected since."""
    if not stream or STREAM not in environment:
        return False
    try:
        file = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it is closed, or no file
        return False
    return environment[STREAM] == f"{file.st_dev}:{file.st_ino}"


def marked(text: str, level: int) -> str:
    """The text with the priority of this level of logging before each of its lines."""
    mark = f"<{_PRIORITIES[level]}>"
    return mark + text.replace("\n", f"\n{mark}")


class Marked(logging.Formatter):
    """Marks what another formatter makes."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, each with its priority."""
        return marked(self._formatter.format(record), record.levelno)
