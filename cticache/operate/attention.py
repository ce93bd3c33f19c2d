"""What needs attention: each thing in a sentence that says what is wrong and what to do. No Redis and no HTTP here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from cticache.access.users import User
from cticache.data.condition import Condition
from cticache.data.condition import Kind as Noted
from cticache.data.counters import COUNTERS, DIFFERENCES
from cticache.data.replies import PoolStats
from cticache.numbering.pool import Pool
from cticache.operate.advice import LEAST_MISSES, suspects
from cticache.operate.history import LATELY, Done
from cticache.operate.remedies import of_kind
from cticache.operate.report import counted, listed
from cticache.options import Whole, declared

Level = Literal["WARN", "CRIT"]
Kind = Literal[
    "redis", "loss", "clock", "overruled", "rules", "config", "full", "used", "sharing", "fallback", "max_live",
    "not_found", "nobody_asks", "number", "logins", "strangers",
]  # fmt: skip
"""Those of the condition of the pools; a configuration that was refused; calls refused for want of a number, nearly so,
callers together on a number, on the fallback number; refused by max_live; asked for in vain; no call of a pool is asked
for, none of a number; wrong passwords; questions for numbers of no pool.
"""
Hint = Literal["", "readyz", "leases", "explain", "advise", "log"]
"""Where to look next."""
Key = tuple[Kind, str, str]
"""What tells one thing from another: its kind, its pool and, of several there, what it is about."""

_MARGIN = 5
"""How many points below its threshold what needed attention is when it no longer does; or half of it, if that is more.
"""
_MOST_NUMBERS = 5
"""Numbers of a pool that are told one by one."""
_FOUND = tuple(counter.field for counter in COUNTERS if counter.by == "match")
"""The counters of the calls that were asked for and found."""
_NOTED: Mapping[Noted, Level] = {
    "redis": "CRIT", "loss": "CRIT", "overruled": "CRIT", "rules": "WARN", "clock": "WARN"
}  # fmt: skip
"""The notes that need attention, and how much; that numbers are being put in place does not."""
_LATELY = f"in {LATELY} minutes"
LOST = (
    "Callers who were on their way arrive without data. Look at the log of Redis, and let `cticache check` say what it "
    "would lose."
)
"""What is said of a loss, whoever noticed it."""


@dataclass(frozen=True)
class WatchRules:
    """[watch]: what needs attention. Shares in percent."""

    interval: int = declared(Whole(1, 60, "seconds"), 10)
    """Between two looks."""
    warn: int = declared(Whole(1, 100, "percent"), 75)
    crit: int = declared(Whole(1, 100, "percent"), 90)
    missed: int = declared(Whole(1, 100, "percent"), 10)
    unclaimed: int = declared(Whole(LEAST_MISSES, 1000, "leases"), 5)
    logins: int = declared(Whole(1, 1_000_000, "a minute"), 30)
    strangers: int = declared(Whole(1, 1_000_000, "a minute"), 30)


@dataclass(frozen=True)
class Attention:
    """One thing that needs attention."""

    kind: Kind
    level: Level
    pool: str
    """Empty where it is of the whole service."""
    says: str
    """What is wrong and what to do, in sentences; a number of the pool may be in it whole."""
    hint: Hint = ""
    about: str = ""
    """Of several of this kind in the pool: the number."""

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.kind, self.pool, self.about


class Watched(NamedTuple):
    """A pool, and what is known of it."""

    pool: Pool
    stats: PoolStats
    done: Done
    """In the last LATELY minutes."""


class Strangers(NamedTuple):
    """What came within the last minute from whom nobody knows."""

    failed: Mapping[str, int] = {}
    """User -> wrong passwords, ``@unknown`` for all names that are no user's."""
    addresses: int = 0
    """From how many addresses they came."""
    elsewhere: int = 0
    """Questions for a number of no pool."""


def attention(
    watched: Iterable[Watched],
    condition: Condition,
    strangers: Strangers,
    *,
    users: Sequence[User],
    rules: WatchRules,
    before: Mapping[Key, Level],
    refused_config: str = "",
    unread: Mapping[str, str] = {},
) -> list[Attention]:
    """All that needs attention, the worst first and then in the order of the pools.

    ``before``: what did when it was looked at last. That does until it is clearly better. ``refused_config``: what is
    wrong with the configuration that was read last, if it was refused. ``unread``: the pools that cannot be read, with
    why, in a sentence without its full stop.
    """
    found = [*of_service(condition, strangers, rules, before, refused_config)]
    found += [of_unread(pool, why) for pool, why in unread.items()]
    for each in watched:
        found += of_pool(each, users, rules, before, has_note="loss" in condition.notes)
    return sorted(found, key=lambda each: each.level != "CRIT")


