"""``cticache status``: Redis, the services on it and what needs attention, for people and a monitoring system."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from redis.exceptions import RedisError

from cticache.commands import document
from cticache.commands.command import Command
from cticache.commands.failure import Failure
from cticache.commands.opening import configured, opened
from cticache.config import Config
from cticache.errors import RedisUnavailable
from cticache.logs import escaped
from cticache.numbering.pools import Pools
from cticache.operate import from_outside
from cticache.operate.fill import State, next_free, told
from cticache.operate.report import counted
from cticache.operate.status import compared
from cticache.operate.units import duration, mebibytes

_STATES = {"CRIT": State.CRITICAL, "WARN": State.WARNING}
_MOST_SHOWN = 5
"""Pools on the screen, the fullest first."""


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit codes are those of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (a mistake)."


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    seen = _seen(settings)
    state = max((_STATES[each["level"]] for each in seen["attention"]), default=State.OK)
    if arguments.json:
        document.write({"state": state.name, **seen})
    else:
        print("\n".join(map(escaped, _lines(state, seen))))
    return state


def _seen(settings: Config) -> dict[str, Any]:
    with ExitStack() as stack:
        try:
            store = opened(settings, stack)
            pools = Pools(settings.pools)
            return from_outside.seen(store, pools, settings.watch, settings.users, str(settings.source))
        except (RedisUnavailable, RedisError) as error:
            return from_outside.away(Failure.of(error).detail)


def _lines(state: State, seen: Mapping[str, Any]) -> Iterator[str]:
    """The line that a plugin prints, and below it the screen."""
    wanting = seen["attention"]
    gist = [f"{each['pool']}: {each['says']}" if each["pool"] else each["says"] for each in wanting]
    more = f" (and {len(gist) - 1} more)" if len(gist) > 1 else ""
    well = (
        f"{counted(len(seen['services']), 'service')}, {counted(len(seen['pools']), 'pool')}, nothing needs attention"
    )
    yield told(state, f"{gist[0]}{more}" if gist else well)
    yield f"Redis: {_redis(seen['redis'])}"
    for each in seen["services"]:
        yield f"Service: {_service(each, is_alone=len(seen['services']) == 1)}"
    ranked = sorted(seen["pools"], key=lambda pool: -(pool["used_percent"] or 0))
    for each in ranked[:_MOST_SHOWN]:
        yield f"Pool: {_pool(each)}"
    if len(ranked) > _MOST_SHOWN:
        yield f"Pool: {len(ranked) - _MOST_SHOWN:,} more, less full: `cticache pools` shows all"
    if more:
        yield from (f"{each['level']}: {says}" for each, says in zip(wanting, gist, strict=True))
    for each in seen["events"]:
        yield f"Event: {each['at']} {each['level']} {each['text']} ({each['node']})"


def _redis(redis: Mapping[str, Any]) -> str:
    if not redis["up"]:
        return "AWAY"
    told = ["UP"]
    if redis["version"]:
        told += [f"{redis['name']} {redis['version']} {redis['role'] or ''}".strip()]
    if redis["uptime_s"] is not None:
        told += [f"up {duration(redis['uptime_s'])}"]
    told += [f"answers in {redis['answer_ms']:g} ms"]
    if redis["used_memory"] is not None:
        limit = f" of {mebibytes(redis['maxmemory'])}" if redis["maxmemory"] else ""
        told += [f"memory {mebibytes(redis['used_memory'])}{limit}"]
    if redis["replicas"] is not None:
        told += [f"replicas {redis['replicas']}"]
    return ", ".join(told)


def _service(service: Mapping[str, Any], *, is_alone: bool) -> str:
    known = {
        "started {}": service["started_at"],
        "pools in force since {}": service["in_force_at"],
        "version {}": service["version"],
        "workers {}": service["workers"],
        "restarted {}": service["restarts"],
        "configuration {}": service["config_file"],
        "of {}": service["config_changed_at"],
    }
    told = [words.format(what) for words, what in known.items() if what is not None]
    rules = ["rules"] if service["ruler"] and not is_alone else []
    differs = [f"{compared(service)} than in this configuration"] if compared(service) != "same" else []
    return ", ".join([service["who"], *rules, *told, *differs])


def _pool(pool: Mapping[str, Any]) -> str:
    if pool["used_percent"] is None:
        return f"{pool['pool']} {pool['word']}: Redis has no numbers of it"
    free = f"{pool['free']:,} of {pool['size']:,} free, next {next_free(pool)}"
    return f"{pool['pool']} {pool['used_percent']} % {pool['word']}, {free}"


STATUS = Command(
    "status",
    "print the state of Redis, of the services on it and of the pools, and what needs attention",
    _run,
    _declare,
    has_json=True,
)
