"""The parts of the page, each made of what /cticache/status says."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cticache.operate.report import counted
from cticache.web.page.figures import chart, column, row, table
from cticache.web.page.markup import Html, element, joined
from cticache.web.page.words import UNKNOWN, count, duration, hour, moment, size, whole_hour

Status = Mapping[str, Any]
_OLD_S = 5
"""From how many seconds on the age of the figures is told."""
_HOURS = 8 * 24
"""How far back the hours go."""
_KINDS = {
    "redis": "REDIS",
    "loss": "CALLS LOST",
    "clock": "CLOCK",
    "overruled": "SERVICES DIFFER",
    "config": "FILE REFUSED",
    "rules": "SERVICES DIFFER",
    "full": "CALLS REFUSED",
    "used": "IN USE",
    "sharing": "NUMBERS SHARED",
    "fallback": "FALLBACK NUMBER",
    "max_live": "USER AT max_live",
    "not_found": "NOT FOUND",
    "nobody_asks": "NOBODY PICKS UP",
    "number": "NOBODY PICKS UP",
    "logins": "WRONG PASSWORDS",
    "strangers": "UNKNOWN NUMBERS",
}
"""A word or two for each kind of thing that needs attention."""
_HINTS = {
    "leases": ("live leases", "#leases"),
    "explain": ("find a call", "#find"),
    "advise": ("advice", "#opened"),
    "readyz": ("readiness", "/readyz"),
    "log": ("last events", "#events"),
}
"""Where each leads, and by which word."""
_DONE = {"leased": "Leases", "taken": "Takes", "missed": "Misses", "refused": "Refused"}
_FOUND = {"exact": "exact", "suffix": "suffix", "sole": "sole", "uui": "uui", "ambiguous": "ambiguous (409)"}
_LOGINS = {"missing": "none sent", "malformed": "malformed", "token": "unknown token", "password": "wrong password"}


def title(status: Status) -> str:
    """What the browser's tab says: how much needs attention comes first."""
    wanting = len(status["attention"])
    return f"({wanting}!) cticache" if wanting else "cticache"


def gist(status: Status) -> str:
    """What a screen reader is told when it changes."""
    wanting = status["attention"]
    if not wanting:
        return "Nothing needs attention."
    told = ", ".join(f"{_kind(each)}{' ' + each['pool'] if each['pool'] else ''}" for each in wanting[:5])
    return f"Needs attention: {told}{' and more' if len(wanting) > 5 else ''}."


def state(status: Status) -> Html:
    """The service, its Redis, its workers, its configuration, and who else shares that Redis."""
    service, redis, workers, now = status["service"], status["redis"], status["workers"], status["at"]
    config = service["config"]
    is_ready = service["ready"]
    head = element(
        "p",
        element("strong", "OK" if is_ready else "NOT READY", class_="word ok" if is_ready else "word crit"),
        " at ",
        moment(now, now),
        f", figures {duration(status['age_s'])} old" if status["age_s"] >= _OLD_S else None,
        "; started ",
        moment(service["started_at"], now),
        f". {service['says']}" if service["says"] else ".",
    )
    rows = [
        ("Redis", _redis(redis)),
        ("Workers", f"{workers['serving']} of {workers['wanted']} serve, {count(workers['restarts'])} restarted"),
        (
            "Configuration",
            joined(
                config["file"] or "none: a pool and a user of its own",
                ", of " if config["changed_at"] else "",
                moment(config["changed_at"], now) if config["changed_at"] else "",
                ", read ",
                moment(config["read_at"], now),
                "; all services on this Redis have the same" if config["same_on_all"] else "",
                element("strong", "; NOT THE SAME in all services on this Redis") if not config["same_on_all"] else "",
            ),
        ),
    ]
    listed = element("dl", *[element("div", element("dt", name), element("dd", text)) for name, text in rows])
    return joined(element("h2", "State", id_="state-head"), head, listed, _nodes(status["nodes"], now))


def _redis(redis: Mapping[str, Any]) -> Html:
    word = element("strong", "UP" if redis["up"] else "AWAY", class_="word ok" if redis["up"] else "word crit")
    if not redis["up"]:
        return joined(word, f" {redis['says']}")
    limit = f" of {size(redis['maxmemory'])}" if redis["maxmemory"] else ""
    answers = f"{redis['answer_ms']:g} ms" if redis["answer_ms"] is not None else UNKNOWN
    return joined(
        word,
        f" {redis['name']} {redis['version'] or ''} {redis['role'] or ''}, up {duration(redis['uptime_s'])}, ",
        f"answers in {answers}, memory {size(redis['used_memory'])}{limit}, replicas {count(redis['replicas'])}",
    )


def _nodes(nodes: Sequence[Mapping[str, Any]], now: str) -> Html | None:
    if not nodes:
        return None
    rows = [
        row(
            each["who"] + (" (this one)" if each["here"] else ""),
            moment(each["started_at"], now),
            each["version"] or UNKNOWN,
            each["workers"],
            each["restarts"],
            joined(each["config_file"] or UNKNOWN, " ", moment(each["config_changed_at"], now)),
            "same" if each["same"] and each["rules"] else "OTHER NUMBERS" if not each["same"] else "OTHER RULES",
        )
        for each in nodes
    ]
    heads = ("Service", "Since", "Version", *_numbers("Workers", "Restarts"), "Configuration", "Compared")
    differ = sum(not (each["same"] and each["rules"]) for each in nodes)
    summary = f"{len(nodes)} on this Redis" + (f", {differ} NOT THE SAME" if differ else "")
    listed = table("Services on this Redis", heads, rows)
    return element("details", element("summary", f"Services: {summary}"), listed, id_="nodes")


