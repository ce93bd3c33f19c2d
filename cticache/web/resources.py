"""One class per URL, one ``on_*`` per verb: load a schema, call one method, answer."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from falcon import Request, Response

from cticache.access.users import User
from cticache.data.keeper import InPlace
from cticache.data.replies import NONE_FAILED, utc
from cticache.data.store import Store
from cticache.errors import (
    Forbidden,
    NoSuchCall,
    NotReady,
    RedisUnavailable,
    Refusal,
    Stopping,
    TooLarge,
    UnsupportedEncoding,
    WrongFields,
)
from cticache.handover import Found, HandOver, places
from cticache.journal.closed import Closed
from cticache.journal.refused import Refused
from cticache.numbering.ani import masked, read
from cticache.numbering.numbers import MAX_DIGITS
from cticache.numbering.pools import Pool, Pools, readings
from cticache.operate.explain import explain
from cticache.operate.metrics import CONTENT_TYPE, exposition
from cticache.web.audit import Audit, about, became, told
from cticache.web.auth import require
from cticache.web.bodies import parse, with_plus
from cticache.web.schemas import LEASE, RENEW, TAKE

CALLS = "/cticache/DNIS-ANI"
_KEY = "idempotency_key"
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SCHEME = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)
_LONGEST_EXTENSION = 5
"""Digits of a number that is nobody's outside."""
_NOT_IN_A_NUMBER = re.compile(r"[^0-9+]")


