"""The parts of the page that show the state of the service, made where the state is known: not on the loop."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cticache.data.outage import Outage
from cticache.operate.desk import Desk, Question, Status
from cticache.web.page import pools, sections
from cticache.web.page.markup import Html, element, joined

SHOWS = {"all": "all", "attention": "only those that need attention"}
SORTS = {"used": "use", "name": "name"}


class View(NamedTuple):
    """Asks for these parts."""

    status: Status
    """Of which state."""
    part: str
    """What the names of the pools in the table have in them."""
    show: str
    """Which pools are in it, one of SHOWS."""
    sort: str
    """Their order, one of SORTS."""


def answer(desk: Desk, question: Question | View) -> bytes | Outage | None:
    """What the desk answers; or the parts as a JSON object, each under the name of its place in the page."""
    if not isinstance(question, View):
        return desk.answer(question)
    status = desk.answer(question.status)
    return json.dumps(_parts(json.loads(status), question)).encode() if isinstance(status, bytes) else status


def _parts(status: Mapping[str, Any], view: View) -> dict[str, str]:
    service, opened = status["service"], view.status.opened
    parts = {
        "title": sections.title(status),
        "gist": sections.gist(status),
        "name": f"cticache {service['version']} at {service['host']}",
        "state": sections.state(status),
        "attention": sections.attention(status),
        "opened_field": element("input", type="hidden", name="pool", value=opened) if opened else "",
        "filter": view.part,
        "shows": _options(SHOWS, view.show),
        "sorts": _options(SORTS, view.sort),
        "pools": pools.pools(_chosen_pools(status, view), status["thresholds"], len(status["pools"]), status["unread"]),
        "opened": pools.opened(status["opened"], status["at"], opened),
        "names": _options({each["pool"]: each["pool"] for each in status["pools"]}, opened),
        "events": sections.events(status),
        "requests": sections.requests(status),
    }
    return {name: joined(part) for name, part in parts.items()}


def _options(choices: Mapping[str, str], chosen: str) -> Html:
    return joined(*[element("option", text, value=name, selected=name == chosen) for name, text in choices.items()])


def _chosen_pools(status: Mapping[str, Any], view: View) -> Sequence[Mapping[str, Any]]:
    rows = [each for each in status["pools"] if view.part.lower() in each["pool"].lower()]
    if view.show == "attention":
        named = {each["pool"] for each in status["attention"]}
        rows = [each for each in rows if each["word"] != "ok" or each["pool"] in named]
    return sorted(rows, key=lambda each: (-_use(each) if view.sort == "used" else 0, each["pool"]))


def _use(pool: Mapping[str, Any]) -> int:
    """How full it is, in percent; a pool that has no numbers in Redis comes last."""
    percent: int | None = pool["used_percent"]
    return -1 if percent is None else percent
