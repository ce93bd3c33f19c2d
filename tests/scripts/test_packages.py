"""The wheel and the sdist: what is in them, and that each installs from a folder, without a network."""

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the packages are made of a checkout", allow_module_level=True)

VERSION = version("cticache")
PLACES = {"cticache": "cticache", "lua": "cticache/lua", "docs/recipes": "cticache/recipes"}
"""A folder of the checkout -> where it is in the wheel."""
MANUAL = f"cticache-{VERSION}.data/data/share/man/man1"
ABOUT = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")

RAN = """
import cticache
from cticache.cli import main
print(cticache.__file__)
main(["recipe", "curl", "--url", "http://cti.example.com", "--pool", "sales"])
"""


def run(*arguments: str | Path, folder: Path, **environment: str) -> str:
    """What Python prints that is run so in this folder."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, check=False, cwd=folder, env={**os.environ, **environment}, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    """Those below a folder, without what Python has compiled."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("built")
    run("-m", "hatchling", "build", "--directory", folder, folder=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


def test_the_wheel_has_what_runs_its_licence_and_its_manual_and_nothing_else(wheel: Path) -> None:
    expected = {f"{there}/{name}" for here, there in PLACES.items() for name in files(ROOT / here)}
    expected |= {f"{MANUAL}/{name}" for name in files(ROOT / "docs" / "man")}
    expected |= {f"cticache-{VERSION}.dist-info/{name}" for name in ABOUT} | {"cticache/config.ini"}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == expected
    assert {"cticache/py.typed", "cticache/web/page/page.css", "cticache/lua/lease.lua"} <= expected


def test_the_sdist_has_all_that_a_checkout_has_but_the_gate(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"cticache-{VERSION}/") for name in archive.getnames()}
    folders = ("cticache", "lua", "docs", "scripts", "tests")
    expected = {f"{folder}/{name}" for folder in folders for name in files(ROOT / folder)}
    alone = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "config.ini", "constraints.txt")
    assert names == {*expected, *alone, "pyproject.toml", ".gitignore", "PKG-INFO"}


def test_the_sdist_installs_from_a_folder_as_the_wheel_does_and_runs(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """That the wheel does is seen by the gate, with all that it depends on."""
    alone, installed = tmp_path / "alone", tmp_path / "installed"
    alone.mkdir()
    (alone / sdist.name).write_bytes(sdist.read_bytes())
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-index")
    of_this = ("--no-deps", "--no-build-isolation", "--find-links", alone, "--target", installed)
    run(*pip, *of_this, f"cticache=={VERSION}", folder=tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        assert files(installed / "cticache") == {
            name[9:] for name in archive.namelist() if name.startswith("cticache/")
        }
    said = run("-c", RAN, folder=tmp_path, PYTHONPATH=str(installed))
    assert said.splitlines()[0] == str(installed / "cticache" / "__init__.py")
    assert "http://cti.example.com/cticache/DNIS-ANI" in said
