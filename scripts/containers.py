"""Build the image, run compose.yaml and hand a call over in it: ``python3 scripts/containers.py``.

No image is pulled: its base and that of Redis are made by scratch_images.py. It exits with 69 if there is no Docker
engine or no compose.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

import image
import scratch_images
from environment import ROOT, ready

_BASE, _IMAGE, _REDIS, _PROJECT = "cticache-test-base", "cticache-test", "cticache-test-redis", "cticache-test"
_COMPOSE = ROOT / "scripts" / "deploy" / "docker" / "compose.yaml"
_MISSING = 69
"""sysexits.h's EX_UNAVAILABLE."""
_PATIENCE_S = 60
_REDIS_URL = "redis://cticache:a-word-of-the-test@redis:6379/0"
_CONFIGURATION = """\
[server]
drain = 1
[pool:system-y]
numbers = 5551234560-5551234569
[user:username]
password = {}
roles = lease, read, take
"""
_HASHED = "from cticache.access.passwords import hashed; print(hashed('password'))"
_WHO = "import os; print(os.getuid(), os.access('/opt/cticache', os.W_OK))"
_CALLS = "/cticache/DNIS-ANI"


def main() -> int:
    """Run it all; 0 if all is well, 69 where it cannot be run."""
    compose = _compose()
    if not compose:
        print("no Docker engine answers, or there is no compose: on Debian, install docker-compose", file=sys.stderr)
        return _MISSING
    scratch_images.make("python", _BASE)
    scratch_images.make("redis", _REDIS)
    began = time.monotonic()
    image.build(_BASE, _IMAGE)
    size, base = _megabytes(_IMAGE), _megabytes(_BASE)
    print(f"the image is built in {time.monotonic() - began:.0f} s: {size:.0f} MB, {base:.0f} of them its base")
    with TemporaryDirectory() as folder:
        composed = _Composed([*compose, "--project-name", _PROJECT], Path(folder))
        try:
            _run(composed)
        except BaseException:
            print(composed.do("logs", "--no-color"), file=sys.stderr)
            raise
        finally:
            composed.do("down", "--volumes", "--timeout", "20")
    return 0


class _Composed:
    """What compose.yaml describes, from a copy of it beside the files of docs/linux.md."""

    def __init__(self, command: list[str], place: Path) -> None:
        self._command = command
        self._place = place
        shutil.copy(_COMPOSE, place)
        (place / "config.ini").write_text(_CONFIGURATION.format(_said(str(ready()), "-c", _HASHED)), "utf-8")
        (place / "redis.url").write_text(_REDIS_URL, "utf-8")
        alone = ["-e", f"CTICACHE_REDIS_URL={_REDIS_URL}", "-e", "CTICACHE_POOL_X_NUMBERS=1"]
        users = _said("docker", "run", "--rm", "--network", "none", "--read-only", *alone, _IMAGE, "acl")
        (place / "users.acl").write_text(users, "utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._environment = os.environ | {"IMAGE": _IMAGE, "REDIS_IMAGE": _REDIS, "PORT": str(self.port)}

    def do(self, *arguments: str) -> str:
        """What compose prints; what it complains of is shown where it fails."""
        ran = subprocess.run(
            [*self._command, *arguments],
            cwd=self._place,
            env=self._environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if ran.returncode:
            sys.exit(f"compose {' '.join(arguments)}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def until_ready(self) -> None:
        """Wait until the service may be asked."""
        until = time.monotonic() + _PATIENCE_S
        url = f"http://127.0.0.1:{self.port}/readyz"
        while time.monotonic() < until:
            with suppress(URLError, ConnectionError, TimeoutError), urlopen(url, timeout=2):
                return
            time.sleep(0.02)
        sys.exit(f"{url} is not 200 after {_PATIENCE_S} s")

    def asked(self, method: str, path: str, *more: str) -> str:
        """What curl prints, and shows."""
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--user", "username:password", "-X", method]
        url = f"http://127.0.0.1:{self.port}{path}"
        said = _said(*command, *more, url)
        print(f"$ curl -X {method} {' '.join([*more, url])}\n{said}")
        return said


def _run(composed: _Composed) -> None:
    """The exchange of the README, across a restart of both; and what the image promises."""
    composed.do("up", "--detach", "redis")
    began = time.monotonic()
    composed.do("up", "--detach")
    composed.until_ready()
    print(f"it is ready {time.monotonic() - began:.1f} s after the start, Redis apart")
    print(composed.do("exec", "-T", "cticache", "cticache", "check").strip())
    _see("health", composed.do("exec", "-T", "cticache", "cticache", "health"), "ready\n")
    _see(
        "its user, who may write nothing", composed.do("exec", "-T", "cticache", "python3", "-c", _WHO), "10001 False\n"
    )
    body = '{"value" : "12345678", "ani" : "1234567890"}'
    posted = composed.asked("POST", _CALLS, "-H", "Content-Type:application/json", "-d", body)
    dnis = json.loads(posted)["dnis"]
    _see("what is lent", posted, f'{{"dnis":"{dnis}","ani":"1234567890","value":"12345678"}}')
    began = time.monotonic()
    composed.do("stop", "cticache")
    print(f"it has stopped {time.monotonic() - began:.1f} s after it was told, 1 s of which is its drain")
    (container,) = _said(
        "docker", "ps", "-aqf", f"label=com.docker.compose.project={_PROJECT}", "-f", "exited=0"
    ).split()
    composed.do("restart", "redis")
    composed.do("start", "cticache")
    composed.until_ready()
    _see("what is taken", composed.asked("DELETE", f"{_CALLS}/{dnis}:1234567890"), '{"value":"12345678"}')
    print(f"container {container} ended with 0, and a call posted before a restart of both was taken after it")


def _see(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        sys.exit(f"{what}: {found!r} is not {wanted!r}")


def _compose() -> list[str]:
    """The command of compose, version 2 or 1; empty without one, or without an engine."""
    if not shutil.which("docker") or not _works("docker", "info"):
        return []
    return next((each for each in (["docker", "compose"], ["docker-compose"]) if _works(*each, "version")), [])


def _works(*command: str) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True, check=False).returncode


def _megabytes(name: str) -> float:
    return int(_said("docker", "image", "inspect", "--format", "{{.Size}}", name)) / 1e6


def _said(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
