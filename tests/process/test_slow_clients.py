"""Slow clients keep no good one waiting: a crowd of three kinds, and slowhttptest in its four ways."""

import itertools
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from cticache.access.passwords import hashed
from kit.samples import PASSWORD
from kit.serving import Running
from kit.talk import asked, get, request

if sys.platform == "win32":
    pytest.skip("a crowd waits for its sockets and its standard input at once", allow_module_level=True)

from kit.crowd import crowd

pytestmark = pytest.mark.usefixtures("client")  # the Redis is empty: who guessed before is remembered in it

WATCHER = f"[user:watcher]\npassword = {hashed(PASSWORD)}\nroles = watch"
_SLOWHTTPTEST = shutil.which("slowhttptest")
_WAYS = {
    "headers that come slowly": ("-H",),
    "bodies that come slowly": ("-B",),
    "ranges": ("-R",),
    "answers that are read slowly": ("-X", "-w", "1", "-y", "10", "-z", "1", "-n", "1", "-k", "3"),
}


@contextmanager
def serving(folder: Path, redis_url: str, dispatch: str, connections: int) -> Iterator[int]:
    """A service with room for so many; its port."""
    config = folder / f"{dispatch}.ini"
    config.write_text(
        f"[server]\ndispatch = {dispatch}\nport = 0\nworkers = 1\nconnections = {connections}\n"
        f"[redis]\nurl = {redis_url}\nprefix = cti\n[pool:p]\nnumbers = 1-9\n"
    )
    with closing(Running(config, folder / f"{dispatch}-errors")) as running:
        yield int(re.search(r"http://127\.0\.0\.1:(\d+)", running.line())[1])  # type: ignore[index]


class Newcomers:
    """Good clients that come one after the other, and how long each waited for its answer, connecting included."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waits_s = list[float]()

    def come(self) -> None:
        began = time.monotonic()
        assert asked(self._port, get("/healthz")).status == 200
        self._waits_s.append(time.monotonic() - began)

    @property
    def p99_s(self) -> float:
        return sorted(self._waits_s)[int(len(self._waits_s) * 0.99)]

    def __str__(self) -> str:
        p99, longest = self.p99_s * 1e3, max(self._waits_s) * 1e3
        return f"{len(self._waits_s):,} newcomers: p99 {p99:.0f} ms, longest {longest:.0f} ms"


def attack(port: int, ways: Iterable[tuple[str, ...]], count: int, seconds: int, newcomers: Newcomers) -> list[str]:
    """What slowhttptest finds while it attacks in these ways at once, with so many connections each."""
    found = list[str]()
    with ExitStack() as stack:
        running = list[subprocess.Popen[str]]()
        for way in ways:
            process = subprocess.Popen(
                [str(_SLOWHTTPTEST), *way, "-c", str(count), "-r", str(count // 2), "-i", "2", "-x", "10", "-p", "10",
                 "-l", str(seconds), "-u", f"http://127.0.0.1:{port}/healthz"],
                stdout=subprocess.PIPE, text=True, errors="replace",
            )  # fmt: skip
            running.append(stack.enter_context(process))
            stack.callback(process.kill)
        while any(process.poll() is None for process in running):
            newcomers.come()
            with suppress(subprocess.TimeoutExpired):
                running[-1].wait(0.05)
        for process in running:
            said, _ = process.communicate(timeout=seconds + 60)
            seen = re.findall(r"service available:\s+(\w+)", re.sub(r"\x1b\[[0-9;]*m", "", said))
            assert len(seen) > seconds // 5 or "No open connections left" in said, said  # it looks every five seconds
            found += seen
    return found


@pytest.fixture(scope="module")
def found_at_once(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> dict[str, list[str]]:
    """Dispatcher -> what slowhttptest finds in all its ways at once until it has looked a second time, of both at once.

    What takes it long is to wait.
    """
    dispatchers = ["batch", "threads"]
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("slow")
        ports = [stack.enter_context(serving(folder, redis_url, dispatch, 150)) for dispatch in dispatchers]
        attacks = stack.enter_context(ThreadPoolExecutor(len(ports)))
        found = attacks.map(lambda port: attack(port, _WAYS.values(), 100, 6, Newcomers(port)), ports)
        return dict(zip(dispatchers, found, strict=True))


@pytest.mark.skipif(not _SLOWHTTPTEST, reason="slowhttptest is not installed")
def test_slowhttptest_finds_the_service_available_throughout(  # noqa: PLR0917
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_url: str,
    long: bool,
    tell: Callable[[str], None],
    dispatch: str,
) -> None:
    if not long:
        assert set(request.getfixturevalue("found_at_once")[dispatch]) == {"YES"}
        return
    with serving(tmp_path, redis_url, dispatch, 400) as port:
        for name, way in _WAYS.items():
            newcomers = Newcomers(port)
            found = attack(port, [way], 1000, 20, newcomers)
            tell(f"slowhttptest, {name}, 1,000 connections, {dispatch}: available {', '.join(found)}; {newcomers}")
            assert set(found) == {"YES"}


def test_a_crowd_of_slow_clients_keeps_no_newcomer_waiting(
    start_on: Callable[..., Running], redis_url: str, dispatch: str, long: bool, tell: Callable[[str], None]
) -> None:
    for room in (5000, 400) if long else (40,):
        server = f"dispatch = {dispatch}\nworkers = 1\nconnections = {room}"
        service = start_on(redis_url, server, "prefix = cti", WATCHER)
        port = int(service.line().partition("http://127.0.0.1:")[2].split()[0])
        for count in (1000, 4000) if long else (100,):
            newcomers, ends_at = Newcomers(port), time.monotonic() + 20
            with crowd(port, count) as ask:
                for number in itertools.count():
                    newcomers.come()
                    if time.monotonic() > ends_at or (number == 50 and not long):
                        break
                    time.sleep(0.01)
                tell(f"{count:,} slow clients, room for {room:,}, {dispatch}: {newcomers}; {ask()}")
            assert not long or newcomers.p99_s < 0.1
        scraped = asked(port, request("GET /metrics", user="watcher")).content.decode()
        closed = dict(re.findall(r'^cticache_connections_closed_total{cause="(\w+)"} (\d+)', scraped, re.MULTILINE))
        assert int(closed["silent"]) + int(closed["gave_way"]) > 0
        service.close()
