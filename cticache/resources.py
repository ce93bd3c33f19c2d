"""One class per URL, one ``on_*`` per verb: load a schema, call one method of the store, answer."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from falcon import Request, Response

from cticache.ani import written
from cticache.audit import Audit, about, became
from cticache.auth import require
from cticache.bodies import parse
from cticache.errors import Ambiguous, Forbidden, Gone, NoSuchCall, NotReady, Refusal, TooLarge, WrongFields
from cticache.explain import explain, utc
from cticache.metrics import CONTENT_TYPE, exposition
from cticache.numbers import MAX_DIGITS
from cticache.pools import Place, Pool, Pools, unambiguous
from cticache.schemas import LEASE, RENEW, TAKE
from cticache.store import Held, Store
from cticache.sync import InPlace
from cticache.users import Role, User

CALLS = "/cticache/DNIS-ANI"
_KEY = "idempotency_key"
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SCHEME = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)
_NOT_IN_A_NUMBER = re.compile(r"[^0-9+]")


Ask = Callable[[Place, str], Held | None]
"""One call of the store: what it has in this place under this canonical ANI."""


class Calls:
    """POST /cticache/DNIS-ANI: lease a number and keep the caller's data."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, max_body: int) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._max_body = max_body

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the number to transfer to."""
        user = require(req, "lease")
        asked = LEASE.load(parse(req.content_type, _body(req, self._max_body)))
        pool = self._pools.lendable(self._pool(user, asked.get("pool")))
        sent, value = asked["ani"].sent, asked["value"]
        ani, ttl_ms, key = pool.canonical(asked["ani"].written), _ttl_ms(pool, asked), _key(req, asked)
        about(req, "lease", pool.name, "", ani)
        try:
            lease = self._store.lease(pool, ani, value, user.name, ttl_ms, sent=sent, key=key, max_live=user.max_live)
        except NotReady:
            self._keeper.wake()
            raise
        became(req, lease.outcome, dnis=lease.dnis, token=lease.token)
        resp.status = 201
        detail = _detail(req, pool, None, lease.leased_ms, lease.left_ms)
        resp.text = f'{{"dnis":{_text(lease.dnis)},"ani":{_text(sent)},"value":{value}{detail}}}'
        resp.location = f"{CALLS}/{quote(lease.dnis, safe='')}:{quote(sent, safe='')}"
        resp.etag = lease.token
        _tell_replayed(resp, lease.outcome == "replayed")

    def _pool(self, user: User, name: str | None) -> Pool:
        if name is None:
            for pool in self._pools:
                if user.may_use(pool.name):
                    return pool
            raise Forbidden(f"User {user.name} has no pool to lease from.")
        if not user.may_use(name):
            raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
        found = self._pools.get(name)
        if not found:
            raise WrongFields({"pool": ["No such pool."]})
        return found


class _OneCall:
    """What the URLs of one call share: the key in the URL, and the pool it leads to."""

    def __init__(self, store: Store, pools: Pools, max_body: int) -> None:
        self._store = store
        self._pools = pools
        self._max_body = max_body

    def _answer(self, req: Request, resp: Response, url_key: str, role: Role, ask: Ask) -> None:
        """Answer with the first call that is found; a place is asked only when the one before has none."""
        user = require(req, role)
        dnis, sent = _split(url_key)
        op = role if req.method != "PUT" else "renew"
        try:
            places = self._of_one_number(_places(user, self._pools, dnis), sent)
        except Refusal:
            about(req, op, "-", _NOT_IN_A_NUMBER.sub("?", dnis)[:MAX_DIGITS], sent.removeprefix("+"))
            raise
        gone: tuple[Gone, Place] | None = None
        for place in places:
            ani = place.pool.canonical(sent)
            about(req, op, place.pool.name, place.dnis, ani)
            try:
                held = ask(place, ani)
            except Gone as error:
                gone = gone or (error, place)
                continue
            if held:
                became(req, "replayed" if held.replayed else held.grade, token=held.token)
                detail = _detail(req, place.pool, held.grade, held.leased_ms, held.left_ms)
                resp.text = f'{{"value":{held.value}{detail}}}'
                resp.etag = held.token
                _tell_replayed(resp, held.replayed)
                return
        if gone:
            refusal, place = gone
            about(req, op, place.pool.name, place.dnis, place.pool.canonical(sent))
            raise refusal
        nothing = NoSuchCall("No live call under this number and ANI: it expired, was taken, or never was.")
        raise _for_sure(nothing, self._pools)

    def _of_one_number(self, places: list[Place], sent: str) -> list[Place]:
        """The same places; where the last digits mean two numbers, those of the one that has, or had, such a call.

        Each is looked at first, at the price of a round trip: Ambiguous where two have.
        """
        if len(places) == 1 or len({place.dnis for place in places}) == 1:
            return places
        having = [
            place
            for place in places
            if self._store.explain(place, place.pool.canonical(sent)).grade in ("exact", "gone")
        ]
        if len({place.dnis for place in having}) > 1:
            raise Ambiguous("The last digits mean more than one number, and a call with this ANI is on two of them.")
        return having or places

    def _take(self, req: Request, resp: Response, url_key: str, asked: dict[str, Any]) -> None:
        def take(place: Place, ani: str) -> Held | None:
            return self._store.take(place, ani, user.name, key=key, if_match=if_match)

        user = require(req, "take")
        key, if_match = _key(req, asked), _if_match(req)
        self._answer(req, resp, url_key, "take", take)


class Call(_OneCall):
    """GET, PUT, DELETE /cticache/DNIS-ANI/{dnis}:{ani}."""

    def on_get(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and leave it there."""
        reader = require(req, "read").name
        self._answer(req, resp, key, "read", lambda place, ani: self._store.read(place, ani, reader))

    def on_put(self, req: Request, resp: Response, key: str) -> None:
        """Start the call's time again, with a new value if one is sent."""

        def renew(place: Place, ani: str) -> Held | None:
            return self._store.renew(place, ani, _ttl_ms(place.pool, asked), asked.get("value"), if_match=if_match)

        require(req, "lease")
        body = _body(req, self._max_body)
        asked = RENEW.load(parse(req.content_type, body) if body else {})
        if_match = _if_match(req)
        self._answer(req, resp, key, "lease", renew)

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

    def __init__(self, store: Store, pools: Pools, audit: Audit) -> None:
        self._store = store
        self._pools = pools
        self._audit = audit

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with every place in which the call may be."""
        user = require(req, "watch")
        dnis, ani = req.get_param("dnis"), req.get_param("ani")
        if dnis is None or ani is None:
            raise WrongFields({name: ["Missing."] for name, text in (("dnis", dnis), ("ani", ani)) if text is None})
        try:
            found = _places(user, self._pools, dnis)
            places = [explain(self._store, place, ani, self._audit.digest) for place in found]
        except ValueError as error:
            raise WrongFields({"ani": [f"It {error}."]}) from None
        resp.media = {"dnis": dnis, "ani": ani, "places": places}


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
        name = _unquoted(name)
        if not user.may_use(name):
            raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
        pool = self._pools.get(name)
        if not pool:
            raise NoSuchCall("There is no pool of this name.")
        resp.media = self._figures([pool])[0]

    def _figures(self, pools: list[Pool]) -> list[dict[str, Any]]:
        stats = self._store.pool_stats(pools)
        return [{"pool": pool.name, **asdict(figures)} for pool, figures in zip(pools, stats, strict=True)]


class Metrics:
    """GET /metrics: the figures of the user's pools for Prometheus."""

    def __init__(self, store: Store, pools: Pools) -> None:
        self._store = store
        self._pools = pools

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer in the text format of Prometheus."""
        pools = _watched(require(req, "watch"), self._pools)
        stats = self._store.pool_stats(pools)
        resp.content_type = CONTENT_TYPE
        resp.data = exposition(dict(zip((pool.name for pool in pools), stats, strict=True)))

    on_head = on_get


class Health:
    """GET /healthz: the process is up."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer at once, whatever Redis does."""
        resp.media = {"status": "ok"}

    on_head = on_get


