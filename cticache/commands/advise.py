"""``cticache advise``: how many numbers and which TTL."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from cticache.commands import document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.counters import KEPT_HOURS
from cticache.data.replies import PoolStats
from cticache.data.store import Store
from cticache.data.store.asking import Unread
from cticache.errors import RedisRefuses
from cticache.logs import escaped
from cticache.numbering.pool import Pool
from cticache.operate.advice import Advice, advise, told_apart
from cticache.operate.report import advice_lines
from cticache.operate.unread import listed_unread, parted, told_of


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    with ExitStack() as stack:
        advised, unread = advices(opened(settings, stack), settings.pools)
    if arguments.json:
        pools = [{"pool": pool.name, **advice.figures()} for pool, advice in advised]
        document.write({"pools": pools, "unread": listed_unread(unread)})
    else:
        for pool, advice in advised:
            print("\n".join(advice_lines(advice, pool.name)))
        for line in unread_lines(unread):
            print(line)
    return TROUBLE if unread else WELL


def advices(store: Store, pools: Sequence[Pool]) -> tuple[list[tuple[Pool, Advice]], dict[str, str]]:
    """Each pool with what the last eight days say of it; and why others cannot be read, in words."""
    told = zip(pools, store.each_pool_stats(pools), strict=True)
    advised, unread = parted((pool, _advice(store, pool, figures)) for pool, figures in told)
    return advised, told_of(unread, len(pools))


def unread_lines(unread: Mapping[str, str]) -> list[str]:
    """A line for each pool that cannot be read."""
    return [escaped(f"{name}: {why}") for name, why in unread.items()]


def _advice(store: Store, pool: Pool, figures: PoolStats | Unread) -> Advice | Unread:
    if isinstance(figures, Unread):
        return figures
    try:
        (minutes,) = store.pool_minutes([pool], 0)
        hours, running = told_apart(store.pool_hours(pool, KEPT_HOURS), minutes.now_ms)
    except RedisRefuses as error:
        return error
    misses = {dnis: misses for dnis, misses in figures.missed.items() if dnis in pool.numbers}
    return advise(hours, pool, misses, running)


ADVISE = Command("advise", "tell how many numbers and which TTL the last eight days ask for", _run, has_json=True)
