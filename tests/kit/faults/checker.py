"""What must be true of all that the clients were answered, whatever befell the service.

A value goes to the number and ANI for which it was leased, and to one take. What was acknowledged is kept, unless it
was in a time in which Redis itself promises nothing: that is counted as excused, and is no violation. A number is lent
to one caller at a time. Every refusal is one that is documented and that a sound request may get.

Told is only what no order of the requests explains. Calls do not run out in such a history.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kit.faults.history import CLOSED, HUNG, NOBODY, Course, Entry

_ABSENT = {"not_found", "gone"}
_WAITS = {"redis_unavailable", "not_ready", "pool_exhausted"}
"""What a sound request may be told while something is wrong: to come again."""
_CHECKS = "too_many_logins"
"""What a new process may say, which has to check the password anew, on a machine that is slow with that."""
_REMEMBERED_S = 50.0
"""For so long at least a take is remembered under its key: ``remember``, and less a margin."""


class Finding(NamedTuple):
    """One thing that must not be."""

    kind: str
    what: str
    excused: bool = False
    """Redis itself does not promise more than this."""


class _Call:
    """One call as the log tells it."""

    def __init__(self) -> None:
        self.leases: list[Entry] = []
        self.renewals: list[Entry] = []
        self.takes: list[Entry] = []

    @property
    def lease(self) -> Entry | None:
        """The one that was acknowledged, first."""
        return next((entry for entry in self.leases if entry.status == 201), None)

    def is_surely_live(self, begin: float, end: float, than: Entry | None = None) -> bool:
        """It was leased before, and no take but those like this one can have ended it by then."""
        if not self.lease or self.lease.end >= begin:
            return False
        return not any(
            take.begin <= end and (take.status == 200 or take.is_unknown) and not _alike(take, than, begin)
            for take in self.takes
        )

    def kept_version(self, before: float) -> Entry | None:
        """The last renewal that was acknowledged by then, and sent a value."""
        done = [entry for entry in self.renewals if entry.status == 200 and entry.end < before]
        return max(done, key=lambda entry: entry.version, default=None)


def _alike(take: Entry, than: Entry | None, begin: float) -> bool:
    """Whether the one repeats the other under its key, so that both have the same answer."""
    if take is than:
        return True
    same_key = than is not None and than.what == "take" and than.key != "" and than.key == take.key
    return same_key and begin - take.begin < _REMEMBERED_S


def findings(log: Sequence[Entry], course: Course, documented: frozenset[tuple[int, str]]) -> list[Finding]:
    """All that must not be in this log, excused or not."""
    entries = sorted([*log, *course.extra], key=lambda entry: (entry.begin, entry.end))
    calls: dict[str, _Call] = defaultdict(_Call)
    for entry in entries:
        of_kind = {"lease": calls[entry.call].leases, "renew": calls[entry.call].renewals}
        of_kind.get(entry.what, []).append(entry)
        if entry.what == "take":
            of = entry.got if entry.status == 200 else entry.call
            calls[of].takes.append(entry)
    found = [finding for entry in entries for finding in _one(entry, course, documented)]
    found += [finding for entry in entries for finding in _answered(entry, calls, course)]
    found += [finding for call in calls.values() for finding in _once(call, course)]
    return [*found, *_one_caller_at_a_time(entries, calls, course)]


def violations(found: Iterable[Finding]) -> list[str]:
    """Those that nothing excuses."""
    return [f"{finding.kind}: {finding.what}" for finding in found if not finding.excused]


def excused(found: Iterable[Finding]) -> Counter[str]:
    """How many of which kind Redis's own promises excuse."""
    return Counter(finding.kind for finding in found if finding.excused)


def slow(log: Sequence[Entry], within_s: float) -> list[str]:
    """Each answer that took longer."""
    return [f"slow: {entry.end - entry.begin:.2f} s for {entry}" for entry in log if entry.end - entry.begin > within_s]


def _one(entry: Entry, course: Course, documented: frozenset[tuple[int, str]]) -> Iterator[Finding]:
    """What is wrong with an answer by itself."""
    if entry.status == 0:
        if entry.code == HUNG or (entry.code in (CLOSED, NOBODY) and not course.may_close and entry.what != "garbage"):
            yield Finding("no answer", str(entry))
    elif entry.status >= 400 and ((entry.status, entry.code) not in documented or entry.status == 500):
        yield Finding("refusal that is not documented", str(entry))
    elif entry.what != "garbage" and entry.status >= 400 and not _may_be_told(entry, course):
        yield Finding("refused a sound request", str(entry))
    elif entry.status == 503 and entry.pool in course.spared:
        yield Finding("refused in a pool that nothing befell", str(entry))


