"""The socket that clients connect to, and how many of them one process can have."""

import errno
import logging
import socket
import sys

from cticache.errors import UserError

_log = logging.getLogger(__name__)

BACKLOG = 4096
"""Clients that may wait to be accepted, if the system allows as many; any other tries to connect a second later."""
_OTHER_FILES = 96
"""File descriptors kept for everything but clients: Redis, logs, the interpreter, and clients that are just going."""
_MOST_ON_WINDOWS = 448
"""select() takes 512 sockets there, all told."""


def reserve(host: str, port: int) -> socket.socket:
    """A socket for this port that nobody can connect to before ``open_port``; UserError where it cannot be had.

    No other service can share it; on Windows SO_REUSEADDR would let two services do so unnoticed.

    It does not block. Worker processes share it, and that setting with it: to start one, multiprocessing duplicates the
    socket, and a duplicate is set as its original is (socket.dup). Were that blocking, a worker that lost the race for
    a client would sit in accept() until the next one came.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except (OSError, ValueError) as error:  # ValueError: not a host's name at all
        reason = getattr(error, "strerror", None) or "it cannot be the name or address of a machine"
        raise UserError(f"[server] host = {host}: is no address of this machine: {reason}") from None
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"[server] host = {host}: is no address of this machine: {error.strerror}") from None
        raise _taken(host, port, error) from None
    return listener


def open_port(listener: socket.socket) -> None:
    """Let clients connect; UserError if another service did so since ``reserve``."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _taken(host, port, error) from None


def _taken(host: str, port: int, error: OSError) -> UserError:
    return UserError(
        f"[server] host = {host}, port = {port}: cannot listen there: {error.strerror}; "
        "stop what uses the port, or choose another with [server] port or CTICACHE_SERVER_PORT"
    )


def allowed(connections: int) -> int:
    """That many connections, or as many as the system lets one process have."""
    if sys.platform == "win32":
        most = _MOST_ON_WINDOWS
    else:
        import resource  # noqa: PLC0415 - not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY or soft < connections + _OTHER_FILES <= hard:
            soft = max(soft, connections + _OTHER_FILES)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = soft - _OTHER_FILES
    return min(connections, most)


def affordable(connections: int) -> int:
    """The same; where that are fewer, the log is told."""
    most = allowed(connections)
    if connections > most:
        _log.warning("[server] connections = %s: this system allows %s", f"{connections:,}", f"{most:,}")
    return most
