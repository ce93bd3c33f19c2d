"""What a command is, and the exit codes that all of them share."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

WELL, TROUBLE, MISTAKE = 0, 1, 2
"""All well; Redis is away, refuses or would lose data, or nothing can be printed; a mistake of whoever runs it."""


def nothing(_parser: argparse.ArgumentParser) -> None:
    """Declare no argument."""


class Command(NamedTuple):
    """One command of ``cticache``."""

    name: str
    does: str
    """What it does, in the imperative and without a full stop."""
    run: Callable[[argparse.Namespace], int]
    """Runs it; the exit code. What goes wrong is raised, as cli.main tells it."""
    declare: Callable[[argparse.ArgumentParser], None] = nothing
    """Declares its arguments, but for ``--config``."""
    has_config: bool = True
    """Whether ``--config`` is among its arguments."""
    has_json: bool = False
    """Whether ``--json`` is: what it prints is for people, and for programs it is one JSON document."""
    ended: int = TROUBLE
    """The exit code where a signal ends it."""
