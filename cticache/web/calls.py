"""The calls: what leases a number, and what reads, renews and takes a call. One ``on_*`` per verb.

Each loads what was said, calls one method of the hand-over, and answers.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote

from falcon import Request, Response

from cticache.access.users import Role, User
from cticache.data.replies import utc
from cticache.errors import Forbidden, NoSuchMethod, Refusal, WrongFields
from cticache.handover import Found, HandOver
from cticache.numbering.ani import Ani
from cticache.numbering.pool import Pool
from cticache.web.allowing import Allowing
from cticache.web.answers import Hit, Members, encoded
from cticache.web.audit import NO_POOL, about, became, shown, told
from cticache.web.auth import require
from cticache.web.bodies import Bodies
from cticache.web.escapes import number
from cticache.web.key import UUI, WORDS, Named, in_path, named
from cticache.web.query import one, words
from cticache.web.replies import reply
from cticache.web.same_origin import SameOrigin, refuse_prefetch
from cticache.web.schemas import LEASE, RENEW, TAKE

CALLS = "/cticache/DNIS-ANI"
_KEY = "idempotency_key"
_TO_LEASE = ("ani", _KEY)
_TO_LEASE_BY_GET = (*_TO_LEASE, "value", "pool", "ttl")
_TO_READ = (*WORDS, UUI)
_TO_TAKE = (*_TO_READ, _KEY)
_NOT_BY_GET = (
    "A GET changes nothing here unless [server] get_writes allows it. A POST needs a body, such as {}: some clients "
    "send one without as a GET."
)
_Place = tuple[str | None, str | None]
"""The DNIS and the ANI that the path names."""


class _OneCall(Allowing):
    """What the URLs of one call share: whose it is, and the answer."""

    def __init__(self, calls: HandOver, bodies: Bodies) -> None:
        self._calls = calls
        self._bodies = bodies

    def _read(self, req: Request, resp: Response, place: _Place, *, peek: bool = False) -> None:
        user = require(req, "read")
        said = words(req, _TO_READ, strict=False) if req.env["QUERY_STRING"] else {}
        whose = named(self._calls, place, said, {})
        self._answer(req, resp, "read", whose, partial(self._calls.read, user, token=whose.token, peek=peek))

    def _renew(self, req: Request, resp: Response, place: _Place) -> None:
        user = require(req, "lease")
        asked = RENEW.load(self._bodies.fields(req, may_be_empty=True))
        whose = named(self._calls, place, words(req, WORDS, strict=True), _whose(asked))
        find = partial(
            self._calls.renew, user, value=asked.get("value"), ttl_s=asked.get("ttl"), if_match=_if_match(req)
        )
        self._answer(req, resp, "renew", whose, find)

    def _end(self, req: Request, resp: Response, place: _Place) -> None:
        user = require(req, "take")
        self._take(req, resp, place, self._bodies.fields(req, may_be_empty=True), user)

    def _take(self, req: Request, resp: Response, place: _Place, fields: dict[str, Any], user: User) -> None:
        said = words(req, _TO_TAKE, strict=True)
        asked = TAKE.load(fields)
        key = _key(req, asked, said.pop(_KEY, None))
        whose = named(self._calls, place, said, _whose(asked))
        find = partial(self._calls.take, user, token=whose.token, key=key, if_match=_if_match(req))
        self._answer(req, resp, "take", whose, find)

    def _answer(self, req: Request, resp: Response, op: str, whose: Named, find: Callable[..., Found]) -> None:
        """Answer with the call that ``find`` finds, given the DNIS and the ANI."""
        dnis, ani, sent = whose.dnis, whose.ani, whose.sent
        req.context.asked = dnis, sent
        try:
            place, held = find(dnis, ani, looking=partial(about, req, op))
        except Refusal:
            if not told(req):  # no place was asked
                about(req, op, NO_POOL, shown(dnis, is_ours=self._calls.knows(dnis)), shown(ani).removeprefix("+"))
            raise
        lasts = {"ttl": held.left_ms // 1000} if op == "renew" else {}
        became(req, "replayed" if held.replayed else held.grade, token=held.token, **lasts)
        members = [("value", held.value), *_detail(req, place.pool, held.grade, held.leased_ms, held.left_ms)]
        reply(req, resp, Hit(members, "value", dnis, sent))
        resp.etag = held.token
        _tell_replayed(resp, held.replayed)


class Call(_OneCall):
    """/cticache/DNIS-ANI/{dnis}:{ani} and /{dnis}/{ani}."""

    def on_get(self, req: Request, resp: Response, key: str, ani: str | None = None) -> None:
        """Answer with the value, and leave it there."""
        self._read(req, resp, in_path(key, ani))

    def on_head(self, req: Request, resp: Response, key: str, ani: str | None = None) -> None:
        """Answer as to a GET, and change nothing: the call is not picked up by it."""
        self._read(req, resp, in_path(key, ani), peek=True)

    def on_put(self, req: Request, resp: Response, key: str, ani: str | None = None) -> None:
        """Start the call's time again, with a new value if one is sent."""
        self._renew(req, resp, in_path(key, ani))

    def on_delete(self, req: Request, resp: Response, key: str, ani: str | None = None) -> None:
        """Answer with the value, and delete it."""
        self._end(req, resp, in_path(key, ani))


