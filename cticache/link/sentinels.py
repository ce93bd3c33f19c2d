"""Which server is the primary, by the word of the sentinels, and who is told when that changes.

Asking when a connection is opened is not enough: a primary that stood still for a moment, or that SENTINEL FAILOVER
has replaced, goes on answering for ten seconds, and what it takes meanwhile is lost. So a thread for each sentinel
listens to what it publishes, and asks it each second besides, since a message may be missed.

Invariants:

- The configuration of the highest epoch counts, not the first answer: a sentinel that is cut off from the others names
  the old primary for as long as it is alone. Once a newer one has been heard, an older one counts only if more than
  half of the sentinels have it: they were set up anew.
- Every connection to the primary before is given up before another command is sent on it, in each process.
- A sentinel that hangs holds up nobody but the thread that listens to it.

Source: Redis Sentinel's documentation ("Configuration epochs", "Pub/Sub Messages") and client guidelines.
"""

import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

from cticache.link.redis_url import Address

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often a sentinel is asked that has published nothing."""
_CHANNELS = ("+switch-master", "+promoted-slave")
"""After the second one, which only the sentinel that leads a failover publishes, it names the new primary already."""


class Word(NamedTuple):
    """What one sentinel says."""

    epoch: int
    """Of its configuration: each failover has one of its own, and a later one a higher one."""
    address: Address
    is_up: bool


class Sentinels(Sentinel):
    """redis-py's own, whose word counts by its epoch, and whose errors do not show connection options."""

    def __init__(
        self, places: Sequence[Address], service: str, own: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        """``own``: connection options for the sentinels, ``options`` for the primary and its replicas."""
        super().__init__(places, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
        self._service = service
        self._lock = threading.Lock()
        self._words: dict[Redis, Word] = {}
        self._believed: Word | None = None
        self._watch: Watch | None = None

    def discover_master(self, service_name: str) -> Address:
        """The primary; MasterNotFoundError if no sentinel names one that is up."""
        if not (self._watch and self._words):
            for sentinel in list(self.sentinels):
                self.ask(sentinel)
        with self._lock:
            believed = self._believed if self._words else None
        if not believed or not believed.is_up:
            raise MasterNotFoundError(f"no sentinel that can be reached names a primary {service_name} that is up")
        return believed.address

    def watch(self, replaced: Sequence[Callable[[], None]]) -> "Watch":
        """Listen to the sentinels from now on; each of ``replaced`` is called, in a thread, after the primary is."""
        self._watch = Watch(self, replaced)
        return self._watch

    def look(self) -> None:
        """Ask all of them at once, if they are listened to: the primary may have been replaced."""
        if self._watch:
            self._watch.look()

    def ask(self, sentinel: Redis) -> None:
        """Learn what this sentinel says, and whether the primary is another by that."""
        try:
            word = _word_of(sentinel, self._service)
        except (RedisError, OSError, LookupError, TypeError, ValueError):  # or what it says is of another kind
            self.lost(sentinel)
        else:
            with self._lock:
                self._words[sentinel] = word
            self._weigh()

    def lost(self, sentinel: Redis) -> None:
        """Take a sentinel to say nothing until it answers again."""
        with self._lock:
            self._words.pop(sentinel, None)
        self._weigh()

    def _weigh(self) -> None:
        with self._lock:
            before, self._believed = self._believed, self._weighed()
            now = self._believed
        if before and now and before.address != now.address and self._watch:
            # A host and a port are no telephone number, though they may look like one.
            _log.warning("the sentinels name another primary: port %d of %s", now.address[1], now.address[0])
            self._watch.leave()

    def _weighed(self) -> Word | None:
        """What counts of all that the sentinels say."""
        words, believed = list(self._words.values()), self._believed
        if not words:
            return believed
        epoch = max(word.epoch for word in words)
        if believed and epoch < believed.epoch and 2 * len(words) <= len(self.sentinels):
            return believed
        newest = [word for word in words if word.epoch == epoch]
        named = Counter(word.address for word in newest)
        address = max(named, key=lambda each: (named[each], bool(believed and each == believed.address)))
        return Word(epoch, address, any(word.is_up for word in newest if word.address == address))


def _word_of(sentinel: Redis, service: str) -> Word:
    """In one write, between whose commands nothing happens to the sentinel.

    While it reconfigures the replicas, MASTER has the new epoch and the old address still.
    """
    asked = sentinel.pipeline(transaction=False)
    # In two words: redis-py has parsers of its own for the replies to "SENTINEL MASTER" and its like.
    asked.execute_command("SENTINEL", "MASTER", service)  # type: ignore[no-untyped-call]
    asked.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)  # type: ignore[no-untyped-call]
    told, named = asked.execute()
    known = dict(zip(told[::2], told[1::2], strict=True))
    address = str(named[0]), int(named[1])
    is_known_down = bool({"s_down", "o_down"} & set(known["flags"].split(",")))
    is_of_another = address != (known["ip"], int(known["port"]))
    return Word(int(known["config-epoch"]), address, is_of_another or not is_known_down)


class Watch:
    """The threads that listen to the sentinels."""

    def __init__(self, sentinels: Sentinels, replaced: Sequence[Callable[[], None]]) -> None:
        self._sentinels = sentinels
        self._replaced = replaced
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._listening: dict[Redis, Any] = {}
        self._threads = [
            threading.Thread(target=self._listen, args=(each,), name="sentinel", daemon=True)
            for each in sentinels.sentinels
        ]

    def start(self) -> None:
        """Begin; returns at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; a thread that waits for a sentinel that hangs is not waited for."""
        self._stop.set()
        for heard in list(self._listening.values()):
            cut(heard.connection)
        for thread in self._threads:
            thread.join(_LOOK_S)

    def leave(self) -> None:
        """Have every connection to the primary before given up."""
        for call in self._replaced:
            call()

    def look(self) -> None:
        """Ask the sentinels at once, in a thread: the primary may have been replaced."""
        if self._looking.acquire(blocking=False):
            try:
                threading.Thread(target=self._look, name="sentinel-look", daemon=True).start()
            except RuntimeError:  # no more threads: those that listen will find out
                self._looking.release()

    def _look(self) -> None:
        try:
            for sentinel in list(self._sentinels.sentinels):
                self._sentinels.ask(sentinel)
        finally:
            self._looking.release()

    def _listen(self, sentinel: Redis) -> None:
        while not self._stop.is_set():
            try:
                with sentinel.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
                    heard.subscribe(*_CHANNELS)
                    self._listening[sentinel] = heard
                    while not self._stop.is_set():
                        self._sentinels.ask(sentinel)
                        heard.get_message(timeout=_LOOK_S)
            except (RedisError, OSError):
                self._sentinels.lost(sentinel)
                self._stop.wait(_LOOK_S)
            finally:
                self._listening.pop(sentinel, None)
        sentinel.close()


def cut(connection: Any) -> None:
    """End a connection of redis-py from another thread: who waits for its reply gets an error at once.

    redis-py's own ``disconnect`` would take the socket away from under the thread that uses it, which then fails with
    errors of all kinds. Shut down it reads the end of the stream, and closes it by itself.
    """
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would disturb the reader
        except OSError:
            pass
