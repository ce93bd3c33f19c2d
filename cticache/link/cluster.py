"""Runs each script on the node of a Redis Cluster that has its slot.

All keys of a script are in one slot (keys.py). A thread asks the nodes which of them has which slot (CLUSTER SLOTS).
Until it asks again, the answer MOVED of a node corrects that, slot by slot.

Invariants:

- Only a command that provably did not run (MOVED, ASK, TRYAGAIN, CLUSTERDOWN) is repeated, and the last reply to it is
  waited for until the time-out since its request's start has passed. After a lost connection or a time-out nobody knows
  what ran: nothing is repeated.
- A node that is away or hangs fails the commands for its own slots, and no others.
- One thread at a time asks the nodes, at most once every ``probe`` seconds; a command whose node is known does not wait
  for it.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from itertools import count
from typing import Any, Protocol

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.connection import Command, Runner, connect, copied
from cticache.link.redis_url import Address, addresses, node_url
from cticache.link.trouble import told, trouble

_NOT_RUN = (AskError, TryAgainError, ClusterDownError)
"""The node has refused to begin; MovedError is an AskError."""
_AT_ONCE = 3
"""How many redirections are followed without a pause."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.16
_WHOLE = "cluster is down"
"""What is said of all slots; else it is of one."""

Wait = Callable[["Future[None]", float], None]
"""Returns when the future is done or so many seconds have passed."""


class Node(Runner, Protocol):
    """Runs commands on one node."""

    def idle(self) -> bool:
        """Whether nothing is under way that ``close`` would break off."""

    def close(self) -> None:
        """Close the connections for good."""


class Topology:
    """Which node has which slot, as far as is known."""

    def __init__(self, url: str, timeout: float, probe: float) -> None:
        self._url = url
        self._timeout = timeout
        self._probe = probe
        self._slots: dict[int, Address] = {}
        self._lock = threading.Lock()
        self._refreshing: Future[None] | None = None
        self._next_refresh = 0.0
        self.nodes: frozenset[Address] = frozenset()
        """All nodes that have slots, and their replicas."""

    def url(self, address: Address) -> str:
        """The URL of one node."""
        return node_url(self._url, address)

    def primaries(self) -> list[Address]:
        """The nodes that have slots."""
        return sorted(set(self._slots.values()))

    def owner(self, slot: int) -> Address | None:
        """The node that has a slot."""
        return self._slots.get(slot)

    def moved(self, slot: int, address: Address) -> None:
        """Take a node's word for where a slot is; others may have moved with it."""
        self._slots[slot] = address
        self.refresh()

    def refresh(self) -> "Future[None]":
        """Have the nodes asked, unless that was done a moment ago; the future is done once they have answered."""
        with self._lock:
            if self._refreshing and (not self._refreshing.done() or time.monotonic() < self._next_refresh):
                return self._refreshing
            refreshing: Future[None] = Future()
            self._refreshing = refreshing
            self._next_refresh = time.monotonic() + self._probe
        try:
            threading.Thread(target=self._ask, args=(refreshing,), name="cluster-refresh", daemon=True).start()
        except RuntimeError as error:  # no more threads
            refreshing.set_exception(RedisConnectionError(str(error)))
        return refreshing

    def _ask(self, refreshing: "Future[None]") -> None:
        try:
            self._slots, self.nodes = self._asked()
        except Exception as error:  # noqa: BLE001 - somebody may be waiting for it
            refreshing.set_exception(error)
        else:
            refreshing.set_result(None)

    def _asked(self) -> tuple[dict[int, Address], frozenset[Address]]:
        """What the first node to answer says; the order changes each time, as a node may be cut off from the others."""
        known = sorted(self.nodes)
        named = addresses(self._url)
        wrong = ""
        for address in (*random.sample(known, len(known)), *random.sample(named, len(named))):
            try:
                with connect(self.url(address), self._timeout) as client:
                    # In two words: redis-py has a parser of its own for the reply to "CLUSTER SLOTS".
                    ranges = client.execute_command("CLUSTER", "SLOTS")
            except ResponseError as error:
                off = "cluster support disabled" in str(error)
                wrong = "it is no member of a cluster, write redis:// in the URL" if off else told(error)
            except (RedisError, OSError) as error:
                wrong = str(error) if trouble(error).is_away else told(error)
            else:
                if ranges:
                    return _read(ranges, address)
                wrong = "it knows of nobody who has a slot: has the cluster been created?"
            wrong = f"{_named(address)}: {wrong}"
        # What is wrong with it, by its code, is what is wrong with the cluster.
        raise RedisConnectionError(f"no node of the cluster answers as one: {wrong}")


