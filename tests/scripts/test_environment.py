"""scripts/environment.py, which makes .venv."""

import sys
import venv
from pathlib import Path
from types import ModuleType

import pytest

from kit.checkout import CHECKOUT, script

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)


@pytest.fixture
def environment() -> ModuleType:
    return script("environment.py")


@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter is copied there")
def test_the_interpreter_is_linked_as_python_m_venv_does(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv"
    monkeypatch.setattr(environment, "_FOLDER", folder)
    monkeypatch.setattr(environment, "_STAMP", folder / "installed")
    installed: list[set[str]] = []
    monkeypatch.setattr(environment, "_install", lambda _python, extras: installed.append(extras))
    monkeypatch.setattr("venv.EnvBuilder._setup_pip", lambda *_args: None)  # slow, and nothing is installed here
    python = environment.ready("test")
    assert python.is_symlink()
    assert environment.ready("test") == python
    assert installed == [{"test"}]  # once


def test_an_environment_of_somebody_else_is_left_alone(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("venv.EnvBuilder._setup_pip", lambda *_args: None)
    folder, other = tmp_path / ".venv", tmp_path / ".venv-scripts"
    assert environment._own(folder) == folder  # there is none
    environment._Marked(with_pip=True).create(folder)
    assert environment._own(folder) == folder
    (folder / "installed").write_text("of the scripts", "utf-8")
    venv.EnvBuilder(with_pip=True).create(folder)  # made anew over it, by hand
    assert environment._own(folder) == other


def test_one_that_was_broken_off_is_gone_on_with(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("venv.EnvBuilder._setup_pip", interrupted)
    for clear in (False, True):
        with pytest.raises(KeyboardInterrupt):
            environment._Marked(with_pip=True, clear=clear).create(tmp_path / ".venv")
        assert environment._own(tmp_path / ".venv") == tmp_path / ".venv"


@pytest.mark.parametrize(("extras", "what"), [(set(), "."), ({"test", "embedded"}, ".[embedded,test]")])
def test_the_project_is_installed_with_its_extras_or_without(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, extras: set[str], what: str
) -> None:
    ran: list[list[object]] = []
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **_: ran.append(command))
    environment._install(Path("python"), extras)
    assert ran[0][-2:] == ["--editable", what]
