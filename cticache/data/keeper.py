"""The thread that keeps the pools in place."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from redis.exceptions import RedisError

from cticache.data.clock import Clocks
from cticache.data.condition import KINDS, Condition, Kind
from cticache.data.difference import by_last_digits
from cticache.data.follower import NOT_HELD, News
from cticache.data.format import Bar, OtherFormat, trouble
from cticache.data.heartbeat import Heartbeat
from cticache.data.outage import Outages
from cticache.data.replies import Standing, utc
from cticache.data.services import Registration, Reload, Tells
from cticache.data.store import Store
from cticache.data.sync import Before, Stopped, Sync
from cticache.errors import RedisUnavailable
from cticache.link.trouble import UNHEARD
from cticache.logs import NO_NUMBERS
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

_PROGRESS_S = 5.0
"""How often a sync that takes long says how far it is."""
_MOST_LOOKS = 3
"""In a row, after a change, while somebody meets pools that are not in place."""
_LOOK_S = 0.5
"""How often who waits for a change looks whether the service is stopping."""
_MOST_NAMED = 10
_NONE: frozenset[str] = frozenset()
_NEWER = "it has just been started"
_OVERRULED = (
    "Another cticache with other pools or numbers rules this Redis: {who}. Not as configured here: {pools}. "
    "Give both the same pools and numbers, or stop that one."
)
_RULES = (
    "Another cticache on this Redis has the same numbers and other rules for them, which came into force last: {who}. "
    "Give both the same pools."
)
_OVER: Mapping[Kind, str] = {
    "overruled": "The pools are as configured here again.",
    "rules": "The service that rules has the same rules for its pools again.",
}


@dataclass
class _Change:
    """Other pools that are to take the place of those that are kept."""

    pools: Pools
    serve: Callable[[News], None]
    is_served: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    says: str = ""
    """Why the numbers are not in place yet, in words."""


class Keeper:
    """A thread that syncs, and then checks every ``interval`` seconds whether the pools are still in place."""

    def __init__(
        self,
        store: Store,
        pools: Pools,
        interval: float,
        tells: Tells = lambda: "",
        reload: Reload = lambda _tell: None,
    ) -> None:
        """``tells``: what the service tells of itself, asked at each check by this thread. ``reload``: what is called
        where somebody asks the service, by Redis, to read its configuration again.
        """
        self._store = store
        self._served = pools, 0
        """The pools that clients are served by, and how many configurations there were before them."""
        self._interval = interval
        self._sync = Sync(store, pools, self._meanwhile)
        self._registration = Registration(store, pools, self._sync.numbers, interval, tells=tells, reload=reload)
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._bell = threading.Event()
        """Set with the two, and when there is a change to make: the thread is to see which."""
        self._changing = threading.Lock()
        self._change: _Change | None = None
        self._told = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pool-keeper", daemon=True)
        self._overruled: frozenset[str] = frozenset()
        self._ruler = ""
        self._heartbeat = Heartbeat(store, pools, self.note)
        self._outages = Outages(store.retry_after)
        self._clocks = store.clocks
        self._bar = store.bar
        self._notes: Mapping[Kind, str] = {}
        self._logged: dict[Kind, str] = {}
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
        with self._changing:
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
        self._bell.set()

    def change(self, pools: Pools, serve: Callable[[News], None]) -> str:
        """Put these pools in the place of those that are kept; returns once that is done, with an empty text.

        ``serve`` is called once, by another thread, and has all processes serve clients by these pools, of which it is
        told the news, before it returns; what they lease and find is right at each moment. Where the numbers cannot be
        put in place yet, Redis being away, say, clients are served by these pools all the same, as after a start, and
        the text says why.
        """
        with self._changing:
            change = _Change(pools, serve)
            if not self._thread.ident:  # Redis has not even answered
                self._begin(change)
                self._end(change)
                return change.says
            self._change = change
            self._bell.set()
            while not change.done.wait(_LOOK_S):
                if self._stop.is_set() and not self._thread.is_alive():
                    return "The service is stopping."
            return change.says

    @property
    def clocks(self) -> Clocks:
        """What is expected of the clocks of Redis."""
        return self._clocks

    @property
    def bar(self) -> Bar:
        """What keeps this process from asking Redis."""
        return self._bar

    @property
    def held(self) -> "Future[None]":
        """As InPlace says; this one knows the pools before all others."""
        return NOT_HELD

    @property
    def condition(self) -> Condition:
        """How the pools are by now."""
        in_place = self.synced.is_set()
        unsure = _NONE if in_place or self._overruled else self._sync.unsure
        return Condition(in_place, self._overruled, self._ruler, self._notes, unsure, self._outages.now)

    def news(self) -> News:
        """What the workers are to know."""
        pools, nth = self._served
        return News(self.condition, self._clocks.ahead, pools.leaving, nth)

    def note(self, kind: Kind, sentence: str) -> None:
        """Say what an operator must see; an empty sentence takes it back."""
        with self._told:
            said = {**self._notes, kind: sentence}
            self._notes = {each: said[each] for each in KINDS if said.get(each)}  # anew: a Condition has the old one

    def stop(self) -> None:
        """End after the step under way, and let another service rule."""
        self._stop.set()
        self._bell.set()
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
            until_woken = True
            change, self._change = self._change, None
            try:
                if change:
                    self._begin(change)
                until_woken = self._look()
                for _ in range(_MOST_LOOKS):
                    if not (change and until_woken and self._woken.is_set()):
                        break
                    self._woken.clear()  # somebody has met what was just being changed
                    until_woken = self._look()
                if not until_woken:
                    pass  # another configuration rules: checking sooner would change nothing
                self._outages.over()
            except Stopped:
                return
            except OtherFormat as error:
                self._outages.barred(trouble(error))
                self.synced.clear()
            except RedisUnavailable as error:
                self._outages.met(error.__cause__)
            except Exception:  # noqa: BLE001 - the thread must outlive whatever it meets
                _log.exception("the pools could not be brought in line; tried again in %g s", self._interval)
                until_woken = False
            self.note("sync", "")
            self._note_outage()
            self._bar.learn(self._outages.now)
            if change:
                self._end(change)
                continue  # at the next look the service tells others of what is in force by now
            self._rest(until_woken=until_woken)
            self._woken.clear()

    def _rest(self, *, until_woken: bool) -> None:
        """Wait for the time of the next look, or a change; or until it is woken."""
        until = time.monotonic() + self._interval
        while not (self._stop.is_set() or self._change or (until_woken and self._woken.is_set())):
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            self._bell.wait(left_s)
            self._bell.clear()

    def _begin(self, change: _Change) -> None:
        served, _ = self._served
        before = Before({pool.name: pool.numbers for pool in served}, partial(self._serve, change))
        self._sync = Sync(self._store, change.pools, self._meanwhile, before)
        self._registration.change(change.pools, self._sync.numbers)
        self._heartbeat.change(change.pools)

    def _serve(self, change: _Change) -> None:
        if change.is_served:
            return
        _, nth = self._served
        if self._sync.unsure != _NONE:
            self.synced.clear()
        self._served = change.pools, nth + 1
        change.is_served = True
        change.serve(self.news())

    def _end(self, change: _Change) -> None:
        """Have clients served by the new pools, however far the sync has come, and tell whoever waits for it."""
        try:
            self._serve(change)
        finally:
            if not self.synced.is_set():
                change.says = self.condition.why_not()
            change.done.set()

    def _note_outage(self) -> None:
        now = self._outages.now
        self.note("redis", f"{now.trouble.says}." if now else "")

    def _look(self) -> bool:
        """Whether the pools are in place by now."""
        standing = self._register()  # first of all: nothing is written to data that this release must not serve
        self._bar.learn(None)
        self._heartbeat.look()  # before any number is put in place: a loss must be known when one is leased again
        if self._overruled and not standing.was_there:
            # Redis was emptied, or its clock has jumped: the service that rules may be back a moment later.
            return False
        self._progress_told_at = time.monotonic()
        ruler = standing.ruler
        is_agreed = ruler.numbers == self._registration.numbers
        overruled = self._sync.run(take_over=is_agreed, known=standing.ruling)
        # By one that has come since the registration if that did not tell of it.
        who = _NEWER if overruled and is_agreed else f"{ruler.who}, its pools in force since {utc(ruler.start_ms)}"
        with self._told:
            self._overruled, self._ruler = overruled, who
            if overruled:
                self.synced.clear()
            elif not self._woken.is_set():  # else a pool has turned out not to be in place meanwhile
                self.synced.set()
        has_other_rules = is_agreed and not overruled and ruler.rules != self._registration.rules
        self._log_and_note(
            "overruled",
            _OVERRULED.format(who=who, pools=_some(overruled)) if overruled else "",
            _OVERRULED.format(who=who, pools=_some(overruled) + self._differing(overruled)) if overruled else "",
        )
        self._log_and_note("rules", _RULES.format(who=who) if has_other_rules else "")
        return not overruled

    def _differing(self, overruled: frozenset[str]) -> str:
        """Of the first of them the first number that differs, as far as that is known, to stand after their names."""
        found = self._sync.difference(sorted(overruled)[:_MOST_NAMED])
        return f" ({found.says('there', 'here', by_last_digits)})" if found else ""

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

    def _log_and_note(self, kind: Kind, sentence: str, in_full: str = "") -> None:
        """Note it, in full if there is more to say, and log that when the sentence is new."""
        if sentence != self._logged.get(kind, ""):
            _log.warning("%s", in_full or sentence or _OVER[kind], extra=NO_NUMBERS)
        self._logged[kind] = sentence
        self.note(kind, in_full or sentence)


def _some(names: Collection[str]) -> str:
    """The names, or the first of many."""
    first = ", ".join(sorted(names)[:_MOST_NAMED])
    return first if len(names) <= _MOST_NAMED else f"{first} and {len(names) - _MOST_NAMED:,} more"