def refused(file: str, at: datetime, wrong: str) -> str:
    """What is said of a configuration that was refused, until one is in force."""
    when = at.strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        f"{file} was refused at {when}, and the configuration before it holds on: {wrong}. Mend the file, and run "
        "`cticache reload`."
    )


def of_service(
    condition: Condition,
    strangers: Strangers,
    rules: WatchRules,
    before: Mapping[Key, Level],
    refused_config: str = "",
) -> Iterator[Attention]:
    """What is of the whole service."""
    if refused_config:
        yield Attention("config", "WARN", "", refused_config, "log")
    for kind, level in _NOTED.items():
        if note := condition.notes.get(kind):
            says = f"{note} {LOST}" if kind == "loss" else note
            yield Attention(kind, level, "", says, "readyz")  # type: ignore[arg-type] # these kinds are some of those
    failed = sum(strangers.failed.values())
    if failed >= _limit(rules.logins, ("logins", "", "") in before):
        user = max(strangers.failed, key=lambda name: strangers.failed[name])
        whom = "names that are no user's" if user == "@unknown" else f"user {user}"
        yield Attention(
            "logins",
            "WARN",
            "",
            f"{counted(failed, 'wrong password')} in the last minute, most for {whom}, from "
            f"{strangers.addresses:,} address{'' if strangers.addresses == 1 else 'es'}: a client has an old password, "
            "or somebody guesses. The log has the addresses, at code=unauthorized: give the client the right one, or "
            "shut the address out.",
            "log",
        )
    if strangers.elsewhere >= _limit(rules.strangers, ("strangers", "", "") in before):
        yield Attention(
            "strangers",
            "WARN",
            "",
            f"{counted(strangers.elsewhere, 'question')} in the last minute for numbers of no pool: a client has the "
            "numbers of another system or writes them in another way, or somebody tries numbers out. The log has the "
            "user and the address, at not_found: compare the numbers with those under [pool].",
            "log",
        )


def of_unread(pool: str, why: str) -> Attention:
    """That a pool cannot be read, ``why`` in a sentence without its full stop: of no other alarm of it is known."""
    return Attention("redis", "CRIT", pool, f"What is kept of it in Redis cannot all be read. {why}.", "log")


def of_pool(
    watched: Watched, users: Sequence[User], rules: WatchRules, before: Mapping[Key, Level], *, has_note: bool = False
) -> Iterator[Attention]:
    """What is of this pool. ``has_note``: whether it is said of the whole service that calls were lost."""
    pool, stats, done = watched
    if done.of("losses") and not has_note:
        yield Attention("loss", "CRIT", pool.name, f"Redis lost calls of the pool {_LATELY}. {LOST}", "readyz")
    yield from _of_numbers(pool, stats, done, rules, before)
    if done.of("over_max_live"):
        names = [user.name for user in users if user.max_live and user.may_use(pool.name)]
        who = f"user {names[0]}" if len(names) == 1 else f"one of users {listed(names)}" if names else "a user"
        is_one = len(names) == 1
        shown = (
            f"`cticache leases --user {names[0]}` shows"
            if is_one
            else "The log has the user, at max_live, and `cticache leases --user USER` shows"
        )
        yield Attention(
            "max_live",
            "WARN",
            pool.name,
            f"{counted(done.of('over_max_live'), 'call')} refused {_LATELY} because {who} has max_live leases. {shown} "
            f"them: does {'its' if is_one else 'a'} client run wild, or lease without its calls being taken?",
            "leases" if is_one else "log",
        )
    yield from _of_questions(pool, done, rules, before)
    yield from _of_unclaimed(pool, stats, done, rules)


