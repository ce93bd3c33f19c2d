"""``cticache serve``: the service."""

import argparse
import os
from pathlib import Path

from cticache import journald, logs, server
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured
from cticache.config.sections import Config
from cticache.journal.log_file import LogFile


def log_path(settings: Config) -> Path:
    """The file of the log, where there is one: its path counts from the folder of the configuration."""
    return settings.source.absolute().parent / settings.log.file


def begin_log(settings: Config) -> None:
    """Log as configured; UserError if the file cannot be written."""
    log = settings.log
    elsewhere = None
    if log.file:
        os.environ.pop(journald.STREAM, None)  # the marks for the journal are not for a file; the workers inherit this
        elsewhere = LogFile(log_path(settings), log.file_bytes, log.file_days, log.file_count).write
    logs.configure(log.format, log.level, elsewhere)


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    begin_log(settings)
    server.serve(settings, lambda line: print(line, flush=True))
    return WELL


SERVE = Command("serve", "run the service until it is stopped", _run, ended=WELL)
