"""What operators ask: how full the pools are, where a call's data went, and the figures for Prometheus."""

from collections.abc import Iterable
from typing import Any

from falcon import Request, Response

from cticache.access.users import User
from cticache.data.keeper import InPlace
from cticache.data.replies import NONE_FAILED
from cticache.data.store import Store
from cticache.errors import Forbidden, NoSuchPool, WrongFields
from cticache.handover import places
from cticache.journal.closed import Closed
from cticache.journal.refused import Refused
from cticache.numbering.ani import read
from cticache.numbering.pools import Pool, Pools, readings
from cticache.operate.explain import explain
from cticache.operate.metrics import CONTENT_TYPE, exposition
from cticache.web.allowing import Allowing
from cticache.web.audit import Audit
from cticache.web.auth import require
from cticache.web.escapes import number
from cticache.web.query import one


class Explain(Allowing):
    """GET /cticache/explain?dnis=...&ani=...: where a call's data went, step by step, values hidden."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, audit: Audit) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._audit = audit

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with every place in which the call may be."""
        user = require(req, "watch")
        dnis, ani = one(req, "dnis"), one(req, "ani")
        if dnis is None or ani is None:
            raise WrongFields({name: ["Missing."] for name, text in (("dnis", dnis), ("ani", ani)) if text is None})
        dnis, ani = number(dnis), number(ani)
        found = places(self._pools, dnis, user, self._keeper.condition)
        try:
            found_there = readings(found, read(ani).bare)
        except ValueError as error:
            raise WrongFields({"ani": [f"It {error}."]}) from None
        explained = [explain(self._store, place, ani, self._audit.logged) for place, _ in found_there]
        resp.media = {"dnis": dnis, "ani": ani, "places": explained}


class PoolFigures(Allowing):
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
            raise NoSuchPool
        resp.media = self._figures([pool])[0]

    on_options_one = Allowing.on_options

    def _figures(self, pools: list[Pool]) -> list[dict[str, Any]]:
        stats = self._store.pool_stats(pools)
        return [{"pool": pool.name, **figures.figures()} for pool, figures in zip(pools, stats, strict=True)]


class Metrics(Allowing):
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


def _watched(user: User, pools: Iterable[Pool]) -> list[Pool]:
    return [pool for pool in pools if user.may_use(pool.name)]
