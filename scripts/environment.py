"""Makes .venv with the project in it, once: with nothing changed, it does nothing the second time.

A .venv that somebody else has made is left alone, because a service may run from it: then it makes .venv-scripts.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
_MARK = "made-by = cticache/scripts"
"""A line of pyvenv.cfg. Who makes the environment anew writes that file anew, and has it for himself."""


def _own(folder: Path) -> Path:
    """This folder, or another one where this is somebody else's."""
    marked = folder / "pyvenv.cfg"
    is_ours = _MARK in marked.read_text("utf-8").splitlines() if marked.exists() else not any(folder.glob("*"))
    return folder if is_ours else folder.with_name(f"{folder.name}-scripts")


_FOLDER = _own(ROOT / ".venv")
_STAMP = _FOLDER / "installed"
_SOURCES = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
OLDEST = (3, 11)


class _Marked(venv.EnvBuilder):
    """Marks the environment as soon as it is begun: what is broken off is gone on with."""

    def create_configuration(self, context: SimpleNamespace) -> None:
        super().create_configuration(context)
        with Path(context.cfg_path).open("a", encoding="utf-8") as file:
            file.write(f"{_MARK}\n")


def ready(*extras: str) -> Path:
    """The interpreter of the environment, in which the project and these extras of it are installed."""
    if sys.version_info < OLDEST:
        sys.exit(f"cticache needs Python {OLDEST[0]}.{OLDEST[1]} or later; this is {sys.version.split()[0]}")
    python = _FOLDER / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    fingerprint, installed = _installed()
    wanted = installed | set(extras)
    if python.exists() and fingerprint == _fingerprint() and wanted == installed:
        return python
    print(f"Setting up {_FOLDER.name}; this takes a minute, once.", flush=True)
    _STAMP.unlink(missing_ok=True)
    try:
        # Symbolic links as `python -m venv` makes them: a copied interpreter may not find its library.
        _Marked(
            with_pip=True, symlinks=os.name != "nt", clear=python.exists() and fingerprint != _fingerprint()
        ).create(_FOLDER)
        _install(python, wanted)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"Setting up {_FOLDER.name} failed; the lines above say why. (On Debian, install python3-venv.) {error}"
        )
    _STAMP.write_text(f"{_fingerprint()} {','.join(sorted(wanted))}", "utf-8")
    return python


def run(python: Path, *arguments: str) -> None:
    """Replace this program by the interpreter, run in the project's folder."""
    os.chdir(ROOT)
    command = [str(python), *arguments]
    if sys.platform == "win32":  # exec there returns to the shell at once
        try:
            sys.exit(subprocess.call(command))
        except KeyboardInterrupt:
            sys.exit(1)
    os.execv(python, command)


def _install(python: Path, extras: set[str]) -> None:
    constraints = str(ROOT / "constraints.txt")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraints,
         "--editable", f".[{','.join(sorted(extras))}]" if extras else "."],
        cwd=ROOT,
        env=os.environ | {"PIP_CONSTRAINT": constraints},  # for the build of the project, too
        check=True,
    )  # fmt: skip


def _installed() -> tuple[str, set[str]]:
    try:
        fingerprint, _, extras = _STAMP.read_text("utf-8").partition(" ")
    except FileNotFoundError:
        return "", set()
    return fingerprint, set(extras.split(",")) - {""}


def _fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()
