"""Tells where a call's data went, or why it is not found: every step from what was sent to what is kept."""

from collections.abc import Callable
from typing import Any

from cticache.data.replies import Explanation, LiveCall, utc
from cticache.data.store import Store
from cticache.numbering.ani import masked
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place
from cticache.operate.remedies import by_country, remedy

_OUTCOMES = {
    "exact": "It is found: a call under this very ANI is live.",
    "suffix": "It is found by its last {digits} digits: one live caller on this number has them.",
    "sole": "It is found because only one call is live on this number.",
    "ambiguous": "It is refused with 409: more than one live caller on this number fits.",
    "gone": "It is refused with 410: it was {when}.",
    "": "It is not found (404): no call live on this number fits the rule {rule}.",
}
_CAREFUL = (
    "Redis lost calls a while ago: for the time of [pool] after_loss fewer are found than this rule finds, so that "
    "nobody whose own call was lost is given another's."
)
_LOST = {
    "empty": "Redis came back empty at {at}: what was posted before it is gone.",
    "older": "Redis came back with an older state at {at}: what was posted in some time before it is gone.",
    "ahead": "The clock of Redis was set ahead at {at}: calls ended before their time then.",
    "": "Redis lost calls at {at}: what was posted before it may be gone.",
}
"""By the kind of a loss."""
_BORN = "If it was posted before {at}, it is lost: Redis has calls of this pool since then only."
_ENDED = "A call of this ANI on this number ended at {at}"
_TOO_LATE = (
    "without being taken: System Y asks too late, or the lease is too short. The audit's line of it has its ttl."
)
_FORGOTTEN = "; by now it is not known whether it was taken."
_DAY_MS = 86_400_000
"""How long after a loss somebody may ask for a call that was lost."""
_UNLIKE = {
    "more": "has a prefix more ({asked} digits against {posted}) and ends alike",
    "less": "has a prefix less ({asked} digits against {posted}) and ends alike",
    "tail": "ends alike",
    "withheld": "is withheld",
    "unlike": "is nothing like it",
}
"""How the ANI asked with differs from the one posted."""


def explain(store: Store, place: Place, ani: str, digest: Callable[[str], str]) -> dict[str, Any]:
    """One place where a call may be, as an object for JSON; values stay hidden and other ANI masked.

    ``digest`` returns the audit's digest of an ANI, empty where no log has it. ``ani`` must be one that the pool can
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
        "says": _sentence(place, found, canonical),
        "live": [_live(call, digest) for call in found.calls],
    }


def _sentence(place: Place, found: Explanation, canonical: str) -> str:
    gone_ms = int(found.found) if found.grade == "gone" else 0
    when = f"{'released' if gone_ms < 0 else 'taken'}, at {utc(abs(gone_ms))}"
    outcome = _OUTCOMES[found.grade].format(digits=place.pool.match_digits, rule=place.rule, when=when)
    said = [outcome, _ended(place.pool, found) or _loss(found)]
    if found.rule != place.rule and found.grade not in ("exact", "gone"):
        said.append(_CAREFUL)
    elif found.kind:
        said.append(_near_miss(place.pool, found, canonical))
    return " ".join(filter(None, said))


def _ended(pool: Pool, found: Explanation) -> str:
    """That there was such a call, which is over; empty where the number remembers none."""
    if not found.ended_ms:
        return ""
    # A number may rest for longer than it is remembered of a call that it was taken.
    is_known = found.now_ms - found.ended_ms < pool.remember_ms
    return _ENDED.format(at=utc(found.ended_ms)) + (f" {_TOO_LATE}" if is_known else _FORGOTTEN)


def _loss(found: Explanation) -> str:
    """That the call may have been lost with others, where there is none; empty unless that was lately."""
    since_ms = found.now_ms - _DAY_MS
    if found.grade or max(found.lost_ms, found.born_ms) <= since_ms:
        return ""
    if found.lost_ms > since_ms:
        return _LOST[found.loss].format(at=utc(found.lost_ms))
    return _BORN.format(at=utc(found.born_ms))


def _near_miss(pool: Pool, found: Explanation, canonical: str) -> str:
    posted = "another ANI" if found.like else "a withheld ANI"
    differs = _UNLIKE[found.kind].format(posted=_digits(found.like), asked=_digits(canonical))
    options = " or ".join(filter(None, (by_country(pool, canonical, found.like), remedy(found.kind, pool))))
    if found.kind == "withheld" and canonical:
        differs = "is a number"
        listed = "the option withheld, if the carrier sends it for one that is withheld,"
        options = f"{listed} or {options}" if options else listed
    elif found.kind == "unlike" and (options := remedy("constant", pool)):
        options = f"if System Y sees this one for every caller, {options}"
    return (
        f"A call posted under {posted} is live on this number; the one asked with {differs}"
        f"{options and f': {options} would find it'}."
    )


def _digits(ani: str) -> int:
    return len(ani.removeprefix("+"))


def _live(call: LiveCall, digest: Callable[[str], str]) -> dict[str, Any]:
    return {
        "ani": masked(call.ani) if call.ani else "withheld",
        "digits": _digits(call.ani),
        "digest": digest(call.ani),
        "token": call.token,
        "lessee": call.lessee,
        "leased_at": utc(call.leased_ms),
        "expires_in": call.left_ms // 1000,
    }
