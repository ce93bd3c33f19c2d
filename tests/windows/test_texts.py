"""What is read and written there: UTF-8, whatever the code page; and what the imitation of Redis cannot do."""

import subprocess
import sys
from pathlib import Path

import pytest

from cticache import config
from cticache.access.passwords import Verifier
from cticache.cli import main
from kit.serving import STOP, Running

_POOL = "[pool:system-y]\nnumbers = 100-104\n"


def _run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cticache", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["bare", "with a byte order mark"])
def test_a_piped_password_is_utf_8(mark: bytes, tmp_path: Path) -> None:
    done = _run("user", "bob", "--password-stdin", given=mark + "p\u00e4\u6f22ss\r\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "config.ini").write_bytes(_POOL.encode() + done.stdout)
    users = config.read(tmp_path / "config.ini", {}).users
    assert Verifier(users, 60, 10).user("bob", "p\u00e4\u6f22ss")


def test_a_piped_password_in_a_code_page_is_refused() -> None:
    done = _run("user", "bob", "--password-stdin", given="p\u00e4ss\r\n".encode("cp1252"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.splitlines() == [b"cticache: the password is not UTF-8 text: encode it as UTF-8"]


def test_the_imitation_serves_and_all_that_is_written_is_utf_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "J\u00f6rg \u6f22"
    folder.mkdir()
    path = folder / "config.ini"
    path.write_text(f"[server]\nport = 0\n[redis]\ndata = {folder}\n{_POOL}", "utf-8")
    running = Running(path, folder / "errors")
    try:
        first = running.line()
        assert first.endswith(f" with {path}")
        command = running.command()
        assert command[0] == "curl.exe"
        done = _run("check", "--config", str(path))
        _says_what_the_imitation_cannot_do(path, done.returncode, done.stderr.decode())
        # The others in this process: one of their own starts slowly there.
        for name, *words in (["pools"], ["advise"], ["explain", "100", "1"]):
            code = main([name, "--config", str(path), *words])
            _says_what_the_imitation_cannot_do(path, code, capsys.readouterr().err)
        assert running.end(STOP) == 0
        assert "an imitation of Redis" in running.said()
    finally:
        running.close()


def _says_what_the_imitation_cannot_do(path: Path, code: int, errors: str) -> None:
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith(f"cticache: {path}: [redis] url is empty: ")
    assert "No other command can look into it" in line
    assert "not running" not in line
