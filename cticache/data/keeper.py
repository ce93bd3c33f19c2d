"""The thread that keeps the pools in place, and what the worker processes know of it."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from redis.exceptions import RedisError

from cticache.data.clock import Clocks
from cticache.data.condition import KINDS, Condition, Kind
from cticache.data.heartbeat import Heartbeat
from cticache.data.outage import Outages
from cticache.data.replies import Standing, utc
from cticache.data.services import Registration, Tells
from cticache.data.store import Store
from cticache.data.sync import Stopped, Sync
from cticache.errors import RedisUnavailable
from cticache.link.trouble import UNHEARD
from cticache.logs import NO_NUMBERS
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

_PROGRESS_S = 5.0
"""How often a sync that takes long says how far it is."""
_MOST_NAMED = 10
_NONE: frozenset[str] = frozenset()
_NEWER = "it has just been started"
_OVERRULED = (
    "Another cticache with other pools or numbers rules this Redis: {who}. Not as configured here: {pools}. "
    "Give both the same pools and numbers, or stop that one."
)
_RULES = (
    "Another cticache with the same numbers and other rules for them was started last on this Redis: {who}. "
    "Give both the same pools."
)
_OVER: Mapping[Kind, str] = {
    "overruled": "The pools are as configured here again.",
    "rules": "The service that was started last has the same rules again.",
}

News = tuple[Condition, Mapping[str, float], Mapping[str, list[str]] | None]
"""What a worker is told: how the pools are, by how many ms the clock of Redis is ahead of the steady one for each and,
once that is known, which numbers are leaving each.
"""


class InPlace(Protocol):
    """What the application asks of whoever keeps the pools in place."""

    @property
    def condition(self) -> Condition:
        """How the pools are, as far as this process knows."""

    @property
    def clocks(self) -> Clocks:
        """What is expected of the clocks of Redis."""

    def wake(self) -> None:
        """Check at once: a pool has turned out not to be in place."""


class Follower:
    """What a worker process knows of its parent's Keeper."""

    def __init__(self, pools: Pools, clocks: Clocks, tell_parent: Callable[[str], None]) -> None:
        self._pools = pools
        self.clocks = clocks
        self._tell_parent = tell_parent
        self.condition = Condition()

    def told(self, news: News) -> None:
        """Learn how the pools are, what to expect of the clocks and, if that is known, which numbers are leaving."""
        condition, self.clocks.ahead, leaving = news
        if leaving is not None:
            self._pools.set_leaving(leaving)
        self.condition = condition

    def wake(self) -> None:
        """Have the parent check at once."""
        self.condition = replace(self.condition, in_place=False)
        self._tell_parent("wake")


