"""The scripts' replies, with names for what is in them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from cticache.data import uui
from cticache.data.counters import COUNTERS, PEAK, TRANSIT

Grade = Literal["exact", "suffix", "sole", "uui"]
Difference = Literal["more", "less", "tail", "withheld", "unlike"]
"""How two ANI differ, as lua/include/near.lua has it."""

_FIGURES = ("size", "free", "leased", "cooling", "shared", "leaving", "next_free_ms", "leaving_until_ms")
"""The first list of pool_stats.lua."""


_MOST = 2**53
"""The numbers of a script are whole up to there."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_000
"""The first and the last second of the years 1 to 9999."""


class Lease(NamedTuple):
    """A number lent."""

    outcome: Literal["leased", "shared", "fallback", "replayed"]
    """Alone on a number; beside others, told apart by its ANI; on the fallback number; or the answer given before."""
    dnis: str
    """The number to transfer to."""
    token: str
    """Names the lease."""
    leased_ms: int
    """When it began, in ms since 1970 by the server's clock."""
    left_ms: int
    """How long it lasts from now."""
    jumped: bool = False
    """Whether the clock of Redis is not what it should be."""

    @property
    def uui(self) -> str:
        """What names this lease where the ANI may be lost on the way: hex digits, see data.uui."""
        return uui.written(self.dnis, self.token)


class Held(NamedTuple):
    """A call's value, as the JSON text that was stored, and its lease."""

    value: str
    token: str
    grade: Grade
    """How the call was found."""
    leased_ms: int
    """When the lease began, in ms since 1970 by the server's clock."""
    left_ms: int
    """How long the call still had to live."""
    replayed: bool = False
    """Whether this is the answer given before under the same key."""


class LiveCall(NamedTuple):
    """A call on a number, without its value."""

    ani: str
    token: str
    lessee: str
    leased_ms: int
    left_ms: int


class Leased(NamedTuple):
    """A live lease of a pool, without its value."""

    dnis: str
    ani: str
    user: str
    """Who leased it."""
    leased_ms: int
    end_ms: int
    """When it ends; both in ms since 1970 by the server's clock."""
    token: str
    asked: bool
    """Whether anybody but the lessee has asked for it."""


Cursor = tuple[int, str]
"""Where a page of leases ends: the end in ms since 1970, and the DNIS, of the last of them."""
FIRST_PAGE: Cursor = (0, "")


class LeasePage(NamedTuple):
    """Some of a pool's live leases, in the order in which they end."""

    now_ms: int
    """When it was read, by the server's clock."""
    leases: list[Leased]
    after: Cursor | None
    """Where the next page begins; None after the last."""

    @classmethod
    def of(cls, now_ms: int, after_ms: int, after_dnis: str, *rest: Any) -> "LeasePage":
        """Made of what pool_leases.lua returns."""
        leases = [Leased._make([*rest[at : at + 6], bool(rest[at + 6])]) for at in range(0, len(rest), 7)]
        return cls(now_ms, leases, (after_ms, after_dnis) if after_ms else None)


class Trial(NamedTuple):
    """What became of the commands that the scripts use."""

    ran: int
    """How many were run."""
    refused: Mapping[str, str]
    """Those that Redis refuses within a script -> what it says."""


class Explanation(NamedTuple):
    """What a number and an ANI would lead to."""

    grade: Literal["exact", "suffix", "sole", "ambiguous", "gone", ""]
    found: str
    """The ANI of the call that is meant; for ``gone`` when it was taken, in ms since 1970."""
    rule: Literal["exact", "suffix", "sole", "none"]
    """The loosest grade allowed now: while Redis may have lost calls, it may be less than the place allows."""
    kind: Difference | Literal[""]
    """Where none is meant, how the ANI differs from that of the live call it is most like; empty without one."""
    like: str
    """The ANI of that call."""
    calls: list[LiveCall]
    now_ms: int
    """The server's time; all in ms since 1970."""
    born_ms: int
    """Since when this Redis has calls of the pool; 0 where nobody knows."""
    lost_ms: int
    """When a loss was told last; 0 if none was."""
    loss: Literal["empty", "older", "ahead", ""]
    """Its kind; empty for none, and for one that an older release told."""
    ended_ms: int
    """When a call of this very ANI ended of which Redis has not that it was taken or released; 0 for none."""


