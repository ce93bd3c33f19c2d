"""Serves a burst of requests in one round trip: waitress's tasks in greenlets, on a loop of our own, without threads.

A turn of the loop handles every socket that is ready to be read or written; resumes the requests whose replies have
come and starts those that are complete, each in a greenlet of its own that runs until it needs Redis; sends all their
commands in one write; and sends the answers that are ready.

Invariants:

- No thread runs a request. What may block (a password hash) goes to a thread, and the greenlet is parked meanwhile.
- No request is started or resumed while the loop walks the result of a poll: it could close a socket that is still to
  come in it.
- At most MOST_TASKS requests start in a turn, so that newcomers are served during a long burst. Only a few clients are
  accepted in a turn (more after a long one), so that one worker process does not take them all; door.py says whom.
- The poll never sleeps while anything is queued.
- However a request ends, it leaves its channel free for the next one, or closed.
- A wait ends once. A second attempt to end it wakes nothing: by then its greenlet may be serving another request.
- A client that does not read its answer has no further request served until it does; nobody else waits for it.
- A signal sets a flag and nothing else.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it, besides those that client.py
and wire.py list: create_server's _dispatcher; that add_task is called with the channel's lock held; a server's
readable, pull_trigger and active_channels; adj.send_bytes and adj.outbuf_high_watermark.
"""

import logging
import math
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet
from waitress.server import BaseWSGIServer

from cticache.loop.client import Client, HubChannel
from cticache.loop.ending import Ending, close_idle, close_port, tell_cut_off
from cticache.loop.waiting import Peer, Waiter
from cticache.loop.watching import READ, Watching

_log = logging.getLogger(__name__)

MOST_TASKS = 64
"""Most requests started in one turn; they share a round trip to Redis."""
_MOST_IDLE = 256
"""Idle greenlets kept for later requests: making one takes a third of the time that a request takes."""
_LONGEST_SLEEP_S = 1.0
"""The longest that a poll sleeps, so that the door sees in time whose time is over."""
_LOOK_S = 0.05
"""How often it is looked, at the end, whether anything is still under way."""
_FOREVER = float("inf")
_OUT_OF_REACH = 1 << 60
"""A limit in bytes that nothing reaches."""


