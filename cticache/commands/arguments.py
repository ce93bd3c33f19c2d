"""What a parser has in it, for what is made of it: argparse keeps that to itself."""

import argparse
from collections.abc import Iterator


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its own arguments, in the order in which they were declared."""
    return [each for each in parser._actions if not isinstance(each, argparse._SubParsersAction)]


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The name and the parser of each command."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            yield from each.choices.items()
