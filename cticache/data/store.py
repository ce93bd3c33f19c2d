"""The data layer: one method per script of lua/, under the script's name.

Every call is one EVALSHA, one round trip. It is repeated only after NOSCRIPT, which proves that nothing ran, and then
brings the script along: whoever else calls it meanwhile does the same, and nobody waits for all scripts to be loaded.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

from redis.exceptions import MasterDownError, ReadOnlyError, RedisError, ResponseError

from cticache.data.keys import Keys
from cticache.data.scripts import Scripts
from cticache.data.tokens import token
from cticache.errors import (
    BadArgument,
    Gone,
    NotReady,
    PoolExhausted,
    RedisUnavailable,
    Refusal,
    TooManyLive,
    refusals,
)
from cticache.link.connection import Runner
from cticache.numbering.pools import MOST_CALLERS, Place, Pool

KEPT_HOURS = 8 * 24
"""For how long the counters of an hour are kept."""
_REAP_STEP = 32
"""Most calls that nobody asked for counted in passing by one lease: about 0.1 ms of Redis."""
_SWEEP_STEP = 1000
_MOST_MISSED = 20

_REFUSALS = {kind.script: kind for kind in refusals() if kind.script}
"""By the codes of the scripts."""
_CODE = re.compile(r"-?\b([A-Z]{4,})\b")
_DEMOTED = re.compile("READONLY|MASTERDOWN")
"""What a primary says that is a replica by now, and one that serves nothing until it has caught up."""
_NO_KEY = ""
_TRIES_IN_FULL = 2
"""The second is for a server that takes scripts in another form than the one before it."""
_FIGURES = ("size", "free", "leased", "cooling", "shared", "leaving", "next_free_ms")
"""The first list of pool_stats.lua."""

Grade = Literal["exact", "suffix", "sole"]


class Lease(NamedTuple):
    """A number lent."""

    outcome: Literal["leased", "shared", "fallback", "replayed"]
    """Alone; beside others, told apart by its ANI; on the fallback number; or what was answered before."""
    dnis: str
    """The number to transfer to."""
    token: str
    """Names the lease."""
    leased_ms: int
    """When it began, in ms since 1970 by the server's clock."""
    left_ms: int
    """How long it lasts from now."""


class Held(NamedTuple):
    """A call's value, as the JSON text that was stored, and its lease."""

    value: str
    token: str
    grade: Grade
    """How the call was found."""
    leased_ms: int
    """When the lease began, in ms since 1970 by the server's clock."""
    left_ms: int
    """How long the call had still to live."""
    replayed: bool = False
    """What was answered before under the same key."""


class LiveCall(NamedTuple):
    """A call on a number, without its value."""

    ani: str
    token: str
    lessee: str
    leased_ms: int
    left_ms: int


class Explanation(NamedTuple):
    """What a number and an ANI would lead to."""

    grade: Literal["exact", "suffix", "sole", "ambiguous", "gone", ""]
    found: str
    """The ANI of the call that is meant; for ``gone`` when it was taken, in ms since 1970."""
    calls: list[LiveCall]


@dataclass(frozen=True)
class PoolStats:
    """How full a pool is, and what was done with it; ``size`` is the sum of ``free``, ``leased`` and ``cooling``."""

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
    peak: int
    """Most numbers leased at once."""
    leased_total: int
    shared_total: int
    fallback_total: int
    rejected_total: int
    over_max_live_total: int
    taken_total: int
    renewed_total: int
    replayed_total: int
    match_exact_total: int
    match_suffix_total: int
    match_sole_total: int
    """Calls asked for, by the grade at which they were first found."""
    ambiguous_total: int
    unclaimed_total: int
    """Calls that ended before anybody asked for them."""
    transits: Mapping[int, int]
    """Takes by the time since their lease: seconds up to -> how many."""
    missed: Mapping[str, int]
    """DNIS -> how many of its calls in a row nobody asked for; those with the most."""

    @classmethod
    def of(cls, figures: list[int], counters: list[str], missed: list[str]) -> "PoolStats":
        """What the three lists of pool_stats.lua say."""
        counts = {name: int(float(count)) for name, count in _pairs(counters)}
        said: dict[str, Any] = dict(zip(_FIGURES, figures, strict=True))
        for field in fields(cls):
            if field.name == "peak" or field.name.endswith("_total"):
                said[field.name] = counts.get(field.name.removesuffix("_total"), 0)
        return cls(
            **said,
            transits=dict(sorted((int(name[1:]), n) for name, n in counts.items() if re.fullmatch(r"t[0-9]+", name))),
            missed={dnis: int(float(count)) for dnis, count in _pairs(missed)},
        )


