"""The pools: whose numbers they are, and the rules by which they are leased."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cticache.numbers import NumberSet

Exhausted = Literal["share", "reject"]


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

    def of(self, dnis: str) -> list[Pool]:
        """The pools to ask for a call that arrived on this number, in this order; none for a number of no pool.

        It is one pool, but for a number that left its pool while calls were live on it and is now another pool's:
        then both may have one, and the old pool is asked first.
        """
        found = [pool for pool in self if dnis in pool.numbers or dnis in pool.draining]
        left = self._by_name.get(self._leaving.get(dnis, ""))
        return [left, *(pool for pool in found if pool is not left)] if left else found

    def set_leaving(self, leaving: Mapping[str, str]) -> None:
        """Say which numbers (DNIS -> pool) were taken out of a pool while calls were live on them."""
        self._leaving = leaving
