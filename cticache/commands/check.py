"""``cticache check``: what would not work, or would lose data."""

import argparse

from cticache.check import check
from cticache.commands import document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import configured, reached
from cticache.operate.report import complaint_lines


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    seen: list[str] = []
    found = check(
        settings, lambda stack: reached(settings, stack, start=True), seen.append if arguments.json else print
    )
    if arguments.json:
        lines = [line.strip() for line in seen]
        document.write({"config": str(settings.source), "well": not found, "complaints": found, "seen": lines})
    else:
        print("\n".join(complaint_lines(found)))
    return TROUBLE if found else WELL


CHECK = Command(
    "check",
    "validate the configuration, reach Redis, report what would not work or would lose data",
    _run,
    has_json=True,
)