class Calls:
    """POST /cticache/DNIS-ANI: lease a number and keep the caller's data."""

    def __init__(self, calls: HandOver, max_body: int) -> None:
        self._calls = calls
        self._max_body = max_body

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the number to transfer to."""
        user = require(req, "lease")
        asked = LEASE.load(parse(req.content_type, _body(req, self._max_body)))
        ani, value = asked["ani"], asked["value"]
        pool, lease = self._calls.lease(
            user,
            ani,
            value,
            pool=asked.get("pool"),
            ttl_s=asked.get("ttl"),
            key=_key(req, asked),
            looking=partial(about, req, "lease"),
        )
        became(req, lease.outcome, dnis=lease.dnis, token=lease.token)
        resp.status = 201
        detail = _detail(req, pool, None, lease.leased_ms, lease.left_ms)
        resp.text = f'{{"dnis":{_text(lease.dnis)},"ani":{_text(ani.sent)},"value":{value}{detail}}}'
        resp.location = f"{CALLS}/{quote(lease.dnis, safe='')}:{quote(ani.sent or '', safe='')}"
        resp.etag = lease.token
        _tell_replayed(resp, lease.outcome == "replayed")


class _OneCall:
    """What the URLs of one call share: the key in the URL, and the answer."""

    def __init__(self, calls: HandOver, max_body: int) -> None:
        self._calls = calls
        self._max_body = max_body

    def _answer(self, req: Request, resp: Response, op: str, url_key: str, find: Callable[..., Found]) -> None:
        """Answer with the call that ``find`` finds, given the DNIS and the ANI of the key."""
        dnis, ani = _split(url_key)
        try:
            place, held = find(dnis, ani, looking=partial(about, req, op))
        except Refusal:
            if not told(req):  # no place was asked
                shown = _shown(dnis)
                if len(shown) > _LONGEST_EXTENSION and not self._calls.knows(dnis):
                    shown = masked(shown)  # it may be the ANI, where a client has the two the wrong way round
                about(req, op, "-", shown, _shown(ani).removeprefix("+"))
            raise
        became(req, "replayed" if held.replayed else held.grade, token=held.token)
        resp.text = f'{{"value":{held.value}{_detail(req, place.pool, held.grade, held.leased_ms, held.left_ms)}}}'
        resp.etag = held.token
        _tell_replayed(resp, held.replayed)

    def _take(self, req: Request, resp: Response, url_key: str, asked: dict[str, Any]) -> None:
        user = require(req, "take")
        find = partial(self._calls.take, user, key=_key(req, asked), if_match=_if_match(req))
        self._answer(req, resp, "take", url_key, find)


class Call(_OneCall):
    """GET, PUT, DELETE /cticache/DNIS-ANI/{dnis}:{ani}."""

    def on_get(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and leave it there."""
        self._answer(req, resp, "read", key, partial(self._calls.read, require(req, "read")))

    def on_put(self, req: Request, resp: Response, key: str) -> None:
        """Start the call's time again, with a new value if one is sent."""
        user = require(req, "lease")
        body = _body(req, self._max_body)
        asked = RENEW.load(parse(req.content_type, body) if body else {})
        find = partial(
            self._calls.renew, user, value=asked.get("value"), ttl_s=asked.get("ttl"), if_match=_if_match(req)
        )
        self._answer(req, resp, "renew", key, find)

    def on_delete(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and delete it."""
        self._take(req, resp, key, {})


class Take(_OneCall):
    """POST /cticache/DNIS-ANI/{dnis}:{ani}/take, for clients that cannot send DELETE."""

    def on_post(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and delete it."""
        require(req, "take")
        body = _body(req, self._max_body)
        self._take(req, resp, key, TAKE.load(parse(req.content_type, body)) if body.strip() else {})


class Explain:
    """GET /cticache/explain?dnis=...&ani=...: where a call's data went, step by step, values hidden."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, audit: Audit) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._audit = audit

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with every place in which the call may be."""
        user = require(req, "watch")
        dnis, ani = req.get_param("dnis"), req.get_param("ani")
        if dnis is None or ani is None:
            raise WrongFields({name: ["Missing."] for name, text in (("dnis", dnis), ("ani", ani)) if text is None})
        dnis, ani = with_plus(dnis), with_plus(ani)
        found = places(self._pools, dnis, user, self._keeper.condition)
        try:
            found_there = readings(found, read(ani).bare)
        except ValueError as error:
            raise WrongFields({"ani": [f"It {error}."]}) from None
        explained = [explain(self._store, place, ani, self._audit.logged) for place, _ in found_there]
        resp.media = {"dnis": dnis, "ani": ani, "places": explained}


class PoolFigures:
    """GET /cticache/pools and /cticache/pools/{name}: how full each pool is."""

    def __init__(self, store: Store, pools: Pools) -> None:
        self._store = store
        self._pools = pools

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the figures of the user's pools."""
        pools = _watched(require(req, "watch"), self._pools)
        resp.media = {"pools": self._figures(pools)}

    def on_get_one(self, req: Request, resp: Response, name: str) -> None:
        """Answer with the figures of one pool."""
        user = require(req, "watch")
        if not user.may_use(name):
            raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
        pool = self._pools.get(name)
        if not pool:
            raise NoSuchCall("There is no pool of this name.")
        resp.media = self._figures([pool])[0]

    def _figures(self, pools: list[Pool]) -> list[dict[str, Any]]:
        stats = self._store.pool_stats(pools)
        return [{"pool": pool.name, **figures.figures()} for pool, figures in zip(pools, stats, strict=True)]


class Metrics:
    """GET /metrics: the figures of the user's pools for Prometheus."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, refused: Refused, closed: Closed) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._refused = refused
        self._closed = closed

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer in the text format of Prometheus."""
        user = require(req, "watch")
        pools = _watched(user, self._pools)
        stats, failed = self._store.figures(pools)
        if user.pools is not None:  # it names all users
            failed = NONE_FAILED
        resp.content_type = CONTENT_TYPE
        by_name = dict(zip((pool.name for pool in pools), stats, strict=True))
        resp.data = exposition(by_name, self._keeper.condition, failed, self._refused.totals(), self._closed.totals())

    on_head = on_get


class Health:
    """GET /healthz: the process is up."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer at once, whatever Redis does."""
        resp.media = {"status": "ok"}

    on_head = on_get


class Ready:
    """GET /readyz: the pools are in place, Redis answers, and the service is not about to end."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, is_ending: Callable[[], bool]) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._is_ending = is_ending

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200 when a lease would be served; 503 while it would not, and at the end.

        Either says what an operator must see.
        """
        if self._is_ending():
            raise Stopping(retry_after=1)
        try:
            self._store.pool_stats(list(self._pools)[:1])
        except RedisUnavailable as error:
            raise error.told() from error.__cause__
        condition = self._keeper.condition
        if not condition.in_place:
            raise NotReady(condition.why_not(), retry_after=1)
        notes = dict(condition.notes)
        if condition.outage and condition.outage.trouble.is_away:
            notes.pop("redis", None)  # it was, at the last look, and has just answered
        resp.media = {"status": "ready"} | ({"notes": notes} if notes else {})

    on_head = on_get


def _watched(user: User, pools: Iterable[Pool]) -> list[Pool]:
    return [pool for pool in pools if user.may_use(pool.name)]


def _body(req: Request, most: int) -> bytes:
    """The body as it is; TooLarge beyond ``most`` bytes, whichever server runs the application."""
    if req.env.get("HTTP_CONTENT_ENCODING", "").lower() not in ("", "identity"):
        raise UnsupportedEncoding
    body: bytes = req.bounded_stream.read(most + 1)
    if len(body) > most:
        raise TooLarge.beyond(most)
    return body


def _key(req: Request, asked: dict[str, Any]) -> str:
    """The idempotency key of the header, the body or, on a take, the URL; empty without one."""
    said = [asked[_KEY]] if _KEY in asked else []
    headers = [req.env.get("HTTP_IDEMPOTENCY_KEY"), req.env.get("HTTP_X_IDEMPOTENCY_KEY")]
    in_url = req.get_param_as_list(_KEY) or []
    for text in headers + in_url:
        if text is not None:
            said.append(TAKE.load({_KEY: text})[_KEY])
    if len(set(said)) > 1:
        raise WrongFields({_KEY: ["Given twice, and not the same."]})
    return said[0] if said else ""


def _if_match(req: Request) -> str:
    """The strong entity tags of If-Match (RFC 9110 section 13.1.1), joined by spaces; empty for any lease."""
    header = req.get_header("If-Match")
    if header is None or header.strip() == "*":
        return ""
    return " ".join(tag for weak, tag in re.findall(r'(W/)?("[^"]*")', header) if not weak) or '""'


def _tell_replayed(resp: Response, replayed: bool) -> None:
    if replayed:
        resp.set_header("Idempotent-Replayed", "true")


def _detail(req: Request, pool: Pool, grade: str | None, leased_ms: int, left_ms: int) -> str:
    """The additional members of the answer that ``?detail=1`` asks for; empty without it."""
    if req.get_param("detail") != "1":
        return ""
    more = {"pool": pool.name, "match": grade, "leased_at": utc(leased_ms), "expires_in": left_ms // 1000}
    return "," + json.dumps(more, separators=(",", ":"))[1:-1]


def _shown(number: str) -> str:
    """What a client sent for a number, fit for a line of the log."""
    return _NOT_IN_A_NUMBER.sub("?", number)[:MAX_DIGITS]


def _split(key: str) -> tuple[str, str]:
    """The DNIS and the bare ANI of a key, split at its first colon.

    The colon of a scheme does not count, because a DNIS may be an address.
    """
    dnis, colon, ani = _SCHEME.sub("", _unquoted(key)).partition(":")
    if not colon:
        raise WrongFields({"key": ["No colon: the URL ends in the DNIS, a colon and the ANI."]})
    try:
        return dnis, read(ani).bare
    except ValueError as error:
        raise WrongFields({"ani": [f"It {error}."]}) from None


def _unquoted(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise WrongFields({"key": ["The escapes in the URL are not UTF-8."]}) from None


def _text(text: str | None) -> str:
    return _ENCODER.encode(text)
