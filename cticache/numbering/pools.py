"""The pools: whose numbers they are, and the rules by which they are leased and their calls are found."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from sys import getsizeof
from typing import Literal, NamedTuple, TypeVar, get_args

from cticache.numbering.ani import MOST_CHARACTERS, WITHHELD, form_of, read, steps, word, written
from cticache.numbering.country import Country
from cticache.numbering.numbers import MAX_DIGITS, NumberSet, Owners, hint, listed, unspaced
from cticache.numbering.spellings import Spellings
from cticache.options import Text, Whole, Word, YesNo, declared

Exhausted = Literal["share", "reject", "fallback"]
Match = Literal["exact", "suffix", "sole"]
_K = TypeVar("_K")

_LIKE_A_CALL = -1
"""For as long as a call may be asked for."""
MOST_POOLS = 10_000
MOST_NUMBERS = 5_000_000
"""Most numbers in one pool."""
MOST_CALLERS = 1000
"""Most live callers on one number that are examined; with more, who is meant counts as ambiguous."""


_NUMBER = re.compile(rf"\+?[0-9]{{1,{MAX_DIGITS}}}")
_ALL_DIGITS = re.compile(r"[\d+\s().\-/]+")
"""What is meant as a number, or as several, in whatever digits."""
_NOTHING_LISTED = re.compile(r"(?:^|,)[^\S\r\n]*,")


def _numbers(text: str) -> NumberSet:
    return NumberSet.parse(text, MOST_NUMBERS)


def _number(text: str) -> str:
    if text and (listed(text) != [text] or not _NUMBER.fullmatch(unspaced(text))):
        raise ValueError(f"must be one number of 1 to {MAX_DIGITS} digits, such as 5559990001, or empty{hint(text)}")
    return text


def _withheld(text: str) -> tuple[str, ...]:
    """Numbers, and words as ``word`` gives them."""
    if _NOTHING_LISTED.search(text):
        raise ValueError("has a comma with nothing before it: leave it out")
    return tuple(map(_one_withheld, listed(text)))


def _one_withheld(part: str) -> str:
    if _ALL_DIGITS.fullmatch(part):
        if not _NUMBER.fullmatch(unspaced(part)):
            raise ValueError(f"{part!r} is not one number of 1 to {MAX_DIGITS} digits, such as +266696687{hint(part)}")
        return part
    if ";" in part:
        raise ValueError(f"{part!r} has a semicolon inside: put a comma or a new line between two")
    if not any(map(str.isalnum, part)) or re.search(r"\s#", part):
        raise ValueError(f"{part!r} is no word or number as a carrier sends it, such as No Caller ID or +266696687")
    bare = read(part).bare
    if '"' in part or bare not in (part, WITHHELD):
        raise ValueError(f"{part!r} has something around it: give the word or the number alone, such as No Caller ID")
    return word(part)


@dataclass(frozen=True)
class Pool:
    """The numbers of one receiving system and how they are lent: [pool:NAME]. Times are whole milliseconds."""

    name: str
    numbers: NumberSet = declared(Text(_numbers), NumberSet())
    """What is leased: the configured numbers without the draining ones."""
    draining: NumberSet = declared(Text(_numbers), NumberSet())
    """No longer leased; their live calls can still be asked for."""
    ttl_ms: int = declared(Whole(1, 86_400, "seconds", times=1000), 300_000, name="ttl")
    max_ttl_ms: int = declared(Whole(1, 86_400, "seconds", times=1000), 3_600_000, name="max_ttl")
    cooldown_ms: int = declared(Whole(0, 86_400, "seconds", times=1000), 5_000, name="cooldown")
    exhausted: Exhausted = declared(Word(*get_args(Exhausted)), "share")
    fallback: str = declared(Text(_number), "")
    """The number for callers beyond the pool's own; empty without one."""
    without_data: str = declared(Text(_number), "")
    """Where a call goes whose data could not be kept: a number of no pool; empty without one."""
    share_scan: int = declared(Whole(1, 1000, "numbers"), 64)
    max_callers: int = declared(Whole(1, MOST_CALLERS, "callers"), 20)
    match: Match = declared(Word(*get_args(Match)), "exact")
    """The loosest grade by which a call is found."""
    match_digits: int = declared(Whole(1, 32, "digits"), 7)
    country: Country | None = declared(Text(lambda code: Country.of(code) if code else None), None, name="country_code")
    """How callers' numbers are written; None: only their digits count."""
    withheld: tuple[str, ...] = declared(Text(_withheld), ())
    """Words and numbers that the carrier sends for a withheld number, beside those that every pool knows."""
    dnis_digits: int = declared(Whole(1, 32, "digits", empty=0), 0)
    """Trailing digits by which the receiving system names a number; 0: all of them."""
    retry_window_ms: int = declared(Whole(0, 3600, "seconds", times=1000), 0, name="retry_window")
    remember_ms: int = declared(Whole(1, 3600, "seconds", times=1000), 60_000, name="remember")
    """How long it is remembered that a call was taken."""
    careful_ms: int = declared(
        Whole(0, 86_400, "seconds", times=1000, empty=_LIKE_A_CALL), _LIKE_A_CALL, name="after_loss"
    )

    uui: bool = declared(YesNo(), False)
    """Whether a lease is always answered with its uui, by which the call is found whatever becomes of its ANI."""

    def canonical(self, bare: str) -> str:
        """The canonical form of a caller's number that is bare already (cticache.numbering.ani.read).

        ValueError when it is no number, nor a word that this pool has for a withheld one.
        """
        try:
            return form_of(bare, self.country, self._withheld_forms)
        except ValueError as error:
            if not any(map(str.isalpha, bare)):
                raise
            listed_there = (
                f"if your carrier sends this for a withheld caller, list it under [pool:{self.name}] withheld"
            )
            raise ValueError(f"{error}; {listed_there}") from None

    def steps(self, ani: str) -> list[tuple[str, str]]:
        """How it arrives at the canonical form of an ANI as it was sent (cticache.numbering.ani.steps)."""
        return steps(ani, self.country, self._withheld_forms)

    @cached_property
    def every_number(self) -> NumberSet:
        """Those that are leased, the draining ones and the fallback."""
        return self.numbers | self.draining | NumberSet.parse(self.fallback, 1)

    @cached_property
    def _withheld_forms(self) -> frozenset[str]:
        numbers = [each for each in self.withheld if _NUMBER.fullmatch(each)]
        plain = [each.removeprefix("+") for each in numbers]  # the carrier may send it without its plus
        return frozenset(self.withheld) | {form_of(each, self.country) for each in numbers + plain}

    @property
    def rest_ms(self) -> int:
        """How long a number rests after its last call.

        Where less than the whole ANI may match, that is at least as long as a take is remembered: otherwise a repeated
        take could meet the number's next call, or that call's own take could be refused as a repeated one.
        """
        return self.cooldown_ms if self.match == "exact" else self.pair_rest_ms

    @property
    def after_loss_ms(self) -> int:
        """How long calls are found by their own ANI alone after Redis lost some: until the callers are off the line."""
        return self.ttl_ms + self.pair_rest_ms if self.careful_ms == _LIKE_A_CALL else self.careful_ms

    @property
    def pair_rest_ms(self) -> int:
        """How long a number and an ANI rest as a pair after their call, taken or not: while one may ask for it."""
        return max(self.cooldown_ms, self.remember_ms)

    def after(self, other: "Pool", ms: int) -> int:
        """When a number that rests in another pool until ``ms`` may be leased here: the longer rest counts."""
        return ms + max(self.pair_rest_ms - other.pair_rest_ms, 0)


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
