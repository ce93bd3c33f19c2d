"""The connection to Redis as one more socket of the loop: nothing on the request path ever waits for it.

The commands of all requests of a turn go out in one write; the replies come back in order, with several batches under
way at once. Connecting (name resolution, TLS, AUTH, Sentinel) is left to redis-py, in a thread beside the loop.

Invariants:

- A reply that is no text is an error in its place: what somebody else has written into one key costs that key's call.
- Any other error or time-out closes the connection and fails exactly the commands that were on it: nobody knows whether
  they ran, so none is repeated.
- A command waits no longer than the time-out, the wait for a connection included. While Redis stays away commands fail
  at once; a probe in the thread finds out when it is back.
- A connection that is lost is dialled again at once if it had answered a command, else after ``probe`` seconds: a
  server that accepts connections only to close them is not dialled without a pause.
"""

import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.connection import Command, Runner, copied
from cticache.link.trouble import NOT_TEXT, NotOurs
from cticache.link.waits import Waits
from cticache.loop.dispatch import Hub
from cticache.loop.redis_reader import new_reader
from cticache.loop.waiting import Waiter
from cticache.loop.watching import READ, WRITE

_log = logging.getLogger(__name__)

_CHUNK = 65536
_NEVER = float("inf")
_LATER = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Asked(Waiter):
    """Commands that one greenlet waits for."""

    __slots__ = ("deadline", "replies", "wanted")

    def __init__(self, wanted: int, deadline: float) -> None:
        super().__init__()
        self.wanted = wanted
        self.deadline = deadline
        self.replies: list[Any] = []


class OnLoop:
    """Runs the commands of a hub's requests on its Redis channels, and all others on connections of their own."""

    def __init__(self, hub: Hub, parking: Runner, direct: Runner) -> None:
        self._hub = hub
        self._parking = parking
        self._direct = direct

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """As Runner says."""
        return (self._parking if self._hub.inside() else self._direct).run(commands)

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """As Runner says."""
        return (self._parking if self._hub.inside() else self._direct).again(commands, began)

    def drop(self) -> None:
        """As Runner says."""
        (self._parking if self._hub.inside() else self._direct).drop()

    def doubt(self) -> None:
        """As Runner says."""
        self._direct.doubt()


