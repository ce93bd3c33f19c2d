"""Tells where a call's data went, or why it is not found: every step from what was sent to what is kept."""

from collections.abc import Callable
from typing import Any

from cticache.data.replies import Explanation, LiveCall, utc
from cticache.data.store import Store
from cticache.numbering.ani import masked
from cticache.numbering.pools import Place

_OUTCOMES = {
    "exact": "It is found: a call under this very ANI is live.",
    "suffix": "It is found by its last {digits} digits: one live caller on this number has them.",
    "sole": "It is found because only one call is live on this number.",
    "ambiguous": "It is refused with 409: more than one live caller on this number fits.",
    "gone": "It is refused with 410: it was taken, at {when}.",
    "": "It is not found (404): no call live on this number fits the rule {rule}.",
}


def explain(store: Store, place: Place, ani: str, digest: Callable[[str], str]) -> dict[str, Any]:
    """One place where a call may be, as an object for JSON; values stay hidden and other ANI masked.

    ``digest`` returns the audit's digest of an ANI, empty where it is not known. ``ani`` must be one that the pool can
    read.
    """
    pool = place.pool
    taken = pool.steps(ani)
    canonical = taken[-1][1] if taken else ani
    found = store.explain(place, canonical)
    return {
        "pool": pool.name,
        "dnis": place.dnis,
        "rule": place.rule,
        "steps": [{"step": step, "gives": gives} for step, gives in taken],
        "canonical": canonical,
        "digest": digest(canonical),
        "grade": found.grade,
        "says": _sentence(place, found),
        "live": [_live(call, digest) for call in found.calls],
    }


def _sentence(place: Place, found: Explanation) -> str:
    when = utc(int(found.found)) if found.grade == "gone" else ""
    return _OUTCOMES[found.grade].format(digits=place.pool.match_digits, rule=place.rule, when=when)


def _live(call: LiveCall, digest: Callable[[str], str]) -> dict[str, Any]:
    return {
        "ani": masked(call.ani) if call.ani else "withheld",
        "digits": len(call.ani.removeprefix("+")),
        "digest": digest(call.ani),
        "token": call.token,
        "lessee": call.lessee,
        "leased_at": utc(call.leased_ms),
        "expires_in": call.left_ms // 1000,
    }
