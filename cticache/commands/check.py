"""``cticache check``: what would not work, or would lose data."""

import argparse

from cticache.check import check
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import configured, reached


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    return WELL if check(settings, lambda stack: reached(settings, stack, start=True), print) else TROUBLE


CHECK = Command("check", "validate the configuration, reach Redis, report what would not work or would lose data", _run)
