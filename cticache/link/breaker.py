"""Fails at once what is asked of a server that is away, so that no thread waits for it.

The loop's Redis channel does so by itself. With threads each would wait for the whole time-out, and while all of them
wait nobody is served, not even who asks for nothing in Redis.

Invariants:

- The first time-out, or an attempt to connect that fails, makes all commands fail at once, until a probe in a thread
  has got through; it tries at once, and then every ``probe`` seconds.
- A connection that is lost is doubted, not taken for a server that is away: that is for the probe to say.
- What a server did that has been left since says nothing about the one that has taken its place.
- A look that fails is out of date once the server has answered something since the look began, be it told before the
  answer or after it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.connection import Command, Direct, copied
from cticache.link.places import Places
from cticache.link.waits import Waits


class Breaker:
    """Runs commands as ``server`` does; ``look`` raises an error while the server is away, and may block."""

    def __init__(
        self,
        server: Direct,
        look: Callable[[], None],
        probe: float,
        places: Places | None = None,
        waits: Waits | None = None,
    ) -> None:
        """``probe``: seconds between two attempts to reach a server that is away; ``places``: how many may ask it."""
        self._server = server
        self._place = places.one if places else nullcontext
        self._look = look
        self._probe = probe
        self._lock = threading.Lock()
        self._down: RedisError | None = None
        self._is_looking = False
        self._times_left = 0
        self._times_heard = 0
        self._woken = threading.Event()
        self._closed = False
        self._waits = waits or Waits()
        self._waits.watch(self)

    @property
    def is_away(self) -> bool:
        """As Waits says."""
        return self._down is not None

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """As Runner says."""
        return self._tried(lambda: self._server.run(commands), is_whole=True)

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """As Runner says. That the rest of the time was too short for an answer does not tell that the server hangs."""
        return self._tried(lambda: self._server.again(commands, began), is_whole=False)

    def drop(self) -> None:
        """As Runner says."""
        self._server.drop()

    def doubt(self) -> None:
        """As Runner says."""
        self._server.doubt()

    def leave(self) -> None:
        """Give up all connections, as Direct does, and look at once whether the new server is there."""
        self._times_left += 1
        self._server.leave()
        self._woken.set()

    def idle(self) -> bool:
        """As Direct says."""
        return self._server.idle()

    def close(self) -> None:
        """Close the connections that are not in use, and look no longer."""
        self._closed = True
        self._woken.set()
        self._server.close()

    def _tried(self, run: Callable[[], list[Any]], *, is_whole: bool) -> list[Any]:
        if down := self._down:
            raise copied(down)
        with self._place():
            before, began = self._times_left, time.monotonic()
            try:
                replies = run()
            except (RedisConnectionError, RedisTimeoutError) as error:
                if self._times_left == before:
                    self._suspect(error if is_whole and isinstance(error, RedisTimeoutError) else None)
                raise
        self._times_heard += 1  # one that is lost between two threads does not matter: it has been raised all the same
        self._waits.add(time.monotonic() - began)
        self._down = None
        return replies

    def _suspect(self, error: RedisError | None) -> None:
        """Have a thread look whether the server is there; with an error it is taken to be away until then."""
        with self._lock:
            self._down = error or self._down
            if self._is_looking or self._closed:
                return
            self._is_looking = True
        try:
            threading.Thread(target=self._find_out, name="redis-probe", daemon=True).start()
        except RuntimeError:  # no more threads: the next command finds out
            with self._lock:
                self._is_looking, self._down = False, None

    def _find_out(self) -> None:
        while not self._closed:
            self._woken.clear()
            before = self._times_heard
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - which kinds there are depends on the URL, and a thread that
                # died of one would leave the server away for ever
                named = (
                    error if isinstance(error, RedisError) else RedisConnectionError(f"{type(error).__name__}: {error}")
                )
                self._down = named
                if self._times_heard != before:  # looked at afterwards: an answer may come at any moment
                    self._down = None
            else:
                break
            self._woken.wait(self._probe)
        with self._lock:
            self._is_looking, self._down = False, None
