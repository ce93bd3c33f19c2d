"""Pools of which Redis does not tell, while it may tell of others: which, and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from cticache.data.replies import LastMinutes, PoolStats
from cticache.data.store import Store
from cticache.data.store.asking import Unread
from cticache.link.trouble import NOT_OURS, Trouble, told, trouble
from cticache.numbering.pool import Pool
from cticache.operate.history import READ_BACK

_T = TypeVar("_T")


def parted(all_told: Iterable[tuple[Pool, _T | Unread]]) -> tuple[list[tuple[Pool, _T]], dict[str, Unread]]:
    """The pools of which Redis told, each with that; and by the names of the others, why it did not."""
    read, unread = list[tuple[Pool, _T]](), dict[str, Unread]()
    for pool, each in all_told:
        if isinstance(each, Unread):
            unread[pool.name] = each
        else:
            read.append((pool, each))
    return read, unread


def of_all(unread: Mapping[str, Unread], count: int) -> Unread | None:
    """What Redis refuses for all ``count`` pools alike; None where it is of single ones.

    That somebody else has written into a key is of its pool, however many there are.
    """
    troubles = {why(each) for each in unread.values()}
    return next(iter(unread.values())) if len(unread) == count and len(troubles - {NOT_OURS}) == 1 else None


def why(unread: Unread) -> Trouble:
    """What is wrong with a pool that cannot be read."""
    return trouble(unread.__cause__)


def in_words(unread: Unread) -> str:
    """The same as a sentence without its full stop, with what Redis said: for the log, and for who runs a command."""
    return told(unread.__cause__)


def looked_at(
    store: Store, pools: Sequence[Pool]
) -> tuple[list[tuple[Pool, PoolStats, LastMinutes | None]], dict[str, Unread]]:
    """Each pool with its figures and what was kept of its last minutes, None where that cannot be read.

    And by the names of the pools of which anything cannot be read, why not.
    """
    stats, unread = parted(zip(pools, store.each_pool_stats(pools), strict=True))
    read = [pool for pool, _ in stats]
    minutes, without = parted(zip(read, store.each_pool_minutes(read, READ_BACK), strict=True))
    kept = {pool.name: last for pool, last in minutes}
    return [(pool, figures, kept.get(pool.name)) for pool, figures in stats], unread | without


def told_of(unread: Mapping[str, Unread], count: int) -> dict[str, str]:
    """Why these of ``count`` pools cannot be read, in words; raises what Redis refuses for all of them."""
    if refused := of_all(unread, count):
        raise refused
    return {name: in_words(each) for name, each in unread.items()}


def listed_unread(unread: Mapping[str, str]) -> list[dict[str, str]]:
    """The pools that cannot be read, for JSON."""
    return [{"pool": name, "says": says} for name, says in unread.items()]