class Ready:
    """GET /readyz: the pools are in place and Redis answers."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200 when a lease would be served; 503 while it would not."""
        self._store.pool_stats(list(self._pools)[:1])
        if not self._keeper.synced.is_set():
            raise NotReady("The pools are not in place yet, or another service's are.", retry_after=1)
        resp.media = {"status": "ready"}

    on_head = on_get


def _watched(user: User, pools: Iterable[Pool]) -> list[Pool]:
    return [pool for pool in pools if user.may_use(pool.name)]


def _body(req: Request, most: int) -> bytes:
    """The body, refused with TooLarge beyond ``most`` bytes whatever server stands below."""
    body: bytes = req.bounded_stream.read(most + 1)
    if len(body) > most:
        raise TooLarge(f"The body is longer than {most} bytes.")
    return body


def _ttl_ms(pool: Pool, asked: dict[str, Any]) -> int:
    ttl_ms: int = asked["ttl"] * 1000 if "ttl" in asked else pool.ttl_ms
    if ttl_ms > pool.max_ttl_ms:
        raise WrongFields({"ttl": [f"At most {pool.max_ttl_ms // 1000} seconds in this pool."]})
    return ttl_ms


def _places(user: User, pools: Pools, dnis: str) -> list[Place]:
    """Where this user may look for a call on this number."""
    places = pools.of(dnis)
    if not places:
        raise _for_sure(NoSuchCall("The number before the colon is in no pool."), pools)
    own = [place for place in places if user.may_use(place.pool.name)]
    if not own:
        raise _for_sure(Forbidden(f"The number before the colon is not in a pool of user {user.name}'s."), pools)
    return unambiguous(own)