class Take(_OneCall):
    """POST .../{dnis}:{ani}/take, and with the DNIS or both elsewhere, for clients that cannot send DELETE."""

    def on_post(self, req: Request, resp: Response, key: str | None = None, ani: str | None = None) -> None:
        """Answer with the value, and delete it."""
        self._end(req, resp, _place(key, ani))


class TakeByGet(Take):
    """The same, for clients that cannot send POST either."""

    def __init__(self, calls: HandOver, bodies: Bodies, same_origin: SameOrigin) -> None:
        super().__init__(calls, bodies)
        self._same_origin = same_origin

    def on_get(self, req: Request, resp: Response, key: str | None = None, ani: str | None = None) -> None:
        """Answer with the value, and delete it."""
        user = _may_write_by_get(req, "take", self._same_origin)
        self._take(req, resp, _place(key, ani), {}, user)


class Calls(_OneCall):
    """/cticache/DNIS-ANI: leases a number and keeps the caller's data; one call, if the query says whose."""

    def __init__(self, calls: HandOver, bodies: Bodies, same_origin: SameOrigin | None = None) -> None:
        """``same_origin``: what guards a lease by GET; None where there is none."""
        super().__init__(calls, bodies)
        self._same_origin = same_origin

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the number to transfer to."""
        user = require(req, "lease")
        fields = self._bodies.fields(req)
        said: dict[str, str] = {}
        if req.env["QUERY_STRING"] or "dnis" in fields:
            if "dnis" in fields or one(req, "dnis") is not None:
                raise WrongFields({"dnis": ["Not on a lease, which answers with it. To take a call, POST to /take."]})
            said = words(req, _TO_LEASE, strict=True)
            fields = {name: number(said[name]) for name in ("ani",) if name in said} | fields
        asked = LEASE.load(fields)
        if "ani" in said and not self._is_one(user, asked, TAKE.load({"ani": number(said["ani"])})["ani"]):
            raise WrongFields({"ani": ["Given twice, and not the same."]})
        self._lease(req, resp, user, asked, said.get(_KEY))

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with a call's value, and leave it there; or lease a number, where that may be done by GET."""
        if one(req, "value") is None:
            self._read(req, resp, (None, None))
            return
        if not self._same_origin:
            self._refuse_get(resp)
        user = _may_write_by_get(req, "lease", self._same_origin)
        said: dict[str, Any] = words(req, _TO_LEASE_BY_GET, strict=True)
        key = said.pop(_KEY, None)
        said["value"] = encoded(said["value"])
        if "ani" in said:
            said["ani"] = number(said["ani"])
        self._lease(req, resp, user, LEASE.load(said), key)

    def on_head(self, req: Request, resp: Response) -> None:
        """Answer as to a GET of a call, and change nothing."""
        if one(req, "value") is not None:
            self._refuse_get(resp)
        self._read(req, resp, (None, None), peek=True)

    def on_put(self, req: Request, resp: Response) -> None:
        """Start the time of the call of the query or the body again, with a new value if one is sent."""
        self._renew(req, resp, (None, None))

    def on_delete(self, req: Request, resp: Response) -> None:
        """Answer with the value of the call of the query, and delete it."""
        self._end(req, resp, (None, None))

    def _lease(self, req: Request, resp: Response, user: User, asked: dict[str, Any], key: str | None) -> None:
        ani, value = asked["ani"], asked["value"]
        req.context.asked = "", ani.sent or ""
        pool, lease = self._calls.lease(
            user,
            ani,
            value,
            pool=asked.get("pool"),
            ttl_s=asked.get("ttl"),
            key=_key(req, asked, key),
            looking=partial(about, req, "lease"),
        )
        became(req, lease.outcome, dnis=lease.dnis, token=lease.token, ttl=lease.left_ms // 1000)
        resp.status = 201
        members = [("dnis", encoded(lease.dnis)), ("ani", encoded(ani.sent)), ("value", value)]
        detail = _detail(req, pool, None, lease.leased_ms, lease.left_ms)
        members += detail
        if pool.uui or detail:
            members.append((UUI, encoded(lease.uui)))
        reply(req, resp, Hit(members, "dnis", lease.dnis, ani.sent or ""))
        resp.location = f"{CALLS}/{quote(lease.dnis, safe='')}:{quote(ani.sent or '', safe='')}"
        resp.etag = lease.token
        _tell_replayed(resp, lease.outcome == "replayed")

    def _is_one(self, user: User, asked: dict[str, Any], other: Ani) -> bool:
        return self._calls.leases_alike(user, asked["ani"], other, pool=asked.get("pool"))

    def _refuse_get(self, resp: Response) -> NoReturn:
        resp.set_header("Allow", "DELETE, GET, HEAD, OPTIONS, POST, PUT")
        raise NoSuchMethod(_NOT_BY_GET)


def told_of_get(method: str, template: str | None) -> str:
    """What to say of a method that a URL does not have; empty for the usual sentence."""
    return _NOT_BY_GET if method == "GET" and template and template.endswith("/take") else ""


def _place(key: str | None, ani: str | None) -> _Place:
    return in_path(key, ani, alone=True) if key is not None else (None, None)


def _may_write_by_get(req: Request, role: Role, same_origin: SameOrigin) -> User:
    """The user of a GET that changes something; Forbidden for one who may use a browser, CrossOrigin for a page."""
    user = require(req, role)
    for role_of_browsers in ("watch", "admin"):
        if role_of_browsers in user.roles:
            raise Forbidden(f"User {user.name} has the role {role_of_browsers}, and may not change anything by GET.")
    refuse_prefetch(req)
    same_origin.check(req)
    return user


def _whose(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: asked[name] for name in WORDS if name in asked} if asked else asked


def _key(req: Request, asked: dict[str, Any], in_query: str | None) -> str:
    """The idempotency key of the header, the body or the URL; empty without one."""
    said = [asked[_KEY]] if _KEY in asked else []
    for text in (req.env.get("HTTP_IDEMPOTENCY_KEY"), req.env.get("HTTP_X_IDEMPOTENCY_KEY"), in_query):
        if text is not None:
            said.append(TAKE.load({_KEY: text})[_KEY])
    if len(set(said)) > 1:
        raise WrongFields({_KEY: ["Given twice, and not the same."]})
    return said[0] if said else ""


def _if_match(req: Request) -> str:
    """The strong entity tags of If-Match (RFC 9110 section 13.1.1), joined by spaces; empty for any lease."""
    header = req.env.get("HTTP_IF_MATCH")
    if header is None or header.strip() == "*":
        return ""
    return " ".join(tag for weak, tag in re.findall(r'(W/)?("[^"]*")', header) if not weak) or '""'


def _tell_replayed(resp: Response, replayed: bool) -> None:
    if replayed:
        resp.set_header("Idempotent-Replayed", "true")


def _detail(req: Request, pool: Pool, grade: str | None, leased_ms: int, left_ms: int) -> Members:
    """The additional members of the answer that ``?detail=1`` asks for; none without it."""
    if not req.env["QUERY_STRING"] or one(req, "detail") != "1":
        return []
    more = {"pool": pool.name, "match": grade, "leased_at": utc(leased_ms), "expires_in": left_ms // 1000}
    return [(name, json.dumps(value)) for name, value in more.items()]
