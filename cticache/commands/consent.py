"""Asking whoever is at the terminal before something is done that others would notice."""

import argparse
import sys

from cticache.errors import UserError


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that is an answer."""
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def ask(arguments: argparse.Namespace, what: str, means: str, otherwise: str) -> None:
    """UserError unless it is to be done; ``means``: what that means; ``otherwise``: what is said if it is not done."""
    if arguments.yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        raise UserError(f"{what}? Nobody can be asked here: say --yes to do it")
    print(f"{what}? {means} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(otherwise)
