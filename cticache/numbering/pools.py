"""All pools: whose number is meant, however it is written, and where a call on it may be."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from sys import getsizeof
from typing import NamedTuple, TypeVar

from cticache.numbering.ani import MOST_CHARACTERS, written
from cticache.numbering.country import Country
from cticache.numbering.numbers import NumberSet, Owners
from cticache.numbering.pool import Match, Pool
from cticache.numbering.spellings import Spellings

_K = TypeVar("_K")

MOST_POOLS = 10_000
_MOST_KNOWN_BYTES = 32 << 20
"""Most bytes in which the places of numbers are remembered: some 100,000 numbers, or 20,000 of the longest texts."""
_OF_ONE, _OF_A_PLACE = 200, 200
"""Bytes of one of them, beside its text, and of each of its places."""
_FEW_PLACES = 8
"""More than these are not remembered: a few last digits may mean a number of every pool."""


class Place(NamedTuple):
    """Where a call may be found."""

    pool: Pool
    dnis: str
    """As the pool writes it."""
    rule: Match
    """The loosest grade allowed there."""
    moved: bool = False
    """Whether the number belongs to another pool by now."""
    by_ending: bool = False
    """Whether no more than its last digits were asked for: another number, of another configuration, may have them."""


Reading = tuple[Place, str]
"""A place, and the canonical form that an ANI has there."""


def readings(found: list[Place], bare: str) -> list[Reading]:
    """The places whose pools can read this ANI, which is bare; ValueError when none can."""
    read_there: list[Reading] = []
    wrong = ""  # the error itself, kept here, would wait for the collector
    for place in found:
        try:
            read_there.append((place, place.pool.canonical(bare)))
        except ValueError as error:
            wrong = str(error)
    if wrong and not read_there:
        raise ValueError(wrong)
    return read_there


def unambiguous(places: list[Place]) -> list[Place]:
    """The same places; if they are of two numbers, only the whole ANI may decide which is meant."""
    if len(places) > 1 and len({place.dnis for place in places}) > 1:
        return [place._replace(rule="exact") for place in places]
    return places


class _Left:
    """The numbers that left their pools while calls were live on them."""

    def __init__(self, leaving: Mapping[str, Iterable[str]], endings: Iterable[int]) -> None:
        """``leaving`` by the name of the pool; ``endings``: by how many last digits a number may be asked for."""
        self.pools: dict[str, list[str]] = {}
        """The names of the pools that a number left."""
        self.taken: dict[str, bool] = {}
        """Whether calls of others are live on a pool's fallback, as far as that was asked."""
        for name, numbers in leaving.items():
            for dnis in numbers:
                self.pools.setdefault(dnis, []).append(name)
        self._by_ending: dict[int, dict[str, list[str]]] = {digits: {} for digits in endings}
        for digits, ending in self._by_ending.items():
            for dnis in self.pools:
                ending.setdefault(dnis[-digits:], []).append(dnis)

    def ending(self, digits: str) -> list[str]:
        """Those that end in these digits, which are as many as one of ``endings``."""
        return self._by_ending[len(digits)].get(digits, [])


