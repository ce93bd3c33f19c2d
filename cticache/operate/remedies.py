"""Which options of a pool would find a call that is asked for under another ANI."""

from cticache.numbering.country import code_of_both
from cticache.numbering.pool import Pool

MOST_TAIL = 7
"""Most digits at the end that must agree before two ANI are said to end alike, as lua/include/near.lua has it."""
_OWN_PREFIX = "where that prefix is a calling code or a trunk prefix"


def tail_digits(pool: Pool) -> int:
    """How many digits two ANI have in common that end alike."""
    return min(pool.match_digits, MOST_TAIL)


def remedy(kind: str, pool: Pool) -> str:
    """The options that find every call of this kind, in words; empty where they are set, or there are none.

    ``kind`` is one of data.counters.DIFFERENCES.
    """
    if pool.match == "sole" or kind == "unlike":
        return ""
    if kind in ("withheld", "constant"):
        return "match = sole" if pool.exhausted == "reject" else "match = sole with exhausted = reject"
    too_many = f"match_digits = {MOST_TAIL}" if pool.match_digits > MOST_TAIL else ""
    if pool.match == "exact":
        return f"match = suffix with {too_many}" if too_many else "match = suffix"
    return too_many


def of_kind(kind: str, pool: Pool) -> str:
    """What would find the calls of which only the kind is known, as the end of a sentence; empty for nothing."""
    found = remedy(kind, pool)
    if kind not in ("more", "less") or pool.country or pool.match == "sole":
        return found and f"{found} would find"
    if not found:
        return f"country_code, {_OWN_PREFIX}, would find"
    return f"{found}, or country_code {_OWN_PREFIX}, would find"


def by_country(pool: Pool, asked: str, posted: str) -> str:
    """The country_code under which the pool would read both ANI, in canonical form, as one; empty without one."""
    if pool.country or pool.match == "sole" or not (asked and posted):
        return ""
    if code := code_of_both(asked, posted):
        return f"country_code = {code}"
    is_trunk = max(asked, posted, key=len) == "0" + min(asked, posted, key=len)  # of whichever country they are
    return "country_code" if is_trunk else ""