class RedisChannel:
    """Runs commands for the greenlets of a hub; ``dial`` connects, and may block."""

    def __init__(
        self,
        hub: Hub,
        dial: Callable[[], socket.socket],
        timeout: float,
        probe: float,
        waits: Waits | None = None,
    ) -> None:
        self._hub = hub
        self._waits = waits or Waits()
        self._waits.watch(self)
        self._dial = dial
        self._timeout = timeout
        self._probe = probe
        self._socket: socket.socket | None = None
        self._reader = new_reader()
        self._asked: deque[_Asked] = deque()
        self._hurried: dict[_Asked, float] = {}
        """Until when they are waited for, where that is sooner than their own deadline."""
        self._unsent: list[bytes] = []
        self._rest = b""
        self._down: RedisError | None = None
        self._dialling = False
        self._dials_in_vain = False
        """Whether what is being dialled is not to be used: it may be the server that was left meanwhile."""
        self._dial_at = _NEVER
        self._answered = True
        self._closed = False
        hub.add_peer(self)

    @property
    def is_away(self) -> bool:
        """As Waits says."""
        return self._down is not None

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, an error reply as an exception in its place; raises redis-py's errors."""
        if not commands:
            return []  # whoever waits for no reply would be given the next one's
        replies: list[Any] = self._hub.park(self._queued(commands))
        return replies

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """As Runner says. A reply that comes too late for this request does not tell that the connection is lost."""
        until = began + self._timeout
        if until <= time.monotonic():
            raise RedisTimeoutError("the time is used up")
        asked = self._queued(commands)
        self._hurried[asked] = until
        try:
            replies: list[Any] = self._hub.park(asked)
        finally:
            del self._hurried[asked]
        return replies

    def _queued(self, commands: Sequence[Command]) -> _Asked:
        if self._down:
            raise copied(self._down)
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        # What cannot be packed has raised by now: queued without its bytes, it would be given the next one's replies.
        asked = _Asked(len(commands), time.monotonic() + self._timeout)
        self._asked.append(asked)
        self._unsent += packed
        return asked

    def drop(self) -> None:
        """Connect anew: this server is no longer the one to ask."""
        if self._socket:  # else it is connecting already, for commands that were not on that connection
            self._lose(RedisConnectionError("the server is a replica by now"))

    def leave(self) -> None:
        """Give up the connection, also one that is being dialled: another server has taken this one's place.

        The commands on it fail: what they do there is lost. It is called on the loop.
        """
        if self._closed:
            return
        self._dials_in_vain = self._dialling
        if self._socket:
            self._lose(RedisConnectionError("another server has taken this one's place"))
        if not self._dialling:
            self._dial_at = time.monotonic()

    def doubt(self) -> None:
        """As Runner says; whoever looks after the channel finds out."""

    def idle(self) -> bool:
        """Whether no command waits for its reply."""
        return not self._asked

    # The loop's peer

    def flush(self) -> None:
        """Send the commands of this turn in one write."""
        if self._socket is None:
            if (self._unsent or self._asked) and not self._down and self._dial_at == _NEVER:
                self._connect()
            return
        if self._unsent and not self._rest:
            self._rest = b"".join(self._unsent)
            self._unsent.clear()
            self._send(self._socket)

    def deadline(self) -> float:
        """That of the first command, of one that is hurried, or the next attempt to connect, whichever comes first."""
        first = min(self._asked[0].deadline if self._asked else _NEVER, self._dial_at)
        return min(first, *self._hurried.values()) if self._hurried else first

    def tick(self, now: float) -> None:
        """Give up on a command that waits too long, and on the connection with it; connect when it is time."""
        if self.deadline() <= now and self._socket:
            self._ready(READ)  # the loop may be late itself: what has come by now has come in time
        if self._asked and self._asked[0].deadline <= now:
            self._fail(RedisTimeoutError("no answer in time"))
        for asked, until in self._hurried.items():
            if until <= now:
                self._hub.resume(asked, error=RedisTimeoutError("no answer in time"))
        if self._dial_at <= now:
            self._dial_at = _NEVER
            self._connect()

    def close(self) -> None:
        """Close the connection for good, and leave the loop."""
        self._closed = True
        self._hub.remove_peer(self)
        self._down = RedisConnectionError("the service ends")
        self._lose(self._down)

    # The socket

    def _ready(self, mask: int) -> None:
        try:
            if mask & WRITE and self._socket:
                self._send(self._socket)
            if mask & READ:
                self._receive()
        except Exception as error:  # noqa: BLE001 - whatever it is, what follows on this connection cannot be trusted
            self._lose(RedisConnectionError(f"{type(error).__name__}: {error}"))

    def _send(self, sock: socket.socket) -> None:
        try:
            sent = sock.send(self._rest)
        except _LATER:
            sent = 0
        except OSError as error:
            self._lose(RedisConnectionError(str(error)))
            return
        self._rest = self._rest[sent:]
        self._hub.watch(sock.fileno(), READ | WRITE if self._rest else READ, self._ready)

    def _receive(self) -> None:
        while self._socket:
            try:
                data = self._socket.recv(_CHUNK)
            except _LATER:
                return
            if not data:
                self._lose(RedisConnectionError("the server closed the connection"))
                return
            self._reader.feed(data)
            now = time.monotonic()
            while True:
                try:
                    reply = self._reader.gets()
                except UnicodeDecodeError:  # it has been read to its end, and those behind it are sound
                    reply = NotOurs(NOT_TEXT)
                if reply is False:
                    break
                self._hand_out(reply, now)
            if len(data) < _CHUNK and not isinstance(self._socket, ssl.SSLSocket):
                return

    def _hand_out(self, reply: Any, now: float) -> None:
        if not self._asked:
            raise hiredis.ProtocolError("a reply that nobody asked for")
        asked = self._asked[0]
        asked.replies.append(reply)
        if len(asked.replies) == asked.wanted:
            self._asked.popleft()
            self._answered = True
            self._waits.add(now - asked.deadline + self._timeout)
            self._hub.resume(asked, asked.replies)

    # The connection

    def _connect(self) -> None:
        if self._dialling:
            return
        self._dialling = True
        try:
            threading.Thread(target=self._dial_in_thread, name="redis-dial", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._refused(RedisConnectionError(str(error)))

    def _dial_in_thread(self) -> None:
        try:
            sock = self._dial()
        except Exception as error:  # noqa: BLE001 - which kinds there are depends on the URL, and a thread that
            # died of one would be waited for without end
            failure = (
                error if isinstance(error, RedisError) else RedisConnectionError(f"{type(error).__name__}: {error}")
            )
            self._hub.call_soon(lambda: self._refused(failure))
        else:
            self._hub.call_soon(lambda: self._connected(sock))
            if self._closed:  # asked last: what was queued before it was set, the closing hub still runs
                sock.close()

    def _connected(self, sock: socket.socket) -> None:
        self._dialling = False
        if self._closed:
            sock.close()
            return
        if self._dials_in_vain:
            sock.close()
            self._dial_again()
            return
        self._socket = sock
        self._reader = new_reader()
        self._down = None
        self._hub.watch(sock.fileno(), READ, self._ready)

    def _refused(self, error: RedisError) -> None:
        self._dialling = False
        if self._dials_in_vain and not self._closed:
            self._dial_again()
        else:
            self._fail(error)

    def _dial_again(self) -> None:
        """The commands that wait for a connection go on waiting."""
        self._dials_in_vain = False
        self._connect()

    def _fail(self, error: RedisError) -> None:
        """Redis is away: commands fail at once until a probe gets through."""
        self._down = error
        self._lose(error)
        if not self._dialling:
            self._dial_at = time.monotonic() + self._probe

    def _lose(self, error: RedisError) -> None:
        """The connection is gone, and nobody knows which of its commands ran."""
        if self._socket:
            self._hub.watch(self._socket.fileno(), 0, self._ready)
            self._socket.close()
            self._socket = None
        self._rest = b""
        self._unsent.clear()
        lost, self._asked = self._asked, deque()
        for asked in lost:
            self._hub.resume(asked, error=copied(error))
        if self._down or self._dialling:
            return
        if self._answered:
            self._answered = False
            self._connect()
        else:
            self._dial_at = time.monotonic() + self._probe
