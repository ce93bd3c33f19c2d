"""Who is let in, for how long, and who goes when there are too many.

Invariants:

- A client that comes in is never told to wait by clients that send nothing: where ``connections`` is met, the client
  goes that has gone longest without a whole request; those first that have not sent one yet for which they were known.
- Nobody goes, to make room, whose request is worked on, or who reads an answer. Where that holds of all of them, who
  comes waits in the backlog; but not for those that have stopped reading.
- Nobody goes, to make room, in its first moments, nor where something has come from it that is not read yet: a client
  that asks as soon as it is connected is served, whoever comes after it.
- A request has a time in which its header, and one in which its body must be whole; so has a client that sends nothing,
  and one that does not read its answer.
- Who has had its last answer, and is waited for to close, goes first of all.
- A request costs no more than two moves in a dictionary; the clients are looked through once in ``_LOOK_S``, a part of
  them in a turn: thousands whose time is over at once are shown out beside the requests of others, not before them.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a server's accept, readable,
handle_accept, set_socket_options, fix_addr, accepting, active_channels, adj and _map; a channel's requests, request,
will_close, close_when_flushed and total_outbufs_len.
"""

import errno
import logging
import math
import socket
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

from waitress.server import BaseWSGIServer

from cticache.access.networks import NOWHERE, Networks, site
from cticache.errors import RequestTimeout
from cticache.journal.closed import Closed
from cticache.loop.wire import Channel

_log = logging.getLogger(__name__)

MOST_ACCEPTS = 6
"""Most clients accepted in one turn, so that each of several processes gets its share."""
MOST_ACCEPTS_IN_A_BURST = 32
"""The same after a long turn, when newcomers would wait for many such; and when the limit of connections is met."""
_LOOK_S = 1.0
"""How often it is looked whose time is over."""
_SLOWEST = 4096
"""Bytes a second that a client must read of a long answer."""
_STOPPED_S = 1.0
"""Who has read nothing of its answer for so long goes where somebody must."""
_FIRST_MOMENTS_S = 0.02
"""How long what a newcomer asks may be under way."""
_MOST_LOOKS = 512
"""How many clients are looked at in a turn; the rest of them in the next ones."""
_MOST_SHOWN_OUT = 16
"""How many are shown out in a turn whose time is over, so that it is no longer than others when it is that of many."""
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S = 0.1
"""How long nobody is accepted after the system could not give another socket."""


@dataclass(frozen=True)
class Limits:
    """What the configuration allows. Times in seconds."""

    connections: int = 400
    header_s: float = 10
    """From the start of a connection, or of a further request on it, to a whole header."""
    body_s: float = 20
    """From there to a whole body."""
    idle_s: float = 30
    """Between two requests; and for an answer to be read, or anything of a long one."""
    per_address: int = 0
    """Connections of one address, and of one /64 of IPv6; 0 for any number."""
    proxies: Networks = NOWHERE
    """To whose addresses that does not apply."""


