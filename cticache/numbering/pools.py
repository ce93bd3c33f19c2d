"""The pools: whose numbers they are, and the rules by which they are leased and their calls are found."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from cticache.numbering.ani import MOST_CHARACTERS, WITHHELD, form_of, read, steps, word, written
from cticache.numbering.country import Country
from cticache.numbering.numbers import MAX_DIGITS, NumberSet, listed, unspaced
from cticache.options import Text, Whole, Word, declared

Exhausted = Literal["share", "reject", "fallback"]
Match = Literal["exact", "suffix", "sole"]

_LIKE_A_CALL = -1
"""For as long as a call may be asked for."""
MOST_NUMBERS = 5_000_000
"""Most numbers in one pool."""
MOST_CALLERS = 1000
"""Most live callers on one number that are examined; with more, who is meant counts as ambiguous."""


_NUMBER = re.compile(rf"\+?[0-9]{{1,{MAX_DIGITS}}}")
_ALL_DIGITS = re.compile(r"[0-9+\s().\-/]+")
"""What is meant as a number, or as several."""


def _numbers(text: str) -> NumberSet:
    return NumberSet.parse(text, MOST_NUMBERS)


def _number(text: str) -> str:
    if text and not _NUMBER.fullmatch(unspaced(text)):
        raise ValueError(f"must be one number of 1 to {MAX_DIGITS} digits, such as 5559990001, or empty")
    return text


def _withheld(text: str) -> tuple[str, ...]:
    """Numbers, and words as ``word`` gives them."""
    return tuple(map(_one_withheld, listed(text)))


def _one_withheld(part: str) -> str:
    if _ALL_DIGITS.fullmatch(part):
        if not _NUMBER.fullmatch(unspaced(part)):
            raise ValueError(f"{part!r} is not one number of 1 to {MAX_DIGITS} digits, such as +266696687")
        return part
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

    def canonical(self, bare: str) -> str:
        """The canonical form of a caller's number that is bare already (cticache.numbering.ani.read).

        ValueError when it is no number, nor a word that this pool has for a withheld one.
        """
        return form_of(bare, self.country, self._withheld_forms)

    def steps(self, ani: str) -> list[tuple[str, str]]:
        """How it arrives at the canonical form of an ANI as it was sent (cticache.numbering.ani.steps)."""
        return steps(ani, self.country, self._withheld_forms)

    @cached_property
    def _withheld_forms(self) -> frozenset[str]:
        return frozenset(form_of(each, self.country) if _NUMBER.fullmatch(each) else each for each in self.withheld)

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


_MOST_KNOWN = 100_000
"""Most numbers whose places are remembered."""


class Place(NamedTuple):
    """Where a call may be found."""

    pool: Pool
    dnis: str
    """As the pool writes it."""
    rule: Match
    """The loosest grade allowed there."""
    moved: bool = False
    """Whether the number belongs to another pool by now."""


Reading = tuple[Place, str]
"""A place, and the canonical form that an ANI has there."""


def readings(found: list[Place], bare: str) -> list[Reading]:
    """The places whose pools can read this ANI, which is bare; ValueError when none can."""
    read_there: list[Reading] = []
    wrong = None
    for place in found:
        try:
            read_there.append((place, place.pool.canonical(bare)))
        except ValueError as error:
            wrong = error
    if wrong and not read_there:
        raise wrong
    return read_there


def unambiguous(places: list[Place]) -> list[Place]:
    """The same places; if they are of two numbers, only the whole ANI may decide which is meant."""
    if len(places) > 1 and len({place.dnis for place in places}) > 1:
        return [place._replace(rule="exact") for place in places]
    return places


class Pools:
    """All pools, by name and by number, in the order of the file."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._by_name = {pool.name: pool for pool in pools}
        self._longest_rest_ms = max((pool.pair_rest_ms for pool in self), default=0)
        self._leaving: Mapping[str, list[str]] = {}
        self._known: dict[str, list[Place]] = {}
        self.leaving: Mapping[str, list[str]] | None = None
        """Which numbers left each pool; None while that is unknown, and no number can be said to be in no pool."""

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Pool | None:
        """The pool of this name; None when there is none."""
        return self._by_name.get(name)

    def of(self, dnis: str) -> list[Place]:
        """Where a call that arrived on this number may be, in the order to try; empty for a number of no pool.

        The number may be given whole, or by as many trailing digits as its pool goes by. There is one place, except
        for a number that left its pool while calls were live on it. If another pool has it now, there is a place in
        each, the old pool first; if another number ends in the same digits, there are places of both numbers. The old
        pool may no longer be configured. Its name still decides who may find its calls: users who may use every pool,
        but not those of the pool that has the number now, who could not see these calls before. A text longer than an
        ANI may be is a number of no pool.
        """
        known = self._known  # replaced when numbers leave: what is found meanwhile then goes into the old one
        places = known.get(dnis)
        if places is None:
            if len(dnis) > MOST_CHARACTERS:  # remembered, such texts would fill the memory
                return []
            if len(known) >= _MOST_KNOWN:
                known.clear()
            places = known[dnis] = self._look_up(dnis)
        return places

    def _look_up(self, dnis: str) -> list[Place]:
        try:
            digits = written(dnis)
        except ValueError:
            return []
        for form in dict.fromkeys((dnis, digits, digits.lstrip("+"))):
            if found := self._whole(form):
                return found
        return self._by_ending(digits.lstrip("+"))

    def lendable(self, pool: Pool) -> Pool:
        """The pool as a lease may use it now: without its fallback while calls of another pool are live on that."""
        if any(name != pool.name for name in self._leaving.get(pool.fallback, ())):
            return replace(pool, exhausted="reject")
        return pool

    def set_leaving(self, leaving: Mapping[str, Iterable[str]]) -> None:
        """Say which numbers left each pool, by its name, while calls were live on them."""
        pools: dict[str, list[str]] = {}
        for name, numbers in leaving.items():
            for dnis in numbers:
                pools.setdefault(dnis, []).append(name)
        self._leaving = pools
        self._known = {}
        self.leaving = {name: list(numbers) for name, numbers in leaving.items()}

    def former(self, name: str) -> Pool:
        """A pool that is no longer configured: it has no numbers and, its rules being lost, the longest rest of all."""
        return _former(name, next(iter(self)), self._longest_rest_ms)

    def _whole(self, dnis: str) -> list[Place]:
        if not dnis:
            return []
        now = [pool for pool in self if dnis in pool.numbers or dnis in pool.draining or dnis == pool.fallback]
        names = {pool.name for pool in now}
        like = now[0] if now else next(iter(self))
        old = [
            self._by_name.get(name) or _former(name, like, self._longest_rest_ms)
            for name in self._leaving.get(dnis, ())
            if name not in names
        ]
        return [Place(pool, dnis, pool.match, moved=bool(now)) for pool in old] + [
            Place(pool, dnis, pool.match) for pool in now
        ]

    def _by_ending(self, digits: str) -> list[Place]:
        found: list[str] = []
        for pool in self:
            ending = digits[-pool.dnis_digits :]
            if pool.dnis_digits and len(ending) == pool.dnis_digits:
                found += [dnis for dnis in (pool.fallback, *self._leaving) if dnis.endswith(ending)]
                found += pool.draining.ending(ending) + pool.numbers.ending(ending)
        return [
            place
            for dnis in dict.fromkeys(found)
            for place in self._whole(dnis)
            if place.pool.dnis_digits and dnis.endswith(digits[-place.pool.dnis_digits :]) and _agree(digits, dnis)
        ]


def _agree(digits: str, dnis: str) -> bool:
    """Whether two spellings agree in all the digits that both have, leading zeros and a plus apart.

    Else the longer spelling of another number that ends alike, be it of another pool or of none, would be this one.
    """
    one, other = digits.lstrip("0"), dnis.lstrip("+0")
    both = min(len(one), len(other))
    return one[len(one) - both :] == other[len(other) - both :]


def _former(name: str, like: Pool, rest_ms: int) -> Pool:
    """A pool that is no longer configured, under the rules of another."""
    return replace(like, name=name, numbers=NumberSet(), draining=NumberSet(), fallback="", cooldown_ms=rest_ms)