def _for_sure(refusal: Refusal, pools: Pools) -> Refusal:
    """The refusal, once it is known which numbers left their pools; until then the call may be on one of them."""
    if pools.leaving is not None:
        return refusal
    return NotReady("It is not known yet which numbers left their pools with calls on them.", retry_after=1)


def _key(req: Request, asked: dict[str, Any]) -> str:
    """The idempotency key that the header, the body or, on a take, the URL says; empty without one."""
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
    """The strong entity tags of If-Match (RFC 9110 section 13.1.1), one after the other; empty for any lease."""
    header = req.get_header("If-Match")
    if header is None or header.strip() == "*":
        return ""
    return " ".join(tag for weak, tag in re.findall(r'(W/)?("[^"]*")', header) if not weak) or '""'


def _tell_replayed(resp: Response, replayed: bool) -> None:
    if replayed:
        resp.set_header("Idempotent-Replayed", "true")


def _detail(req: Request, pool: Pool, grade: str | None, leased_ms: int, left_ms: int) -> str:
    """More members of the answer's object, where ``?detail=1`` asks for them."""
    if req.get_param("detail") != "1":
        return ""
    more = {"pool": pool.name, "match": grade, "leased_at": utc(leased_ms), "expires_in": left_ms // 1000}
    return "," + json.dumps(more, separators=(",", ":"))[1:-1]


def _split(key: str) -> tuple[str, str]:
    """The DNIS of a key, and its ANI bare of all that is not its digits; split at the first colon.

    The colon of a scheme does not count: a DNIS may be an address.
    """
    dnis, colon, ani = _SCHEME.sub("", _unquoted(key)).partition(":")
    if not colon:
        raise WrongFields({"key": ["No colon: the URL ends in the DNIS, a colon and the ANI."]})
    try:
        return dnis, written(ani)
    except ValueError as error:
        raise WrongFields({"ani": [f"The ANI in the URL {error}."]}) from None


def _unquoted(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise WrongFields({"key": ["The escapes in the URL are not UTF-8."]}) from None


def _text(text: str) -> str:
    return _ENCODER.encode(text)
