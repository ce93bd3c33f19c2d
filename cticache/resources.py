"""One class per URL, one ``on_*`` per verb: load a schema, call one method of the store, answer."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from falcon import Request, Response

from cticache.ani import canonical
from cticache.auth import require
from cticache.bodies import parse
from cticache.errors import Forbidden, NoSuchCall, NotReady, TooLarge, WrongFields
from cticache.metrics import CONTENT_TYPE, exposition
from cticache.pools import Pool, Pools
from cticache.schemas import LeaseSchema, RenewSchema, load
from cticache.store import Held, Store
from cticache.sync import Keeper
from cticache.users import Role, User

CALLS = "/cticache/DNIS-ANI"
_LEASE = LeaseSchema()
_RENEW = RenewSchema()


class Calls:
    """POST /cticache/DNIS-ANI: lease a number and keep the caller's data."""

    def __init__(self, store: Store, pools: Pools, max_body: int) -> None:
        self._store = store
        self._pools = pools
        self._max_body = max_body

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with the number to transfer to."""
        user = require(req, "lease")
        asked = load(_LEASE, parse(req.content_type, _body(req, self._max_body)))
        pool = self._pool(user, asked.get("pool"))
        ani, value = asked["ani"], asked["value"]
        lease = self._store.lease(pool, ani.canonical, value, user.name, _ttl_ms(pool, asked))
        resp.status = 201
        resp.text = f'{{"dnis":{_text(lease.dnis)},"ani":{_text(ani.sent)},"value":{value}}}'
        resp.location = f"{CALLS}/{quote(lease.dnis, safe='')}:{quote(ani.sent, safe='')}"
        resp.etag = lease.token

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

    def _places(self, req: Request, key: str, role: Role) -> list[tuple[Pool, str, str]]:
        """Pool, DNIS and canonical ANI of a key as it stands, escaped, in the URL; more than one while numbers move."""
        user = require(req, role)
        dnis, ani = _key(key)
        pools = self._pools.of(dnis)
        if not pools:
            raise NoSuchCall("The number before the colon is in no pool.")
        places = [(pool, dnis, ani) for pool in pools if user.may_use(pool.name)]
        if not places:
            raise Forbidden(f"The number before the colon is not in a pool of user {user.name}'s.")
        return places

    def _take(self, req: Request, resp: Response, key: str) -> None:
        _answer(resp, (self._store.take(*place) for place in self._places(req, key, "take")))


class Call(_OneCall):
    """GET, PUT, DELETE /cticache/DNIS-ANI/{dnis}:{ani}."""

    def on_get(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and leave it there."""
        _answer(resp, (self._store.read(*place) for place in self._places(req, key, "read")))

    def on_put(self, req: Request, resp: Response, key: str) -> None:
        """Start the call's time again, with a new value if one is sent."""
        places = self._places(req, key, "lease")
        body = _body(req, self._max_body)
        asked = load(_RENEW, parse(req.content_type, body) if body else {})
        value, ttls = asked.get("value"), [_ttl_ms(pool, asked) for pool, _, _ in places]
        _answer(resp, (self._store.renew(*place, ttl_ms, value) for place, ttl_ms in zip(places, ttls, strict=True)))

    def on_delete(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and delete it."""
        self._take(req, resp, key)


class Take(_OneCall):
    """POST /cticache/DNIS-ANI/{dnis}:{ani}/take, for clients that cannot send DELETE."""

    def on_post(self, req: Request, resp: Response, key: str) -> None:
        """Answer with the value, and delete it."""
        self._take(req, resp, key)


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

    def __init__(self, store: Store, pools: Pools, keeper: Keeper) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200 when a lease would be served; 503 while it would not."""
        self._store.pool_stats(list(self._pools)[:1])
        if not self._keeper.synced.is_set():
            raise NotReady("The pools are not in place yet.", retry_after=1)
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


def _answer(resp: Response, found: Iterator[Held | None]) -> None:
    """Answer with the first call that is found; a place is asked only when the one before has none."""
    held = next(filter(None, found), None)
    if not held:
        raise NoSuchCall("No live call under this number and ANI: it expired, was taken, or never was.")
    resp.text = f'{{"value":{held.value}}}'
    resp.etag = held.token


def _key(key: str) -> tuple[str, str]:
    """The DNIS and the canonical ANI of a key, split at its first colon."""
    dnis, colon, ani = _unquoted(key).partition(":")
    if not colon:
        raise WrongFields({"key": ["No colon: the URL ends in the DNIS, a colon and the ANI."]})
    try:
        return dnis, canonical(ani)
    except ValueError as error:
        raise WrongFields({"ani": [f"The ANI in the URL {error}."]}) from None


def _unquoted(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise WrongFields({"key": ["The escapes in the URL are not UTF-8."]}) from None


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
