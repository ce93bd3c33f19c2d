"""``cticache demo``: a hand-over to look at, without a telephone."""

import argparse
import getpass
import random
import sys
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from cticache.access import invented
from cticache.commands import consent, document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import address, configured
from cticache.demo.asking import Service, Unanswered
from cticache.demo.callers import MOST, callers
from cticache.demo.figures import counted
from cticache.demo.play import TRANSIT_S, Play
from cticache.errors import UserError
from cticache.link.embedded import data_folder
from cticache.operate import new_user
from cticache.operate.recipes import origin

_HERE = ("127.0.0.1", "localhost", "::1")
_CALLS, _RATE, _MOST_RATE = 40, 5, 200
_ROLES = "the roles lease and take, and watch for the reasons"


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="the service; else the one of the configuration, on this machine")
    parser.add_argument("--user", metavar="NAME", help=f"as whom: it needs {_ROLES}; else the one that was invented")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--pool", metavar="POOL", help="whose numbers; else the first that the user may use")
    parser.add_argument("--calls", metavar="N", type=_whole(1, MOST), default=_CALLS, help=f"how many calls ({_CALLS})")
    parser.add_argument(
        "--rate", metavar="R", type=_whole(1, _MOST_RATE), default=_RATE, help=f"so many a second ({_RATE})"
    )
    parser.add_argument(
        "--rewritten", metavar="PERCENT", type=_whole(0, 100), default=20, help="whose ANI a carrier changes (20)"
    )
    parser.add_argument("--lost", metavar="PERCENT", type=_whole(0, 100), default=10, help="that never arrive (10)")
    consent.declare(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.rewritten + arguments.lost > 100:
        raise UserError("--rewritten and --lost are more than 100 percent together: no call has both")
    url, user, password = _whom(arguments)
    if arguments.user:
        whose = f"pool {arguments.pool}" if arguments.pool else "the first pool"
        consent.ask(
            arguments,
            f"Lease numbers of {whose} at {url} for {counted(arguments.calls)} of nobody",
            "Real callers find fewer free meanwhile.",
            "nothing was leased",
        )
    with ExitStack() as stack:
        service = Service(url, user, password)
        stack.callback(service.close)
        _look(service, url, user)
        play = Play(service, arguments.pool or "", _Progress(is_shown=not arguments.json), TRANSIT_S)
        stack.callback(_close, play)
        chance = random.Random()  # noqa: S311 - whose number is whose is no secret
        figures = play.run(callers(arguments.calls, arguments.rewritten, arguments.lost, chance), arguments.rate)
    if arguments.json:
        document.write({"url": url} | figures.document())
    else:
        print(f"{counted(arguments.calls)} in {figures.seconds:.1f} s at {url}, pool {figures.pool or '-'}\n")
        print("\n".join(figures.lines()))
    return TROUBLE if figures.refused or figures.wrong else WELL


def _whom(arguments: argparse.Namespace) -> tuple[str, str, str]:
    """The URL of the service, and the user and the password to ask it with."""
    url = origin(arguments.url) if arguments.url else None
    if arguments.user:
        return url or address(configured(arguments)), arguments.user, _password(arguments)
    settings = configured(arguments)
    if settings.users:
        raise UserError(f"{settings.source} has users: say --user, of one who has {_ROLES}")
    url = url or address(settings)
    if urlsplit(url).hostname not in _HERE:
        raise UserError(f"--url {url}: say --user, too: the invented password is that of a service on this machine")
    folder = data_folder(settings.redis.data)
    try:
        return url, invented.NAME, invented.kept(folder)
    except FileNotFoundError:
        raise UserError(
            f"there is no password in {invented.place(folder)}: start `cticache serve` with {settings.source} first, "
            "which invents one"
        ) from None
    except (invented.Unusable, OSError) as error:
        raise UserError(
            f"the password in {invented.place(folder)} cannot be used: {error}; start `cticache serve` again"
        ) from None


def _password(arguments: argparse.Namespace) -> str:
    try:
        if arguments.password_stdin:
            return new_user.piped()
        if sys.stdin and sys.stdin.isatty():
            return getpass.getpass(f"Password of {arguments.user}: ")
    except UnicodeError:
        raise UserError("the password is not UTF-8 text: encode it as UTF-8") from None
    except EOFError:
        raise UserError("no password was given") from None
    raise UserError("nobody can be asked for the password here: say --password-stdin")


def _look(service: Service, url: str, user: str) -> None:
    """UserError unless the service answers this user."""
    try:
        answer = service.ask("GET", "/cticache/version")
    except Unanswered as error:
        raise UserError(f"nothing answers at {url} ({error}): start `cticache serve`, or say --url") from None
    if answer.status == 401:
        raise UserError(f"{url} does not know {user} by this password: is it the service of this configuration?")
    if answer.status != 200 or "version" not in answer.body:
        raise UserError(f"{url} answers with status {answer.status}: {answer.says}")


def _close(play: Play) -> None:
    if left := play.close():
        print(f"cticache: {left} numbers could not be given back: they are free in 30 s", file=sys.stderr)


class _Progress:
    """Tells on a terminal how many calls have come."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown and bool(sys.stderr and sys.stderr.isatty())

    def __call__(self, come: int, of: int) -> None:
        if self._is_shown:
            print(f"\r{come} of {of} calls", end="\n" if come == of else "", file=sys.stderr, flush=True)


def _whole(least: int, most: int) -> Callable[[str], int]:
    """What reads a whole number between these two."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most:,}")
        return int(text)

    return read


DEMO = Command(
    "demo",
    "play System X and System Y against the running service, and show what was handed over",
    _run,
    _declare,
    has_json=True,
)
