"""The pools: whose numbers they are, and the rules by which they are leased and their calls are found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cticache.ani import written
from cticache.country import Country
from cticache.numbers import NumberSet

Exhausted = Literal["share", "reject", "fallback"]
Match = Literal["exact", "suffix", "sole"]


@dataclass(frozen=True)
class Pool:
    """The numbers of one receiving system and how they are lent. Times are whole milliseconds."""

    name: str
    numbers: NumberSet
    """What is leased: the configured numbers without the draining ones."""
    draining: NumberSet
    """No longer leased; their live calls can still be asked for."""
    ttl_ms: int
    max_ttl_ms: int
    cooldown_ms: int
    exhausted: Exhausted
    share_scan: int
    max_callers: int
    fallback: str = ""
    """The number for callers beyond the pool's own; empty without one."""
    match: Match = "exact"
    """The loosest grade by which a call is found."""
    match_digits: int = 7
    country: Country | None = None
    """How callers' numbers are written; None: as their digits say."""
    dnis_digits: int = 0
    """Trailing digits by which the receiving system names a number; 0: all of them."""
    retry_window_ms: int = 0
    remember_ms: int = 60_000
    """How long it is remembered that a call was taken."""

    @property
    def rest_ms(self) -> int:
        """How long a number rests after its last call.

        Where a take may be matched by less than the whole ANI, as long as the take is remembered: a repeated one
        could otherwise meet the number's next call, or that call's own take be refused as a repeated one.
        """
        return self.cooldown_ms if self.match == "exact" else max(self.cooldown_ms, self.remember_ms)


class Place(NamedTuple):
    """Where a call may be found."""

    pool: Pool
    dnis: str
    """As the pool writes it."""
    rule: Match
    """The loosest grade allowed there."""
    moved: bool = False
    """The number is another pool's by now."""


def unambiguous(places: list[Place]) -> list[Place]:
    """The same places; where they are of two numbers, only the whole ANI may tell which is meant."""
    if len({place.dnis for place in places}) > 1:
        return [place._replace(rule="exact") for place in places]
    return places


class Pools:
    """All pools, by name and by number, in the order of the file."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._by_name = {pool.name: pool for pool in pools}
        self._leaving: Mapping[str, str] = {}

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Pool | None:
        """The pool of this name; None when there is none."""
        return self._by_name.get(name)

    def of(self, dnis: str) -> list[Place]:
        """Where to look for a call that arrived on this number, in this order; empty for a number of no pool.

        The number is known whole, or by the trailing digits that its pool goes by. It is one place, but for a number
        that left its pool while calls were live on it: one that is now another pool's has a place in both, the old
        one first, and one that ends like another has places of two numbers.
        """
        try:
            digits = written(dnis)
        except ValueError:
            return []
        for form in dict.fromkeys((dnis, digits, digits.lstrip("+"))):
            if found := self._whole(form):
                return found
        return [place for pool in self for place in self._by_ending(pool, digits.lstrip("+"))]

    def set_leaving(self, leaving: Mapping[str, str]) -> None:
        """Say which numbers (DNIS -> pool) were taken out of a pool while calls were live on them."""
        self._leaving = leaving

    def _whole(self, dnis: str) -> list[Place]:
        found = [pool for pool in self if dnis in pool.numbers or dnis in pool.draining or dnis == pool.fallback]
        left = self._by_name.get(self._leaving.get(dnis, ""))
        if left:
            found = [left, *(pool for pool in found if pool is not left)]
        return [Place(pool, dnis, pool.match, pool is left and len(found) > 1) for pool in found] if dnis else []

    def _by_ending(self, pool: Pool, digits: str) -> list[Place]:
        ending = digits[-pool.dnis_digits :]
        if not pool.dnis_digits or len(ending) < pool.dnis_digits:
            return []
        own = [pool.fallback, *(dnis for dnis, name in self._leaving.items() if name == pool.name)]
        found = [dnis for dnis in own if dnis.endswith(ending)]
        found += pool.draining.ending(ending) + pool.numbers.ending(ending)
        return [Place(pool, dnis, pool.match) for dnis in dict.fromkeys(found)]
