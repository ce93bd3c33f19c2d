"""The parts of the page that are of the whole service, each made of what /cticache/status says."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cticache.operate.status import compared
from cticache.web.page.figures import numbers, row, table
from cticache.web.page.markup import Html, element, joined
from cticache.web.page.pools import opening
from cticache.web.page.words import UNKNOWN, count, duration, moment, size

Status = Mapping[str, Any]
_OLD_S = 5
"""From how many seconds on the age of what is shown is told."""
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
    return joined(element("h2", "State", id_="state-head"), head, listed, _nodes(status, now))


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


def _nodes(status: Status, now: str) -> Html | None:
    nodes, age_s = status["nodes"], status["nodes_age_s"]
    if not nodes:
        return None
    rows = [
        row(
            each["who"] + _apart(each, nodes),
            moment(each["started_at"], now),
            moment(each["in_force_at"], now),
            each["version"] or UNKNOWN,
            each["workers"],
            each["restarts"],
            joined(each["config_file"] or UNKNOWN, " ", moment(each["config_changed_at"], now)),
            compared(each),
        )
        for each in nodes
    ]
    since = ("Started", "Pools in force since")
    heads = ("Service", *since, "Version", *numbers("Workers", "Restarts"), "Configuration", "Compared")
    differ = sum(compared(each) != "same" for each in nodes)
    summary = f"{len(nodes)} on this Redis" + (f", {differ} NOT THE SAME" if differ else "")
    if age_s is not None and age_s >= _OLD_S:
        summary += f"; as last known, {duration(age_s)} ago"
    listed = table("Services on this Redis", heads, rows)
    return element("details", element("summary", f"Services: {summary}"), listed, id_="nodes")


def _apart(node: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """What tells a service from the others."""
    words = ["this one"] * node["here"] + ["rules"] * (node["ruler"] and len(nodes) > 1)
    return f" ({', '.join(words)})" if words else ""


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
    heads = ("Status", *numbers("Since the start", "A minute"))
    logins = [row(_LOGINS.get(kind, kind), number) for kind, number in status["refused_logins"].items()]
    refused = table("Refused logins", ("Credentials", *numbers("Since the start")), logins) if logins else None
    return joined(table("Requests by status", heads, rows), refused)