class Pools:
    """All pools, by name and by number, in the order of the file."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._by_name = {pool.name: pool for pool in pools}
        self._pools = list(self._by_name.values())
        self._owners = Owners(pool.every_number for pool in self._pools)
        self._spellings = {
            country: Spellings(country, (pool.every_number for pool in some))
            for country, some in _grouped(self._pools, lambda pool: pool.country)
        }
        self._by_digits = {
            digits: NumberSet(span for pool in some for span in pool.every_number.spans)
            for digits, some in _grouped(self._pools, lambda pool: pool.dnis_digits)
            if digits
        }
        self._longest_rest_ms = max((pool.pair_rest_ms for pool in self._pools), default=0)
        self._left = _Left({}, self._by_digits)
        self._known: dict[str, list[Place]] = {}
        self._known_bytes = 0
        self.leaving: Mapping[str, list[str]] | None = None
        """Which numbers left each pool; None while that is unknown, and no number can be said to be in no pool."""

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools)

    def get(self, name: str) -> Pool | None:
        """The pool of this name; None when there is none."""
        return self._by_name.get(name)

    def of(self, dnis: str) -> list[Place]:
        """Where a call that arrived on this number may be, in the order to try; empty for a number of no pool.

        The number may be given as its pool writes it; else in another spelling, by the pool's country, or with a plus
        or without one; else by as many trailing digits as its pool goes by. The first of these that finds a number of
        a pool counts.

        There is one place, except for a number that left its pool while calls were live on it. If another pool has it
        now, there is a place in each, the old pool first; if it was written in another way then, or another number ends
        in the same digits, there are places of both numbers. The old pool may no longer be configured. Its name still
        decides who may find its calls: users who may use every pool, but not those of the pool that has the number now,
        who could not see these calls before. A text longer than an ANI may be is a number of no pool.
        """
        known = self._known  # replaced when numbers leave: what is found meanwhile then goes into the old one
        places = known.get(dnis)
        if places is None:
            if len(dnis) > MOST_CHARACTERS:  # remembered, such texts would fill the memory
                return []
            places = self._look_up(dnis)
            if len(places) <= _FEW_PLACES:
                self._known_bytes += getsizeof(dnis) + _OF_ONE + len(places) * _OF_A_PLACE
                if self._known_bytes > _MOST_KNOWN_BYTES:
                    known.clear()
                    self._known_bytes = 0
                known[dnis] = places
        return places

    def lendable(self, pool: Pool) -> Pool:
        """The pool as a lease may use it now: without its fallback while calls of another pool may be on that."""
        if pool.exhausted != "fallback" or (self.leaving is not None and not self._left.pools):
            return pool
        if self.leaving is None:
            return replace(pool, exhausted="reject")
        taken = self._left.taken
        if pool.name not in taken:
            taken[pool.name] = any(
                dnis != pool.fallback or name != pool.name
                for dnis in (pool.fallback, *self._alike(pool.fallback, pool.country))
                for name in self._left.pools.get(dnis, ())
            )
        return replace(pool, exhausted="reject") if taken[pool.name] else pool

    def without_data(self, pool: Pool) -> str:
        """The pool's number for a call whose data could not be kept; empty without one.

        Nor is there one while calls from before may be live on it, left from when it was a number of some pool.
        """
        number = pool.without_data
        if number and self._left.pools:
            spelled = (number, *self._alike(number, pool.country))
            return "" if any(dnis in self._left.pools for dnis in spelled) else number
        return number

    def set_leaving(self, leaving: Mapping[str, Iterable[str]]) -> None:
        """Say which numbers left each pool, by its name, while calls were live on them."""
        known = {name: list(numbers) for name, numbers in leaving.items()}
        self._left = _Left(known, self._by_digits)
        self._known, self._known_bytes = {}, 0
        self.leaving = known  # last: from now on a number may be said to be in no pool

    def former(self, name: str) -> Pool:
        """A pool that is no longer configured: it has no numbers and, its rules being lost, the longest rest of all."""
        return _former(name, self._pools[0], self._longest_rest_ms)

    def _look_up(self, dnis: str) -> list[Place]:
        try:
            asked = written(dnis)
        except ValueError:
            return []
        if not asked:
            return []
        as_written = self._places(asked)
        by_country = [
            place
            for country in self._spellings
            for other in self._alike(asked, country)
            for place in self._places(other)
            if place.pool.country == country
        ]
        if by_country and any(map(self._is_in_a_pool, as_written)):
            # A number of another pool that is the same in its country is another one. One that left is not: it was this
            # number, in the spelling of its time.
            by_country = [place for place in by_country if not self._is_in_a_pool(place)]
        return as_written + by_country or self._by_ending(asked)

    def _is_in_a_pool(self, place: Place) -> bool:
        return bool(self._owners.of(place.dnis))

    def _places(self, dnis: str) -> list[Place]:
        """The places of just this spelling of a number."""
        now = [self._pools[at] for at in self._owners.of(dnis)]
        left = self._left.pools.get(dnis)
        if not left:
            return [Place(pool, dnis, pool.match) for pool in now]
        names = {pool.name for pool in now}
        like = now[0] if now else self._pools[0]
        old = [
            self._by_name.get(name) or _former(name, like, self._longest_rest_ms) for name in left if name not in names
        ]
        # Of a pool that is no longer configured the rules are lost; without a pool that has the number now, none can
        # stand for them, and only the whole ANI may decide.
        return [
            Place(pool, dnis, pool.match if now or pool.name in self._by_name else "exact", moved=bool(now))
            for pool in old
        ] + [Place(pool, dnis, pool.match) for pool in now]

    def _alike(self, number: str, country: Country | None) -> list[str]:
        """The other spellings of this number under a country in which a pool has it, or had it."""
        left = self._left.pools
        return list(self._spellings[country].others(number, lambda other: other in left or self._owners.of(other)))

    def _by_ending(self, asked: str) -> list[Place]:
        digits = asked.removeprefix("+")
        found: dict[str, None] = {}
        for count, numbers in self._by_digits.items():
            if len(digits) >= count:
                found |= dict.fromkeys(self._left.ending(digits[-count:]) + numbers.agreeing(digits, count))
        return [
            place._replace(by_ending=True)
            for dnis in found
            for place in self._places(dnis)
            if _is_meant_by_ending(asked, dnis, place.pool)
        ]


def _grouped(pools: Iterable[Pool], key: Callable[[Pool], _K]) -> Iterable[tuple[_K, list[Pool]]]:
    groups: dict[_K, list[Pool]] = {}
    for pool in pools:
        groups.setdefault(key(pool), []).append(pool)
    return groups.items()


def _is_meant_by_ending(asked: str, dnis: str, pool: Pool) -> bool:
    """Whether the last digits of what was asked are enough to mean this number of the pool, and no more than that.

    The two must agree in all the digits that both have, leading zeros and a plus apart. Else the longer spelling of
    another number that ends alike, be it of another pool or of none, would be this one. Nor is a number of another
    country this one, if it says so by a plus or an international prefix and is the longer of the two.
    """
    digits = asked.removeprefix("+")
    if not pool.dnis_digits or len(digits) < pool.dnis_digits or not dnis.endswith(digits[-pool.dnis_digits :]):
        return False
    one, other = digits.lstrip("0"), dnis.lstrip("+0")
    both = min(len(one), len(other))
    if one[len(one) - both :] != other[len(other) - both :]:
        return False
    return len(one) <= len(other) or not pool.country or not pool.country.is_abroad(asked)


def _former(name: str, like: Pool, rest_ms: int) -> Pool:
    """A pool that is no longer configured, under the rules of another."""
    return replace(like, name=name, numbers=NumberSet(), draining=NumberSet(), fallback="", cooldown_ms=rest_ms)
