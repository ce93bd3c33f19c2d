"""The machine and the versions that a run was made with."""

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from processes import cpu_seconds
from servers import ROOT, node_modules

_PACKAGES = ("waitress", "falcon", "redis", "hiredis", "greenlet", "fastapi", "uvicorn", "uvloop")


def missing_programs() -> str:
    """A sentence that says what this machine lacks and how to get it; empty when all is there."""
    hints = {"wrk": "apt-get install wrk", "redis-server": "apt-get install redis-server"}
    lacking = [name for name in hints if not shutil.which(name)]
    if not lacking:
        return ""
    return "; ".join(f"{name} is not on PATH (on Debian: {hints[name]})" for name in lacking)


def host() -> list[tuple[str, str]]:
    """The machine, and how busy it is already, by headings."""
    return [
        ("CPU", f"{_cpu_model()}, {os.cpu_count()} cores"),
        ("system", f"{_system()}, kernel {platform.release()}"),
        ("load average at the start", ", ".join(f"{load:.2f}" for load in os.getloadavg())),
    ]


def described() -> list[tuple[str, str]]:
    """What a report says about this run, by headings."""
    return [
        *host(),
        (
            "cticache",
            f"{version('cticache')}, commit {_told(['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD'])}",
        ),
        ("Python", f"{platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES)),
        ("Node", f"{_told(['node', '--version'])}; {_node_packages()}"),
        ("Redis", _first(r"v=(\S+)", _told(["redis-server", "--version"]))),
        ("wrk", _first(r"wrk (?:debian/)?(\S+)", _told(["wrk", "--version"]))),
    ]


class Busy:
    """How much of the machine other programs use, from when this is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._all, self._ours = _busy_seconds(), _own_seconds()

    def told(self) -> tuple[str, str]:
        """A heading, and the share of all cores: about 0 on a machine of one's own."""
        others = (_busy_seconds() - self._all) - (_own_seconds() - self._ours)
        share = max(others, 0.0) / (time.monotonic() - self._began) / (os.cpu_count() or 1)
        return "other programs meanwhile", f"{share:.0%} of the CPU time of all cores"


def _busy_seconds() -> float:
    """User, nice, system and interrupt time, and what a hypervisor takes away, on all cores since the start."""
    first = Path("/proc/stat").read_text("ascii").partition("\n")[0].split()
    user, nice, system, _idle, _waiting, *rest = map(int, first[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """This process, its living descendants, and those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds(os.getpid()) + ended.ru_utime + ended.ru_stime


def _cpu_model() -> str:
    return _first(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8")) or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _node_packages() -> str:
    told = []
    for name in ("express", "redis"):
        try:
            text = (node_modules() / name / "package.json").read_text("utf-8")
        except Exception:  # noqa: BLE001 - without Node the run goes on
            return "without Express"
        found = _first(r'"version": "([^"]+)"', text)
        told.append(f"{name} {found}")
    return ", ".join(told)


def _told(command: list[str]) -> str:
    """What a program prints; empty where there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
