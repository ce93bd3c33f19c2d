"""How Redis is reached: one client, with time-outs and without repeats."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from cticache.link.redis_url import addresses, kind
from cticache.link.sentinels import Sentinels, cut
from cticache.link.trouble import NOT_TEXT, NotOurs

_MOST_CONNECTIONS = 512
"""More than the threads that can ask at once ([server] threads); by itself redis-py refuses the 101st."""


def connect(url: str, timeout: float) -> Redis:
    """A client that opens its connections when they are needed; ValueError for a URL that cannot be read.

    redis-py would repeat a command up to ten times: after a lost reply, a take or a lease would be done twice. The
    store repeats what may be repeated. ``timeout``, in seconds, bounds connecting and each wait for a reply. Behind
    sentinels each connection goes to the primary that they name when it is opened.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "decode_responses": True,
        "protocol": 2,
        "driver_info": None,  # no CLIENT SETINFO on each connect
        "max_connections": _MOST_CONNECTIONS,
    }
    if url.startswith("rediss"):
        options["redis_connect_func"] = _greet
    if kind(url) == "sentinel":
        return _watched(url, options)
    return Redis.from_url(url, **options)


def _watched(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    credentials, at, _ = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    told = parse_url(f"{scheme}://{credentials}{at}primary/{database}?{parts.query}")  # type: ignore[no-untyped-call]
    own = {name: told.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in told}
    tls = {name: value for name, value in told.items() if name.startswith("ssl_")} | {"ssl": scheme == "rediss"}
    for name in ("host", "connection_class"):
        told.pop(name, None)
    sentinels = Sentinels(addresses(url), service, options | tls | own, options | tls | told)
    primary: Redis = sentinels.master_for(service)  # type: ignore[no-untyped-call]
    return primary


def _greet(connection: Any) -> None:
    """Connect as redis-py does, and PING: what TLS 1.3 sends after its handshake is read along with the answer.

    If it were left unread, redis-py would take it for a reply that nobody asked for and give up the connection.
    """
    connection.on_connect()
    connection.send_command("PING")
    connection.read_response()


Command = tuple[str | int, ...]


class Runner(Protocol):
    """Runs commands in Redis."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, an error reply as an exception in its place; raises redis-py's connection errors."""

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """Run what provably did not run, for a request that began then, by time.monotonic(): within its time-out."""

    def drop(self) -> None:
        """Connect anew before the next command: this server is no longer the one to ask."""

    def doubt(self) -> None:
        """Find out whether another server has taken this one's place; returns at once."""


def nobody_to_ask() -> None:
    """What there is to do in doubt about a server that stands alone."""


class Direct:
    """Runs commands on redis-py's own connections; the caller waits. ``doubt`` is called in doubt, as Runner says."""

    def __init__(self, client: Redis, doubt: Callable[[], None] = nobody_to_ask) -> None:
        self._client = client
        self._times_left = 0
        self.doubt = doubt

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """As Runner says."""
        before = self._times_left
        replies = self._replies(commands)
        if self._times_left != before:
            raise RedisConnectionError("another server has taken the place of the one that answered")
        return replies

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """As Runner says, in a thread of its own: what connecting and each reply may take is a time-out by itself."""
        answer: Future[list[Any]] = Future()

        def run() -> None:
            try:
                answer.set_result(self.run(commands))
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits
                answer.set_exception(error)

        left = began + float(self._client.connection_pool.connection_kwargs["socket_timeout"]) - time.monotonic()
        if left <= 0:
            raise RedisTimeoutError("the time is used up")
        try:
            threading.Thread(target=run, name="redis-again", daemon=True).start()
        except RuntimeError as error:  # no more threads
            raise RedisConnectionError(str(error)) from None
        try:
            return answer.result(left)
        except TimeoutError:
            raise RedisTimeoutError("no answer in time") from None

    def _replies(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, by one of the pool's connections.

        redis-py's own ways to run commands quote their arguments in errors, and connect anew before they return.
        """
        pool: Any = self._client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in commands]
        except BaseException:
            connection.disconnect()  # what is still to come on it would be taken for the next command's replies
            raise
        finally:
            pool.release(connection)

    def drop(self) -> None:
        """Close the connections that are not in use; one in use meets the same refusal, and closes at the next drop."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    def leave(self) -> None:
        """Give up all connections, those in use too: another server has taken this one's place.

        A reply that is still under way does not count: what it says was done is lost. From any thread.
        """
        pool: Any = self._client.connection_pool
        self._times_left += 1
        with pool._lock:  # by it redis-py takes a connection out and puts it back: none is missed in between
            pool.disconnect(inuse_connections=False)
            for connection in pool._get_in_use_connections():
                connection.mark_for_reconnect()  # one that is just being opened, to the old server, is closed after use
                cut(connection)

    def idle(self) -> bool:
        """Always: ``close`` spares the connections in use."""
        return True

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._client.connection_pool.disconnect(inuse_connections=False)


def copied(error: RedisError) -> RedisError:
    """A new one for each time it is raised: raised again and again, an exception's traceback would grow for ever."""
    return type(error)(*error.args)


def _reply(connection: Any) -> Any:
    """The next reply; it is for the caller to close the connection on what is raised."""
    try:
        return connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return error.with_traceback(None)  # by which it would refer to whoever keeps it
    except UnicodeDecodeError:  # the reply has been read to its end
        return NotOurs(NOT_TEXT)


def dial(client: Redis) -> socket.socket:
    """A connected socket on which PING and a script were answered, to be read and written without redis-py; may block.

    A server that holds back what may write (CLIENT PAUSE, and FAILOVER, which uses it) answers a PING all the same. Of
    the script any answer will do, a refusal, too.

    redis-py does all that connecting takes: name resolution, TLS, credentials, database, Sentinel. The socket is then
    taken out of its connection, where it has no public name. The connection does not come from redis-py's pool, which
    counts every one it ever made and refuses after the hundredth.
    """
    pool = client.connection_pool
    connection: Any = pool.connection_class(**pool.connection_kwargs)
    try:
        connection.connect()
        connection.send_packed_command(connection.pack_commands([("PING",), ("EVAL", "return 1", 0)]))
        connection.read_response()
        with suppress(ResponseError):
            connection.read_response()
    except BaseException:
        connection.disconnect()  # a refusal such as LOADING leaves it open
        raise
    sock: socket.socket = connection._sock
    connection._sock = None  # else it is closed with its connection
    sock.setblocking(False)
    return sock
