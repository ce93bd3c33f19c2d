"""`cticache service`, as far as it can be tried without Windows; tests/windows has the rest."""

import sys
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from cticache import config, hosted
from cticache.cli import main
from cticache.commands import service
from cticache.commands.serve import log_path
from cticache.data.outage import Outages

POOL = "[pool:x]\nnumbers = 1-9\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "config.ini"
    written.write_text(POOL, "utf-8")
    return written


@pytest.mark.skipif(sys.platform == "win32", reason="it is known there")
@pytest.mark.parametrize("action", ["install", "start", "stop", "remove", "status"])
def test_on_another_system_it_is_refused_with_what_to_do(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", action]) == 2
    assert capsys.readouterr() == (
        "",
        "cticache: `cticache service` is for Windows: elsewhere let systemd or the like run `cticache serve`\n",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="it is known there")
def test_what_windows_runs_is_not_run_elsewhere() -> None:
    with pytest.raises(SystemExit, match="on this system it is `cticache serve`"):
        hosted.main()


def test_log_and_data_of_a_service_are_beside_its_configuration(path: Path) -> None:
    settings = service.at_home(config.read(path, {}))
    assert log_path(settings) == path.parent / "log" / "cticache.log"
    assert settings.redis.data == str(path.parent / "data")


def test_where_the_configuration_says_where_they_are_there(path: Path) -> None:
    path.write_text(f"[log]\nfile = x.log\n[redis]\ndata = y\n{POOL}", "utf-8")
    settings = service.at_home(config.read(path, {}))
    assert (log_path(settings), settings.redis.data) == (path.parent / "x.log", "y")


@pytest.mark.parametrize("text", [POOL, "[nonsense]\n"])
def test_the_log_of_a_service_is_found_by_the_command_that_windows_runs(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    command = f'"C:\\Program Files\\x\\python.exe" -P -m cticache.hosted cticache "{path}"'
    assert service._log_of(command) == path.parent / "log" / "cticache.log"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-28 02:12:51.865Z CRITICAL cticache.commands.service: the service could not start: the port is taken",
        '{"level":"CRITICAL","logger":"x","message":"the service could not start: the port is taken"}',
    ],
)
def test_the_reason_is_read_from_what_the_log_has_had_since(tmp_path: Path, line: str) -> None:
    log = tmp_path / "cticache.log"
    before = "... the service could not start: of yesterday\n"
    log.write_text(f"{before}... INFO of today\n{line}\n", "utf-8")
    assert service._said_since(log, len(before)) == "the port is taken"
    assert service._said_since(log, 10**6).startswith("of yesterday")  # it has begun anew meanwhile
    assert service._said_since(tmp_path / "none", 0) == ""


@pytest.mark.parametrize("account", ["", "LocalService", r"NT SERVICE\x", r"NT AUTHORITY\LocalService", "DOMAIN\\cti$"])
def test_an_account_without_a_password_is_asked_for_none(account: str) -> None:
    assert service._password(account) is None


def test_redis_that_goes_and_comes_back_is_marked_for_the_event_log(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(2)
    outages.met(RedisConnectionError("refused"))
    outages.over()
    assert [getattr(record, "occasion", "") for record in caplog.records] == ["redis_away", "redis_back"]
