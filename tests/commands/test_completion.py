"""The scripts by which shells complete the command line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cticache import cli

SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert not err
    for command in cli.COMMANDS:
        assert command.name in out


def test_a_shell_that_is_not_known_is_a_mistake_that_names_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "csh"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert all(shell in err for shell in SHELLS)


def test_without_its_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert "install cticache[completion]" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no bash there")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("po", {"pools"}), ("pools --wa", {"--warn", "--watch"}), ("check --config o", {"own.ini"})],
)
def test_bash_completes_commands_options_and_files(
    typed: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bash = shutil.which("bash")
    assert bash, "bash must be installed"
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out, "utf-8")
    (tmp_path / "own.ini").touch()
    words = ["cticache", *typed.split()]
    asked = f"source ./script; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_cticache"
    done = subprocess.run(
        [bash, "-c", f"{asked}; printf '%s\\n' ${{COMPREPLY[@]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {word.strip() for word in done.stdout.splitlines()} == offered
