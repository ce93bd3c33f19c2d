"""What systemd is told: real datagrams on a socket as systemd has it."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there is no systemd", allow_module_level=True)

from cticache.supervisor import Supervisor


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="cti") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(Path(folder) / "notify"))
        heard.setblocking(False)
        yield heard


@pytest.fixture
def told(manager: socket.socket) -> Callable[[], list[str]]:
    return lambda: manager.recv(4096).decode().split("\n")


def is_silent(manager: socket.socket) -> bool:
    try:
        manager.recv(1)
    except BlockingIOError:
        return True
    return False


def test_each_step_of_a_life_is_one_datagram(manager: socket.socket, told: Callable[[], list[str]]) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": manager.getsockname()})
    supervisor.ready("serves on port 8080")
    assert told() == ["READY=1", "STATUS=serves on port 8080"]
    with supervisor.reloading():
        word, since = told()
        assert word == "RELOADING=1"
        assert since.removeprefix("MONOTONIC_USEC=").isdigit()
        assert is_silent(manager)
    assert told() == ["READY=1"]
    supervisor.stopping()
    assert told() == ["STOPPING=1", "STATUS=stops"]


def test_a_reload_that_fails_is_over_too(manager: socket.socket, told: Callable[[], list[str]]) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": manager.getsockname()})
    with pytest.raises(ZeroDivisionError), supervisor.reloading():
        _ = 1 / 0
    assert [told()[0], told()[0]] == ["RELOADING=1", "READY=1"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has abstract names")
def test_a_name_in_the_abstract_namespace_is_one() -> None:
    name = f"cticache-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        heard.setblocking(False)
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).ready("x")
        assert heard.recv(100) == b"READY=1\nSTATUS=x"


def test_the_watchdog_is_told_as_often_as_it_needs_and_no_more(
    manager: socket.socket, told: Callable[[], list[str]]
) -> None:
    socket_name = {"NOTIFY_SOCKET": manager.getsockname()}
    Supervisor(socket_name).lives()
    for another in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}):
        Supervisor(socket_name | {"WATCHDOG_USEC": "1"} | another).lives()
    assert is_silent(manager)
    hurried = Supervisor(socket_name | {"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())})
    hurried.lives()
    hurried.lives()
    assert (told(), told()) == (["WATCHDOG=1"], ["WATCHDOG=1"])
    patient = Supervisor(socket_name | {"WATCHDOG_USEC": "3600000000"})
    patient.lives()
    patient.lives()
    assert told() == ["WATCHDOG=1"]
    assert is_silent(manager)


def test_without_a_socket_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Supervisor({}).ready("x")
    assert not caplog.messages


def test_a_socket_that_nobody_reads_stops_nothing_and_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.WARNING)
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready("x")
    assert caplog.messages == ["systemd cannot be told READY=1 over NOTIFY_SOCKET: No such file or directory"]
