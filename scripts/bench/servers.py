"""What is measured: each server's command, and whether it does what it is measured for."""

import base64
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from processes import Programs, free_port
from redis import Redis

from cticache.access.passwords import hashed

ROOT = Path(__file__).parent.parent.parent
BASELINES = Path(__file__).parent / "baselines"

USER, PASSWORD = "bench", secrets.token_hex(12)
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
VALUE = '{"account":"12345678","intent":"billing","language":"en"}'
CALLS = "/cticache/DNIS-ANI"
PREFIX, POOL = "cti", "bench"
NUMBERS = range(6_000_000_000, 6_000_100_000)
TTL_S = 2
"""How long a number that nobody takes is in use: at 20,000 POSTs a second the pool is still not empty."""
_KEPT_S = 3600
_PATHS = 500
_MOST_CLIENTS = 1500
_READY_S = 60.0

TITLES = {
    "batch": "cticache, batch",
    "audited": "cticache, batch, audit = yes",
    "threads": "cticache, threads",
    "hello": "bare hello, stock waitress",
    "floor": "bare hello, waitress without threads",
    "node": "2014 design, Node",
    "falcon": "Falcon + redis-py, stock waitress",
    "fastapi": "FastAPI + redis.asyncio, uvicorn",
    "near": "cticache, Redis behind the proxy",
    "far": "cticache, Redis 2 ms away",
    "two": "cticache, two workers",
    "this": "this checkout",
    "that": "the other commit",
}
BARE = frozenset({"hello", "floor"})
"""Servers that say hello and no more."""


class Missing(Exception):
    """A server that cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Tuning:
    """How a server on stock waitress is run."""

    threads: int
    switch_ms: float

    def __str__(self) -> str:
        return f"{self.threads} threads, switch interval {self.switch_ms:g} ms"


@dataclass(frozen=True)
class Server:
    """A server that is running and has been checked."""

    name: str
    title: str
    pid: int
    port: int
    paths: Path
    """A file with the paths that GET can be sent for, one to a line."""


class Servers:
    """Starts each server when it is first asked for, all on one Redis.

    A server that is named in ``trees`` is the cticache of that tree, with its default settings and with keys of its
    own.
    """

    def __init__(self, programs: Programs, folder: Path, trees: Mapping[str, Path] | None = None) -> None:
        self._programs = programs
        self._folder = folder
        self._trees = trees or {}
        self._running: dict[str, Server] = {}
        self._missing: dict[str, str] = {}
        self.tunings = {"hello": Tuning(4, 5), "falcon": Tuning(4, 5)}
        self.redis_port = free_port()
        self.redis_pid = programs.start(
            "redis",
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(folder)],
        )  # fmt: skip
        programs.wait_for_port("redis", self.redis_port)
        self.proxies: dict[str, tuple[int, int]] = {}
        """The proxies in front of Redis: near or far -> pid, port."""

    def get(self, name: str) -> Server:
        """The server, running; Missing when it cannot be had."""
        if name in self._missing:
            raise Missing(self._missing[name])
        if name not in self._running:
            try:
                self._running[name] = self._start(name, self.tunings.get(name))
            except Missing as why:
                self._missing[name] = str(why)
                raise
        return self._running[name]

    def tuned(self, name: str, tuning: Tuning) -> Server:
        """A server under settings that are being tried; the caller must ``stop`` it."""
        return self._start(name, tuning)

    def stop(self, server: Server) -> None:
        """End one server."""
        self._programs.stop(server.pid)

    def end(self, name: str) -> None:
        """End a server by its name, if it runs; asked for again, it is started anew."""
        if server := self._running.pop(name, None):
            self.stop(server)

    def redis(self) -> "Redis":
        """A client of the Redis that all use."""
        return Redis(port=self.redis_port, decode_responses=True)

    def config(self, name: str) -> Path:
        """The configuration of a cticache."""
        return self._folder / f"{name}.ini"

    def proxy(self, name: str, delay_ms: float) -> int:
        """The port of a proxy in front of Redis."""
        if name not in self.proxies:
            port = free_port()
            command = [sys.executable, str(Path(__file__).parent / "delay.py")]
            pid = self._programs.start(f"proxy-{name}", [*command, str(port), str(self.redis_port), f"{delay_ms:g}"])
            self._programs.wait_for_port(f"proxy-{name}", port)
            self.proxies[name] = pid, port
        return self.proxies[name][1]

    def _start(self, name: str, tuning: Tuning | None) -> Server:
        port = free_port()
        starts: dict[str, Callable[[int], tuple[list[str], dict[str, str]]]] = {
            "hello": lambda port: self._baseline("hello.py", port, tuning),
            "floor": lambda port: self._baseline("hello.py", port, Tuning(0, 5)),
            "falcon": lambda port: self._baseline("falcon_app.py", port, tuning),
            "fastapi": lambda port: self._baseline("fastapi_app.py", port, None),
            "node": self._node,
        }
        if name in starts:
            if name in ("falcon", "fastapi"):
                self.get("batch")  # which puts the pool in place
            command, environment = starts[name](port)
        else:
            command, environment = self._cticache(name, port)
        pid = self._programs.start(name, command, environment)
        self._programs.wait_for_port(name, port)
        paths = self._folder / f"{name}.paths"
        server = Server(name, TITLES[name], pid, port, paths)
        if name in BARE:
            paths.write_text("/\n", "ascii")
        else:
            if name not in starts:
                _wait_until_ready(server)
            paths.write_text("\n".join(_checked(server)) + "\n", "ascii")
        return server

    def _cticache(self, name: str, port: int) -> tuple[list[str], dict[str, str]]:
        redis_port = self.redis_port
        if name in ("near", "far"):
            redis_port = self.proxy(name, 0 if name == "near" else 1)
        tree = self._trees.get(name)
        workers = ""
        if has_workers(tree or ROOT):
            workers = f"workers = {2 if name == 'two' else 1}"
        elif name == "two":
            raise Missing("config.ini has no `[server] workers` yet")
        chosen = f"""
