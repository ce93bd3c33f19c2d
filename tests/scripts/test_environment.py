"""scripts/environment.py, which makes .venv."""

import importlib.util
import sys
from pathlib import Path

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)
SCRIPT = ROOT / "scripts" / "environment.py"


@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter is copied there")
def test_the_interpreter_is_linked_as_python_m_venv_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    assert spec
    assert spec.loader
    environment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(environment)
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
