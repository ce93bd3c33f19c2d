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
        self._strangers = NumberSet()
        """What is known to be there and not to be configured."""
        self._store = store
        self._watch = watch
        self._fingerprint = pool.numbers.fingerprint()
        self._how_far = ""

    def beginning(self) -> Step:
        """The step that tells whether all is in place already."""
        return self._asked("begin", count=len(self.pool.numbers))

    def begun(self, reply: list[Any]) -> bool:
        """Whether all is in place, by the reply to ``beginning``."""
        in_place, leaves, *more = reply
        self.leaves, self._how_far = bool(leaves), ""
        if in_place:
            return True
        size, fingerprint, ranges = more
        before = _put_in_place(size, fingerprint, ranges)
        self.unknown = size if before is None else 0
        self._strangers = (before or NumberSet()) - self.pool.numbers
        self.missing = self.pool.numbers - (before or NumberSet())
        return False

    def drop(self) -> None:
        """Drop the numbers that are no longer configured."""
        self.drop_those(self._strangers)
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

    def fill(self, elsewhere: Mapping[str, int]) -> None:
        """Add the missing numbers, those still in use in another pool as free only later, and finish."""
        size, done, new = len(self.pool.numbers), len(self.pool.numbers) - len(self.missing), 0
        for chunk in several((dnis for dnis in self.missing if dnis not in elsewhere), CHANGE_STEP):
            self._how_far = f"{done:,} of {size:,} numbers are in place"
            new += self._step("add", dnises=chunk)
            done += len(chunk)
        for dnis in filter(self.missing.__contains__, elsewhere):
            new += self._step("add", free_ms=elsewhere[dnis], dnises=[dnis])
        ranges = str(self.pool.numbers)
        self._step("finish", ranges=ranges if len(ranges) <= MOST_RANGES else "")
        # With commas: the log would take a count of six digits for a telephone number and mask it.
        _log.info("pool %s: %s numbers in place, %s of them new", self.pool.name, f"{size:,}", f"{new:,}")

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
