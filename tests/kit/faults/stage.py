"""`cticache serve` in its own processes, and the one server it stands on; each can be killed and started again."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from redis import Redis

from cticache.access.passwords import hashed
from cticache.link.connection import connect
from kit import servers
from kit.clusters import seen
from kit.faults.clients import USER
from kit.samples import PASSWORD
from kit.serving import Running
from kit.talk import CALLS, Talk, request

TIMEOUT_S = 1.0
"""[redis] timeout as delivered."""
WORKERS = 2
REDIS_USER, REDIS_PASSWORD = "cticache", "not-a-secret"


def program_under_test() -> Path:
    """The server program that TEST_REDIS names, else one of a package."""
    kind, _, path = os.environ.get(servers.VARIABLE, "").partition(":")
    return Path(path) if kind == "binary" else servers.packaged()


def servers_told() -> str:
    """Which servers these tests run on."""
    single, several = _told(program_under_test()), _told(servers.packaged())
    return single if single == several else f"{single}, for Sentinel, Cluster and the clock {several}"


def _told(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\w+) server v=([\d.]+)", said)
    return f"{found[1]} {found[2]}" if found else said.strip()


class Server:
    """One server that keeps its data in a folder, under an append-only file, and can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.address = ("127.0.0.1", servers.free_port())
        self._stack = ExitStack()
        self.start()

    @property
    def url(self) -> str:
        """As the service has it, which has a user of its own."""
        return "redis://{}:{}@{}:{}/0".format(REDIS_USER, REDIS_PASSWORD, *self.address)

    @cached_property
    def admin(self) -> Redis:
        """A client of the user who may do everything."""
        return connect("redis://{}:{}/0".format(*self.address), 10.0)

    def start(self, *options: str) -> None:
        """Start it on what it has kept; returns once it answers, if only that it is loading."""
        keeps = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--lua-time-limit", "100")
        user = f"user {REDIS_USER} on >{REDIS_PASSWORD} ~* &* +@all\n"
        made = servers.program(
            program_under_test(),
            *("--dir", str(self.folder), *keeps, *options),
            port=self.address[1],
            file=user,
        )
        self.process = self._stack.enter_context(made).process

    def kill(self) -> None:
        """End it without a farewell, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self._stack.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it the process stands still."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self.admin.close()
        self._stack.close()


class Service:
    """`cticache serve`, which can be started again on its port."""

    begin: tuple[str, ...] = ()
    """As ``Running`` has it."""

    def __init__(self, folder: Path, redis_url: str, dispatch: str, pools: Sequence[str]) -> None:
        self.dispatch = dispatch
        self.pools = pools
        self.port = servers.free_port()
        self._folder = folder
        self._config = folder / "config.ini"
        sections = [
            f"[server]\nport = {self.port}\nworkers = {WORKERS}\ndispatch = {dispatch}",
            f"[redis]\nurl = {redis_url}\ntimeout = {TIMEOUT_S}",
            *(
                f"[pool:{name}]\nnumbers = 555{at}0000-555{at}1999\nttl = 900\ncooldown = 0\nexhausted = reject"
                for at, name in enumerate(pools)
            ),
            f"[user:{USER}]\npassword = {hashed(PASSWORD)}",
        ]
        self._config.write_text("\n".join(sections) + "\n", "utf-8")
        self._logs: list[Path] = []
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves, and its workers have checked the password."""
        began = time.monotonic()
        self._logs.append(self._folder / f"log-{len(self._logs)}")
        self.running = Running(self._config, self._logs[-1], *self.begin)
        self.running.line()
        seen(self.serves)
        self.starts_in_s = time.monotonic() - began
        """How long this machine takes to start it."""
        seen(lambda: all(self._is_ok(f"{CALLS}/5550000:0", (404, 410)) for _ in range(10 * WORKERS)))

    def serves(self) -> bool:
        """Whether it is ready."""
        return self._is_ok("/readyz")

    def answers(self) -> bool:
        """Whether somebody serves, whatever Redis does."""
        return self._is_ok("/healthz")

    def _is_ok(self, path: str, statuses: Sequence[int] = (200,)) -> bool:
        try:
            talk = Talk(self.port)
        except OSError:
            return False
        try:
            return talk.send(request(f"GET {path}", user=USER)).answer().status in statuses
        except (OSError, ValueError):
            return False
        finally:
            talk.close()

    @property
    def parent(self) -> int:
        """The number of the process that was started."""
        return self.running.process.pid

    def workers(self) -> list[int]:
        """The numbers of the processes that serve."""
        told = re.findall(r"worker \d+ is process (\d+)", self.running.said())
        return [pid for pid in map(int, told) if self._has(pid) and lives(pid)]

    def _has(self, pid: int) -> bool:
        """Whether the process is in the service's session; the number of one that is gone may be another's by now."""
        try:
            return os.getsid(pid) == self.parent
        except ProcessLookupError:
            return False

    def kill(self, pids: Sequence[int]) -> None:
        """Kill these at once."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def said(self) -> str:
        """The log."""
        return "".join(path.read_text("utf-8") for path in self._logs)

    def close(self) -> None:
        """End it."""
        self.running.close()


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