class Cluster:
    """Runs commands on the nodes that have their slots; ``open_node`` makes the Runner of one, by its URL."""

    def __init__(self, topology: Topology, open_node: Callable[[str], Node], pause: Wait, timeout: float) -> None:
        self._topology = topology
        self._open_node = open_node
        self._wait = pause
        self._timeout = timeout
        self._lock = threading.Lock()
        self._nodes: dict[Address, Node] = {}
        self._known: frozenset[Address] = frozenset()
        self._down: dict[Address | int, float] = {}
        """When the first request began that was told by a node that the cluster is down, or that a slot is nobody's."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """As Runner says. Commands without a key go to every primary; an error from one of them is then the reply."""
        return self._run(commands, time.monotonic(), at_first=True)

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        """As Runner says."""
        return self._run(commands, began, at_first=False)

    def _run(self, commands: Sequence[Command], began: float, *, at_first: bool) -> list[Any]:
        """The replies in order. Only what is asked ``at_first`` has the whole time-out for itself."""
        replies: list[Any] = [None] * len(commands)
        places: dict[Address | None, list[int]] = {}
        for at, command in enumerate(commands):
            place = self._owner(_slot(command), began) if _has_keys(command) else None
            places.setdefault(place, []).append(at)
        for address, asked in places.items():
            wanted = [commands[at] for at in asked]
            left = None if at_first else began
            got = self._at(address, wanted, left) if address else self._everywhere(wanted, began)
            at_first = False
            for at, reply in zip(asked, got, strict=True):
                replies[at] = reply
                if address and (isinstance(reply, _NOT_RUN) or self._down):
                    replies[at] = self._followed(commands[at], address, reply, began)
        return replies

    def drop(self) -> None:
        """As Runner says, but nothing is closed: a node that has become a replica names the primary itself (MOVED)."""
        self._topology.refresh()

    def doubt(self) -> None:
        """As Runner says."""
        self._topology.refresh()

    def close(self) -> None:
        """Close all connections for good."""
        with self._lock:
            for node in self._nodes.values():
                node.close()
            self._nodes.clear()

    def _owner(self, slot: int, began: float) -> Address:
        address = self._topology.owner(slot)
        if not address:
            self._know(began)
            address = self._topology.owner(slot)
        if not address:
            raise RedisConnectionError("no node of the cluster has the slot: see what CLUSTER INFO says")
        return address

    def _know(self, began: float) -> None:
        """Wait until it is known which node has which slot."""
        refreshing = self._topology.refresh()
        if not refreshing.done():
            self._wait(refreshing, began + self._timeout - time.monotonic())
        if not refreshing.done():
            raise RedisTimeoutError("no node of the cluster has answered in time")
        if error := refreshing.exception():
            raise RedisConnectionError(str(error))

    def _followed(self, command: Command, address: Address, reply: Any, began: float) -> Any:
        """The reply to a command that ``address`` may have refused to begin, from the node that does run it."""
        slot = _slot(command)
        until = began + self._timeout
        pause = _PAUSE_S
        for hop in count(1):
            if self._is_final(reply, address, slot, began) or time.monotonic() >= until:
                break
            asking = isinstance(reply, AskError) and not isinstance(reply, MovedError)
            target = (_host(reply.host, address), reply.port) if isinstance(reply, AskError) else address
            if isinstance(reply, MovedError):
                self._topology.moved(slot, target)
            elif isinstance(reply, ClusterDownError):
                self._topology.refresh()
            if hop > _AT_ONCE or not isinstance(reply, AskError):
                self._wait(Future(), min(pause, until - time.monotonic()))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            if time.monotonic() >= until:
                break
            address = target if asking else self._owner(slot, began)
            reply = self._at(address, [("ASKING",), command] if asking else [command], began)[-1]
        return reply

    def _is_final(self, reply: Any, address: Address, slot: int, began: float) -> bool:
        """Whether to ask no further. That the cluster is down is asked again for one time-out, and then told at once.

        So the moment of a failover goes unnoticed, and one that lasts holds up nobody.
        """
        if not isinstance(reply, ClusterDownError):
            if self._down:
                self._down.pop(address, None)
                self._down.pop(slot, None)
            return not isinstance(reply, _NOT_RUN)
        place = address if _WHOLE in str(reply) else slot
        return time.monotonic() - self._down.setdefault(place, began) >= self._timeout

    def _everywhere(self, commands: Sequence[Command], began: float) -> list[Any]:
        """The replies of any primary, an error before others; nodes that are away are passed over, unless all are."""
        if not self._topology.primaries():
            self._know(began)
        replies: list[Any] = []
        away: RedisError | None = None
        for address in self._topology.primaries():
            try:
                told = self._at(address, commands, None)
            except (RedisConnectionError, RedisTimeoutError) as error:
                away = copied(error)
                continue
            replies = [
                one if isinstance(one, RedisError) else other for one, other in zip(replies or told, told, strict=True)
            ]
        if away and not replies:
            raise copied(away)
        return replies

    def _at(self, address: Address, commands: Sequence[Command], began: float | None) -> list[Any]:
        """The replies of one node, in what is left of the time since then, or in a time-out of its own."""
        node = self._node(address)
        try:
            return node.run(commands) if began is None else node.again(commands, began)
        except (RedisConnectionError, RedisTimeoutError):
            self._topology.refresh()  # a replica may have taken its place
            raise

    def _node(self, address: Address) -> Node:
        with self._lock:
            if self._known is not self._topology.nodes:
                self._known = self._topology.nodes
                for gone in [each for each in self._nodes if each not in self._known and self._nodes[each].idle()]:
                    self._nodes.pop(gone).close()
            node = self._nodes.get(address)
            if not node:
                node = self._nodes[address] = self._open_node(self._topology.url(address))
            return node


def wait_in_thread(future: "Future[Any]", seconds: float) -> None:
    """As Wait says, by blocking the thread."""
    wait((future,), max(seconds, 0))


def _has_keys(command: Command) -> bool:
    """Whether a command runs a script with keys; any other (SCRIPT LOAD, a script without keys) is for every node."""
    return command[0] in ("EVALSHA", "EVAL") and bool(command[2])


def _slot(command: Command) -> int:
    """The slot of a script's keys."""
    return key_slot(str(command[3]).encode())


def _read(ranges: Sequence[Any], asked: Address) -> tuple[dict[int, Address], frozenset[Address]]:
    """Which node has which slot, and all nodes, by a reply to CLUSTER SLOTS; a node without a host is the one asked."""
    slots: dict[int, Address] = {}
    nodes: set[Address] = set()
    for first, last, *members in ranges:
        places = [(_host(host, asked), int(port)) for host, port, *_ in members]
        nodes.update(places)
        slots.update(dict.fromkeys(range(first, last + 1), places[0]))
    return slots, frozenset(nodes)


def _host(told: str | None, asked: Address) -> str:
    """The host that a node names; where it names none (as when it should give a hostname and has none), its own."""
    return asked[0] if told in (None, "", "?") else str(told)


def _named(address: Address) -> str:
    return "{}:{}".format(*address)
