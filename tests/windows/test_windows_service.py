"""The service as one of Windows': installed, started, stopped, removed, and what is said where that cannot be."""

import re
import socket
import winreg
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cticache.cli import main
from cticache.errors import UserError
from kit.sites import Load, Site, until

win32service = pytest.importorskip("win32service")

NAME = "cticache-test"
SOURCE = rf"SYSTEM\CurrentControlSet\Services\EventLog\Application\{NAME}"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `cticache service`; the exit code, and what it prints."""

    def service(*arguments: str) -> tuple[int, str, str]:
        code = main(["service", *arguments, "--name", NAME])
        return (code, *capsys.readouterr())

    return service


@pytest.fixture
def installed(site: Site, run: Run, tmp_path: Path) -> Iterator[Path]:
    """The folder of a service that is installed; where it cannot be removed the test fails."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = site.written(workers=1, dispatch="batch", port=port)
    code, _, errors = run("install", "--manual", "--config", str(path))
    assert (code, errors) == (0, "")
    yield tmp_path
    code, _, errors = run("remove")
    assert (code, errors) == (0, "")


def control(order: int) -> None:
    scm = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    service = win32service.OpenService(scm, NAME, win32service.SERVICE_ALL_ACCESS)
    win32service.ControlService(service, order)


def port(folder: Path) -> int:
    return int(re.findall(r"port = (\d+)", (folder / "config.ini").read_text("utf-8"))[0])


def logged(folder: Path) -> str:
    return (folder / "log" / "cticache.log").read_text("utf-8")


def test_it_lives_as_a_service_from_its_start_to_its_end(installed: Path, run: Run) -> None:
    code, said, errors = run("status")
    assert (code, errors) == (1, "")
    assert said.startswith(f"the service {NAME} is stopped, its last exit code was 1077; account NT SERVICE\\{NAME}\n")
    code, said, errors = run("start")
    assert (code, errors) == (0, "")
    assert said.startswith(f"the service {NAME} runs, process ")
    with Load(port(installed), clients=2) as load:
        load.more_answers(5)
        assert run("status")[0] == 0
        assert run("start") == (2, "", f"cticache: the service {NAME} runs already\n")
        control(win32service.SERVICE_CONTROL_PARAMCHANGE)
        until(lambda: "the configuration was read again" in logged(installed))
        assert run("stop") == (0, f"the service {NAME} has stopped\n", "")
    assert not load.wrong
    told = logged(installed)
    for line in ("listening on ", "op=lease ", "Windows tells the service to stop", "SIGTERM was heard", "stopped by"):
        assert line in told, told
    assert "Traceback" not in told
    assert "at the start alone" not in told
    code, said, _ = run("status")
    assert "is stopped, its last exit code was 0" in said
    assert run("stop") == (2, "", f"cticache: the service {NAME} does not run\n")


def test_what_keeps_it_from_starting_is_said_by_the_command_and_in_the_log(installed: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", port(installed))):
        code, _, errors = run("start")
    (line,) = errors.splitlines()
    assert code == 2
    assert line.startswith(f"cticache: the service {NAME} has ended with 2 before it could serve: [server] host = ")
    assert "cannot listen there" in line
    assert logged(installed).count("CRITICAL cticache.commands.service: the service could not start: [server]") == 1
    with (installed / "config.ini").open("a", encoding="utf-8") as file:
        file.write("[serve]\n")
    code, _, errors = run("start")
    assert code == 2
    assert "[serve] is not a section known here" in errors
    assert "[serve] is not a section known here" in logged(installed)


def test_a_second_service_of_the_name_or_the_file_and_a_wrong_account_are_refused(
    installed: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(installed / "config.ini")
    code, _, errors = run("install", "--config", config)
    assert (code, errors) == (
        2,
        f"cticache: there is a service {NAME} already: `cticache service remove` removes it, or give this one another "
        "--name\n",
    )
    code = main(["service", "install", "--config", config, "--name", "another"])
    errors = capsys.readouterr().err
    assert (code, len(errors.splitlines())) == (2, 1)
    assert errors.startswith(f"cticache: the service {NAME} runs on {config} already: give this one a file of its own")
    code, _, errors = run("install", "--config", config, "--account", "nobody-here")
    assert code == 2
    assert errors.startswith("cticache: --account nobody-here: there is no such account here, or its password is wrong")
    assert len(errors.splitlines()) == 1


def test_the_event_log_knows_the_source_as_long_as_the_service_is_there(installed: Path, run: Run) -> None:
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, SOURCE) as key:
        assert winreg.QueryValueEx(key, "EventMessageFile")[0] == r"%SystemRoot%\System32\EventCreate.exe"


def test_a_source_of_another_program_and_a_port_in_use_are_refused_and_nothing_is_left(
    site: Site, run: Run, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = str(site.written(workers=1, dispatch="batch", port=taken.getsockname()[1]))
        code, _, errors = run("install", "--config", path)
    assert code == 2
    assert "cannot listen there" in errors
    with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, SOURCE) as key:
        winreg.SetValueEx(key, "EventMessageFile", 0, winreg.REG_SZ, r"C:\other.dll")
    try:
        assert run("install", "--config", path) == (
            2,
            "",
            f"cticache: the Event Log has a source {NAME} of another program: give this service another --name\n",
        )
    finally:
        winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, SOURCE)
    code, _, errors = run("status")
    assert (code, errors.startswith(f"cticache: there is no service {NAME}: `cticache service install`")) == (2, True)


def test_what_windows_alone_runs_is_refused_in_a_terminal(tmp_path: Path) -> None:
    from cticache.service.session import Session

    with pytest.raises(UserError, match="Windows alone runs this, for its service"):
        Session(NAME).begin()


def test_a_user_who_logs_off_ends_no_service() -> None:
    from cticache.service.session import is_of_no_concern

    ctrl_c, ctrl_break, close, logoff, shutdown = 0, 1, 2, 5, 6
    assert [is_of_no_concern(event) for event in (ctrl_c, ctrl_break, close, logoff, shutdown)] == [
        *[False] * 3,
        *[True] * 2,
    ]
