"""The first number in which a pool here and the same pool in Redis differ: under a service that rules, say."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from cticache.data.paging import several
from cticache.data.store import Store
from cticache.errors import RedisUnavailable
from cticache.numbering.ani import masked
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pool import Pool

_AT_ONCE = 10
"""Pools whose ranges, 64 KB at most, are asked for in one round trip."""
_LONGEST_EXTENSION = 5
"""Digits of a number that is nobody's outside."""


class Difference(NamedTuple):
    """Of one pool; one of the two may be empty."""

    pool: str
    there: str
    """The first number that Redis has, and this configuration has not."""
    here: str
    """The first one the other way round."""

    def says(self, there: str, here: str, shown: Callable[[str], str] = str) -> str:
        """The same in words; ``there`` and ``here``: how the two are called."""
        told = [
            f"the first only {where} is {shown(number)}"
            for where, number in ((there, self.there), (here, self.here))
            if number
        ]
        return f"of pool {self.pool} {', '.join(told)}"


def difference(store: Store, pools: Iterable[Pool]) -> Difference | None:
    """Of the first of these pools that differs; None where none does, or that is not known.

    It is known of a pool whose numbers are all in place, unless its ranges are too long to be kept; and of none once
    Redis does not tell: nothing depends on it.
    """
    for some in several(pools, _AT_ONCE):
        try:
            told = store.pool_ranges(some)
        except RedisUnavailable:
            return None
        for pool, (fingerprint, ranges) in zip(some, told, strict=True):
            there = _in_place(fingerprint, ranges)
            if there is not None and there.spans != pool.numbers.spans:
                return Difference(pool.name, _first(there - pool.numbers), _first(pool.numbers - there))
    return None


def by_last_digits(number: str) -> str:
    """A number of a pool as whoever may not know it is shown it."""
    return number if len(number) <= _LONGEST_EXTENSION else masked(number)


def _in_place(fingerprint: str, ranges: str) -> NumberSet | None:
    try:
        numbers = NumberSet.parse(ranges, limit=10**32)
    except ValueError:  # somebody else has put something there
        return None
    return numbers if numbers.fingerprint() == fingerprint else None


def _first(numbers: NumberSet) -> str:
    return numbers.spans[0].number(numbers.spans[0].first) if numbers.spans else ""
