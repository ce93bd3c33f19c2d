"""``cticache pools``: how full each pool is."""

import argparse
from contextlib import ExitStack

from cticache.commands import document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.operate.report import pool_lines


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    with ExitStack() as stack:
        stats = opened(settings, stack).pool_stats(settings.pools)
    if arguments.json:
        rows = zip(settings.pools, stats, strict=True)
        document.write({"pools": [{"pool": pool.name, **figures.figures()} for pool, figures in rows]})
    else:
        print("\n".join(pool_lines(settings.pools, stats)))
    return WELL


POOLS = Command("pools", "print how full each pool is, and what was done with it", _run, has_json=True)
