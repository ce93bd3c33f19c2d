"""The thread that keeps the pools in place, and what the worker processes know of it."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from cticache.data.clock import Clocks
from cticache.data.condition import KINDS, Condition, Kind
from cticache.data.heartbeat import Heartbeat
from cticache.data.store import Store
from cticache.data.sync import Stopped, claimed, sync
from cticache.errors import RedisUnavailable
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

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

    def __init__(self, store: Store, pools: Pools, interval: float) -> None:
        self._store = store
        self._pools = pools
        self._interval = interval
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._told = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pool-keeper", daemon=True)
        self._claimed = False
        self._overruled: frozenset[str] = frozenset()
        self._notes: dict[Kind, str] = {}
        self._heartbeat = Heartbeat(store, pools, self.note)
        self.synced = threading.Event()
        """Set while the pools are as configured here; not while another configuration rules."""

    def start(self) -> None:
        """Begin; returns at once, also while Redis is away."""
        self._thread.start()

    def wake(self) -> None:
        """Check at once: a pool has turned out not to be in place."""
        with self._told:
            self._woken.set()
            self.synced.clear()

    @property
    def clocks(self) -> Clocks:
        """What is expected of the clocks of Redis."""
        return self._store.clocks

    @property
    def condition(self) -> Condition:
        """How the pools are by now."""
        with self._told:
            notes = {kind: said for kind in KINDS if (said := self._notes.get(kind))}
            return Condition(self.synced.is_set(), self._overruled, notes)

    def news(self) -> News:
        """What the workers are to know."""
        return self.condition, self._store.clocks.ahead, self._pools.leaving

    def note(self, kind: Kind, sentence: str) -> None:
        """Say what an operator must see; an empty sentence takes it back."""
        self._notes[kind] = sentence

    def stop(self) -> None:
        """End after the step under way."""
        self._stop.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            until = self._woken
            try:
                if not self._look():
                    until = self._stop  # another configuration rules: checking sooner would change nothing
                if away:
                    _log.warning("Redis is back")
                away = False
            except Stopped:
                return
            except RedisUnavailable as error:
                if not away:
                    _log.warning("Redis is away: %s", error.__cause__)
                away = True
            except Exception:  # noqa: BLE001 - the thread must outlive whatever it meets
                _log.exception("the pools could not be brought in line; tried again in %g s", self._interval)
                until = self._stop
            until.wait(self._interval)
            self._woken.clear()

    def _look(self) -> bool:
        """Whether the pools are in place by now.

        It takes over once, at the start, and never again: a service that is started later is not fought.
        """
        self._heartbeat.look()  # before any number is put in place: a loss must be known when one is leased again
        if not self._claimed:
            self._store.pool_claim("take_over", claimed(self._pools))
            self._claimed = True
        overruled = sync(self._store, self._pools, take_over=False, stopped=self._stop.is_set)
        if overruled and overruled != self._overruled:
            _log.warning(
                "another cticache with other pools or numbers has been started on this Redis, and its word counts; "
                "not as configured here: %s",
                ", ".join(sorted(overruled)),
            )
        elif self._overruled and not overruled:
            _log.warning("the pools are as configured here again")
        self._overruled = overruled
        if overruled:
            self.synced.clear()
        else:
            with self._told:
                if not self._woken.is_set():  # else a pool has turned out not to be in place meanwhile
                    self.synced.set()
        return not overruled
