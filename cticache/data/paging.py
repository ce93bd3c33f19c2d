"""Long lists in bounded pieces: one that changes while it is read, and one that is gone through some at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")

PAGE = 500
"""Entries listed in one step of Redis."""


def by_time(page: Callable[[int, int], Sequence[str]]) -> dict[str, int]:
    """All members -> their times (ms), of a list of at most PAGE at once: ``page(since, skip)`` -> member, time, ...

    It goes by time, not by place: what ends while it is read would move what is still to come into what was read. The
    last time is listed again, for more members may have it; only where it fills a page are they skipped.
    """
    found: dict[str, int] = {}
    since, skip = 0, 0
    while True:
        listed = page(since, skip)
        times = list(map(int, listed[1::2]))
        found.update(zip(listed[::2], times, strict=True))
        if len(times) < PAGE:
            return found
        last = times[-1]
        skip = 0 if times[0] < last else PAGE + (skip if since == last else 0)
        since = last


def several(items: Iterable[_T], most: int) -> Iterator[list[_T]]:
    """The items in their order, at most so many at a time."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some
