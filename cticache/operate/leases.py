"""Who holds what: a pool's live leases as an operator sees them, values hidden, and how they are ended."""

from collections.abc import Callable
from typing import Any

from cticache.data.replies import FIRST_PAGE, Cursor, Leased, utc
from cticache.data.store import Store
from cticache.data.store.calls import ITS_OWN, MOST_RELEASED, gone
from cticache.errors import NoSuchCall
from cticache.numbering.ani import masked
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools

_MOST_AT_ONCE = 200
"""Leases of a user that one request ends, in steps that each take Redis some milliseconds."""


def told(pool: Pool, lease: Leased, now_ms: int, digest: Callable[[str], str]) -> dict[str, Any]:
    """A lease as an object for JSON, the ANI by its last digits.

    ``digest`` returns the audit's digest of an ANI, empty where no log has it.
    """
    return {
        "pool": pool.name,
        "dnis": lease.dnis,
        "ani": masked(lease.ani) if lease.ani else "withheld",
        "digits": len(lease.ani.removeprefix("+")),
        "digest": digest(lease.ani),
        "token": lease.token,
        "user": lease.user,
        "leased_at": utc(lease.leased_ms),
        "age_s": max(now_ms - lease.leased_ms, 0) // 1000,
        "expires_in": (lease.end_ms - now_ms) // 1000,
        "asked": lease.asked,
    }


def spelled(pools: Pools, pool: Pool, dnis: str) -> str:
    """A number as this pool writes it, in whichever spelling it is asked for; one of no pool as it is."""
    return next((place.dnis for place in pools.of(dnis) if place.pool.name == pool.name), dnis)


def token_of(store: Store, pool: Pool, dnis: str, ani: str) -> str:
    """The token of the live call with this very canonical ANI.

    Raises NoSuchCall, and Gone where it was taken or released.
    """
    found = store.explain(Place(pool, dnis, "exact"), ani)
    if found.grade == "gone":
        raise gone(int(found.found))
    for call in found.calls:
        if call.ani == ani:
            return call.token
    raise NoSuchCall


def release(store: Store, pool: Pool, dnis: str, ani: str | None, token: str = "") -> str:
    """End the call with this very canonical ANI, or without one the token's; the token of its lease.

    With both, only if the lease has this token. Raises NoSuchCall, and Gone where it was taken or released before.
    """
    (ended,) = store.release(pool, [(dnis, ITS_OWN if ani is None else ani, token)])
    if isinstance(ended, int):
        raise gone(ended)
    if not ended:
        raise NoSuchCall
    return ended


def release_all(store: Store, pool: Pool, user: str, ended: list[Leased], *, until_ms: int | None = None) -> bool:
    """End a user's leases in the pool, some hundreds at most; whether there may be more.

    Each that was ended is put into ``ended`` at once: where Redis fails half-way, it is known what is over by then, but
    for the step whose reply was lost. What is taken meanwhile, or leased anew, is left alone: ``until_ms``, by the
    server's clock in ms since 1970, is the latest time of a lease that is ended, None now. One of a time that has not
    come yet is of before the clock was set back, and is ended.
    """
    after: Cursor | None = FIRST_PAGE
    most = len(ended) + _MOST_AT_ONCE
    while after and len(ended) < most:
        page = store.pool_leases(pool, user=user, after=after, limit=MOST_RELEASED)
        until_ms = page.now_ms if until_ms is None else until_ms
        named = [lease for lease in page.leases if not until_ms < lease.leased_ms <= page.now_ms]
        tokens = store.release(pool, [(lease.dnis, lease.ani, lease.token) for lease in named])
        ended += [lease for lease, token in zip(named, tokens, strict=True) if token == lease.token]
        after = page.after
    return after is not None
