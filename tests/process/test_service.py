"""The service as a process of its own: how it starts, what it says, how it ends, what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from redis import Redis

from cticache.access.passwords import hashed
from cticache.announce import Trial
from cticache.errors import UserError
from cticache.link import embedded
from cticache.link.connection import connect
from cticache.link.embedded import socket_url
from cticache.loop.signals import ended_by_signals
from kit import servers
from kit.processes import lives
from kit.serving import KILL, STOP, WAIT_S, Running, until

_OWN_SERVER = pytest.mark.skipif(
    sys.platform == "win32", reason="the imitation is no server with a process, a socket and data of its own"
)
_WORKERS = pytest.mark.skipif(
    sys.platform == "win32", reason="the imitation has one process; tests/windows kills workers"
)
_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="no such signals; tests/windows has those of a console")
POOL = "[pool:system-y]\nnumbers = 100-104\n"


REAL = ("-m", "cticache")
"""A start as a user's, by an interpreter that has to import it all."""
Start = Callable[..., Running]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose path is short enough for a Unix socket; a server left in it is stopped."""
    with tempfile.TemporaryDirectory(prefix="cti") as name:
        yield Path(name)
        if sys.platform == "win32":
            return
        with connect(socket_url(Path(name)), 5) as client:
            if _answers(client):
                client.shutdown(nosave=True)


@pytest.fixture
def configure(tmp_path: Path, folder: Path) -> Callable[[str], None]:
    """Writes config.ini: the embedded server on ``folder``, and more."""

    def write(more: str) -> None:
        (tmp_path / "config.ini").write_text(f"[redis]\ndata = {folder}\n{more}\n{POOL}", "utf-8")

    return write


@pytest.fixture
def start(tmp_path: Path, configure: Callable[[str], None]) -> Iterator[Start]:
    """Starts a service on config.ini, in one process unless a test configures more, and ends it after the test."""
    configure("[server]\nport = 0\nauth_wait = 30\nworkers = 1")
    started: list[Running] = []

    def run(*begin: str) -> Running:
        started.append(Running(tmp_path / "config.ini", tmp_path / f"errors-{len(started)}", *begin))
        return started[-1]

    yield run
    for running in started:
        running.close()


def _answers(client: Redis) -> bool:
    from redis.exceptions import RedisError

    try:
        return bool(client.ping())
    except RedisError:
        return False


def _process(folder: Path) -> int:
    """The process id of the server on this folder."""
    with connect(socket_url(folder), 5) as client:
        return int(client.info("server")["process_id"])


@contextmanager
def _running(command: list[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is killed when the test ends before it."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _request(
    url: str, credentials: str = "", body: str | None = None, kind: str = "application/json"
) -> tuple[int, str, str]:
    """Status, Location and body of an answer."""
    request = urllib.request.Request(url, body.encode() if body is not None else None)
    request.add_header("Content-Type", kind)
    if credentials:
        request.add_header("Authorization", "Basic " + b64encode(credentials.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status, answer.headers["Location"] or "", answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, "", error.read().decode()


def _curl(command: list[str]) -> tuple[int, str, str]:
    """Does what the offered command would."""
    data, kind = command[command.index("-d") + 1], "application/x-www-form-urlencoded"
    if sys.platform == "win32":
        assert command[0] == "curl.exe"
    else:
        assert command[0] == "curl"
        assert "Content-Type:application/json" in command
        kind = "application/json"
    return _request(command[-1].removesuffix("?format=txt"), command[command.index("--user") + 1], data, kind)


def _read(command: list[str], path: str) -> tuple[int, str, str]:
    base = command[-1].partition("/cticache")[0]
    return _request(base + path, command[command.index("--user") + 1])


def test_the_line_it_prints_can_be_run_as_it_is(start: Start, configure: Callable[[str], None], tmp_path: Path) -> None:
    configure("[server]\nport = 0\nauth_wait = 30")
    running = start(*REAL)
    first = running.line()
    assert first.startswith("cticache listens on http://127.0.0.1:")
    assert first.endswith(f" with {tmp_path / 'config.ini'}")
    assert "password has been invented" in running.line()
    command = running.command()
    base = first.split()[3]
    assert command[-1] == f"{base}/cticache/DNIS-ANI"
    status, location, body = _curl(command)
    assert status == 201
    assert location == "/cticache/DNIS-ANI/100:1234567890"
    assert json.loads(body) == {"dnis": "100", "ani": "1234567890", "value": "12345678"}
    assert _read(command, location) == (200, "", '{"value":"12345678"}')
    assert _request(base + location, "username:wrong")[0] == 401
    assert _request(base + "/readyz")[0] == 200


def _pasted(lines: tuple[str, str], shell: str, folder: Path) -> tuple[str, str]:
    """What a shell that works in this folder prints when both lines are typed into it, on both streams."""
    typed = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        [shell], input=typed, cwd=folder, capture_output=True, check=True, encoding="utf-8", timeout=WAIT_S
    )
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_both_lines_can_be_pasted_into_a_shell_again_and_again(start: Start, tmp_path: Path, shell: str) -> None:
    lines = start().to_paste()
    for dnis in ("100", "101"):
        taken, leased = _pasted(lines, shell, tmp_path)
        assert json.loads(leased) == {"dnis": dnis, "ani": "1234567890", "value": "12345678"}
        assert json.loads(taken) == {"value": "12345678"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("dnis")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="it has no shell of POSIX, to which these lines are the same")
def test_the_lines_for_windows_need_no_quotes_within_quotes_and_no_variables(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = start().command()
    base, password = command[-1].partition("/cticache")[0], command[2].partition(":")[2]
    monkeypatch.setattr("sys.platform", "win32")
    first, second = Trial(base, "username", "username", password).lines()
    monkeypatch.undo()
    for line in (first, second):
        assert not set(line) & set("\\'$%^!`|;")  # what cmd and PowerShell take in different ways
        assert line.startswith("curl.exe ")  # curl alone is another command in PowerShell 5
    as_here = first.replace("curl.exe", "curl"), second.replace("curl.exe", "curl")
    for _ in range(2):
        assert _pasted(as_here, "sh", tmp_path) == ('{"value":"12345678"}', "")


def test_the_invented_password_stays_and_is_in_no_log(start: Start, folder: Path) -> None:
    one = start()
    first = one.command()[2]
    one.end(STOP)
    assert start().command()[2] == first
    name, password = first.split(":")
    assert (name, password) == ("username", (folder / "password").read_text("utf-8").strip())
    assert password not in one.said()
    assert len(password) == 32


def test_with_users_no_password_is_invented_and_theirs_is_to_be_put_in(
    start: Start, configure: Callable[[str], None], folder: Path, tmp_path: Path
) -> None:
    server = "[server]\nport = 0\nauth_wait = 30\nworkers = 1\nhost = 0.0.0.0"
    ivr = f"[user:ivr]\npassword = {hashed('right')}\nroles = lease"
    agents = f"[user:agents]\npassword = {hashed('right')}\nroles = take"
    configure(f"{server}\n{ivr}\n{agents}")
    running = start()
    assert running.line().startswith("cticache listens on http://0.0.0.0:")
    first, second = running.to_paste()
    assert '"ivr:PASSWORD"' in first
    assert '"agents:PASSWORD"' in second
    assert "http://127.0.0.1:" in first
    if sys.platform != "win32":
        put_in = first.replace("PASSWORD", "right"), second.replace("PASSWORD", "right")
        assert _pasted(put_in, "sh", tmp_path)[0] == '{"value":"12345678"}'
    assert running.end(STOP) == 0
    assert running.rest() == []
    assert not (folder / "password").exists()


def test_where_nobody_may_take_there_is_nothing_to_try(start: Start, configure: Callable[[str], None]) -> None:
    configure(f"[server]\nport = 0\nworkers = 1\n[user:ivr]\npassword = {hashed('right')}\nroles = lease")
    running = start()
    running.line()
    assert running.end(STOP) == 0
    assert running.rest() == []


def test_without_a_user_it_listens_on_the_loopback_alone(start: Start, configure: Callable[[str], None]) -> None:
    configure("[server]\nport = 0\nauth_wait = 30\nworkers = 1\nhost = 0.0.0.0")
    running = start()
    assert running.line().startswith("cticache listens on http://127.0.0.1:")
    assert "not on 0.0.0.0" in running.line()


@_OWN_SERVER
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=lambda by: by.name)
def test_a_signal_ends_it_and_its_server_and_keeps_the_data(start: Start, folder: Path, by: signal.Signals) -> None:
    running = start(*REAL)
    command = running.command()
    _, location, _ = _curl(command)
    with connect(socket_url(folder), 5) as client:
        assert _answers(client)
    assert running.end(by) == 0
    assert "Traceback" not in running.said()
    with connect(socket_url(folder), 5) as client:
        assert not _answers(client)
    command = start().command()
    assert _read(command, location) == (200, "", '{"value":"12345678"}')
    assert _curl(command)[1] == "/cticache/DNIS-ANI/101:1234567890"


@_OWN_SERVER
def test_a_second_signal_does_not_break_off_the_end(folder: Path) -> None:
    server = embedded.Embedded(folder)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ended_by_signals(3):  # noqa: PT012 - what the signals interrupt
        try:
            server.start()
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            server.stop()
    assert ended.value.code == 3
    assert signal.getsignal(signal.SIGTERM) == before
    with connect(socket_url(folder), 5) as client:
        assert not _answers(client)


@_SIGNALS
def test_what_nohup_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals(0):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@_OWN_SERVER
def test_a_signal_during_the_start_leaves_no_server_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(client: Redis, process: subprocess.Popen[bytes]) -> bool:
        assert really(client, process)
        raise SystemExit(0)  # what the handler of SIGTERM raises

    really = embedded._answers
    monkeypatch.setattr("cticache.link.embedded._answers", stopped)
    with pytest.raises(SystemExit):
        embedded.Embedded(folder).start()
    with connect(socket_url(folder), 5) as client:
        assert not _answers(client)


@_OWN_SERVER
def test_after_a_kill_the_next_start_has_the_data(start: Start, folder: Path) -> None:
    killed = start()
    _, location, _ = _curl(killed.command())
    killed.end(KILL)
    with connect(socket_url(folder), 5) as client:
        assert _answers(client)  # the server is left behind
    orphan = _process(folder)
    command = start().command()
    assert _read(command, location) == (200, "", '{"value":"12345678"}')
    assert _process(folder) != orphan


@_OWN_SERVER
def test_a_server_left_behind_that_does_not_answer_stops_the_start(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = start()
    killed.command()
    killed.end(KILL)
    orphan = _process(folder)
    monkeypatch.setattr("cticache.link.embedded._STOP_S", 0.2)
    os.kill(orphan, signal.SIGSTOP)
    try:
        with pytest.raises(UserError, match="a server left behind still has the folder") as caught:
            embedded.Embedded(folder).start()
        assert str(folder) in str(caught.value)
    finally:
        os.kill(orphan, signal.SIGCONT)
    assert _process(folder) == orphan


@_OWN_SERVER
def test_a_server_left_behind_that_still_loads_is_waited_for(folder: Path) -> None:
    keys = 5_000
    command = [servers.packaged(), "--port", "0", "--appendonly", "yes", "--save", "", "--dir", str(folder)]
    command += ["--unixsocket", str(folder / "redis.sock")]
    with connect(socket_url(folder), 5) as client:
        with _running(command):
            until(lambda: _answers(client))
            pipeline = client.pipeline()
            for key in range(keys):
                pipeline.set(str(key), "1")
            pipeline.execute()
            client.shutdown(nosave=True)
        with _running([*command, "--key-load-delay", "200"]) as left:
            until((folder / "redis.sock").exists)
            assert not _answers(client)
            new = embedded.Embedded(folder)
            try:
                new.start()
                assert left.poll() is not None
                assert client.dbsize() == keys
            finally:
                new.stop()


@_OWN_SERVER
def test_a_server_that_ends_in_mid_life_is_started_again_with_the_data(start: Start, folder: Path) -> None:
    running = start()
    command = running.command()
    _, location, _ = _curl(command)
    lost = _process(folder)
    os.kill(lost, signal.SIGKILL)
    with connect(socket_url(folder), 5) as client:
        until(lambda: _answers(client) and _process(folder) != lost)
    until(lambda: _read(command, location) == (200, "", '{"value":"12345678"}'))  # a probe finds it again
    assert "the embedded server ended by itself (code -9)" in running.said()
    assert running.end(STOP) == 0
    with connect(socket_url(folder), 5) as client:
        assert not _answers(client)


@_OWN_SERVER
def test_a_server_that_ended_is_not_started_again_after_the_stop(folder: Path) -> None:
    server = embedded.Embedded(folder)
    server.start()
    os.kill(_process(folder), signal.SIGKILL)
    server.stop()
    with connect(socket_url(folder), 5) as client:
        assert not _answers(client)


def test_a_second_service_on_the_same_folder_is_refused(start: Start, folder: Path) -> None:
    first = start()
    command = first.command()
    second = start()
    assert second.ended() == 2
    (line,) = second.said().splitlines()
    assert line.startswith(f"cticache: another cticache keeps its data in {folder}")
    assert _curl(command)[0] == 201  # the first is undisturbed


def test_a_port_in_use_is_one_line_and_exit_2(start: Start, configure: Callable[[str], None], folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        configure(f"[server]\nport = {port}")
        running = start()
        assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert line.startswith(f"cticache: [server] host = 127.0.0.1, port = {port}: cannot listen there: ")
    assert "CTICACHE_SERVER_PORT" in line
    if sys.platform != "win32":
        with connect(socket_url(folder), 5) as client:
            assert not _answers(client)


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b", "x" * 64, "no-such-host.invalid", "[::1]"])
def test_a_host_of_another_machine_is_one_line_and_exit_2(
    start: Start, configure: Callable[[str], None], host: str
) -> None:
    configure(f"[server]\nport = 0\nauth_wait = 30\nhost = {host}\n[user:bob]\npassword = {hashed('right')}")
    running = start()
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert f"[server] host = {host}" in line


def test_a_folder_that_is_a_file_is_one_line_and_exit_2(start: Start, folder: Path, tmp_path: Path) -> None:
    (folder / "file").write_text("")
    (tmp_path / "config.ini").write_text(f"[server]\nport = 0\n[redis]\ndata = {folder / 'file'}\n{POOL}")
    running = start()
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert "cannot be used" in line
    assert line.endswith("choose one with [redis] data, or name a server with [redis] url")
    assert "[redis] data" in line


@_OWN_SERVER
def test_a_log_that_cannot_be_written_is_one_line_and_exit_2(start: Start, folder: Path) -> None:
    (folder / "server.log").write_text("")
    (folder / "server.log.old").mkdir()
    running = start()
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert line.startswith("cticache: the embedded server cannot be started: ")
    assert str(folder / "server.log.old") in line


@_OWN_SERVER
def test_a_log_that_is_a_folder_is_set_aside(folder: Path) -> None:
    (folder / "server.log").mkdir()
    server = embedded.Embedded(folder)
    server.start()
    server.stop()
    assert (folder / "server.log").is_file()


@pytest.mark.parametrize("name", ["a\0b", "a\udcffb"], ids=["a NUL", "a byte that is no text"])
def test_a_folder_that_no_path_can_name_is_a_mistake(folder: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        embedded.Embedded(embedded.data_folder(str(folder / name))).start()
    assert "folder" in str(caught.value)
    assert "[redis] data" in str(caught.value)


@_OWN_SERVER
def test_a_folder_with_too_long_a_path_is_one_line_and_exit_2(start: Start, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text(f"[server]\nport = 0\n[redis]\ndata = {folder / ('x' * 100)}\n{POOL}")
    running = start()
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert "too long for a socket" in line


@_OWN_SERVER
@pytest.mark.parametrize(
    "name", ["a b", "100%25", "what?#x", 'it\'s "so"', "back\\slash", "\u00e4\u6f22", "[::1]", "~"]
)
def test_a_folder_may_have_any_name(folder: Path, name: str) -> None:
    server = embedded.Embedded(folder / name)
    server.start()
    try:
        with connect(server.url, 5) as client:
            assert client.config_get("dir")["dir"] == str(folder / name)
    finally:
        server.stop()
    assert (folder / name / "server.log").exists()


@_OWN_SERVER
def test_a_relative_folder_starts_at_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert embedded.data_folder("here/data") == folder / "here" / "data"
    server = embedded.Embedded(embedded.data_folder("data"))
    server.start()
    try:
        with connect(socket_url(folder / "data"), 5) as client:
            assert _answers(client)
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="any name has a home there")
def test_the_home_of_nobody_is_one_line_and_exit_2(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text(f"[server]\nport = 0\n[redis]\ndata = ~nobody-here/x\n{POOL}")
    running = start()
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert line.startswith("cticache: [redis] data = ~nobody-here/x: ")


def test_without_a_folder_it_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_args, **_more: tmp_path)
    assert embedded.data_folder("") == tmp_path
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    assert embedded.data_folder("~/data") == tmp_path / "data"


def test_it_starts_while_redis_is_away_and_says_so(start: Start, tmp_path: Path) -> None:
    url = f"redis://:secret-word@127.0.0.1:{servers.free_port()}/0"
    (tmp_path / "config.ini").write_text(f"[server]\nport = 0\nauth_wait = 30\n[redis]\nurl = {url}\n{POOL}")
    running = start()
    base = running.line().split()[3]
    assert "not in place yet" in running.line()
    command = running.command()
    assert _request(base + "/healthz")[0] == 200
    assert _request(base + "/readyz")[0] == 503
    assert _curl(command)[0] == 503
    assert running.end(STOP) == 0
    assert "Redis is away" in running.said()
    assert "Traceback" not in running.said()
    assert "secret-word" not in running.said()


@_WORKERS
def test_workers_end_with_a_parent_that_is_killed(start: Start, configure: Callable[[str], None]) -> None:
    configure("[server]\nport = 0\nauth_wait = 30\nworkers = 2")
    running = start(*REAL)
    assert _curl(running.command())[0] == 201
    until(lambda: len(re.findall(r"worker \d is process", running.said())) == 2)
    workers = [int(pid) for pid in re.findall(r"worker \d is process (\d+)", running.said())]
    running.end(KILL)
    until(lambda: not any(map(lives, workers)))


@_WORKERS
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    start: Start, configure: Callable[[str], None]
) -> None:
    configure("[server]\nport = 0\nauth_wait = 30\nworkers = 2")
    running = start()
    command = running.command()
    _, location, _ = _curl(command)
    until(lambda: len(re.findall(r"worker \d is process", running.said())) == 2)
    os.kill(int(re.findall(r"worker \d is process (\d+)", running.said())[0]), signal.SIGKILL)
    until(lambda: len(re.findall(r"worker \d is process", running.said())) == 3)
    assert _read(command, location) == (200, "", '{"value":"12345678"}')
    assert running.end(STOP) == 0


@pytest.mark.parametrize("by", [STOP, KILL], ids=["stopped", "killed"])
def test_a_canary_with_other_numbers_that_came_and_went_leaves_every_worker_as_it_was(
    start: Start, tmp_path: Path, client: Redis, redis_url: str, by: signal.Signals
) -> None:
    def service(numbers: str) -> tuple[Running, str]:
        settings = f"[server]\nport = 0\nauth_wait = 30\nworkers = 2\n[redis]\nurl = {redis_url}\nsync_interval = 0.1\n"
        user = f"[user:bob]\npassword = {hashed('right')}\n"
        (tmp_path / "config.ini").write_text(f"{settings}{user}[pool:system-y]\nnumbers = {numbers}\n")
        running = start()
        return running, running.line().split()[3]

    def told(base: str) -> set[tuple[int, str]]:
        """What /readyz and a lease are answered, by whichever worker."""
        asked = [
            _request(base + "/readyz"),
            _request(base + "/cticache/DNIS-ANI", "bob:right", '{"value":1,"ani":"1"}'),
        ]
        answers = [(status, json.loads(body)) for status, _, body in asked]
        return {(status, answer.get("detail") or answer.get("dnis") or answer["status"]) for status, answer in answers}

    first, base = service("100-999")
    until(lambda: {status for status, _ in told(base)} == {200, 201})
    canary, _ = service("5000-5999")
    who = f"process {canary.process.pid} on {socket.gethostname()}, its pools in force since "

    def is_overruled() -> bool:
        return all(status == 503 and f"rules this Redis: {who}" in said for status, said in told(base))

    def is_itself() -> bool:
        return all(status == 200 or (status == 201 and len(said) == 3) for status, said in told(base))

    until(lambda: all(is_overruled() for _ in range(8)))  # both workers are
    canary.end(by)
    if by == KILL:  # its time runs out
        client.delete(f"cti:{{@all}}:service:{client.zrange('cti:{@all}:services', -1, -1)[0]}")
    until(lambda: all(is_itself() for _ in range(8)))
    assert "The pools are as configured here again." in first.said()
    assert who in first.said()
