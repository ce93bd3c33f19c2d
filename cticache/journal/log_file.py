"""The log as a file, for a service that has no console: it begins anew by size and by days, and old ones go."""

import contextlib
import logging
import logging.handlers
import os
import re
import shutil
import stat
import time
from io import TextIOWrapper
from pathlib import Path

from filelock import FileLock, Timeout

from cticache.errors import UserError

_log = logging.getLogger(__name__)

_DAY_S = 86_400
_AGAIN_S = 60.0
"""After how long it is tried again to begin a file anew that could not be."""


class LogFile(logging.handlers.RotatingFileHandler):
    """Appends finished lines to a file. A full one is kept beside it under its name with the time in UTC."""

    terminator = ""

    def __init__(self, path: Path, most_bytes: int, days: int, kept: int) -> None:
        """A file has ``most_bytes``, and the lines of ``days`` days; 0 is any number. ``kept`` older ones stay.

        UserError says why there can be none at that place: it cannot be written, or another service writes it.
        """
        self._days = days
        self._anew_from = 0.0
        """By time.monotonic(): it is not begun anew before."""
        self._lock = FileLock(f"{path}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, maxBytes=most_bytes, backupCount=kept, encoding="utf-8", errors="backslashreplace")
            self._lock.acquire(timeout=0)
        except Timeout:
            self.close()
            raise UserError(
                f"[log] file = {path}: another cticache writes it: stop that one, or give this one a file of its own"
            ) from None
        except (OSError, ValueError, NotImplementedError) as error:  # not a path, or no locks on that file system
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"[log] file = {path}: cannot be written: {reason}; "
                "give this user the right to write in that folder, or choose another file"
            ) from None
        self.rotator = _set_aside

    def write(self, lines: str) -> None:
        """Append these; OSError if that cannot be done now, and each time it is tried anew."""
        self.handle(logging.makeLogRecord({"msg": lines}))

    def close(self) -> None:
        """Leave the file to others."""
        super().close()
        self._lock.release()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's own name
        """Whether the file is full, or of another day, and can be begun anew."""
        if self._is_passed_on or time.monotonic() < self._anew_from:
            return False
        return bool(super().shouldRollover(record)) or self._is_old()

    def doRollover(self) -> None:  # noqa: N802 - logging's own name
        """Begin anew; where that cannot be done the file goes on, and it is tried again later."""
        self._let_go()
        try:
            self.rotate(self.baseFilename, str(self._aside()))
            self._anew_from = 0.0
        except OSError as error:
            if not self._anew_from:
                _log.warning("the log file goes on, for it cannot be begun anew: %s", error.strerror)
            self._anew_from = time.monotonic() + _AGAIN_S
        for old in sorted(self._old())[: -self.backupCount or None]:
            with contextlib.suppress(OSError):  # somebody reads it: it goes the next time
                old.unlink()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Have whoever writes know; what could not be written is not kept for the next time."""
        self._let_go()
        raise  # noqa: PLE0704 - logging calls it where the exception is handled

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        status = os.fstat(stream.fileno())
        self._began_s = status.st_mtime
        self._is_passed_on = not stat.S_ISREG(status.st_mode)  # by /dev/stdout, say, which must keep its name
        if status.st_size and not self._ends_whole():
            stream.write("\n")  # a full disk, or a machine that stopped, has left half a line
        return stream

    def _ends_whole(self) -> bool:
        with Path(self.baseFilename).open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _is_old(self) -> bool:
        """Whether what is in it was written so many days ago: days of UTC, by which its lines go."""
        period_s = self._days * _DAY_S
        return bool(period_s) and self._began_s // period_s != time.time() // period_s

    def _aside(self) -> Path:
        """The name for what is in the file now, under which there is nothing yet."""
        path = Path(self.baseFilename)
        while True:
            now = time.time()
            at = f"{time.strftime('%Y-%m-%dT%H%M%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
            aside = path.with_name(f"{path.stem}.{at}{path.suffix}")
            if not aside.exists():
                return aside

    def _old(self) -> list[Path]:
        path = Path(self.baseFilename)
        named = re.compile(rf"{re.escape(path.stem)}\.\d{{4}}-\d\d-\d\dT\d{{6}}\.\d{{3}}Z{re.escape(path.suffix)}")
        return [other for other in path.parent.iterdir() if named.fullmatch(other.name)]

    def _let_go(self) -> None:
        stream, self.stream = self.stream, None
        if stream:
            with contextlib.suppress(OSError):  # it may have lines in it yet, for which there is no room
                stream.close()


def _set_aside(source: str, aside: str) -> None:
    """Give the file another name; where somebody reads it on Windows, copy and empty it."""
    try:
        Path(source).rename(aside)
    except PermissionError:
        shutil.copyfile(source, aside)
        os.truncate(source, 0)
