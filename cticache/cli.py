"""The command line: ``cticache COMMAND``, each command a module of cticache/commands/.

Exit codes: 0 all well; 1 Redis is away or refuses to work, check found what would not work or would lose data, or what
is printed cannot be written; 2 a mistake in the configuration or the command. `status`, and `pools` with `--warn` or
`--crit`, have those of a plugin of Nagios.
"""

import argparse
import errno
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn, TextIO

from cticache import journald, logs
from cticache.commands.acl import ACL
from cticache.commands.advise import ADVISE
from cticache.commands.check import CHECK
from cticache.commands.command import TROUBLE
from cticache.commands.completion import COMPLETION
from cticache.commands.demo import DEMO
from cticache.commands.explain import EXPLAIN
from cticache.commands.failure import TOLD, Failure, Misused, is_closed_pipe
from cticache.commands.health import HEALTH
from cticache.commands.leases import LEASES
from cticache.commands.pools import POOLS, is_for_monitoring
from cticache.commands.recipe import RECIPE
from cticache.commands.release import RELEASE
from cticache.commands.reload import RELOAD
from cticache.commands.serve import SERVE
from cticache.commands.service import SERVICE
from cticache.commands.status import STATUS
from cticache.commands.support import SUPPORT
from cticache.commands.user import USER
from cticache.errors import UserError
from cticache.loop.signals import ended_by_signals
from cticache.operate.fill import State, told

COMMANDS = (
    SERVE,
    DEMO,
    SERVICE,
    CHECK,
    RELOAD,
    HEALTH,
    ACL,
    STATUS,
    POOLS,
    ADVISE,
    EXPLAIN,
    LEASES,
    RELEASE,
    RECIPE,
    USER,
    SUPPORT,
    COMPLETION,
)
"""In the order in which they are listed."""
_JSON = "--json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if not sys.stderr:  # it is closed: print() would write what is meant for it to standard output
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it is to stay open
    logs.in_utf8(sys.stderr)
    if sys.platform == "win32":  # no code page but this has every character, and both streams may go to one file
        logs.in_utf8(sys.stdout)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have characters that a terminal lacks
    try:
        try:
            _check_text(given)
            parsed = new_parser().parse_args(given)
            if not sys.stdout and parsed.command is not SERVE:  # before anything is done that nobody would be told
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            with ended_by_signals(parsed.command.ended):
                code: int = parsed.command.run(parsed)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except TOLD as error:
        return _failed(error, given)
    except KeyboardInterrupt:
        return TROUBLE
    return code


class _Parser(argparse.ArgumentParser):
    """Raises Misused, where argparse would print and exit: all that goes wrong is told in one way."""

    def error(self, message: str) -> NoReturn:
        raise Misused(self.format_usage(), f"{message} (`{self.prog} --help` tells more)")


def new_parser() -> argparse.ArgumentParser:
    """What reads the command line."""
    parser = _Parser(
        prog="cticache",
        description="Hands a caller's data from one telephone system to another over the phone network alone.",
        epilog="Exit codes: 0 all well; 1 Redis is away, refuses or would lose data; 2 a mistake in the configuration.",
    )
    parser.add_argument("--version", action="version", version=f"cticache {version('cticache')}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        described = commands.add_parser(command.name, help=command.does, description=_sentence(command.does))
        if command.has_config:
            described.add_argument(
                "--config", type=Path, metavar="FILE", help="the config.ini; else ./config.ini, else the user's own"
            )
        if command.has_json:
            described.add_argument(_JSON, action="store_true", help="print one JSON document, and errors as another")
        command.declare(described)
        described.set_defaults(command=command)
    return parser


def _check_text(given: Sequence[str]) -> None:
    """UserError if an argument has bytes in it that are no text, which Python hands on as lone surrogates."""
    for at, argument in enumerate(given, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"argument {at} of the command line is not UTF-8 text: encode it as UTF-8") from None


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _failed(error: Exception, given: Sequence[str]) -> int:
    """Tell what went wrong; the exit code."""
    failure = Failure.of(error)
    if isinstance(error, OSError):
        _give_up(sys.stdout)
    if is_closed_pipe(error) and SERVE.name not in given[:1]:
        return failure.code
    stream = sys.stderr
    text = "".join(f"cticache: {line}\n" for line in failure.detail.splitlines())
    if isinstance(error, Misused):
        text = error.usage + text
    if is_for_monitoring(given) or STATUS.name in given[:1]:
        failure, stream = failure._replace(code=State.UNKNOWN), sys.stdout or sys.stderr
        text = told(State.UNKNOWN, failure.detail) + "\n"
    if _JSON in given:
        stream = sys.stderr
        text = json.dumps({"error": failure.error, "detail": failure.detail}, ensure_ascii=False) + "\n"
    if stream is sys.stderr and journald.reads(stream):
        text = journald.marked(text.removesuffix("\n"), logging.ERROR) + "\n"
    try:
        print(text, end="", file=stream, flush=True)
    except OSError:
        _give_up(stream)
    return failure.code


def _give_up(stream: TextIO | None) -> None:
    """Write no more to this stream: at exit the interpreter would complain, in its own words, of what is left in it."""
    if stream:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