class Hub(Watching, Ending):
    """The loop, and waitress's task dispatcher on it."""

    def __init__(self, stop_s: float) -> None:
        """``stop_s``: how many seconds the requests under way have at the end."""
        Watching.__init__(self)
        Ending.__init__(self, stop_s, self._wake)
        self._greenlet = getcurrent()
        self._tasks: deque[Client] = deque()
        self._held_back: set[Client] = set()
        self._touched: set[Client] = set()
        self._resumes: deque[tuple[Waiter, Any, BaseException | None]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._parked: set[Waiter] = set()
        self._turn_at = math.inf
        """When a turn is due, whatever happens."""
        self._idle: list[greenlet] = []
        self._peers: list[Peer] = []
        self._started = 0
        """Requests started in the last turn."""
        self.batches = self.batched = 0
        """Turns in which requests were started, and how many these were."""
        self.closing = False
        """Only requests that have begun are still read: a client that never stops asking would put off the end."""
        self._waker, self._waking = socket.socketpair()
        self._waker.setblocking(False)
        self._waking.setblocking(False)
        self.watch(self._waking.fileno(), READ, self._woken)

    # From a request's greenlet

    def inside(self) -> bool:
        """Whether the caller runs in a request's greenlet of this loop, where it must not block."""
        return getcurrent().parent is self._greenlet

    def park(self, waiter: Waiter) -> Any:
        """Let others run until somebody ends this wait, which must be the caller's own; the value it was ended with."""
        self._parked.add(waiter)
        try:
            return self._greenlet.switch()
        finally:
            waiter.owner = None
            self._parked.discard(waiter)

    def wait(self, future: "Future[Any]") -> Any:
        """The result of a thread's work; inside the loop, only this greenlet waits for it."""
        if self.inside() and not future.done():
            waiter = Waiter()
            future.add_done_callback(lambda _: self.call_soon(lambda: self.resume(waiter)))
            self.park(waiter)
        return future.result()

    # From the loop's other users

    def resume(self, waiter: Waiter, value: Any = None, error: BaseException | None = None) -> None:
        """End a wait, later in this turn, with a value or an error."""
        self._resumes.append((waiter, value, error))

    def call_soon(self, call: Callable[[], None]) -> None:
        """Have the loop run a function; from any thread."""
        self._calls.append(call)
        self._wake()

    def add_peer(self, peer: Peer) -> None:
        """Flush this peer in each turn, and keep its deadlines."""
        self._peers.append(peer)

    def remove_peer(self, peer: Peer) -> None:
        """Forget this peer."""
        self._peers.remove(peer)

    def touch(self, channel: Client) -> None:
        """Settle this channel at the end of the turn."""
        self._touched.add(channel)

    # What waitress asks of a task dispatcher

    def add_task(self, channel: Client) -> None:
        """Queue a channel whose next request is complete; its lock is held, so nothing is run."""
        self._tasks.append(channel)

    def close(self) -> None:
        """Close the loop's own sockets, and its peers; after ``run``."""
        for peer in list(self._peers):  # closing a peer removes it from the list
            peer.close()
        while self._calls:
            self._calls.popleft()()
        self._selector.close()
        self._waker.close()
        self._waking.close()

    def shutdown(self) -> None:
        """Give up every request that is queued or parked, and close its channel."""
        for waiter in list(self._parked):
            if waiter.owner:
                waiter.owner.throw()
        for channel in (*self._tasks, *self._held_back):
            channel.cancel()

    # The loop

    def run(self, server: BaseWSGIServer) -> None:
        """Serve until ``stop``; then answer what has come by then, close every client's connection, and leave."""
        self._greenlet = getcurrent()

        def accept(_mask: int) -> None:
            server.door.knock(in_a_burst=self._started == MOST_TASKS)

        server.door.channel_class = type("HubChannel", (HubChannel,), {"loop": self, "ending": self})
        server.pull_trigger = lambda: None  # it would wake a loop that is awake: two syscalls a request
        server.adj.send_bytes = _OUT_OF_REACH  # nothing is sent while an answer is written: head and body go as one
        server.adj.outbuf_high_watermark = _OUT_OF_REACH  # beyond it a channel would wait, here for ever
        listener = server.socket.fileno()
        while not self.is_due():
            # This is also where the door looks whose time is over.
            self.watch(listener, READ if server.readable() else 0, accept)
            self._turn_at = server.door.turn_at
            self._turn()
        self.watch(listener, 0, accept)
        close_port(server)
        self.tell_closed()
        ends_at = time.monotonic() + self.stop_s
        self._turn()  # reads what has come
        self.closing = True
        while (close_idle(server) or self._tasks or self._parked or self._resumes) and time.monotonic() < ends_at:
            self._turn()
        tell_cut_off(server, self.stop_s)
        self.shutdown()
        while self._idle:
            self._idle.pop().throw()
        for channel in list(server.active_channels.values()):
            channel.handle_close()

    def _turn(self) -> None:
        self.poll(self._patience())
        while self._calls:
            self._calls.popleft()()
        now = time.monotonic()
        for peer in self._peers:
            peer.tick(now)
        while self._resumes:
            self._go_on(*self._resumes.popleft())
        self._started = min(len(self._tasks), MOST_TASKS)
        if self._started:
            self.batches += 1
            self.batched += self._started
        for _ in range(self._started):
            self._start(self._tasks.popleft())
        for peer in self._peers:
            peer.flush()
        while self._touched:
            channel = self._touched.pop()
            if channel._fileno is not None:
                channel.settle()
            if not channel.total_outbufs_len and channel in self._held_back:
                self._held_back.remove(channel)
                self._tasks.append(channel)

    def _patience(self) -> float:
        if self._tasks or self._calls or self._resumes or self._touched:
            return 0
        due = min((peer.deadline() for peer in self._peers), default=_FOREVER)
        if self.closing:
            return max(min(due - time.monotonic(), _LOOK_S), 0)
        return max(min(min(due, self.stop_at, self._turn_at) - time.monotonic(), _LONGEST_SLEEP_S), 0)

    def _start(self, channel: Client) -> None:
        if channel.total_outbufs_len:
            self._held_back.add(channel)
        elif channel.requests:
            if not self._idle:
                greenlet(self._work).switch()
            worker = self._idle.pop()
            worker.gr_context = None  # the context of the last request is not this one's
            worker.switch(channel)

    def _work(self) -> None:
        """A greenlet's life. While idle it refers to no client, neither in its frame nor in its arguments."""
        while len(self._idle) < _MOST_IDLE:
            self._idle.append(getcurrent())
            self._serve(self._greenlet.switch())

    def _serve(self, channel: Client) -> None:
        try:
            channel.service()
        except BaseException as error:  # noqa: BLE001 - the loop outlives whatever a request does
            if not (self.closing and isinstance(error, GreenletExit)):  # of what is given up at the end `run` tells
                _log.error("a request ended with %s", type(error).__name__)  # its text may quote a caller
            channel.cancel()
        self._touched.add(channel)

    def _go_on(self, waiter: Waiter, value: Any, error: BaseException | None) -> None:
        if not waiter.owner:
            return
        if error is not None:
            waiter.owner.throw(error)
        else:
            waiter.owner.switch(value)

    def _wake(self) -> None:
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # full: it will wake anyway; closed: it has ended

    def _woken(self, _mask: int) -> None:
        try:
            while self._waking.recv(4096):
                pass
        except BlockingIOError:
            pass
