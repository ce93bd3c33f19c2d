"""``cticache serve``: the service."""

import argparse

from cticache import logs, server
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured
from cticache.config.sections import Config
from cticache.journal.log_file import LogFile


def begin_log(settings: Config) -> None:
    """Log as configured; UserError if the file cannot be written."""
    log = settings.log
    elsewhere = None
    if log.file:
        path = settings.source.absolute().parent / log.file
        elsewhere = LogFile(path, log.file_bytes, log.file_days, log.file_count).write
    logs.configure(log.format, log.level, elsewhere)


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    begin_log(settings)
    server.serve(settings, lambda line: print(line, flush=True))
    return WELL


SERVE = Command("serve", "run the service until it is stopped", _run, ended=WELL)