class FailedLogins(NamedTuple):
    """Wrong passwords, in all services on this Redis."""

    addresses: int
    """From how many addresses in the last minute, up to a bound."""
    by_user: Mapping[str, int]
    """User -> how many ever; ``@unknown`` stands for all names that are no user's."""

    @classmethod
    def of(cls, reply: Sequence[Any]) -> "FailedLogins":
        """What login_failures.lua returns."""
        addresses, *counts = reply
        by_user = {}
        for user, count in pairs(counts):
            with suppress(ValueError, OverflowError):  # somebody else's: the others are told all the same
                by_user[user] = count_of(count)
        return cls(addresses, by_user)


NONE_FAILED = FailedLogins(0, {})


class Beat(NamedTuple):
    """The sign of life beside a pool, as it is from now on; times in ms since 1970 by the server's clock."""

    id: str
    """The same for as long as Redis has not been emptied."""
    nth: int
    """How often it has been left."""
    now: int
    last_ms: int = 0
    """When it was left the time before; 0 if it never was."""
    lost_ms: int = 0
    """When a loss was told last; 0 if none was."""
    left_ms: int = 0
    """For how long more to be careful."""
    kind: Literal["empty", "older", "ahead", ""] = ""
    """The loss that is told now."""
    is_back: int = 0
    """Whether the clock was set back, and that is to be seen to."""
    jumps: int = 0
    """How many jumps of the clock have been told."""


class Minute(NamedTuple):
    """A pool as it was once in a minute."""

    at_ms: int
    """When, in ms since 1970 by the server's clock."""
    size: int
    free: int
    leased: int
    kinds: int
    """How many counters were kept; another version may keep others."""
    counts: Mapping[str, int]
    """Field of a counter -> how many by then; one that is 0 may be left out."""

    @classmethod
    def of(cls, minute: int, text: str) -> "Minute":
        """What pool_minute.lua kept of this minute since 1970."""
        past_ms, size, free, leased, kinds, *counts = text.split(" ")
        named = (each.partition("=") for each in counts)
        return cls(
            60_000 * minute + int(past_ms),
            int(size),
            int(free),
            int(leased),
            int(kinds),
            {field: count_of(count) for field, _, count in named},
        )


class LastMinutes(NamedTuple):
    """What was kept of a pool by the minute."""

    now_ms: int
    """The server's time, in ms since 1970."""
    kept: list[Minute]
    """The oldest first; a minute in which no service ran is left out."""
    born_ms: int = 0
    """When every counter was 0, as Redis was empty; itself 0 where nobody knows."""
    lost_ms: int = 0
    """When a loss was told last; 0 if none was."""

    @classmethod
    def of(cls, reply: Sequence[Any]) -> "LastMinutes":
        """What pool_minutes.lua returns."""
        now_ms, born_ms, lost_ms, *minutes = reply
        return cls(now_ms, [Minute.of(*each) for each in pairs(minutes)], born_ms, lost_ms)


class Ruling(NamedTuple):
    """Which pools there are to be."""

    numbers: str
    """Fingerprint of the numbers of them all; empty where nobody, or an older version, has said so."""
    former: Mapping[str, str]
    """Pool that is no longer configured -> since when, in ms since 1970."""
    pools: Mapping[str, str]
    """Pool -> fingerprint of its numbers; empty where that was not asked."""


class Ruler(NamedTuple):
    """Of the services that live, the one that was started last."""

    service: str
    numbers: str
    rules: str
    who: str
    start_ms: int


class Registered(NamedTuple):
    """A service that lives on this Redis."""

    service: str
    """Its id."""
    start_ms: int
    """When it was started, in ms since 1970 by the server's clock."""
    numbers: str
    """Fingerprint of the numbers of all its pools."""
    rules: str
    """Fingerprint of all else in its pools."""
    who: str
    """The service, in words."""
    told: str
    """What it tells of itself, as it was given; empty for one of an older release."""
    left_ms: int
    """How long it lives without another look."""


