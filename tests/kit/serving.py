"""`cticache serve` as a process of its own."""

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

_WAIT_S = 30.0


class Running:
    """One `cticache serve`; its standard output read line by line, its standard error in a file."""

    def __init__(self, config: Path, errors: Path) -> None:
        self.errors = errors
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CTICACHE_")}
        with errors.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cticache", "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self) -> str:
        """The next line; it fails when the service ends, or says nothing for long."""
        line = self._lines.get(timeout=_WAIT_S)
        assert line is not None, self.said()
        return line

    def command(self) -> list[str]:
        """The words of the command that the service offers to try; it is up by then."""
        while not (line := self.line()).startswith("  curl "):
            pass
        return shlex.split(line)

    def said(self) -> str:
        """What stands on standard error."""
        return self.errors.read_text()

    def ended(self) -> int:
        """The exit code, once the process has ended; all its output is read then."""
        code = self.process.wait(_WAIT_S)
        self._reader.join(_WAIT_S)
        return code

    def end(self, by: signal.Signals) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(by)
        return self.ended()

    def close(self) -> None:
        """End it if it has not ended; gently first, so that its embedded server goes with it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(_WAIT_S)
        assert self.process.stdout
        self.process.stdout.close()
