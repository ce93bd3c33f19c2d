"""Images of programs of this machine, where none can be pulled: ``python3 scripts/scratch_images.py redis NAME``.

Each has a program and the libraries that it loads, and nothing else.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from environment import ready

_NOT_NEEDED = shutil.ignore_patterns(
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data"),
    *("site-packages", "dist-packages", "config-*", "*.opt-1.pyc", "*.opt-2.pyc", "*.a"),
)
_OF_REDIS = 999
"""The user of Redis's own image."""


def make(kind: str, name: str) -> None:
    """Make an image of this name, of one of ``KINDS``."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        changes = [word for change in KINDS[kind](root) for word in ("--change", change)]
        root.chmod(0o755)
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
            command = ["docker", "import", *changes, "-", name]
            subprocess.run(command, stdin=packed.stdout, stdout=subprocess.DEVNULL, check=True)


def _python(root: Path) -> list[str]:
    """The Python that runs this, as /usr/local/bin/python3, without what only its builders and teachers need."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library, program = root / "usr/local/lib" / version, root / "usr/local/bin" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_NOT_NEEDED, symlinks=True)
    _copy(Path(sys._base_executable).resolve(), program)  # type: ignore[attr-defined]
    (program.parent / "python3").symlink_to(version)
    where = "import sysconfig; print(sysconfig.get_path('platlib'))"
    installed = subprocess.run([ready(), "-c", where], stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    # What is installed later is built in C, too, and loads libraries that an image of Python has.
    _copy_libraries(root, [program, *library.rglob("*.so"), *Path(installed.strip()).rglob("*.so")])
    return ["ENV PATH=/usr/local/bin:/usr/bin:/bin"]


def _redis(root: Path) -> list[str]:
    """redis-server, by that very name: on Debian it is a link to redis-check-rdb, which looks at how it is called."""
    found, program = shutil.which("redis-server"), root / "usr/local/bin/redis-server"
    if not found:
        sys.exit("redis-server is not installed")
    _copy(Path(found).resolve(), program)
    _copy_libraries(root, [program])
    (root / "data").mkdir()
    os.chown(root / "data", _OF_REDIS, _OF_REDIS)
    command = 'CMD ["redis-server","--protected-mode","no"]'
    return ["ENV PATH=/usr/local/bin", "EXPOSE 6379", "WORKDIR /data", command]


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)


def _copy_libraries(root: Path, programs: Iterable[Path]) -> None:
    """Copy whatever these load, to the same places."""
    for program in programs:
        ran = subprocess.run(["ldd", str(program)], capture_output=True, encoding="utf-8", check=False)
        for word in ran.stdout.split():
            place = root / word[1:]
            if word.startswith("/") and not word.endswith(":") and not place.exists():
                _copy(Path(word), place)


KINDS: dict[str, Callable[[Path], list[str]]] = {"python": _python, "redis": _redis}
"""What fills the root of an image, and says how it is started."""

if __name__ == "__main__":
    make(*sys.argv[1:])
