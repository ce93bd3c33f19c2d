"""The steps by which a service is upgraded, rolled back, backed up and restored are done as they stand."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the steps are for a shell", allow_module_level=True)

from cticache.access.passwords import hashed
from kit import former, servers
from kit.documents import BLOCK, DOCS
from kit.processes import lives
from kit.running import until
from kit.samples import PASSWORD, basic
from kit.talk import CALLS, Answer, asked

OLD, NEW = "0.1.0", "0.2.0"
SAFE = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
CONFIGURATION = "[server]\nworkers = 1\n[redis]\nurl = {}\n[pool:system-y]\nnumbers = 5551234560-5551234569\n" + (
    f"[user:ivr]\npools = system-y\nroles = lease, take\npassword = {hashed(PASSWORD)}\n"
)
SYSTEMCTL = """#!/bin/bash -eu
verb=$1; shift
for unit; do
  port=${unit#cticache@}
  if [ "$verb" != start ]; then
    kill "$(cat RUN/$port)"
    while kill -0 "$(cat RUN/$port)" 2>/dev/null; do sleep 0.05; done
  fi
  [ "$verb" = stop ] && continue
  CTICACHE_SERVER_PORT=$port OPT/current/bin/cticache serve --config ETC/config.ini >>RUN/$port.log 2>&1 </dev/null &
  echo $! >RUN/$port
done
"""
"""What systemd does with such a unit."""


def steps(heading: str) -> list[str]:
    """What a shell is told under this heading."""
    ((text),) = [text for path, text in DOCS.items() if path.name == "operate.md"]
    section = text.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    return [block[2] for block in BLOCK.finditer(section) if block[1] == "sh"]


class Machine:
    """On which two services of the old release run."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder = folder
        self.opt, self.etc, self.run = (folder / name for name in ("opt", "etc", "run"))
        self.ports = servers.free_port(), servers.free_port()
        programs = {OLD: former.unpacked(folder / "former"), NEW: "-m cticache"}
        for name, program in programs.items():
            self._program(self.opt / name / "bin" / "cticache", f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        self._program(folder / "bin" / "systemctl", self._filled(SYSTEMCTL))
        for each in (self.etc, self.run):
            each.mkdir()
        (self.etc / "config.ini").write_text(CONFIGURATION.format(redis_url), "utf-8")
        (self.opt / "current").symlink_to(OLD)

    def _program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)

    def _filled(self, text: str) -> str:
        here = {"/opt/cticache": self.opt, "/etc/cticache": self.etc, "FILE": self.etc / "config.ini"}
        here |= {"OPT": self.opt, "ETC": self.etc, "RUN": self.run, "sleep 1": "sleep 0.2"}
        for written, meant in (here | dict(zip(("8080", "8081"), self.ports, strict=True))).items():
            text = text.replace(written, str(meant))
        return text

    def do(self, step: str) -> str:
        """Do it in a shell; what it says."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CTICACHE_")}
        environment["PATH"] = f"{self._folder / 'bin'}{os.pathsep}{environment['PATH']}"
        shell = ["bash", "-euo", "pipefail", "-c", self._filled(step)]
        ended = subprocess.run(
            shell, env=environment, cwd=self._folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def asks(self, at: int, method: str, path: str, body: str = "") -> Answer:
        """A request to the first or the second service."""
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: {basic('ivr')}\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return asked(self.ports[at], (head + body).encode())

    def are(self, release: str) -> bool:
        """Whether both services are of this release: the old one has no list of leases, this user no right to it."""
        found = {self.asks(at, "GET", "/cticache/leases").status for at in (0, 1)}
        return found == {403 if release == NEW else 404}

    def lease(self, at: int, ani: str) -> str:
        leased = self.asks(at, "POST", CALLS, f'{{"value":"of {ani}","ani":"{ani}"}}')
        assert leased.status == 201
        return f"{CALLS}/{leased.json['dnis']}:{ani}"

    def takes(self, at: int, path: str) -> bool:
        return self.asks(at, "DELETE", path).json.get("value") == f"of {path.rpartition(':')[2]}"

    def close(self) -> None:
        """End the services; they must not be left behind, whatever was done."""
        for port in self.ports:
            pid = self.run / str(port)
            if pid.exists() and lives(int(pid.read_text())):
                os.kill(int(pid.read_text()), signal.SIGTERM)
                until(lambda pid=pid: not lives(int(pid.read_text())))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with servers.binary(servers.packaged(), *SAFE) as url:
        machine = Machine(tmp_path, url)
        try:
            yield machine
        finally:
            machine.close()


def test_the_steps_restore_upgrade_and_roll_back_and_lose_no_call(machine: Machine) -> None:
    back_up, restore = steps("Backing up")
    machine.do(back_up)
    shutil.rmtree(machine.etc)
    machine.etc.mkdir()
    machine.do(restore)
    machine.do("until curl -fs http://127.0.0.1:8080/readyz && curl -fs http://127.0.0.1:8081/readyz; do sleep 1; done")
    assert machine.are(OLD)
    early, late = machine.lease(0, "1000000001"), machine.lease(1, "1000000002")
    for step in steps("Upgrading"):
        machine.do(step)
    assert machine.are(NEW)
    assert machine.takes(1, early)
    meanwhile = machine.lease(0, "1000000003")
    for step in steps("Rolling back"):
        machine.do(step)
    assert machine.are(OLD)
    assert machine.takes(0, meanwhile)
    assert machine.takes(1, late)
