"""``cticache completion``: what a shell completes the command line by."""

import argparse
from pathlib import Path

from cticache.commands.arguments import actions, commands
from cticache.commands.command import WELL, Command
from cticache.errors import UserError

_SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def _run(arguments: argparse.Namespace) -> int:
    try:
        import shtab  # noqa: PLC0415 - it may not be there, and nothing else needs it
    except ImportError:
        raise UserError("completion needs the package shtab: install cticache[completion]") from None
    for _, parser in commands(arguments.parser):
        for action in actions(parser):
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(arguments.parser, arguments.shell))
    return WELL


COMPLETION = Command(
    "completion",
    "print a script by which a shell completes cticache's commands and options",
    _run,
    _declare,
    has_config=False,
)
