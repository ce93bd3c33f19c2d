"""Programs that are started and ended by their own pid, and what the kernel tells about them."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

_START_S = 30.0
_END_S = 5.0


class Programs:
    """Starts programs, each in a session of its own so that Ctrl+C reaches this one alone, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> int:
        """The pid; what the program prints goes to a file."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | dict(environment or {}),
                start_new_session=True,
            )
        self._running.append((name, process))
        return process.pid

    def log(self, name: str) -> Path:
        """What a program has printed."""
        return self._folder / f"{name}.log"

    def wait_for_port(self, name: str, port: int) -> None:
        """Wait until something listens there; RuntimeError with the end of the log when the program ends first."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                ended = any(process.poll() is not None for named, process in self._running if named == name)
                if ended or time.monotonic() > deadline:
                    tail = self.log(name).read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"{name} does not listen on its port; its last words:\n{tail}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, pid: int) -> None:
        """End one of the programs."""
        for entry in [entry for entry in self._running if entry[1].pid == pid]:
            self._running.remove(entry)
            _end(entry[1])

    def stop_all(self) -> None:
        """End the programs that still run, the latest first."""
        while self._running:
            _end(self._running.pop()[1])


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """The CPU time, user and system, of a process and its living descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        total += _cpu_clock(one)
        waiting += parents.get(one, [])
    return total


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    return bool(int(_status(pid, "SigCgt"), 16) >> number - 1 & 1)


def resident_mib(pid: int) -> float:
    """The memory that a process has in RAM."""
    return int(_status(pid, "VmRSS")) / 1024


def _status(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    raise LookupError(f"process {pid} tells no {name}")


def _cpu_clock(pid: int) -> float:
    try:
        # The id that clock_getcpuclockid(3) makes. /proc counts in ticks of 10 ms: too coarse for Redis in a short run.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0  # it has ended meanwhile


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
