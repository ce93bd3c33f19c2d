"""The pages of the manual (man(7)), made of what the parser says."""

import argparse
import re
from collections.abc import Iterator

from cticache.commands.arguments import actions, commands


def pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Name of a file -> its text: one of the program, and one of each of its commands."""
    found = {f"{parser.prog}.1": _page(parser.prog, _overview(parser))}
    for name, command in commands(parser):
        page = f"{parser.prog}-{name}"
        found[f"{page}.1"] = _page(page, [*_described(command, page), ".SH SEE ALSO", _see(parser.prog)])
    return found


def _page(name: str, body: list[str]) -> str:
    return "\n".join([f'.TH "{_roff(name.upper())}" "1" "" "cticache" "User Commands"', *body]) + "\n"


def _overview(parser: argparse.ArgumentParser) -> list[str]:
    lines = [*_described(parser, parser.prog), ".SH COMMANDS"]
    for name, command in commands(parser):
        lines += [".TP", _see(f"{parser.prog}-{name}"), _roff(command.description or "")]
    return lines


def _described(parser: argparse.ArgumentParser, page: str) -> list[str]:
    about = parser.description or ""
    own = actions(parser)
    return [
        ".SH NAME",
        f"{_roff(page)} \\- {_roff(about[:1].lower() + about[1:].removesuffix('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(parser.prog)}",
        *(_usage(action) for action in sorted(own, key=lambda action: not action.option_strings)),
        *([r"\fICOMMAND\fR ..."] if any(commands(parser)) else []),
        ".SH DESCRIPTION",
        _roff(about),
        *([".PP", _roff(parser.epilog)] if parser.epilog else []),
        ".SH OPTIONS",
        *(line for action in own for line in _told(action)),
    ]


def _usage(action: argparse.Action) -> str:
    if action.option_strings:
        return f"[{_bold(action.option_strings[-1])}{_value(action)}]"
    return _value(action).strip()


def _told(action: argparse.Action) -> Iterator[str]:
    yield ".TP"
    yield (", ".join(_bold(option) for option in action.option_strings) + _value(action)).strip()
    yield _roff((action.help or "") % {})


def _value(action: argparse.Action) -> str:
    """What stands behind an option, or is the argument."""
    name = rf"\fI{_roff(str(action.metavar or action.dest.upper()))}\fR"
    written = {0: "", None: f" {name}", "?": f" [{name}]", "*": f" [{name} ...]"}
    return written[action.nargs]


def _see(page: str) -> str:
    return f"{_bold(page)}(1)"


def _bold(text: str) -> str:
    return rf"\fB{_roff(text)}\fR"


def _roff(text: str) -> str:
    """The text as it is, in a page: a hyphen can be copied, and no line begins a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("'", r"\(aq")
    return re.sub(r"^\.", r"\&.", " ".join(escaped.split()))