def _of_numbers(
    pool: Pool, stats: PoolStats, done: Done, rules: WatchRules, before: Mapping[Key, Level]
) -> Iterator[Attention]:
    if not stats.size:
        return  # they are not in place, which the condition tells, or there are none
    rejected, shared, fallback = done.of("rejected"), done.of("shared"), done.of("fallback")
    used = stats.size - stats.free
    if rejected:
        refused = f"{counted(rejected, 'call')} refused {_LATELY}"
        if stats.free:
            says = (
                f"{refused} for want of a number, and {counted(stats.free, 'number')} free now. It was full for a "
                "while; or too many calls have one ANI or withhold it: `cticache advise` tells."
            )
        else:
            says = (
                f"FULL: none of {counted(stats.size, 'number')} is free, {refused}, next free in "
                f"{max(stats.next_free_ms, 0) / 1000:,.0f} s. {_most_leases(stats)}Give the pool more numbers or a "
                "shorter ttl, unless a client leases without end."
            )
        yield Attention("full", "CRIT", pool.name, says, "leases" if not stats.free else "advise")
    else:
        was = before.get(("used", pool.name, ""))
        percent = 100 * used / stats.size
        if percent >= _limit(rules.warn, was is not None):
            level: Level = "CRIT" if percent >= _limit(rules.crit, was == "CRIT") else "WARN"
            word = level if stats.free else "FULL"
            yield Attention(
                "used",
                level,
                pool.name,
                f"{word}: {used:,} of {counted(stats.size, 'number')} in use, {percent:.0f} %. {_most_leases(stats)}"
                "`cticache advise` tells how many it needs; if far more are leased than taken, a client leases without "
                "end, or its calls do not arrive.",
                "leases",
            )
    if shared:
        yield Attention(
            "sharing",
            "WARN",
            pool.name,
            f"No number was free, and {counted(shared, 'call')} got one {_LATELY} beside another caller: only the ANI "
            "tells them apart. Give the pool more numbers or a shorter ttl.",
            "advise",
        )
    if fallback:
        yield Attention(
            "fallback",
            "WARN",
            pool.name,
            f"No number was free, and {counted(fallback, 'call')} got the fallback number {_LATELY}. Give the pool "
            "more numbers or a shorter ttl.",
            "advise",
        )


def _most_leases(stats: PoolStats) -> str:
    """Why most of the numbers in use are so, or who has most leases, in a sentence; empty where nobody knows.

    Leases are not numbers: several callers may share one, and those on the fallback number have none of the pool.
    """
    if stats.cooling > stats.leased:
        return f"Most cool down after a call, {stats.cooling:,} of them. "
    if not stats.live:
        return ""
    user = max(stats.live, key=lambda name: stats.live[name])
    return f"User {user} has the most leases, {stats.live[user]:,}. "


def _of_questions(pool: Pool, done: Done, rules: WatchRules, before: Mapping[Key, Level]) -> Iterator[Attention]:
    missed, found = done.of("missed"), done.of(*_FOUND)
    if missed < LEAST_MISSES or 100 * missed / (missed + found) < _limit(
        rules.missed, ("not_found", pool.name, "") in before
    ):
        return
    says = f"{missed:,} of {counted(missed + found, 'question')} {_LATELY} found no call"
    if other := done.of("other_live"):
        kind = max(DIFFERENCES, key=lambda each: done.of(f"other_{each}"))
        option = of_kind(kind, pool)
        says += (
            f"; {counted(other, 'call')} of another ANI {'was' if other == 1 else 'were'} live on the number: System Y "
            f"sees another ANI than System X posts, most of them {DIFFERENCES[kind]}"
        )
        says += f". In the pool {option} them." if option else ". `cticache explain` shows such a call."
    else:
        says += (
            ", and none was live there: they had ended or were never posted, or System Y asks for another number than "
            "was called. `cticache explain` shows which."
        )
    yield Attention("not_found", "WARN" if found >= missed else "CRIT", pool.name, says, "explain")


def _of_unclaimed(pool: Pool, stats: PoolStats, done: Done, rules: WatchRules) -> Iterator[Attention]:
    unclaimed, found = done.of("unclaimed"), done.of(*_FOUND)
    if unclaimed >= rules.unclaimed and unclaimed > found:
        yield Attention(
            "nobody_asks",
            "WARN" if found else "CRIT",
            pool.name,
            f"{counted(unclaimed, 'lease')} ended {_LATELY} without being asked for, and {found:,} were asked for. Do "
            "the calls reach System Y, and does it ask? Or does a client lease without transferring its calls?",
            "explain",
        )
    ever_found = sum(stats.counts[f"{field}_total"] for field in _FOUND)
    if not ever_found:
        return  # nobody asks for any of them
    ever = stats.counts["unclaimed_total"] / max(stats.counts["leased_total"], stats.counts["unclaimed_total"], 1)
    share = max(ever, unclaimed / max(unclaimed + found, 1))
    bad = suspects(stats.missed, max(stats.size, 1), share, rules.unclaimed)
    for dnis, count in list(bad.items())[:_MOST_NUMBERS]:
        yield Attention(
            "number",
            "WARN",
            pool.name,
            f"Nobody picks up {dnis}: its last {count:,} leases were not asked for, while others were. Call it: is it "
            "routed to System Y?",
            "leases",
            dnis,
        )


def _limit(threshold: int, is_on: bool) -> float:
    """The threshold; below it for what needs attention now, so that it does not come and go."""
    return max(threshold - _MARGIN, threshold / 2) if is_on else threshold