class Door:
    """The door of one server. It takes the place of what waitress has for the same purpose."""

    def __init__(
        self,
        server: BaseWSGIServer,
        limits: Limits,
        channel_class: type[Channel] = Channel,
        closed: Closed | None = None,
    ) -> None:
        self.channel_class = channel_class
        self._server = server
        self._limits = limits
        self._unknown: OrderedDict[Channel, None] = OrderedDict()
        """Those that have sent no request yet for which they are known, the oldest first."""
        self._known: OrderedDict[Channel, None] = OrderedDict()
        """The others, first the one that has gone longest without a whole request."""
        self._lock = Lock()  # with dispatch = threads, requests end in threads
        self._by_site: dict[str, int] = {}
        self._knocking = 0
        """How many may be let in, of those that wait."""
        self._look_at = 0.0
        self._looking: list[Channel] = []
        """Who is still to be looked at in this round, the last first."""
        self._closed_until = 0.0
        self.waits = False
        """The limit is met and nobody could go; the listener is not polled until somebody can. Whoever ends a request
        has the loop make a turn then."""
        self.turn_at = math.inf
        """When the loop is to make a turn, by time.monotonic(), since somebody may be able to go then."""
        self._closed = closed or Closed()
        self.entered = 0
        """How many have been let in."""
        server.door = self
        server.readable = self.is_open
        server.handle_accept = self.knock

    def change(self, limits: Limits) -> None:
        """Go by these limits from now on; who is inside stays. From any thread."""
        self._limits = limits

    @property
    def inside(self) -> int:
        """How many are connected."""
        return len(self._unknown) + len(self._known)

    def knock(self, *, in_a_burst: bool = False) -> None:
        """Somebody waits at the listener, and is let in before the next turn.

        That is once everybody has been read from who was let in before: nobody goes who has sent a request by then.
        """
        self._knocking = MOST_ACCEPTS_IN_A_BURST if in_a_burst or self._is_full() else MOST_ACCEPTS

    def is_open(self) -> bool:
        """Whether it is worth waiting for newcomers. Asked before each turn, this lets in those who knocked in the last
        one, and sees whose time is over.
        """
        if self._knocking:
            self._let_in(self._knocking)
            self._knocking = 0
        now = monotonic()
        self.turn_at = self._closed_until if self._closed_until > now else math.inf
        if self._looking or now >= self._look_at:
            self._look(now)
        if not self._server.accepting or now < self._closed_until:
            return False
        if self.waits:
            with self._lock:
                self.waits = self._is_full() and not self._first_to_go()
        return not self.waits

    def _let_in(self, most: int) -> None:
        """Accept so many, as far as there is room or somebody goes.

        No more than half of all may be newcomers, who have not been read from yet.
        """
        for _ in range(min(most, max(self._limits.connections // 2, 1))):
            if self._is_full():
                with self._lock:
                    self.waits = not self._first_to_go()
                if self.waits:
                    text = "all %s connections are being served, and newcomers wait"
                    self._closed.note(text, self._limits.connections)
                    return
            try:
                accepted = self._server.accept()
            except OSError as error:
                self._cannot_accept(error)
                return
            if not accepted:
                return
            self._enter(*accepted)

    def let_everybody_in(self) -> None:
        """Accept all who have connected by now, as far as nobody must go for them."""
        while not self._is_full():
            try:
                accepted = self._server.accept()
            except OSError as error:
                if error.errno in _NO_FILES:
                    return
                continue  # this client has gone again
            if not accepted:
                return
            self._enter(*accepted)

    def heard(self, channel: Channel) -> None:
        """Note that a whole request of this client has come; from any thread."""
        with self._lock:
            if channel in self._known:
                self._known.move_to_end(channel)
            elif channel.known and channel in self._unknown:
                del self._unknown[channel]
                self._known[channel] = None

    def lingers(self, channel: Channel) -> None:
        """Note that this client has had its last answer: it goes first where somebody must."""
        with self._lock:
            self._forget(channel)
            self._unknown[channel] = None
            self._unknown.move_to_end(channel, last=False)

    def left(self, channel: Channel) -> None:
        """Forget a client that is gone."""
        with self._lock:
            self._forget(channel)
            if channel.site:
                self._by_site[channel.site] -= 1
                if not self._by_site[channel.site]:
                    del self._by_site[channel.site]
                channel.site = ""

    def _is_full(self) -> bool:
        return self.inside >= self._limits.connections

    def _first_to_go(self) -> Channel | None:
        """Who goes next to make room; None where nobody can now."""
        now = monotonic()
        for clients in (self._unknown, self._known):
            for _ in range(len(clients)):
                channel = next(iter(clients))
                if channel.lingers_until:
                    return channel  # whatever it still sends
                if channel.total_outbufs_len:
                    is_served = not channel.reads_slowly(now, _STOPPED_S, _SLOWEST)
                else:
                    is_served = bool(channel.requests or channel.close_when_flushed)
                if not is_served:
                    if clients is self._unknown and now - channel.since < _FIRST_MOMENTS_S:
                        self.turn_at = channel.since + _FIRST_MOMENTS_S
                        break  # the others came later
                    if not _has_asked(channel):
                        return channel
                clients.move_to_end(channel)  # its request has come whole, later than those of all the others
        return None

    def _make_room(self) -> None:
        with self._lock:
            channel = self._first_to_go()
            if channel:
                self._forget(channel)
        if channel:
            self._closed.add("gave_way", channel.addr[0])
            channel.dismiss()

    def _forget(self, channel: Channel) -> None:
        self._unknown.pop(channel, None)
        self._known.pop(channel, None)

    def _enter(self, client: socket.socket, address: Any) -> None:
        server, limits = self._server, self._limits
        where = ""
        if limits.per_address and not limits.proxies.contains(address[0]):
            where = site(address[0])
            if self._by_site.get(where, 0) >= limits.per_address:
                client.close()
                self._closed.add("per_address", address[0])
                return
        if self._is_full():
            self._make_room()
        try:
            server.set_socket_options(client)
            channel = self.channel_class(server, client, server.fix_addr(address), server.adj, map=server._map)
        except OSError as error:  # the client has gone again, or the system can watch no more sockets
            client.close()
            _log.warning("a client could not be let in: %s", error)
            return
        channel.since = monotonic()
        self.entered += 1
        with self._lock:
            self._unknown[channel] = None
            if where:
                channel.site = where
                self._by_site[where] = self._by_site.get(where, 0) + 1

    def _cannot_accept(self, error: OSError) -> None:
        """Make room where the system has no more sockets; the others cannot be polled for that."""
        self._closed.note("no client could be accepted: " + str(error).replace("%", "%%") + "; times: %s")
        if error.errno in _NO_FILES:
            self._make_room()
            self._closed_until = self.turn_at = monotonic() + _PAUSE_S

    def _look(self, now: float) -> None:
        if not self._looking:
            self._look_at = now + _LOOK_S
            self._looking = list(self._server.active_channels.values())[::-1]
        shown_out = 0
        for _ in range(min(len(self._looking), _MOST_LOOKS)):
            channel = self._looking.pop()
            if channel._fileno is not None and not channel.will_close:
                shown_out += self._shows_out(channel, now)
            if shown_out == _MOST_SHOWN_OUT:
                break
        if self._looking:
            self.channel_class.ending.wake()  # the next turn must not sleep
        else:
            self._closed.tell(now)

    def _shows_out(self, channel: Channel, now: float) -> bool:
        """Look at a client, and show it out if its time is over."""
        limits, request, silent_s = self._limits, channel.request, now - channel.since
        if channel.lingers_until:
            return now > channel.lingers_until and self._dismiss(channel, "")
        if channel.total_outbufs_len:
            channel.sending = now
            if channel.reads_slowly(now, limits.idle_s, _SLOWEST):
                return self._dismiss(channel, "unread")
        elif channel.requests or channel.close_when_flushed:
            pass
        elif request is None:
            if now - max(channel.since, channel.sending) > (limits.idle_s if channel.answered else limits.header_s):
                return self._dismiss(channel, "" if channel.answered else "silent")
        elif not request.headers_finished:
            # Blank lines are no beginning: they would put it off for ever.
            begun_s = now - request.began if channel.answered else silent_s
            if begun_s > limits.header_s or silent_s > limits.idle_s + limits.header_s:
                return self._give_up(channel, "header")
        elif now - request.body_began > limits.body_s or silent_s > limits.idle_s + limits.header_s + limits.body_s:
            return self._give_up(channel, "body")
        return False

    def _dismiss(self, channel: Channel, cause: str) -> bool:
        if cause:
            self._closed.add(cause, channel.addr[0])
        channel.dismiss()
        return True

    def _give_up(self, channel: Channel, cause: str) -> bool:
        self._closed.add(cause, channel.addr[0])
        channel.give_up(RequestTimeout())
        return True


def _has_asked(channel: Channel) -> bool:
    """Whether something has come from it, or its end, that is not read yet."""
    try:
        channel.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
