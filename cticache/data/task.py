"""What a sync does for one pool: what is not configured is dropped, and what is missing is added, step by step."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cticache.data.paging import PAGE, by_time, several
from cticache.data.store import Store
from cticache.data.store.numbers import Step
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pool import Pool

_log = logging.getLogger("cticache.data.sync")
"""What is done for a pool is told with the rest of the sync."""

CHANGE_STEP = 300
"""Numbers added or dropped in one step: about 2 ms of Redis."""
LIST_STEP = 500
"""Numbers listed in one step; Valkey's ZSCAN may list twice as many."""
MOST_RANGES = 65_536
"""Characters of a pool's ranges that are kept; without them it is listed to find out what must go."""

Watch = Callable[[str], None]
"""Told before each step how far the sync is, in words, or an empty text; what it raises ends the sync."""


class PushedAside(Exception):
    """Another sync has taken over what this one had begun, or it is gone."""


class Task:
    """What there is to do for one pool."""

    def __init__(self, store: Store, pool: Pool, watch: Watch) -> None:
        self.pool = pool
        self.leaves = False
        """Whether numbers were leaving when it was begun."""
        self.missing = NumberSet()
        """What is to be added, as far as that is known."""
        self.unknown = 0
        """How many numbers there are in the pool of which it is not known which they are."""
        self.strangers = NumberSet()
        """What is known to be there and not to be configured."""
        self._done = self._new = 0
        """Of the missing, how many were added, and how many of these were not there."""
        self._store = store
        self._watch = watch
        self._fingerprint = pool.numbers.fingerprint()
        self._how_far = ""

    def beginning(self) -> Step:
        """The step that tells whether all is in place already."""
        return self._asked("begin", count=len(self.pool.numbers))

    def begun(self, reply: list[Any], known: NumberSet | None = None) -> bool:
        """Whether all is in place, by the reply to ``beginning``. ``known``: what was put in place here before this."""
        in_place, leaves, *more = reply
        self.leaves, self._how_far, self._done, self._new = bool(leaves), "", 0, 0
        if in_place:
            return True
        size, fingerprint, ranges = more
        before = _put_in_place(size, fingerprint, ranges)
        if before is None and known is not None and len(known) == size and known.fingerprint() == fingerprint:
            before = known
        self.unknown = size if before is None else 0
        self.strangers = (before or NumberSet()) - self.pool.numbers
        self.missing = self.pool.numbers - (before or NumberSet())
        return False

    def drop(self) -> None:
        """Drop the numbers that are no longer configured."""
        self.drop_those(self.strangers)
        cursor, done = "" if self.unknown else "0", 0
        while cursor != "0":
            self._how_far = f"{done:,} of {self.unknown:,} numbers have been looked at for those to be dropped"
            cursor, *listed = self._step("list", cursor=cursor or "0", count=LIST_STEP)
            done += len(listed)
            for strangers in several((dnis for dnis in listed if dnis not in self.pool.numbers), CHANGE_STEP):
                self._step("drop", dnises=strangers)

    def drop_those(self, numbers: Iterable[str]) -> None:
        """Drop these numbers, if they are there."""
        done = 0
        for chunk in several(numbers, CHANGE_STEP):
            self._how_far = f"{done:,} numbers have been dropped"
            self._step("drop", dnises=chunk)
            done += len(chunk)

    def leaving_page(self) -> Step:
        """The step that lists the first of the numbers that are leaving."""
        return self._asked("leaving", count=PAGE)

    def leaving(self, page: list[str]) -> dict[str, int]:
        """The numbers taken out whose calls may still be asked for: DNIS -> ms until which; ``page``: the first."""
        return by_time(
            lambda since, skip: (
                self._step("leaving", cursor=str(since), count=PAGE, skip=skip) if since or skip else page
            )
        )

    def promise(self, dnises: Iterable[str]) -> dict[str, int]:
        """DNIS -> ms until which its calls live at most, whoever renews them; without those that no longer leave."""
        ends: dict[str, int] = {}
        for chunk in several(dnises, CHANGE_STEP):
            listed = self._step("promise", dnises=chunk)
            ends.update(zip(listed[::2], map(int, listed[1::2]), strict=True))
        return ends

    def withdraw(self, leaving: Iterable[str]) -> None:
        """Take back what was promised of numbers that are the pool's again without being leased."""
        pool = self.pool
        own = (dnis for dnis in leaving if dnis == pool.fallback or dnis in pool.draining)
        for chunk in several(own, CHANGE_STEP):
            self._step("withdraw", dnises=chunk)

    def add(self, dnises: Iterable[str], elsewhere: Mapping[str, int]) -> None:
        """Add these of the missing numbers, those still in use in another pool as free only later."""
        size, waiting = len(self.pool.numbers), list[str]()
        for chunk in several(dnises, CHANGE_STEP):
            self._how_far = f"{size - len(self.missing) + self._done:,} of {size:,} numbers are in place"
            now = [dnis for dnis in chunk if dnis not in elsewhere]
            waiting += [dnis for dnis in chunk if dnis in elsewhere]
            self._new += self._step("add", dnises=now) if now else 0
            self._done += len(now)
        for dnis in waiting:
            self._new += self._step("add", free_ms=elsewhere[dnis], dnises=[dnis])

    def finish(self) -> None:
        """Say that all are in place."""
        size, ranges = len(self.pool.numbers), str(self.pool.numbers)
        self._step("finish", ranges=ranges if len(ranges) <= MOST_RANGES else "")
        # With commas: the log would take a count of six digits for a telephone number and mask it.
        _log.info("pool %s: %s numbers in place, %s of them new", self.pool.name, f"{size:,}", f"{self._new:,}")

    def erase(self) -> bool:
        """Whether nothing is left of a pool without numbers; if so, the keys that never expire are removed."""
        return bool(self._step("erase"))

    def _asked(self, step: str, **arguments: Any) -> Step:
        return Step(self.pool, step, self._fingerprint, **arguments)

    def _step(self, step: str, **arguments: Any) -> Any:
        self._watch(self._how_far and f"Pool {self.pool.name}: {self._how_far}.")
        (reply,) = self._store.pool_sync(self._asked(step, **arguments))
        if reply is None:
            raise PushedAside
        return reply


def _put_in_place(size: int, fingerprint: str, ranges: str) -> NumberSet | None:
    """The numbers that are there, if that is certain: those of the ranges that were put in place last."""
    try:
        numbers = NumberSet.parse(ranges, size)
    except ValueError:
        return None
    return numbers if len(numbers) == size and (not size or numbers.fingerprint() == fingerprint) else None
