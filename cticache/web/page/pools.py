"""The pools on the page: a row for each, and one of them opened."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cticache.operate.report import counted
from cticache.web.page.figures import chart, numbers, row, table
from cticache.web.page.markup import Html, element, joined
from cticache.web.page.words import UNKNOWN, count, duration, hour, moment, whole_hour

_HOURS = 8 * 24
"""How far back the hours go."""
_DONE = {"leased": "Leases", "taken": "Takes", "missed": "Misses", "refused": "Refused"}
_FOUND = {"exact": "exact", "suffix": "suffix", "sole": "sole", "uui": "uui", "ambiguous": "ambiguous (409)"}


def opening(pool: str) -> Html:
    """A link that opens a pool."""
    return element("a", pool, href=f"?{urlencode({'pool': pool})}#opened")


def pools(
    rows: Sequence[Mapping[str, Any]],
    thresholds: Mapping[str, int],
    count_of_all: int,
    unread: Sequence[Mapping[str, str]] = (),
) -> Html:
    """These pools, a row each; and below them why others cannot be read."""
    why = [element("li", opening(each["pool"]), f": {each['says']}") for each in unread]
    listed = element("ul", *why, class_="unread") if why else None
    if not count_of_all:
        return joined(element("p", "Nothing is known of the pools."), listed)
    heads = (
        "Pool",
        "Used",
        *numbers("Numbers", "Free", "Cooling", "Shared"),
        "Next free",
        *numbers(*(f"{name} / min" for name in _DONE.values())),
    )
    caption = f"{len(rows):,} of {counted(count_of_all, 'pool')}"
    if len(rows) == count_of_all:
        caption = counted(count_of_all, "pool")
    if stale := [each["stale_s"] for each in rows if each["stale_s"] is not None]:
        caption += f"; {len(stale):,} of them as last known, {duration(max(stale))} ago: Redis does not tell now"
    return joined(table(caption, heads, [_pool(each, thresholds) for each in rows], class_="pools"), listed)


def _pool(pool: Mapping[str, Any], thresholds: Mapping[str, int]) -> Html:
    percent, word = pool["used_percent"], pool["word"]
    lately = pool["a_minute"] or {}
    shown = element("span", word, class_=f"word {_level(word)}")
    if percent is None:  # no service has put numbers into Redis, or all of them drain
        used = joined(f"{UNKNOWN} ", shown)
    else:
        meter = element(
            "meter",
            min=0,
            max=100,
            low=thresholds["warn"],
            high=thresholds["crit"],
            optimum=0,
            value=percent,
            aria_label=f"used of {pool['pool']}",
        )
        used = joined(meter, f" {percent:.0f} % ", shown)
    stale_s = pool["stale_s"]
    if stale_s is not None:
        used = joined(used, element("span", f" {duration(stale_s)} ago", class_="stale"))
    return row(
        opening(pool["pool"]),
        used,
        *(pool[name] for name in ("size", "free", "cooling", "shared")),
        _next_free(pool["next_free_ms"] if stale_s is None else None),
        *(lately.get(name) for name in _DONE),
    )


def _level(word: str) -> str:
    return {"FULL": "crit", "CRIT": "crit", "WARN": "warn"}.get(word, "ok")


def _next_free(ms: int | None) -> str:
    if ms is None or ms < 0:
        return UNKNOWN
    return duration(ms / 1000) if ms else "now"


def opened(pool: Mapping[str, Any] | None, now: str, asked: str = "") -> Html:
    """One pool: what was done with it, how its calls were found, and what to do; ``asked``: the one asked for."""
    if not pool and asked:
        return element("p", f"Nothing more is known of the pool {asked} while Redis does not tell.")
    if not pool:
        return element("p", "Choose a pool in the list to see its last hour and its last eight days.")
    minutes, hours = pool["minutes"], pool["hours"]
    peak, transit = pool["peak"], pool["transit"]
    charts = [
        chart(f"{word}, last hour by minute", [each[name] for each in minutes], "a minute")
        for name, word in _DONE.items()
    ]
    charts.append(chart("Leases, last eight days by hour", _by_hour(hours, "leased", now), "an hour"))
    charts.append(chart("Most at once, last eight days by hour", _by_hour(hours, "peak", now), ""))
    asked = sum(pool["found"].values())
    shares = [
        f"{word} {count(pool['found'][name])} ({100 * pool['found'][name] / asked:.0f} %)"
        for name, word in _FOUND.items()
        if asked
    ]
    users = [
        f"{each['user']} {count(each['live'])}" + (f" of {count(each['max_live'])} at most" if each["max_live"] else "")
        for each in pool["users"]
    ]
    facts: list[tuple[str, object]] = [
        ("Most at once", joined(count(peak["leased"]), f", {hour(peak['at'])}") if peak else UNKNOWN),
        (
            "Lease to take",
            f"half within {duration(transit['p50_s'])}, 99 % within {duration(transit['p99_s'])}; a lease lasts "
            f"{duration(pool['ttl_s'])}"
            if transit
            else f"not known yet; a lease lasts {duration(pool['ttl_s'])}",
        ),
        ("Found by", ", ".join(shares) or "nobody has asked yet"),
        ("Advice", element("ul", *[element("li", each) for each in pool["advice"]]) if pool["advice"] else UNKNOWN),
        ("Nobody picks up", _not_picked_up(pool["nobody_picks_up"])),
        ("Leased by", ", ".join(users) or "nobody"),
        (
            "Numbers on their way out",
            joined(
                f"draining {count(pool['draining'])}, leaving {count(pool['leaving'])}",
                *((" until ", moment(pool["leaving_until"], now)) if pool["leaving_until"] else ()),
            ),
        ),
    ]
    listed = element("dl", *[element("div", element("dt", name), element("dd", text)) for name, text in facts])
    return joined(
        element("h3", f"Pool {pool['pool']}"),
        element("div", *charts, class_="charts"),
        listed,
        element(
            "details", element("summary", "The last hour by minute"), _over_time("Minute", minutes, now), id_="minutes"
        ),
        element(
            "details", element("summary", "The last eight days by hour"), _over_time("Hour", hours, now), id_="hours"
        ),
    )


def _by_hour(hours: Sequence[Mapping[str, Any]], name: str, now: str) -> list[int | None]:
    """One for each of the last hours; None for those of which nothing is kept."""
    last, figures = whole_hour(now), dict[int, int]()
    for each in hours:
        figures[_HOURS - 1 - (last - whole_hour(each["at"]))] = each[name]
    return [figures.get(nth) for nth in range(_HOURS)]


def _not_picked_up(numbers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each['dnis']} ({count(each['in_a_row'])} in a row)" for each in numbers) or "none"


def _over_time(unit: str, times: Sequence[Mapping[str, Any]], now: str) -> Html:
    rows = [
        row(
            moment(each["at"], now),
            *(each[name] for name in _DONE),
            *([each["peak"]] if "peak" in each else []),
        )
        for each in reversed(times)
        if any(each[name] for name in _DONE) or each.get("peak")
    ]
    heads = (unit, *numbers(*_DONE.values(), *(["Most at once"] if unit == "Hour" else [])))
    return table(f"By {unit.lower()}, where anything was done, the last first", heads, rows)
