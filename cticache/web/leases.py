"""Who holds what, for operators: the live leases of a pool, and the end of those that are no use any more."""

import re
from collections.abc import Mapping
from typing import Any

from falcon import Request, Response

from cticache.access.users import User
from cticache.data.replies import FIRST_PAGE, Cursor, Leased
from cticache.data.store import Store
from cticache.errors import Forbidden, NoSuchPool, RedisUnavailable, WrongFields
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate.leases import release, release_all, spelled, told
from cticache.web.allowing import Allowing
from cticache.web.audit import Audit, about, became, each_ended, shown
from cticache.web.auth import require
from cticache.web.bodies import Bodies
from cticache.web.escapes import number
from cticache.web.query import words
from cticache.web.schemas import RELEASE

MOST = 200
"""Leases on one page."""
_USUAL = 50
_WORDS = ("pool", "user", "dnis", "older", "after", "limit")
"""Those of the query of a list."""
_CURSOR = re.compile(r"([0-9]{1,15})-(a?)([0-9]{1,32})")
"""When the last lease of the page before ends, and its DNIS, with an ``a`` for its plus; it has no ANI in it."""


class Leases(Allowing):
    """GET /cticache/leases: who holds what, page by page, values hidden."""

    def __init__(self, store: Store, pools: Pools, audit: Audit) -> None:
        self._store = store
        self._pools = pools
        self._audit = audit

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with a page of the live leases of one of the user's pools, those first that end first."""
        resp.media = self.page(require(req, "watch"), words(req, _WORDS, strict=False))

    def page(self, user: User, said: Mapping[str, str]) -> dict[str, Any]:
        """A page of them for this user; ``said`` is what a query says of _WORDS."""
        pool = _pool(self._pools, user, said.get("pool"))
        dnis = said.get("dnis")
        page = self._store.pool_leases(
            pool,
            user=said.get("user", ""),
            dnis=spelled(self._pools, pool, number(dnis)) if dnis else "",
            older_s=_whole(said, "older", 0, 999_999_999, 0),
            after=_cursor(said.get("after")),
            limit=_whole(said, "limit", 1, MOST, _USUAL),
        )
        return {
            "leases": [told(pool, lease, page.now_ms, self._audit.logged) for lease in page.leases],
            "after": page.after and f"{page.after[0]}-{page.after[1].replace('+', 'a')}",
        }


class Release(Allowing):
    """POST /cticache/release: end a call, or all that a user holds, without handing the data over."""

    def __init__(self, store: Store, pools: Pools, bodies: Bodies) -> None:
        self._store = store
        self._pools = pools
        self._bodies = bodies

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer with how many leases were ended, and whether there may be more."""
        user = require(req, "admin")
        words(req, (), strict=True)
        asked = RELEASE.load(self._bodies.fields(req))
        _check(asked)
        pool = _pool(self._pools, user, asked.get("pool"))
        if "user" in asked:
            released, more = self._release_all(req, pool, asked["user"])
        else:
            released, more = self._release(req, pool, asked), False
        resp.media = {"released": released, "more": more}

    def _release(self, req: Request, pool: Pool, asked: dict[str, Any]) -> int:
        dnis = spelled(self._pools, pool, number(asked["dnis"]))
        ani: str | None = None
        if "ani" in asked:
            try:
                ani = pool.canonical(asked["ani"].bare)
            except ValueError as error:
                raise WrongFields({"ani": [f"It {error}."]}) from None
        is_ours = any(place.pool.name == pool.name for place in self._pools.of(dnis))
        about(req, "release", pool.name, shown(dnis, is_ours=is_ours), ani)
        token = release(self._store, pool, dnis, ani, asked.get("token", ""))
        became(req, "released", token=token)
        return 1

    def _release_all(self, req: Request, pool: Pool, lessee: str) -> tuple[int, bool]:
        """How many were ended, and whether there may be more: as where Redis fails after the first were ended."""
        about(req, "release", pool.name, "", None)
        ended: list[Leased] = []
        try:
            more = release_all(self._store, pool, lessee, ended)
        except RedisUnavailable:
            if not ended:
                raise
            more = True
        became(req, "released" if ended else "none")
        each_ended(req, [(lease.dnis, lease.ani, lease.token) for lease in ended])
        return len(ended), more


def _pool(pools: Pools, user: User, name: str | None) -> Pool:
    """The pool of this name, or the only one that the user may use."""
    if name is None:
        theirs = [pool for pool in pools if user.may_use(pool.name)]
        if len(theirs) == 1:
            return theirs[0]
        if not theirs:
            raise Forbidden(f"User {user.name} has no pool.")
        raise WrongFields({"pool": [f"Missing: user {user.name} may use {len(theirs)} pools."]})
    if not user.may_use(name):
        raise Forbidden(f"Pool {name} is not one of user {user.name}'s.")
    pool = pools.get(name)
    if not pool:
        raise NoSuchPool
    return pool


def _check(asked: dict[str, Any]) -> None:
    """WrongFields unless these name one call, or one user."""
    if missing := [name for name in ("dnis", "token", "user") if asked.get(name) == ""]:
        raise WrongFields({name: ["Missing."] for name in missing})
    if "user" in asked and not asked.keys().isdisjoint(("dnis", "ani", "token")):
        raise WrongFields({"user": ["Given twice what is to be released: send a user, or a call."]})
    if "user" not in asked and "dnis" not in asked:
        raise WrongFields({"dnis": ["Missing: send dnis and ani, dnis and token, or user."]})
    if "user" not in asked and asked.keys().isdisjoint(("ani", "token")):
        raise WrongFields({"ani": ["Missing: send it, or the token of the lease."]})


def _whole(said: Mapping[str, str], name: str, least: int, most: int, usual: int) -> int:
    text = said.get(name)
    if text is None:
        return usual
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise WrongFields({name: [f"Not a whole number from {least} to {most}."]})
    return int(text)


def _cursor(text: str | None) -> Cursor:
    if text is None:
        return FIRST_PAGE
    found = _CURSOR.fullmatch(text)
    if not found:
        raise WrongFields({"after": ["Not what a page before this was answered with."]})
    return int(found[1]), found[2].replace("a", "+") + found[3]
