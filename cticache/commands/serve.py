"""``cticache serve``: the service."""

import argparse

from cticache import logs, server
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    logs.configure(settings.log.format, settings.log.level)
    server.serve(settings, lambda line: print(line, flush=True))
    return WELL


SERVE = Command("serve", "run the service until it is stopped", _run, ended=WELL)
