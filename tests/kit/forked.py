"""`cticache` as a process of its own that has imported everything before it begins: most of what a start costs is that.

It is a child of multiprocessing's fork server, which has done the imports and nothing else; it has a session, standard
streams, an environment and arguments of its own, and calls what the installed command calls. So do its workers, for
which it has such a server, too: what would begin each of them, and what they are given, is as in any start.

What a test wants to see of the start of an interpreter, of its end, or of the imports needs a real one.
"""

import atexit
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, reduction
from typing import Any, BinaryIO

_IMPORTED = ["cticache.__main__", "cticache.cli"]
"""What imports all the rest."""
_ENDS_S = 30.0
"""How long ``run`` waits for the end."""


class _Streams:
    """File descriptors that go to the process in which this is read again."""

    def __init__(self, streams: Sequence[int]) -> None:
        self._streams = streams

    def __reduce__(self) -> tuple[type["_Received"], tuple[list[Any]]]:
        return _Received, ([reduction.DupFd(stream) for stream in self._streams],)


class _Received:
    """The same over there."""

    def __init__(self, ends: Sequence[Any]) -> None:
        self.streams = [end.detach() for end in ends]


class Forked:
    """One that runs, as a subprocess.Popen has it."""

    def __init__(
        self,
        arguments: Sequence[str],
        streams: tuple[int, int, int],
        environment: Mapping[str, str] = os.environ,
        code: str = "",
    ) -> None:
        """``streams``: file descriptors. ``code``: what it runs in place of the command, as after ``python -c``."""
        if sys.platform == "win32":
            raise NotImplementedError("there is no fork")
        start = multiprocessing.get_context("forkserver")
        start.set_forkserver_preload(_IMPORTED)
        self._process = start.Process(
            target=_run, args=(_Streams(streams), dict(environment), list(arguments), code), name="MainProcess"
        )
        self._process.start()
        assert self._process.pid
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As ``poll`` has it."""
        return self.poll()

    def poll(self) -> int | None:
        """The exit code, once it has ended; negative for a signal."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; subprocess.TimeoutExpired if it does not end in so many seconds."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM"""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL"""
        self._process.kill()


def run(*arguments: str, given: bytes = b"", code: str = "") -> subprocess.CompletedProcess[str]:
    """What the command comes to with this on its standard input, as subprocess.run has it; on POSIX."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        theirs, ours = os.pipe()
        os.write(ours, given)  # as much as a pipe holds
        os.close(ours)
        running = Forked(arguments, (theirs, out.fileno(), errors.fileno()), code=code)
        os.close(theirs)
        try:
            ended = running.wait(_ENDS_S)
        finally:
            running.kill()
        return subprocess.CompletedProcess(arguments, ended, _read(out), _read(errors))


def _read(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode()


def _run(received: _Received, environment: dict[str, str], arguments: list[str], code: str) -> None:
    """The new process."""
    if sys.platform == "win32":
        return
    from cticache import __main__ as command
    from cticache.loop import worker

    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    for own, stream in enumerate(received.streams):
        os.dup2(stream, own)
        os.close(stream)
    said, told = sys.stdout, sys.stderr
    sys.stdin = os.fdopen(0, encoding=said.encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=said.encoding, errors=said.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=told.encoding, errors=told.errors, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c" if code else command.__file__, *arguments]
    sys.modules["__main__"] = command  # as its workers look for it
    _serve_forks()  # with nothing changed there
    worker._SPAWN = multiprocessing.get_context("forkserver")  # type: ignore[assignment]
    worker._run = _work  # type: ignore[assignment]
    with _ending_as_ever():
        if code:
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.exit(command.main())


def _work(*arguments: Any) -> None:
    """A worker."""
    from cticache.loop import worker

    with _ending_as_ever():
        worker._run(*arguments)


@contextmanager
def _ending_as_ever() -> Iterator[None]:
    """At its end is done what an interpreter does at its own, and multiprocessing leaves out: the log is written."""
    try:
        yield
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        logging.shutdown()  # which later Pythons strike off that list in a child


def _serve_forks() -> None:
    """Begin a fork server in this session, with these streams, which starts what this process asks it to.

    It ends with the last of all of them. What is deaf to Ctrl+C is so from its begin, as the workers of a service are.
    """
    from multiprocessing import forkserver

    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        alive, ours = os.pipe()
        of_this: Any = forkserver._forkserver
        pid = os.fork()
        if not pid:
            os.close(ours)
            os.close(of_this._forkserver_alive_fd)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                forkserver.main(listener.detach(), alive, [])
            finally:
                os._exit(0)
    os.close(alive)
    os.close(of_this._forkserver_alive_fd)
    of_this._forkserver_address, of_this._forkserver_alive_fd, of_this._forkserver_pid = address, ours, pid