class DataFormat(NamedTuple):
    """The format of the data in Redis, see data.format."""

    format: int = 1
    """The highest that any service writes, or has written, there."""
    least_reader: int = 1
    """What a service must know at least to serve them."""
    release: str = ""
    """Which release of cticache brought that format; empty for data without a number, of format 1."""


class Standing(NamedTuple):
    """Where a service stands among those that share one Redis."""

    start_ms: int
    """When it was started, to be said at its next look."""
    was_there: bool
    """Whether it was registered until now: it is new else, or Redis was emptied, or it was held up for long."""
    ruler: Ruler
    ruling: Ruling
    asked: str = ""
    """The last question of somebody who wants it to read its configuration again; empty if there was none."""


@dataclass(frozen=True)
class PoolStats:
    """How full a pool is, and what was done with it; ``size`` is the sum of ``free``, ``leased`` and ``cooling``.

    Each counter is an attribute, too, by the name of its figure: ``leased_total``.
    """

    size: int
    free: int
    leased: int
    cooling: int
    shared: int
    """Numbers with more than one live caller."""
    leaving: int
    """Numbers no longer leased whose last calls may still be asked for."""
    next_free_ms: int
    """0 when a number is free, -1 when the pool has none."""
    leaving_until_ms: int
    """Until when a call on a leaving number may be asked for, in ms since 1970; 0 without one."""
    peak: int
    """Most numbers leased at once."""
    counts: Mapping[str, int]
    """Figure of a counter -> how many, in the order of data.counters."""
    transits: Mapping[int, int]
    """Takes by the time since their lease: upper bound in seconds -> how many."""
    missed: Mapping[str, int]
    """DNIS -> how many of its calls in a row nobody asked for; only the numbers with the most."""
    live: Mapping[str, int]
    """User -> how many leases of the pool are live; only the hundred who have had some for longest."""

    @classmethod
    def of(cls, figures: list[int], counters: list[str], missed: list[str], live: list[Any]) -> "PoolStats":
        """Made of the four lists that pool_stats.lua returns."""
        counts = {field: count_of(count) for field, count in pairs(counters)}
        transits = ((TRANSIT.fullmatch(field), count) for field, count in counts.items())
        return cls(
            **dict(zip(_FIGURES, figures, strict=True)),
            peak=counts.get(PEAK, 0),
            counts={counter.figure: counts.get(counter.field, 0) for counter in COUNTERS},
            transits=dict(sorted((int(step[1]), count) for step, count in transits if step)),
            missed={dnis: count_of(count) for dnis, count in pairs(missed)},
            live=dict(zip(live[::2], live[1::2], strict=True)),
        )

    def __getattr__(self, name: str) -> int:
        counts: Mapping[str, int] = self.__dict__.get("counts", {})
        if name not in counts:
            raise AttributeError(name)
        return counts[name]

    def figures(self) -> dict[str, Any]:
        """All of it, by name, for JSON."""
        flat: dict[str, Any] = {}
        for name, value in vars(self).items():
            flat |= value if name == "counts" else {name: value}
        return flat


def count_of(text: str) -> int:
    """A count as Redis writes it; ValueError or OverflowError for what is none, or more than a script can count to."""
    count = int(float(text))
    if abs(count) > _MOST:
        raise OverflowError
    return count


def time_of(text: str) -> int:
    """A time in ms as Redis writes it; one that no script has written is cut to what a script can count to."""
    return int(min(max(float(text), -_MOST), _MOST))


def pairs(flat: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Names and values that come one after the other."""
    items = iter(flat)
    return zip(items, items, strict=True)


def utc(ms: float) -> str:
    """A time in ms since 1970 as RFC 3339 writes it; the first or the last one that can be written, where it is none.

    So a time that somebody else has put into Redis is told, and stops nobody.
    """
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # the last for each one before 1970, on Windows
        at = _EPOCH + timedelta(milliseconds=min(max(ms, _FIRST_MS), _LAST_MS))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
