"""The service as systemd runs it: it says when it is ready and when it stops, and the journal has its priorities."""

import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from kit.serving import Running, until
from kit.talk import asked, request

if sys.platform == "win32":
    pytest.skip("there is no systemd", allow_module_level=True)

StartOn = Callable[..., Running]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of NOTIFY_SOCKET."""
    with tempfile.TemporaryDirectory(prefix="cti") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(Path(folder) / "notify"))
        heard.settimeout(15)
        monkeypatch.setenv("NOTIFY_SOCKET", heard.getsockname())
        yield heard


def first(manager: socket.socket) -> str:
    """The first word of the next datagram."""
    return manager.recv(4096).decode().partition("\n")[0]


def test_it_is_ready_once_the_port_is_open_and_says_when_it_stops(
    start_on: StartOn, manager: socket.socket, redis_url: str, client: Redis
) -> None:
    running = start_on(redis_url, "workers = 1\ndrain = 600")
    ready, status = manager.recv(4096).decode().split("\n")
    assert ready == "READY=1"
    port = int(status.removeprefix("STATUS=serves on port "))
    assert asked(port, request("GET /healthz")).status == 200
    running.process.send_signal(signal.SIGTERM)
    assert first(manager) == "STOPPING=1"
    assert running.end(signal.SIGTERM) == 0
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):  # a second signal is no second stop, and no worker speaks
        manager.recv(1)


def test_a_reload_is_told_as_one_and_is_over_once_the_configuration_is_in_force(
    start_on: StartOn, manager: socket.socket, redis_url: str, client: Redis, tmp_path: Path
) -> None:
    running = start_on(redis_url, "workers = 1")
    assert first(manager) == "READY=1"
    file = tmp_path / "config-0.ini"
    file.write_text(file.read_text("utf-8") + "[pool:another]\nnumbers = 7770000001\n", "utf-8")
    running.process.send_signal(signal.SIGHUP)
    assert [first(manager), first(manager)] == ["RELOADING=1", "READY=1"]
    file.write_text("[server]\nports = 1\n", "utf-8")
    running.process.send_signal(signal.SIGHUP)  # is refused, and nothing is reloaded
    until(lambda: "the configuration is refused" in running.said())
    assert running.end(signal.SIGTERM) == 0
    assert first(manager) == "STOPPING=1"


def test_the_watchdog_hears_of_it_while_it_runs(
    start_on: StartOn, manager: socket.socket, redis_url: str, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    running = start_on(redis_url, "workers = 1")
    assert [first(manager), first(manager), first(manager)] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert running.end(signal.SIGTERM) == 0


def test_in_the_journal_each_line_of_parent_and_worker_has_its_priority(
    start_on: StartOn, redis_url: str, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = tmp_path / "errors-0"
    errors.touch()
    monkeypatch.setenv("JOURNAL_STREAM", f"{errors.stat().st_dev}:{errors.stat().st_ino}")
    running = start_on(redis_url, "workers = 1")
    port = int(running.line().split()[3].rpartition(":")[2])
    assert asked(port, request("GET /cticache/DNIS-ANI/1:2", "Authorization: Basic eDp5")).status == 401
    assert running.end(signal.SIGTERM) == 0
    lines = running.said().splitlines()
    assert [line for line in lines if not line.startswith("<6>2")] == []
    assert any(line.startswith("<6>") and " INFO cticache.announce: listening on " in line for line in lines)
    assert any(line.startswith("<6>") and " status=401 " in line for line in lines), lines


def test_in_the_journal_a_start_that_fails_is_an_error(
    start_on: StartOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = tmp_path / "errors-0"
    errors.touch()
    monkeypatch.setenv("JOURNAL_STREAM", f"{errors.stat().st_dev}:{errors.stat().st_ino}")
    running = start_on("", "ports = 1")
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert line.startswith("<3>cticache: ")
    assert "[server] ports: is not an option known here" in line