def attention(status: Status) -> Html:
    """What needs attention, in words, the worst first."""
    wanting = status["attention"]
    head = element("h2", f"Needs attention ({len(wanting)})" if wanting else "Needs attention", id_="attention-head")
    if not wanting:
        return joined(head, element("p", "Nothing."))
    return joined(head, element("ul", *map(_wanting, wanting)))


def _wanting(each: Mapping[str, Any]) -> Html:
    return element(
        "li",
        element("strong", f"{each['level']} {_kind(each)}", class_=f"word {each['level'].lower()}"),
        " ",
        opening(each["pool"]) if each["pool"] else None,
        " " if each["pool"] else None,
        each["says"],
        " ",
        _hint(each),
        class_=each["level"].lower(),
    )


def _kind(each: Mapping[str, Any]) -> str:
    if each["kind"] in ("full", "used") and each["says"].startswith("FULL: "):
        return "FULL"  # as in the list of the pools
    return _KINDS.get(each["kind"], str(each["kind"]).replace("_", " ").upper())


def _hint(each: Mapping[str, Any]) -> Html | None:
    if each["hint"] not in _HINTS:
        return None
    word, target = _HINTS[each["hint"]]
    query = {"pool": each["pool"]} if each["pool"] else {}
    if each["hint"] == "leases":
        query |= {"leases": "1"} | ({"dnis": each["about"]} if each["about"] else {})
    if target.startswith("#"):
        target = f"?{urlencode(query)}{target}" if query else target
    return element("a", f"See {word}", href=target)


def opening(pool: str) -> Html:
    """A link that opens a pool."""
    return element("a", pool, href=f"?{urlencode({'pool': pool})}#opened")


def pools(rows: Sequence[Mapping[str, Any]], thresholds: Mapping[str, int], count_of_all: int) -> Html:
    """These pools, a row each."""
    if not count_of_all:
        return element("p", "Nothing is known of the pools.")
    heads = (
        "Pool",
        "Used",
        *_numbers("Numbers", "Free", "Cooling", "Shared"),
        "Next free",
        *_numbers(*(f"{name} / min" for name in _DONE.values())),
    )
    caption = f"{len(rows):,} of {counted(count_of_all, 'pool')}"
    if len(rows) == count_of_all:
        caption = counted(count_of_all, "pool")
    if stale := [each["stale_s"] for each in rows if each["stale_s"] is not None]:
        caption += f"; {len(stale):,} of them as last known, {duration(max(stale))} ago: Redis does not tell now"
    return table(caption, heads, [_pool(each, thresholds) for each in rows], class_="pools")


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
    heads = (unit, *_numbers(*_DONE.values(), *(["Most at once"] if unit == "Hour" else [])))
    return table(f"By {unit.lower()}, where anything was done, the last first", heads, rows)


def events(status: Status) -> Html:
    """The last warnings and errors of all services."""
    told, now = status["events"], status["at"]
    if not told:
        return element("p", "None.")
    heads = ("Time", "Level", "What", "Service")
    rows = [row(moment(each["at"], now), each["level"], each["text"], each["node"]) for each in told]
    return table("The last warnings and errors", heads, rows)


def requests(status: Status) -> Html:
    """How requests were answered, and which logins were refused."""
    rows = [row(each["status"], each["count"], each["a_minute"]) for each in status["requests"]]
    heads = ("Status", *_numbers("Since the start", "A minute"))
    logins = [row(_LOGINS.get(kind, kind), number) for kind, number in status["refused_logins"].items()]
    refused = table("Refused logins", ("Credentials", *_numbers("Since the start")), logins) if logins else None
    return joined(table("Requests by status", heads, rows), refused)


def explained(found: Mapping[str, Any]) -> Html:
    """Where a call's data went."""
    return joined(*[_place(each) for each in found["places"]])


def _place(place: Mapping[str, Any]) -> Html:
    steps = [element("li", f"{each['step']}: {each['gives']}") for each in place["steps"]]
    heads = ("ANI", *_numbers("Digits"), "Digest", "Leased by", "Leased at", "Ends in")
    live = [
        row(
            each["ani"],
            each["digits"],
            each["digest"] or UNKNOWN,
            each["lessee"],
            element("time", each["leased_at"], datetime=each["leased_at"]),
            duration(each["expires_in"]),
        )
        for each in place["live"]
    ]
    return joined(
        element("h3", f"{place['pool']}, number {place['dnis']}, rule {place['rule']}"),
        element("p", place["says"]),
        element("ol", *steps) if steps else None,
        table("Live callers on the number", heads, live) if live else None,
    )


def leases(page: Mapping[str, Any], more: str, *, may_release: bool) -> Html:
    """Live leases; ``more`` is the query that leads to the next page, or empty."""
    heads = ["Number", "ANI", "Leased by", "For", "Ends in", "Asked for", *([column("End it")] if may_release else [])]
    rows = [_lease(each, may_release=may_release) for each in page["leases"]]
    listed = (
        table("Live leases, those first that end first", heads, rows) if rows else element("p", "None on this page.")
    )
    return joined(listed, element("p", element("a", "Next page", href=f"?{more}#leases")) if more else None)


def _lease(lease: Mapping[str, Any], *, may_release: bool) -> Html:
    release = element(
        "button",
        "Release",
        type="button",
        class_="release",
        hidden=True,
        data_pool=lease["pool"],
        data_dnis=lease["dnis"],
        data_token=lease["token"],
        aria_label=f"Release {lease['dnis']}, ANI {lease['ani']}",
    )
    return row(
        lease["dnis"],
        lease["ani"],
        lease["user"],
        duration(lease["age_s"]),
        duration(lease["expires_in"]),
        "yes" if lease["asked"] else "no",
        *([release] if may_release else []),
    )


def _numbers(*names: str) -> list[Html]:
    return [column(name, "n") for name in names]
