"""Which options of a pool would find a call that is asked for under another ANI."""

from cticache.numbering.pools import Pool

MOST_TAIL = 7
"""Most digits at the end that must agree before two ANI are said to end alike, as lua/include/near.lua has it."""


def tail_digits(pool: Pool) -> int:
    """How many digits two ANI have in common that end alike."""
    return min(pool.match_digits, MOST_TAIL)


def remedy(kind: str, pool: Pool) -> str:
    """The options that would find the call, in words; empty where they are set, or there are none.

    ``kind`` is one of data.counters.DIFFERENCES.
    """
    if pool.match == "sole":
        return ""
    if kind in ("withheld", "constant"):
        return "match = sole" if pool.exhausted == "reject" else "match = sole with exhausted = reject"
    if kind == "unlike":
        return ""
    options = ["country_code"] if kind != "tail" and not pool.country else []
    too_many = f"match_digits = {MOST_TAIL}" if pool.match_digits > MOST_TAIL else ""
    if pool.match == "exact":
        options.append(f"match = suffix with {too_many}" if too_many else "match = suffix")
    elif too_many:
        options.append(too_many)
    return " or ".join(options)
