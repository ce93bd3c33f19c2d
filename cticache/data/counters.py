"""What is counted for a pool: one row for each counter, which gives its figure, its metric and its wording."""

import re
from typing import NamedTuple


class Counter(NamedTuple):
    """One counter. Its name as a figure of a pool is ``field`` with ``_total`` after it."""

    field: str
    """Its name in the pool's hash of counters and in the hour's, where the scripts tally it."""
    metric: str
    """The family in /metrics: ``cticache_{metric}_total``."""
    says: str
    """What is counted, in the words of /metrics."""
    told: str
    """The same in a word or two, to stand before the number."""
    by: str = ""
    """By what the counters of its family differ: the name of the label; empty where it is the only one."""
    label: str = ""
    """What tells it apart from the others of its family."""

    @property
    def figure(self) -> str:
        """Its name among the pool's figures."""
        return f"{self.field}_total"


DIFFERENCES = {
    "more": "with a prefix more",
    "less": "with a prefix less",
    "tail": "with an equal tail",
    "withheld": "with one withheld",
    "constant": "with one constant",
    "unlike": "with nothing alike",
}
"""How the ANI that somebody asks with differs from the one under which the call was posted, and the words for it."""
COUNTERS = (
    Counter("leased", "leases", "Calls leased a number", "leased"),
    Counter("shared", "shares", "Leases of a number already in use", "shared"),
    Counter("fallback", "fallbacks", "Leases of the fallback number", "on the fallback"),
    Counter("rejected", "rejections", "Calls refused for want of a number", "refused for want of a number"),
    Counter(
        "over_max_live",
        "over_max_live",
        "Calls refused because their user has max_live leases",
        "refused by max_live",
    ),
    Counter("withheld", "withheld", "Calls of withheld callers, leased or refused for want of a number", "withheld"),
    Counter("taken", "takes", "Calls whose data was handed over", "taken"),
    Counter("released", "releases", "Calls ended without their data being handed over", "released"),
    Counter("renewed", "renewals", "Calls whose time was started again", "renewed"),
    Counter("replayed", "replays", "Answers given again under an idempotency key", "answered again"),
    Counter("match_exact", "claims", "Calls asked for, by how found", "found exact", "match", "exact"),
    Counter("match_suffix", "claims", "Calls asked for, by how found", "found suffix", "match", "suffix"),
    Counter("match_sole", "claims", "Calls asked for, by how found", "found sole", "match", "sole"),
    Counter("match_uui", "claims", "Calls asked for, by how found", "found by uui", "match", "uui"),
    Counter("ambiguous", "ambiguous", "Questions that more than one live caller fitted", "ambiguous"),
    Counter("missed", "misses", "Questions for a call that is not there", "found nothing"),
    Counter("gone", "gone", "Questions for a call that was taken before", "taken before"),
    Counter("stale", "stale", "Questions for a lease that is another by now", "another lease by now"),
    Counter("other_live", "other_live", "Live calls that were asked for under another ANI", "under another ANI"),
    *(
        Counter(
            f"other_{kind}",
            "differences",
            "The same calls, by how the ANI asked with differs from the one posted",
            told,
            "difference",
            kind,
        )
        for kind, told in DIFFERENCES.items()
    ),
    Counter("unclaimed", "unclaimed", "Calls that ended before anybody asked for them", "never asked for"),
    Counter("losses", "losses", "Times that Redis had lost calls", "times Redis lost calls"),
    Counter("clock_jumps", "clock_jumps", "Jumps of the clock of Redis", "jumps of Redis's clock"),
)
"""In the order in which they are shown."""
PEAK = "peak"
"""Most numbers leased at once: a maximum, kept beside the counters."""
HELD = "held_ms"
"""How long the leases held their numbers, all together: not a figure, but what advice is made from."""
TRANSIT = re.compile(r"t([0-9]{1,9})")
"""Takes by the time since their lease: t22 counts those up to 22 s, above the step before."""
KEPT_HOURS = 8 * 24
"""For how long the counters of an hour are kept."""
BY_MINUTE = (
    "leased",
    "shared",
    "fallback",
    "rejected",
    "over_max_live",
    "taken",
    *(counter.field for counter in COUNTERS if counter.by),
    "missed",
    "gone",
    "other_live",
    "unclaimed",
    "losses",
)
"""The counters that are kept by the minute, by field."""
KEPT_MINUTES = 62
"""For how many minutes: an hour lies between the first and the last of 61, and one of these is being replaced."""
