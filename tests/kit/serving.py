"""`cticache serve` as a process of its own."""

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from kit import patience
from kit.forked import Forked
from kit.processes import ctrl_c

WAIT_S = 90.0 if sys.platform == "win32" else 30.0
"""How long a test waits for a process; a start takes seconds there."""
STOP = signal.SIGINT if sys.platform == "win32" else signal.SIGTERM
"""What ends a service in good order: there SIGTERM is TerminateProcess."""
KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
"""What ends it with no word to it."""
_OWN_CONSOLE = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
until = partial(patience.until, looks_s=0.01)
"""Waits for what another process is about to do, which has need of the core."""


class Running:
    """One `cticache serve` in a console or session of its own; its output read by lines, its errors in a file."""

    def __init__(self, config: Path, errors: Path, *begin: str) -> None:
        """``begin``: what a Python of its own runs, ``-m cticache``, say; else a process that has imported it all."""
        self.errors = errors
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CTICACHE_")}
        command = ["serve", "--config", str(config)]
        with errors.open("wb") as file:
            if begin or sys.platform == "win32":
                self._start(begin or ("-m", "cticache"), command, file, environment)
            else:
                self._fork(command, file, environment)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self, begin: Sequence[str], command: list[str], errors: BinaryIO, environment: dict[str, str]) -> None:
        process = subprocess.Popen(
            [sys.executable, *begin, *command],
            stdin=subprocess.PIPE if sys.platform == "win32" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            encoding="utf-8",
            creationflags=_OWN_CONSOLE,
            start_new_session=True,
        )
        assert process.stdout
        self.process: subprocess.Popen[str] | Forked = process
        self.stdin, self._stdout = process.stdin, process.stdout

    def _fork(self, command: list[str], errors: BinaryIO, environment: dict[str, str]) -> None:
        ours, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.process = Forked(command, (nothing, theirs, errors.fileno()), environment)
        self.stdin, self._stdout = None, os.fdopen(ours, encoding="utf-8")
        for end in (nothing, theirs):
            os.close(end)

    def _read(self) -> None:
        for line in self._stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self) -> str:
        """The next line; it fails when the service ends, or says nothing for long."""
        line = self._lines.get(timeout=WAIT_S)
        assert line is not None, self.said()
        return line

    def rest(self) -> list[str]:
        """All that it says until its end, but for the lines that were asked for before; it must be about to end."""
        lines = []
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            lines.append(line)
        return lines

    def command(self) -> list[str]:
        """The words of the request that the service offers to try first; it is up by then."""
        first, _ = self.to_paste()
        return shlex.split(first[first.index("curl") :].partition(" | ")[0])

    def to_paste(self) -> tuple[str, str]:
        """The two lines that the service offers to paste into a shell; it is up by then."""
        while not self.line().startswith("Try it: "):
            pass
        return self.line(), self.line()

    def said(self) -> str:
        """What stands on standard error."""
        return self.errors.read_text("utf-8")

    def ended(self) -> int:
        """The exit code, once the process has ended; all its output is read then."""
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def end(self, by: signal.Signals) -> int:
        """Send the signal; the exit code."""
        if by == signal.SIGINT:
            ctrl_c(self.process.pid)
        else:
            self.process.send_signal(by)
        return self.ended()

    def close(self) -> None:
        """End it if it has not ended; gently first, so that its embedded server goes with it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(WAIT_S)
        for stream in (self.stdin, self._stdout):
            if stream:
                stream.close()
