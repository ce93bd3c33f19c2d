"""The URLs of the operator's page."""

import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import NamedTuple
from urllib.parse import urlencode

from falcon import Request, Response

from cticache.access.users import User
from cticache.errors import Refusal, WrongFields
from cticache.web.allowing import Allowing
from cticache.web.auth import require
from cticache.web.bodies import Bodies
from cticache.web.figures import AtAGlance, Explain
from cticache.web.leases import Leases
from cticache.web.page import calls
from cticache.web.page.markup import Html, element, joined
from cticache.web.page.shown import SHOWS, SORTS, View
from cticache.web.query import one
from cticache.web.schemas import EXPLAIN

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends a form with the origin null, which is refused
}
_LEASES_OF = ("pool", "user", "dnis")
"""The words of a query that say which leases are meant."""


class Refresh(NamedTuple):
    """How the script keeps the page up to date. Seconds."""

    every_s: float = 5.0
    """After which it asks for the page again."""
    patience_s: float = 5.0
    """That it waits for the answer, and as long again as ``every_s``."""


REFRESH = Refresh()


class Part(Allowing):
    """What the page is made with: its script, or its style."""

    def __init__(self, name: str, media_type: str) -> None:
        self._data = _file(name).encode()
        self._media_type = media_type

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the file."""
        require(req, "watch")
        resp.set_headers(_HEADERS)
        resp.content_type, resp.data = self._media_type, self._data

    on_head = on_get


class Page(Allowing):
    """The page: complete as it comes, so that it can be read without its script, which asks for it again."""

    def __init__(self, glance: AtAGlance, explain: Explain, leases: Leases, bodies: Bodies, refresh: Refresh) -> None:
        self._glance = glance
        self._explain = explain
        self._leases = leases
        self._bodies = bodies
        self._refresh = refresh
        self._frame = Template(_file("page.html"))

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the page, the pool of the query opened."""
        self._show(req, resp, require(req, "watch"))

    on_head = on_get

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the page and where the call of the body went; or why nobody can tell, in the page, too."""
        user = require(req, "watch")
        asked = EXPLAIN.load(self._bodies.fields(req))
        try:
            found = calls.explained(self._explain.explained(user, asked["dnis"], asked["ani"]))
        except Refusal as refusal:
            found = element("p", _why(refusal))
        self._show(req, resp, user, found)

    def _show(self, req: Request, resp: Response, user: User, found: Html | None = None) -> None:
        show, sort = (_chosen(req, word, choices) for word, choices in (("show", SHOWS), ("sort", SORTS)))
        asked = self._glance.asked(user, one(req, "pool") or "")
        shown: dict[str, str] = json.loads(self._glance.told(View(asked, one(req, "filter") or "", show, sort)))
        own = {
            "every": f"{self._refresh.every_s:g}",
            "patience": f"{self._refresh.patience_s:g}",
            "found": found or "",
            "user": one(req, "user") or "",
            "dnis": one(req, "dnis") or "",
            "leases": self._held(req, user) if one(req, "leases") else "",
        }
        resp.set_headers(_HEADERS)
        resp.content_type = "text/html; charset=utf-8"
        resp.text = self._frame.substitute(shown | {word: joined(each) for word, each in own.items()})

    def _held(self, req: Request, user: User) -> Html:
        said = {word: text for word in _LEASES_OF if (text := one(req, word))}
        try:
            page = self._leases.page(user, said | {word: text for word in ("after",) if (text := one(req, word))})
        except Refusal as refusal:
            return element("p", _why(refusal))
        more = urlencode(said | {"leases": "1", "after": page["after"]}) if page["after"] else ""
        return calls.leases(page, more, may_release="admin" in user.roles)


def _file(name: str) -> str:
    return files("cticache.web.page").joinpath(name).read_text("utf-8")


def _why(refusal: Refusal) -> str:
    """What is wrong, in a sentence."""
    fields = refusal.fields if isinstance(refusal, WrongFields) else {}
    return " ".join([f"{name}: {' '.join(faults)}" for name, faults in fields.items()]) or str(refusal)


def _chosen(req: Request, word: str, choices: Mapping[str, str]) -> str:
    """What the query says under this word; the first choice unless it is one of them."""
    said = one(req, word) or ""
    return said if said in choices else next(iter(choices))
