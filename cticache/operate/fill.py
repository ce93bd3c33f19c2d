"""How full a pool is: a percentage, a word, and the state that a monitoring system is told.

A pool is a mapping here, as /cticache/pools answers with it: its name under ``pool``, and its figures.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from cticache.operate.report import counted

_MOST_NAMED = 5
"""Pools in one line of text."""


class Limits(NamedTuple):
    """From how many percent on a pool is to be looked at; None: never."""

    warn: int | None = 75
    crit: int | None = 90


class State(IntEnum):
    """The exit codes of a plugin of Nagios (Monitoring Plugins Development Guidelines, "Plugin Return Codes")."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BY_WEIGHT = (State.OK, State.WARNING, State.UNKNOWN, State.CRITICAL)


def used(pool: Mapping[str, Any]) -> int | None:
    """The share of its numbers that cannot be leased now, those that cool down too, in percent and never rounded up.

    So 100 is full. None where no service has put numbers in place.
    """
    return 100 * (pool["size"] - pool["free"]) // pool["size"] if pool["size"] else None


def state(pool: Mapping[str, Any], limits: Limits) -> State:
    """What its fill comes to."""
    share = used(pool)
    if share is None:
        return State.UNKNOWN
    if limits.crit is not None and share >= limits.crit:
        return State.CRITICAL
    return State.WARNING if limits.warn is not None and share >= limits.warn else State.OK


def word(pool: Mapping[str, Any], limits: Limits) -> str:
    """The same in at most four letters."""
    if used(pool) == 100:
        return "FULL"
    return {State.OK: "ok", State.WARNING: "WARN", State.CRITICAL: "CRIT", State.UNKNOWN: "none"}[state(pool, limits)]


def next_free(pool: Mapping[str, Any]) -> str:
    """When a number falls free: ``now``, ``18 s``, ``never``."""
    wait_ms = pool["next_free_ms"]
    return "now" if not wait_ms else "never" if wait_ms < 0 else f"{-(-wait_ms // 1000):,} s"


def worst(states: Sequence[State]) -> State:
    """The one to tell of several; UNKNOWN of none."""
    return max(states, key=_BY_WEIGHT.index, default=State.UNKNOWN)


def status_line(
    pools: Sequence[Mapping[str, Any]], limits: Limits, trouble: str = "", unread: Mapping[str, str] = {}
) -> str:
    """What a plugin of Nagios prints: the state, a text for people, and the figures for graphs.

    ``trouble``: what makes the state critical whatever the pools are like, in words. ``unread``: the pools whose state
    is unknown, since they cannot be read, with why.
    """
    states = [state(pool, limits) for pool in pools]
    text = _text(pools, states, unread)
    found = worst([*states, *[State.UNKNOWN] * len(unread)])
    line = told(State.CRITICAL, f"{trouble}; {text}") if trouble else told(found, text)
    figures = [_figure(pool["pool"], used(pool), limits) for pool in pools]
    return f"{line} | {' '.join([*figures, *(_figure(name, None, limits) for name in unread)])}"


def told(found: State, text: str) -> str:
    """The line before its figures, which a bar would begin."""
    return f"CTICACHE {found.name} - {' '.join(text.split()).replace('|', '/')}"


def _text(pools: Sequence[Mapping[str, Any]], states: Sequence[State], unread: Mapping[str, str]) -> str:
    told = [(found, used(pool) or 0, _said(pool)) for pool, found in zip(pools, states, strict=True)]
    told += [(State.UNKNOWN, 100, f"{name}: {why}") for name, why in unread.items()]
    ranked = sorted(told, key=lambda each: (-_BY_WEIGHT.index(each[0]), -each[1]))
    bad = [said for found, _, said in ranked if found is not State.OK]
    if bad:
        more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        return "; ".join(bad[:_MOST_NAMED]) + more
    return f"{counted(len(pools), 'pool')}, fullest {ranked[0][2]}" if pools else "no pool has numbers to lease"


def _said(pool: Mapping[str, Any]) -> str:
    share = used(pool)
    if share is None:
        return f"{pool['pool']} has no numbers in Redis, which a running service puts there"
    wait = "" if pool["free"] else f", next in {next_free(pool)}"
    return f"{pool['pool']} {share} % ({pool['free']:,} of {pool['size']:,} free{wait})"


def _figure(pool: str, share: int | None, limits: Limits) -> str:
    """label=value;warn;crit;min;max, where U is a value that is not known."""
    warn, crit = ("" if limit is None else limit for limit in limits)
    return f"{pool}={'U' if share is None else f'{share}%'};{warn};{crit};0;100"