def _may_be_told(entry: Entry, course: Course) -> bool:
    return entry.code in _ABSENT | _WAITS or (entry.code == _CHECKS and course.may_close)


def _answered(entry: Entry, calls: dict[str, _Call], course: Course) -> Iterator[Finding]:
    """What is wrong with it beside the call that was meant, and the one whose value was answered."""
    if entry.what == "garbage" or not entry.status:
        return
    meant = calls[entry.call]
    given = entry.got if entry.what != "lease" and entry.status == 200 else ""
    if entry.code in _ABSENT or (given and given != entry.call):
        yield from _lost(entry, meant, course)
    if not given:
        return
    call = calls.get(given)
    if not call or not call.leases:
        yield Finding("value of no lease", str(entry))
        return
    lease = call.lease or call.leases[0]
    is_there = (lease.pool, lease.ani) == (entry.pool, entry.ani) and lease.dnis in ("", entry.dnis)
    if not is_there:
        yield Finding("somebody else's value", f"{entry} is of {lease}")
    for take in call.takes:
        if take is not entry and take.status == 200 and take.end < entry.begin and not _alike(take, entry, entry.begin):
            yield Finding("answered after its take", f"{entry} after {take}", _is_excused(take, course))
            break
    kept = call.kept_version(entry.begin)
    if kept and entry.got_version < kept.version and entry.what != "renew":
        yield Finding("renewal lost", f"{entry} after {kept}", _is_excused(kept, course))
    if entry.got_version > max((renewal.version for renewal in call.renewals), default=0):
        yield Finding("value that nobody sent", str(entry))


def _lost(entry: Entry, meant: _Call, course: Course) -> Iterator[Finding]:
    """A call that must be there and is not."""
    if entry.what == "lease":
        # Under its key again: it is over, and nobody can have taken it who was not told its number.
        if not any(take.begin <= entry.end for take in meant.takes):
            is_excused = any(_is_excused(lease, course) for lease in meant.leases)
            yield Finding("lease lost", f"{entry} after {meant.leases}", is_excused)
    elif meant.lease and meant.is_surely_live(entry.begin, entry.end, entry):
        # A keyed take that may have been lost with Redis leaves nothing of its answer either.
        of = [meant.lease, *(take for take in meant.takes if take is not entry and take.begin <= entry.end)]
        yield Finding("lease lost", f"{entry} of {of}", any(_is_excused(each, course) for each in of))


def _once(call: _Call, course: Course) -> Iterator[Finding]:
    """A call is taken once, and leased once under its key."""
    taken = sorted((take for take in call.takes if take.status == 200), key=lambda take: take.end)
    first_hand = [take for take in taken if not take.replayed]
    if len(first_hand) > 1:
        yield Finding("taken twice", str(first_hand), all(_is_excused(take, course) for take in first_hand[:-1]))
    for take in taken:
        same = [other for other in call.takes if other is not take and take.key and other.key == take.key]
        if take.replayed and not any(other.begin < take.end for other in same):
            yield Finding("replayed without a first time", str(take))
    leased = [lease for lease in call.leases if lease.status == 201]
    if len({(lease.dnis, lease.got) for lease in leased}) > 1:
        # What was lost with Redis, the key with it, is leased anew.
        yield Finding("leased twice", str(leased), any(_is_excused(lease, course) for lease in leased[:-1]))


def _one_caller_at_a_time(entries: list[Entry], calls: dict[str, _Call], course: Course) -> Iterator[Finding]:
    """No number is lent while a call is surely live on it."""
    on_number: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for lease in entries:
        if lease.what != "lease" or lease.status != 201:
            continue
        before = on_number[lease.pool, lease.dnis]
        live = [
            other
            for other in before
            if other.call == lease.call or calls[other.call].is_surely_live(lease.begin, lease.end)
        ]
        for other in live:
            if other.call != lease.call:
                yield Finding("number live twice", f"{lease} beside {other}", _is_excused(other, course))
        on_number[lease.pool, lease.dnis] = [*live, lease]


def _is_excused(entry: Entry, course: Course) -> bool:
    return any(window.meets(entry) for window in course.may_lose)