class Keeper:
    """A thread that syncs, and then checks every ``interval`` seconds whether the pools are still in place."""

    def __init__(self, store: Store, pools: Pools, interval: float, tells: Tells = lambda: "") -> None:
        """``tells``: what the service tells of itself, asked at each check by this thread."""
        self._pools = pools
        self._interval = interval
        self._sync = Sync(store, pools, self._meanwhile)
        self._registration = Registration(store, pools, self._sync.numbers, interval, tells)
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._told = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pool-keeper", daemon=True)
        self._overruled: frozenset[str] = frozenset()
        self._ruler = ""
        self._heartbeat = Heartbeat(store, pools, self.note)
        self._outages = Outages(store.retry_after)
        self._clocks = store.clocks
        self._notes: Mapping[Kind, str] = {}
        self._registered_at = self._progress_told_at = 0.0
        self.synced = threading.Event()
        """Set while the pools are as configured here; not while another configuration rules."""

    def not_heard(self) -> None:
        """Take it that Redis is away until ``start`` is called: nothing has been heard of it."""
        self._outages.unlogged(UNHEARD)
        self._note_outage()

    def start(self, met: RedisError | None = None) -> None:
        """Begin; returns at once, also while Redis is away. ``met``: what has been met on the way to Redis by now."""
        if met:
            self._outages.met(met)
        else:
            self._outages.over()
        self._note_outage()
        self._thread.start()

    @property
    def registration(self) -> Registration:
        """This service among those on its Redis."""
        return self._registration

    def wake(self) -> None:
        """Check at once: a pool has turned out not to be in place."""
        with self._told:
            self._woken.set()
            self.synced.clear()

    @property
    def clocks(self) -> Clocks:
        """What is expected of the clocks of Redis."""
        return self._clocks

    @property
    def condition(self) -> Condition:
        """How the pools are by now."""
        in_place = self.synced.is_set()
        unsure = _NONE if in_place or self._overruled else self._sync.unsure
        return Condition(in_place, self._overruled, self._ruler, self._notes, unsure, self._outages.now)

    def news(self) -> News:
        """What the workers are to know."""
        return self.condition, self._clocks.ahead, self._pools.leaving

    def note(self, kind: Kind, sentence: str) -> None:
        """Say what an operator must see; an empty sentence takes it back."""
        with self._told:
            said = {**self._notes, kind: sentence}
            self._notes = {each: said[each] for each in KINDS if said.get(each)}  # anew: a Condition has the old one

    def stop(self) -> None:
        """End after the step under way, and let another service rule."""
        self._stop.set()
        self._woken.set()
        if self._thread.ident:  # else it was never started: Redis has not even answered
            self._thread.join()
        try:
            self._registration.leave()
        except RedisUnavailable as error:
            _log.warning(
                "this service could not sign off, and is taken for alive for some seconds more: %s (%s)",
                error.why,
                error.__cause__,
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            until = self._woken
            try:
                if not self._look():
                    until = self._stop  # another configuration rules: checking sooner would change nothing
                self._outages.over()
            except Stopped:
                return
            except RedisUnavailable as error:
                self._outages.met(error.__cause__)
            except Exception:  # noqa: BLE001 - the thread must outlive whatever it meets
                _log.exception("the pools could not be brought in line; tried again in %g s", self._interval)
                until = self._stop
            self.note("sync", "")
            self._note_outage()
            until.wait(self._interval)
            self._woken.clear()

    def _note_outage(self) -> None:
        now = self._outages.now
        self.note("redis", f"{now.trouble.says}." if now else "")

    def _look(self) -> bool:
        """Whether the pools are in place by now."""
        self._heartbeat.look()  # before any number is put in place: a loss must be known when one is leased again
        standing = self._register()
        if self._overruled and not standing.was_there:
            # Redis was emptied, or its clock has jumped: the service that rules may be back a moment later.
            return False
        self._progress_told_at = time.monotonic()
        ruler = standing.ruler
        is_agreed = ruler.numbers == self._registration.numbers
        overruled = self._sync.run(take_over=is_agreed, known=standing.ruling)
        # By one that has come since the registration if that did not tell of it.
        who = _NEWER if overruled and is_agreed else f"{ruler.who}, started {utc(ruler.start_ms)}"
        with self._told:
            self._overruled, self._ruler = overruled, who
            if overruled:
                self.synced.clear()
            elif not self._woken.is_set():  # else a pool has turned out not to be in place meanwhile
                self.synced.set()
        has_other_rules = is_agreed and not overruled and ruler.rules != self._registration.rules
        self._log_and_note("overruled", _OVERRULED.format(who=who, pools=_some(overruled)) if overruled else "")
        self._log_and_note("rules", _RULES.format(who=who) if has_other_rules else "")
        return not overruled

    def _register(self) -> Standing:
        self._registered_at = time.monotonic()
        return self._registration.look()

    def _meanwhile(self, how_far: str) -> None:
        """Before each step of a sync, which may take long: stay registered, and say how far it is."""
        if self._stop.is_set():
            raise Stopped
        now = time.monotonic()
        if now - self._registered_at >= self._interval:
            self._register()
        if how_far and now - self._progress_told_at >= _PROGRESS_S:
            self._progress_told_at = now
            self.note("sync", how_far)
            _log.info("%s", how_far)

    def _log_and_note(self, kind: Kind, sentence: str) -> None:
        """Note it, and log it when that is new."""
        if sentence != self._notes.get(kind, ""):
            _log.warning("%s", sentence or _OVER[kind], extra=NO_NUMBERS)
        self.note(kind, sentence)


def _some(names: Collection[str]) -> str:
    """The names, or the first of many."""
    first = ", ".join(sorted(names)[:_MOST_NAMED])
    return first if len(names) <= _MOST_NAMED else f"{first} and {len(names) - _MOST_NAMED:,} more"
