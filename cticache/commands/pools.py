"""``cticache pools``: how full each pool is, once, again and again, or for a monitoring system."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from time import sleep
from typing import Any, NoReturn

from redis.exceptions import RedisError

from cticache.commands import document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.failure import Failure
from cticache.commands.opening import configured, opened
from cticache.commands.screen import Screen
from cticache.config import Config
from cticache.data.store import Store
from cticache.errors import RedisUnavailable, UserError
from cticache.logs import escaped
from cticache.loop.signals import ended_by_signals
from cticache.numbering.pool import Pool
from cticache.operate.fill import Limits, State, state, status_line, used, worst
from cticache.operate.from_outside import memory_full
from cticache.operate.history import lately, told
from cticache.operate.pool_table import WIDTH, marks, pool_lines
from cticache.operate.report import listed
from cticache.operate.unread import listed_unread, looked_at, told_of

_WARN, _CRIT = "--warn", "--crit"
_EVERY_S = 5.0
_LEAST_S, _MOST_S = 0.1, 3600.0


def is_for_monitoring(given: Sequence[str]) -> bool:
    """Whether these arguments, right or wrong, are those of a plugin of Nagios: its exit codes are of its own."""
    options = {each.partition("=")[0] for each in given[1:]}
    return "pools" in given[:1] and bool(options & {_WARN, _CRIT})


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "With --warn or --crit the exit codes are those of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, "
        "3 UNKNOWN (Redis is away, or a mistake). A Redis whose memory is full is CRITICAL, however full the pools are."
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="this pool, and what was done with it; else all")
    parser.add_argument("--counters", action="store_true", help="tell what was done with each pool, too")
    parser.add_argument("--wide", action="store_true", help="cut no name and no figure, however long the lines are")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=_seconds,
        const=_EVERY_S,
        help=f"print it again every so many seconds ({_EVERY_S:g}), until Ctrl+C; stands behind the names",
    )
    for option, word in ((_WARN, "WARNING"), (_CRIT, "CRITICAL")):
        text = f"print one line for a monitoring system: {word} from so many percent of a pool on"
        parser.add_argument(option, metavar="PERCENT", type=_percent, help=text.replace("%", "%%"))


def _seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) and _LEAST_S <= float(text) <= _MOST_S:
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds, {_LEAST_S:g} to {_MOST_S:g}")


def _percent(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= 100:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of percent, 1 to 100")


def _run(arguments: argparse.Namespace) -> int:
    limits = Limits(arguments.warn, arguments.crit)
    is_monitoring = any(limit is not None for limit in limits)
    if is_monitoring and arguments.watch is not None:
        raise UserError("--watch is for people, --warn and --crit are for a monitoring system: leave one of them out")
    if limits.warn is not None and limits.crit is not None and limits.warn > limits.crit:
        raise UserError(f"--warn {limits.warn} is above --crit {limits.crit}: nothing would ever be a warning")
    settings = configured(arguments)
    pools = _chosen(settings, arguments.names)
    with ExitStack() as stack:
        if arguments.watch is not None:
            _watch(lambda: opened(settings, stack), pools, _limits(settings), arguments)
        store = opened(settings, stack)
        if is_monitoring:
            full = memory_full(store.server_info())
            return _monitored(*_figures(store, [pool for pool in pools if pool.numbers]), full, limits, arguments)
        rows, unread = _figures(store, pools)
    if arguments.json:
        document.write({"pools": rows, "unread": listed_unread(unread)})
    else:
        print("\n".join(_lines(rows, unread, _limits(settings), arguments)))
    return TROUBLE if unread else WELL


def _limits(settings: Config) -> Limits:
    """Where the words of the table begin: as on the page and in the log."""
    return Limits(settings.watch.warn, settings.watch.crit)


def _chosen(settings: Config, names: Sequence[str]) -> list[Pool]:
    """The pools of these names, or all, in the order of the configuration."""
    known = {pool.name for pool in settings.pools}
    if unknown := set(names) - known:
        raise UserError(f"there is no pool {listed(unknown)} in {settings.source}: there are {listed(known)}")
    return [pool for pool in settings.pools if not names or pool.name in names]


def _figures(store: Store, pools: Sequence[Pool]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Each pool as /cticache/pools answers with it, and what was done with it lately; None where that is not known.

    And why others cannot be read, in words; raised where Redis refuses it for all.
    """
    read, unread = looked_at(store, pools)
    return [
        {"pool": pool.name, **figures.figures(), "last_10_minutes": last and told(lately(last, figures))}
        for pool, figures, last in read
    ], told_of(unread, len(pools))


def _lines(
    rows: Sequence[dict[str, Any]], unread: Mapping[str, str], limits: Limits, arguments: argparse.Namespace
) -> list[str]:
    width, counters = None if arguments.wide else WIDTH, arguments.counters or bool(arguments.names)
    table = pool_lines(rows, marks(sys.stdout.encoding), limits, width=width, counters=counters)
    return [*(table if rows or not unread else ()), *(escaped(f"{name}: {why}") for name, why in unread.items())]


def _watch(
    open_store: Callable[[], Store], pools: Sequence[Pool], limits: Limits, arguments: argparse.Namespace
) -> NoReturn:
    """Print them until a signal ends it, which is no failure; while Redis is away that is told, and it goes on."""
    screen = Screen()
    store: Store | None = None
    with ended_by_signals(WELL):
        while True:
            now = datetime.now(UTC)
            try:
                store = store or open_store()
                rows, unread = _figures(store, pools)
            except (RedisUnavailable, RedisError) as error:
                failure = Failure.of(error)
                seen: dict[str, Any] = {"error": failure.error, "detail": failure.detail}
                lines = [failure.detail]
            else:
                seen = {"pools": rows, "unread": listed_unread(unread)}
                lines = _lines(rows, unread, limits, arguments)
            if arguments.json:
                document.write({"time": now, **seen}, in_a_line=True)
            else:
                screen.show([f"{now:%H:%M:%SZ}, every {arguments.watch:g} s, Ctrl+C ends", *lines])
            sleep(arguments.watch)


def _monitored(
    rows: Sequence[dict[str, Any]], unread: Mapping[str, str], full: str, limits: Limits, arguments: argparse.Namespace
) -> int:
    """Print the one line, or the document; the plugin's exit code. ``full``: why Redis takes no new data, if so."""
    states = [state(row, limits) for row in rows]
    found = State.CRITICAL if full else worst([*states, *[State.UNKNOWN] * len(unread)])
    if arguments.json:
        judged = zip(rows, states, strict=True)
        shown = [{**row, "used_percent": used(row), "state": each.name} for row, each in judged]
        seen = {"state": found.name, "redis": full, "warn": limits.warn, "crit": limits.crit, "pools": shown}
        document.write({**seen, "unread": [{**each, "state": State.UNKNOWN.name} for each in listed_unread(unread)]})
    else:
        print(escaped(status_line(rows, limits, full, unread)))
    return found


POOLS = Command("pools", "print how full each pool is, and what was done with it", _run, _declare, has_json=True)