dispatch = {"threads" if name == "threads" else "batch"}
audit = {"yes" if name == "audited" else "no"}
"""
        config = self.config(name)
        config.write_text(
            f"""
[server]
port = {port}
connections = {_MOST_CLIENTS}
idle_timeout = 600
{"" if tree else chosen}
{workers}
[redis]
url = redis://127.0.0.1:{redis_port}/0
prefix = {name if tree else PREFIX}
[pool:{POOL}]
numbers = {NUMBERS[0]}-{NUMBERS[-1]}
ttl = {TTL_S}
max_ttl = {_KEPT_S}
cooldown = 0
[user:{USER}]
password = {hashed(PASSWORD)}
pools = *
roles = lease, read, take
""",
            "utf-8",
        )
        command = [sys.executable, "-m", "cticache", "serve", "--config", str(config)]
        return command, importing(tree) if tree else {}

    def _baseline(self, program: str, port: int, tuning: Tuning | None) -> tuple[list[str], dict[str, str]]:
        environment = {
            "PORT": str(port),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "PREFIX": PREFIX,
            "POOL": POOL,
            "AUTHORIZATION": AUTHORIZATION,
            "TTL_MS": str(TTL_S * 1000),
        }
        if tuning:
            environment |= {"THREADS": str(tuning.threads), "SWITCH_MS": f"{tuning.switch_ms:g}"}
        return [sys.executable, str(BASELINES / program)], environment

    def _node(self, port: int) -> tuple[list[str], dict[str, str]]:
        modules = node_modules()
        prefix = f"{PREFIX}2014"
        with self.redis() as client, client.pipeline(transaction=False) as pipeline:
            for first in range(0, len(NUMBERS), 5000):
                pipeline.rpush(f"{prefix}:numbers", *NUMBERS[first : first + 5000])
            pipeline.execute()
        environment = {
            "NODE_ENV": "production",
            "NODE_PATH": str(modules),
            "PORT": str(port),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "PREFIX": prefix,
            "BENCH_USER": USER,
            "BENCH_PASSWORD": PASSWORD,
            "TTL_MS": str(TTL_S * 1000),
        }
        return ["node", str(BASELINES / "node_app.js")], environment


def importing(tree: Path) -> dict[str, str]:
    """The environment in which Python finds the cticache of a tree, whatever is installed."""
    return {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}  # safe: not the one in the folder where it is started


def has_workers(tree: Path) -> bool:
    """Whether the cticache of this tree has worker processes."""
    parser = ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.read(tree / "config.ini", "utf-8")
    return parser.has_option("server", "workers")


def node_modules() -> Path:
    """Express and node-redis, installed beside the venv; Missing where there is no npm or it fails."""
    folder = Path(sys.prefix) / "bench-node"
    npm = shutil.which("npm")
    if not (npm and shutil.which("node")):
        raise Missing("node and npm are not on PATH (on Debian: apt-get install nodejs npm)")
    wanted, installed = BASELINES / "package.json", folder / "installed.json"
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        print("Installing Express and node-redis; this takes a moment, once.", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(wanted, folder)
        fetched = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if fetched.returncode:
            raise Missing(f"npm could not install Express and node-redis: {fetched.stderr.strip()[-500:]}")
        shutil.copy(wanted, installed)
    return folder / "node_modules"


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + _READY_S
    while _ask(server, "GET", "/readyz")[0] != 200:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.title} is not ready after {_READY_S:g} s")
        time.sleep(0.05)


def _checked(server: Server) -> list[str]:
    """Paths of calls that stay, once it is checked that this server does all that it is measured for."""
    value = json.loads(VALUE)
    status, location, _ = _post(server, "2999999999")
    _insist(server, status == 201 and location.startswith(CALLS + "/6"), f"POST: {status} {location}")
    _insist(server, _ask(server, "GET", location, authorised=False)[0] == 401, "GET without credentials is not 401")
    for method in ("GET", "GET", "DELETE"):
        status, _, answer = _ask(server, method, location)
        _insist(server, status == 200 and answer == {"value": value}, f"{method}: {status} {answer}")
    status, *_ = _ask(server, "GET", location)
    _insist(server, status in (404, 410), f"GET after DELETE: {status}")
    return [_post(server, f"1{number:09d}")[1] for number in range(_PATHS)]


def _insist(server: Server, right: bool, what: str) -> None:
    """RuntimeError when a server does not do what it should: then its speed means nothing."""
    if not right:
        raise RuntimeError(f"{server.title} answers wrongly: {what}")


def _post(server: Server, ani: str) -> tuple[int, str, object]:
    return _ask(server, "POST", CALLS, f'{{"value":{VALUE},"ani":"{ani}","ttl":{_KEPT_S}}}')


def _ask(
    server: Server, method: str, path: str, body: str | None = None, *, authorised: bool = True
) -> tuple[int, str, object]:
    """Status, Location, and the JSON of the answer."""
    headers = {"Content-Type": "application/json"} if body else {}
    if authorised:
        headers["Authorization"] = AUTHORIZATION
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        try:
            media = json.loads(text)
        except ValueError:
            media = text
        return answer.status, answer.getheader("Location", ""), media
    finally:
        connection.close()


def quiet_environment() -> None:
    """Keep proxies and CTICACHE_ variables of the environment from changing what is measured."""
    for name in list(os.environ):
        if name.startswith("CTICACHE_"):
            del os.environ[name]
