"""What operators ask: how full the pools are, where a call's data went, and the figures for Prometheus."""

from collections.abc import Callable, Iterable
from typing import Any

from falcon import Request, Response

from cticache.access.users import User
from cticache.data.follower import InPlace
from cticache.data.outage import Outage
from cticache.data.store import Store
from cticache.errors import Forbidden, NoSuchPool, NotReady, WrongFields
from cticache.handover import places
from cticache.numbering.ani import Ani, read
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools, readings
from cticache.operate.desk import Fill, Scrape, Status
from cticache.operate.explain import explain
from cticache.operate.metrics import CONTENT_TYPE
from cticache.web.allowing import Allowing
from cticache.web.audit import Audit
from cticache.web.auth import require
from cticache.web.bodies import Bodies
from cticache.web.escapes import number
from cticache.web.query import one
from cticache.web.schemas import EXPLAIN

Ask = Callable[[Any], bytes | Outage | None]
"""Asks whoever has the overview what operate.desk or web.page.shown answers; None where that is not in time."""


class Explain(Allowing):
    """/cticache/explain: where a call's data went, step by step, values hidden.

    By POST, so that no ANI is in a URL; by GET, with ?dnis=...&ani=..., for who can send nothing else.
    """

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, audit: Audit, bodies: Bodies) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._audit = audit
        self._bodies = bodies

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with every place in which the call may be."""
        user = require(req, "watch")
        dnis, ani = one(req, "dnis"), one(req, "ani")
        if dnis is None or ani is None:
            raise WrongFields({name: ["Missing."] for name, text in (("dnis", dnis), ("ani", ani)) if text is None})
        try:
            caller = read(number(ani))
        except ValueError as error:
            raise WrongFields({"ani": [f"It {error}."]}) from None
        resp.media = self.explained(user, dnis, caller)

    def on_post(self, req: Request, resp: Response) -> None:
        """The same, of the body's dnis and ani."""
        user = require(req, "watch")
        resp.media = self.explained(user, **EXPLAIN.load(self._bodies.fields(req)))

    def explained(self, user: User, dnis: str, ani: Ani) -> dict[str, Any]:
        """Every place in which this user's call may be; WrongFields for an ANI that no pool there can read."""
        dnis = number(dnis)
        found = places(self._pools, dnis, user, self._keeper.condition)
        try:
            found_there = readings(found, ani.bare)
        except ValueError as error:
            raise WrongFields({"ani": [f"It {error}."]}) from None
        sent = ani.sent or ""
        explained = [explain(self._store, place, sent, self._audit.logged) for place, _ in found_there]
        return {"dnis": dnis, "ani": sent, "places": explained}


class PoolFigures(Allowing):
    """GET /cticache/pools and /cticache/pools/{name}: how full each pool is."""

    def __init__(self, store: Store, pools: Pools, ask: Ask) -> None:
        self._store = store
        self._pools = pools
        self._ask = ask

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the figures of the user's pools."""
        pools = _watched(require(req, "watch"), self._pools)
        resp.data = _told(self._ask(Fill(pools)))

    def on_get_one(self, req: Request, resp: Response, name: str) -> None:
        """Answer with the figures of one pool."""
        user = require(req, "watch")
        pool = _one_of(user, self._pools, name)
        (figures,) = self._store.pool_stats([pool])
        resp.media = {"pool": pool.name, **figures.figures()}

    on_options_one = Allowing.on_options


class Metrics(Allowing):
    """GET /metrics: the figures of the service, and of the user's pools, for Prometheus; whatever Redis does."""

    def __init__(self, pools: Pools, ask: Ask) -> None:
        self._pools = pools
        self._ask = ask

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer in the text format of Prometheus."""
        user = require(req, "watch")
        scrape = Scrape(_watched(user, self._pools), names_users=user.pools is None)
        resp.content_type = CONTENT_TYPE
        resp.data = _told(self._ask(scrape))

    on_head = on_get


class AtAGlance(Allowing):
    """GET /cticache/status: the state of the whole service, and with ?pool= one of its pools opened."""

    def __init__(self, pools: Pools, ask: Ask) -> None:
        self._pools = pools
        self._ask = ask

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with what the operator's page shows."""
        resp.data = self.told(self.asked(require(req, "watch"), one(req, "pool") or ""))

    def asked(self, user: User, opened: str) -> Status:
        """What this user asks for, with this pool opened unless empty; Forbidden or NoSuchPool if it is not theirs."""
        if opened:
            _one_of(user, self._pools, opened)
        return Status(_watched(user, self._pools), opened, names_users=user.pools is None)

    def told(self, question: Any) -> bytes:
        """The answer to this; RedisUnavailable or NotReady where there is none."""
        return _told(self._ask(question))


def _one_of(user: User, pools: Pools, name: str) -> Pool:
    """A pool that the user may watch; Forbidden or NoSuchPool otherwise."""
    if not user.may_use(name):
        raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
    if not (pool := pools.get(name)):
        raise NoSuchPool
    return pool


def _watched(user: User, pools: Iterable[Pool]) -> tuple[str, ...]:
    return tuple(pool.name for pool in pools if user.may_use(pool.name))


def _told(answer: bytes | Outage | None) -> bytes:
    """The answer; RedisUnavailable or NotReady where there is none."""
    if isinstance(answer, Outage):
        raise answer.refusal()
    if answer is None:
        raise NotReady("The figures could not be had in time; ask again.", retry_after=1)
    return answer
