"""What the operator's page shows, as an object for JSON: the whole service at a glance, and one pool of it opened.

Nothing in it is a value, and no ANI is in it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cticache.access.users import User
from cticache.data.counters import PEAK
from cticache.data.replies import LastMinutes, PoolStats, Registered, utc
from cticache.data.services import Registration
from cticache.journal.events import Event
from cticache.numbering.pool import Pool
from cticache.operate.advice import advise, quantile, told_apart
from cticache.operate.fill import Limits, used, word
from cticache.operate.history import HOUR, MINUTE_MS, REFUSED, Done, by_minute
from cticache.operate.report import advice_lines

_FIGURES = ("size", "free", "leased", "cooling", "shared", "leaving", "next_free_ms")
_ASKED = ("exact", "suffix", "sole", "uui")
_MOST = 2**53
"""Beyond it a number is none that a service counts."""
_TOLD = {
    "started_at": str,
    "version": str,
    "workers": int,
    "restarts": int,
    "config_file": str,
    "config_changed_at": str,
    "config_read_at": str,
}
"""What a service tells of itself, as Overview.tells has it, and what that is."""


def of_pool(
    name: str, stats: PoolStats, done: Done | None, limits: Limits, stale_s: float | None = None
) -> dict[str, Any]:
    """A pool in the list of all; ``done``: what was done with it lately, None where that is not known.

    ``stale_s``: how long ago it was like that, where Redis does not tell how it is now.
    """
    figures = {
        "pool": name,
        **{figure: getattr(stats, figure) for figure in _FIGURES},
    }
    row = figures | {"used_percent": used(figures), "word": word(figures, limits), "stale_s": stale_s}
    return row | {"a_minute": _rates(done) if done and done.ms >= MINUTE_MS else None}


def _rates(done: Done) -> dict[str, float]:
    return {
        "leased": round(done.a_minute("leased"), 1),
        "taken": round(done.a_minute("taken"), 1),
        "missed": round(done.a_minute("missed"), 1),
        "refused": round(done.a_minute(*REFUSED), 1),
    }


def of_redis(info: Mapping[str, str], trouble: str, took_s: float | None) -> dict[str, Any]:
    """The state of Redis; ``trouble`` is what is wrong with it, in words, or empty: then it does not answer."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    return {
        "up": not trouble,
        "says": trouble,
        "name": name,
        "version": info.get("valkey_version") or info.get("redis_version"),
        "role": info.get("role"),
        "uptime_s": _number(info.get("uptime_in_seconds")),
        "used_memory": _number(info.get("used_memory")),
        "maxmemory": _number(info.get("maxmemory")),
        "replicas": _number(info.get("connected_slaves")),
        "answer_ms": None if trouble or took_s is None else round(1000 * took_s, 1),
    }


def of_nodes(services: Sequence[Registered], here: Registration | None) -> list[dict[str, Any]]:
    """The services on this Redis, the one that rules first, each beside the one that is ``here``."""
    return [_of_node(each, here, is_ruler=not at) for at, each in enumerate(services)]


def compared(node: Mapping[str, Any]) -> str:
    """How the pools of one of them are beside those here, in a word or two."""
    if not node["same"]:
        return "OTHER NUMBERS"
    return "same" if node["rules"] else "OTHER RULES"


def _of_node(node: Registered, here: Registration | None, *, is_ruler: bool) -> dict[str, Any]:
    if here and node.service == here.service:  # as it is by now: it does not differ from itself
        node = node._replace(numbers=here.numbers, rules=here.rules, told=here.told())
    try:
        told = json.loads(node.told)
    except (ValueError, RecursionError):
        told = {}
    if not isinstance(told, dict):  # of an older or a later release
        told = {}
    return {
        "who": node.who,
        "in_force_at": utc(node.start_ms),
        **{name: _of_kind(told.get(name), kind) for name, kind in _TOLD.items()},
        "same": node.numbers == here.numbers if here else None,
        "rules": node.rules == here.rules if here else None,
        "ruler": is_ruler,
        "here": bool(here and node.service == here.service),
    }


def _of_kind(what: object, kind: type) -> Any:
    """What a service tells, where it is of this kind; else None, whoever has written it."""
    return what if isinstance(what, kind) and not (isinstance(what, int) and not 0 <= what <= _MOST) else None


def of_event(event: Event) -> dict[str, Any]:
    """Something that happened to one of them."""
    return {"at": utc(event.ms), "level": event.level, "text": event.said, "node": event.node}


def opened(
    pool: Pool,
    stats: PoolStats,
    last: LastMinutes,
    hours: Sequence[tuple[int, Mapping[str, int]]],
    users: Iterable[User],
) -> dict[str, Any]:
    """One pool with its last hour by the minute and its last eight days by the hour."""
    over, running = told_apart(hours, last.now_ms)
    misses = {dnis: misses for dnis, misses in stats.missed.items() if dnis in pool.numbers}
    advice = advise(over, pool, misses, running)
    first = last.now_ms // MINUTE_MS - HOUR
    peaks = [(counts.get(PEAK, 0), hour) for hour, counts in hours]
    peak, peak_hour = max(peaks, default=(0, 0))
    most = {user.name: user.max_live for user in users if user.may_use(pool.name)}
    return {
        "pool": pool.name,
        "minutes": [
            {"at": utc((first + at) * MINUTE_MS), **_counted(done.counts if done else None)}
            for at, done in enumerate(by_minute(last))
        ],
        "hours": [
            {"at": utc(hour * 3_600_000), **_counted(counts), "peak": counts.get(PEAK, 0)} for hour, counts in hours
        ],
        "peak": {"leased": peak, "at": utc(peak_hour * 3_600_000)} if peaks else None,
        "ttl_s": pool.ttl_ms // 1000,
        "transit": _transit(stats.transits),
        "found": {name: stats.counts[f"match_{name}_total"] for name in _ASKED}
        | {"ambiguous": stats.counts["ambiguous_total"]},
        "advice": [line.strip() for line in advice_lines(advice, pool.name)],
        "nobody_picks_up": [{"dnis": dnis, "in_a_row": count} for dnis, count in advice.suspects.items()],
        "users": [{"user": user, "live": live, "max_live": most.get(user, 0)} for user, live in stats.live.items()],
        "leaving": stats.leaving,
        "leaving_until": utc(stats.leaving_until_ms) if stats.leaving_until_ms else None,
        "draining": len(pool.draining),
    }


def _counted(counts: Mapping[str, int] | None) -> Mapping[str, int | None]:
    if counts is None:
        return dict.fromkeys(("leased", "taken", "missed", "refused"))
    refused = sum(counts.get(field, 0) for field in REFUSED)
    return {field: counts.get(field, 0) for field in ("leased", "taken", "missed")} | {"refused": refused}


def _transit(transits: Mapping[int, int]) -> dict[str, int | None] | None:
    if not transits:
        return None
    return {"p50_s": quantile(transits, 0.5), "p99_s": quantile(transits, 0.99)}


def by_status(answers: Mapping[Any, Sequence[float]]) -> Counter[int]:
    """How many answers there were of each status, of a Sums' answers."""
    counts: Counter[int] = Counter()
    for (_, _, status), row in answers.items():
        counts[status] += int(sum(row[:-1]))
    return counts


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def to_the_second(at: datetime) -> str:
    """A time, to the second."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
