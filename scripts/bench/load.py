"""The clients: wrk, connections that stay idle, and newcomers whose wait is measured."""

import math
import os
import resource
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from processes import catches, cpu_seconds
from servers import AUTHORIZATION, VALUE, Server

_SCRIPT = Path(__file__).parent / "load.lua"
_TIMEOUT_S = 10
_FILES = 8192
_SETTLE_S = 0.7
"""How long the keep-alive clients run before the first newcomer."""


class Load(NamedTuple):
    """What the clients do."""

    operation: str
    """get, post or handoff."""
    connections: int
    close: bool = False
    """Each request on a connection of its own."""


@dataclass(frozen=True)
class Figures:
    """What one run measured."""

    rate: float
    """Requests a second."""
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the server, a request."""
    redis_us: float
    """CPU time of Redis, a request."""
    wrk_us: float
    """CPU time of the load generator, a request."""
    errors: int
    """Answers above 399, socket errors and time-outs."""
    what: str = ""
    """Which errors."""


class Newcomers(NamedTuple):
    """How long fresh connections waited for their first answer, beside keep-alive clients."""

    waits_ms: list[float]
    errors: int
    beside: Figures
    """What the keep-alive clients saw meanwhile."""


def allow_files() -> None:
    """Let this process and its children have enough sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def measure(server: Server, load: Load, seconds: float, redis_pid: int) -> Figures:
    """Run wrk against the server."""
    with _Wrk(server, load, seconds, redis_pid) as wrk:
        return wrk.figures(seconds)


def newcomers(server: Server, load: Load, seconds: float, redis_pid: int, *, count: int, every_s: float) -> Newcomers:
    """Beside the load, open fresh connections (all at once, or one after another), a GET on each."""
    with _Wrk(server, load, seconds + _SETTLE_S + _TIMEOUT_S, redis_pid) as wrk:
        time.sleep(_SETTLE_S)
        waits, errors = _arrive(server, count, every_s)
        return Newcomers(waits, errors, wrk.figures(seconds))


@contextmanager
def idle(server: Server, count: int) -> Iterator[None]:
    """This many connections, each of which has had one answer and then stays silent."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", server.port), _TIMEOUT_S)
            sockets.append(sock)
            sock.sendall(_get(server))
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{server.title}: a connection that is to be idle was refused")
        yield
    finally:
        for sock in sockets:
            sock.close()


class _Wrk:
    """One run of wrk, which ends when its figures are asked for."""

    def __init__(self, server: Server, load: Load, longest_s: float, redis_pid: int) -> None:
        self._server, self._redis_pid = server, redis_pid
        self._server_cpu, self._redis_cpu = cpu_seconds(server.pid), cpu_seconds(redis_pid)
        command = [
            "wrk", "--threads", "1", "--connections", str(load.connections),
            "--duration", f"{math.ceil(longest_s) + 5}s", "--timeout", f"{_TIMEOUT_S}s", "--script", str(_SCRIPT),
            f"http://127.0.0.1:{server.port}",
        ]  # fmt: skip
        environment = os.environ | {
            "BENCH_MODE": load.operation,
            "BENCH_PATHS": str(server.paths),
            "BENCH_AUTHORIZATION": AUTHORIZATION,
            "BENCH_CLOSE": "1" if load.close else "0",
            "BENCH_VALUE": VALUE,
        }
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> "_Wrk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def figures(self, after_s: float) -> Figures:
        """What it has measured after this much more time."""
        while self._process.poll() is None and not catches(self._process.pid, signal.SIGINT):
            time.sleep(0.005)  # it has not begun: the signal would end it without a word
        time.sleep(after_s)
        wrk_used = cpu_seconds(self._process.pid)
        self._process.send_signal(signal.SIGINT)  # its own clock knows whole seconds only
        printed, _ = self._process.communicate(timeout=2 * _TIMEOUT_S)
        # Read only now: it goes on for up to 0.1 s after the signal, and counts what is answered until then.
        used = cpu_seconds(self._server.pid) - self._server_cpu
        redis_used = cpu_seconds(self._redis_pid) - self._redis_cpu
        told = next((line for line in printed.splitlines() if line.startswith("BENCH ")), None)
        if told is None:
            raise RuntimeError(f"wrk measured nothing against {self._server.title}; it said:\n{printed[-2000:]}")
        requests, lasted_us, p50_us, p99_us, *errors = map(int, told.split()[1:])
        if not requests:
            return Figures(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, sum(errors) + 1, "not one answer")
        kinds = zip(("connect", "read", "write", "status", "time-out"), errors, strict=True)
        return Figures(
            rate=requests / (lasted_us / 1e6),
            p50_ms=p50_us / 1000,
            p99_ms=p99_us / 1000,
            cpu_us=used * 1e6 / requests,
            redis_us=redis_used * 1e6 / requests,
            wrk_us=wrk_used * 1e6 / requests,
            errors=sum(errors),
            what=", ".join(f"{count} {kind}" for kind, count in kinds if count),
        )


def _get(server: Server) -> bytes:
    path = server.paths.read_text("ascii").partition("\n")[0]
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n\r\n".encode()


def _arrive(server: Server, count: int, every_s: float) -> tuple[list[float], int]:
    """The waits, in milliseconds, from before the connect to the answer, and how many got none, or not a 200."""
    request, waits, errors = _get(server), list[float](), 0
    began: dict[socket.socket, float] = {}
    with selectors.DefaultSelector() as selector:
        try:
            first, opened = time.perf_counter(), 0
            while opened < count or began:
                while opened < count and time.perf_counter() >= first + opened * every_s:
                    opened += 1
                    sock = socket.socket()
                    sock.setblocking(False)
                    began[sock] = time.perf_counter()
                    sock.connect_ex(("127.0.0.1", server.port))
                    selector.register(sock, selectors.EVENT_WRITE)
                for key, _ in selector.select(0.001):
                    sock = key.fileobj  # type: ignore[assignment]
                    try:
                        if key.events == selectors.EVENT_WRITE:
                            sock.sendall(request)
                            selector.modify(sock, selectors.EVENT_READ)
                            continue
                        errors += not sock.recv(4096).startswith(b"HTTP/1.1 200")
                    except OSError:
                        errors += 1
                    waits.append((time.perf_counter() - began.pop(sock)) * 1000)
                    selector.unregister(sock)
                    sock.close()
                if time.perf_counter() > first + count * every_s + _TIMEOUT_S:
                    break
        finally:
            for sock in began:
                sock.close()
    return waits, errors + len(began)
