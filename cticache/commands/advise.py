"""``cticache advise``: how many numbers and which TTL."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from cticache.commands import document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.counters import KEPT_HOURS
from cticache.data.store import Store
from cticache.numbering.pool import Pool
from cticache.operate.advice import Advice, advise, told_apart
from cticache.operate.report import advice_lines


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    with ExitStack() as stack:
        advised = advices(opened(settings, stack), settings.pools)
        if arguments.json:
            document.write({"pools": [{"pool": pool.name, **advice.figures()} for pool, advice in advised]})
        else:
            for pool, advice in advised:
                print("\n".join(advice_lines(advice, pool.name)))
    return WELL


def advices(store: Store, pools: Sequence[Pool]) -> Iterator[tuple[Pool, Advice]]:
    """Each pool with what the last eight days say of it."""
    for pool, figures in zip(pools, store.pool_stats(pools), strict=True):
        (minutes,) = store.pool_minutes([pool], 0)
        hours, running = told_apart(store.pool_hours(pool, KEPT_HOURS), minutes.now_ms)
        misses = {dnis: misses for dnis, misses in figures.missed.items() if dnis in pool.numbers}
        yield pool, advise(hours, pool, misses, running)


ADVISE = Command("advise", "tell how many numbers and which TTL the last eight days ask for", _run, has_json=True)