class Store:
    """The calls kept in one Redis."""

    def __init__(self, runner: Runner, scripts: Scripts, keys: Keys, retry_after: int) -> None:
        self._runner = runner
        self._scripts = scripts
        self._keys = keys
        self._retry_after = retry_after

    def lease(
        self,
        pool: Pool,
        ani: str,
        value: str,
        lessee: str,
        ttl_ms: int,
        *,
        sent: str | None = None,
        key: str = _NO_KEY,
        max_live: int = 0,
    ) -> Lease:
        """Lend a number of ``pool`` to the caller and keep the value, once for each idempotency key of the lessee.

        ``sent`` is the ANI as it came, which a repeated request repeats. Without a key the same request within the
        pool's retry window is one lease, while its call is live.

        Raises PoolExhausted and TooManyLive, which say when to come back, KeyReused, and NotReady where Redis has none
        of the pool's numbers.
        """
        fingerprint, reply_ms, while_live = "", 0, False
        if key or (pool.retry_window_ms and ani):
            said = json.dumps([pool.name, ani if sent is None else sent, value, ttl_ms])
            fingerprint = hashlib.sha256(said.encode()).hexdigest()
            reply_ms = ttl_ms
        if fingerprint and not key:
            key, reply_ms, while_live = f" {fingerprint}", pool.retry_window_ms, True  # no client's key has a space
        reply = self._call(
            "lease",
            self._keys.lease(pool.name, lessee, key),
            ani,
            value,
            token(),
            lessee,
            ttl_ms,
            pool.rest_ms,
            pool.exhausted,
            pool.fallback,
            pool.share_scan,
            pool.max_callers,
            pool.match_digits if pool.match == "suffix" else 0,
            max_live,
            reply_ms,
            int(while_live),
            fingerprint,
            _REAP_STEP,
            MOST_CALLERS,
        )
        match reply:
            case ["exhausted", wait_ms]:
                raise self._exhausted(pool, wait_ms)
            case ["max_live", wait_ms]:
                seconds = _seconds(wait_ms)
                raise TooManyLive(
                    f"User {lessee} has {max_live} live leases in pool {pool.name}, which is the most allowed; "
                    f"the first of them ends in {seconds} s.",
                    retry_after=seconds,
                )
        return Lease(*reply)

    def read(self, place: Place, ani: str, reader: str) -> Held | None:
        """The call's value, left in place; None when nothing is live there.

        Raises Gone and Ambiguous.
        """
        pool, dnis, rule, _ = place
        keys = self._keys.read(pool.name, dnis)
        return self._held(self._call("read", keys, dnis, ani, rule, pool.match_digits, MOST_CALLERS, reader))

    def take(self, place: Place, ani: str, user: str, *, key: str = _NO_KEY, if_match: str = "") -> Held | None:
        """The call's value, handed over once, and again to whoever repeats ``key``; None when nothing is live there.

        ``if_match`` is a list of quoted tokens of which the lease must have one; empty for any.

        Raises Gone, Ambiguous, Stale and KeyReused.
        """
        pool, dnis, rule, _ = place
        reply = self._call(
            "take",
            self._keys.take(pool.name, dnis, user, key),
            dnis,
            ani,
            rule,
            pool.match_digits,
            MOST_CALLERS,
            pool.rest_ms,
            pool.remember_ms,
            int(key != _NO_KEY),
            if_match,
        )
        return self._held(reply)

    def renew(
        self, place: Place, ani: str, ttl_ms: int, value: str | None = None, *, if_match: str = ""
    ) -> Held | None:
        """Start the call's time again, with a new value if one is given; None when nothing is live there.

        Raises Gone, Ambiguous and Stale.
        """
        pool, dnis, rule, moved = place
        reply = self._call(
            "renew",
            self._keys.renew(pool.name, dnis),
            dnis,
            ani,
            rule,
            pool.match_digits,
            MOST_CALLERS,
            ttl_ms,
            pool.rest_ms,
            0 if value is None else 1,
            value or "",
            if_match,
            int(moved),
        )
        return self._held(reply)

    def explain(self, place: Place, ani: str) -> Explanation:
        """Which calls are live on a number, and which of them the ANI would be matched with; changes nothing."""
        pool, dnis, rule, _ = place
        keys = self._keys.explain(pool.name, dnis)
        grade, found, *rest = self._call("explain", keys, ani, rule, pool.match_digits, MOST_CALLERS)
        return Explanation(grade, str(found), [LiveCall(*rest[at : at + 5]) for at in range(0, len(rest), 5)])

    def pool_claim(self, step: Literal["take_over", "claim", "forget"], claims: Mapping[str, str]) -> dict[str, str]:
        """Say which pools there are: name -> fingerprint of its numbers; returns what counts by now.

        That is another service's word where one rules, unless this one takes over; a pool that is no longer configured
        has an empty fingerprint, until it is forgotten.
        """
        said = [text for claim in claims.items() for text in claim]
        return dict(_pairs(self._call("pool_claim", self._keys.pool_claim(), step, *said)))

    def pool_sync(
        self,
        pool: Pool,
        step: str,
        *,
        fingerprint: str = "",
        cursor: str = "0",
        count: int = 0,
        free_ms: int = 0,
        dnises: Iterable[str] = (),
    ) -> Any:
        """One bounded step of bringing the pool's numbers in line; lua/pool_sync.lua tells the steps and replies."""
        return self._call(
            "pool_sync",
            self._keys.pool_sync(pool.name),
            step,
            fingerprint,
            cursor,
            count,
            pool.rest_ms,
            free_ms,
            *dnises,
        )

    def pool_stats(self, pools: Sequence[Pool]) -> list[PoolStats]:
        """How full each of the pools is, all in one round trip."""
        calls = [
            ("pool_stats", self._keys.pool_stats(pool.name), (pool.rest_ms, _SWEEP_STEP, _MOST_MISSED))
            for pool in pools
        ]
        return [PoolStats.of(*reply) for reply in self._call_all(calls)]

    def pool_hours(self, pool: Pool, hours: int) -> list[tuple[int, dict[str, int]]]:
        """The counters of the last hours, this one included: hours since 1970 -> counter -> count."""
        reply = iter(self._call("pool_hours", self._keys.pool_hours(pool.name), hours))
        return [
            (hour, {name: int(float(count)) for name, count in _pairs(islice(reply, 2 * size))})
            for hour, size in zip(reply, reply, strict=False)
        ]

    def _call(self, script: str, keys: list[str], *args: str | int) -> Any:
        return self._call_all([(script, keys, args)])[0]

    def _call_all(self, calls: Sequence[tuple[str, list[str], Sequence[str | int]]]) -> list[Any]:
        """Several calls in one round trip; one whose script Redis does not know is made again, with the script."""
        try:
            replies = self._runner.run([self._scripts.call(*call) for call in calls])
            for _ in range(_TRIES_IN_FULL):
                unknown = [at for at, reply in enumerate(replies) if self._scripts.is_unknown(reply)]
                if not unknown:
                    break
                again = self._runner.run([self._scripts.call_in_full(*calls[at]) for at in unknown])
                for at, reply in zip(unknown, again, strict=True):
                    replies[at] = reply
        except RedisError as error:
            raise self._refusal(error) from error
        for reply in replies:
            if isinstance(reply, RedisError):
                raise self._refusal(reply) from reply
        return replies

    def _refusal(self, error: RedisError) -> Exception:
        """What a Redis error means to the caller. Its text carries the script's sha and stays in the log."""
        if isinstance(error, ResponseError):
            for code in _CODE.findall(str(error)):
                if code in _REFUSALS:
                    return _REFUSALS[code]()
                if code == BadArgument.script:
                    return BadArgument(str(error))
            demoted = isinstance(error, ReadOnlyError | MasterDownError)
            if demoted or _DEMOTED.search(str(error)):  # 6.2 wraps what a script met
                self._runner.drop()  # the next call must find the new primary
        return RedisUnavailable(retry_after=self._retry_after)

    def _held(self, reply: Any) -> Held | None:
        if isinstance(reply, int):
            at = datetime.fromtimestamp(reply / 1000, UTC).isoformat(timespec="milliseconds")
            raise Gone(f"The call was taken, at {at.replace('+00:00', 'Z')}.")
        return Held(*reply[:5], *map(bool, reply[5:])) if reply else None

    def _exhausted(self, pool: Pool, wait_ms: int) -> Refusal:
        if wait_ms < 0 and pool.numbers:
            return NotReady(f"The numbers of pool {pool.name} are not in place yet.", retry_after=self._retry_after)
        if wait_ms < 0:
            return PoolExhausted(f"Pool {pool.name} has no numbers to lease.", retry_after=self._retry_after)
        seconds = _seconds(wait_ms)
        return PoolExhausted(
            f"Every number of pool {pool.name} is in use; the next falls free in {seconds} s.", retry_after=seconds
        )


def _pairs(flat: Iterable[str]) -> Iterator[tuple[str, str]]:
    items = iter(flat)
    return zip(items, items, strict=True)


def _seconds(ms: int) -> int:
    """Whole seconds, rounded up: who comes back after them does not come too early."""
    return -(-ms // 1000)
