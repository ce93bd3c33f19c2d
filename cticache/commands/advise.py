"""``cticache advise``: how many numbers and which TTL."""

import argparse
from contextlib import ExitStack

from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.counters import KEPT_HOURS
from cticache.operate.advice import Hour, advise
from cticache.operate.report import advice_lines


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    with ExitStack() as stack:
        store = opened(settings, stack)
        stats = store.pool_stats(settings.pools)
        for pool, figures in zip(settings.pools, stats, strict=True):
            advice = advise(
                [Hour.of(*hour) for hour in store.pool_hours(pool, KEPT_HOURS, running=False)],
                pool,
                {dnis: misses for dnis, misses in figures.missed.items() if dnis in pool.numbers},
            )
            print("\n".join(advice_lines(advice, pool.name)))
    return WELL


ADVISE = Command("advise", "tell how many numbers and which TTL the last eight days ask for", _run)
