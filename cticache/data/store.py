"""The data layer: one method per script of lua/, under the script's name.

Every method takes one round trip, unless it says otherwise. A script is run again only where Redis has proved that it
ran nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal
from zlib import crc32

from redis.exceptions import RedisError, ResponseError

from cticache.data.clock import Clocks
from cticache.data.counters import BY_MINUTE, KEPT_MINUTES
from cticache.data.keys import EVERY_POOL, Keys
from cticache.data.outage import Outage
from cticache.data.paging import several
from cticache.data.replies import (
    FIRST_PAGE,
    Beat,
    Cursor,
    Explanation,
    FailedLogins,
    Held,
    LastMinutes,
    Lease,
    LeasePage,
    LiveCall,
    PoolStats,
    Registered,
    Ruler,
    Ruling,
    Standing,
    Trial,
    pairs,
    utc,
)
from cticache.data.scripts import Argument, Invocation, Scripts
from cticache.data.tokens import token as new_token
from cticache.errors import BadArgument, Gone, NotReady, PoolExhausted, RedisUnavailable, Refusal, TooManyLive, refusals
from cticache.journal.events import MOST_EVENTS, Event
from cticache.link.trouble import trouble
from cticache.numbering.pools import MOST_CALLERS, Place, Pool

_REAP_STEP = 32
"""Most unclaimed calls that one lease counts in passing: about 0.1 ms of Redis."""
_SWEEP_STEP = 1000
_MOST_MISSED = 20
_MOST_LESSEES_TOLD = 100
_MOST_LESSEES = 1000
_MOST_LOOKED = 200
"""Leases that one page looks at: some milliseconds of Redis."""
MOST_RELEASED = 50
"""Leases that are ended in one step: the same."""
ITS_OWN = "*"
"""In the place of an ANI: that of the call which the token names."""
_MOST_SERVICES = 1000
_EVENTS_KEPT_MS = 30 * 86_400_000
_OF_A_SERVICE = len(Registered._fields)
AT_ONCE = 50
"""Pools whose minute is kept, or whose figures are asked for, in one round trip: about 3 ms of Redis."""
_HOURS_AT_ONCE = 24
"""Of a pool, in one round trip: about 1 ms of Redis."""
_MINUTES_AT_ONCE = 400
"""Minutes of pools that are asked for in one: about 2 ms."""
_TRIED_MS = 1000
"""How long what a trial has written lives if Redis refuses to delete it."""
_SITE_BUCKETS = 4096
"""Counts of a minute that all addresses share: about 200 KB. Who shares one with a guesser waits behind others."""

_REFUSALS = {kind.script: kind for kind in refusals() if kind.script}
"""By the code under which a script reports them."""
_CODE = re.compile(r"-?\b([A-Z]{4,})\b")
_NOT_LENT = frozenset({"exhausted", "max_live", "over", "lost", "jumped"})
"""What lease.lua says instead of a lease."""
_NO_KEY = ""
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Step:
    """What is asked of lua/pool_sync.lua, which lists the steps and their replies."""

    pool: Pool
    step: str
    fingerprint: str = ""
    cursor: str = "0"
    count: int = 0
    free_ms: int = 0
    skip: int = 0
    ranges: str = ""
    dnises: Iterable[str] = ()


class Store:
    """The calls kept in one Redis."""

    def __init__(self, scripts: Scripts, keys: Keys, retry_after: int, clocks: Clocks | None = None) -> None:
        """``retry_after``: seconds a client is told to wait while Redis is away."""
        self._scripts = scripts
        self.clocks = clocks or Clocks()
        """What is expected of the clocks of Redis."""
        self._keys = keys
        self.retry_after = retry_after

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

        ``sent`` is the ANI as it was sent; a repeated request spells it the same way. Without a key, the same request
        within the pool's retry window gets the same lease, as long as that call is live. Raises PoolExhausted and
        TooManyLive, which say when to come back, KeyReused, Gone for a key whose call is over, and NotReady where Redis
        has none of the pool's numbers, or may have lost calls that this caller's could be taken for.
        """
        blind = not key and pool.retry_window_ms > 0 and ani != ""
        fingerprint = _fingerprint(pool.name, ani if sent is None else sent, value, ttl_ms) if key or blind else ""
        keys = self._keys.lease(pool.name, lessee, fingerprint if blind else key, blind=blind)
        expected_ms = self.clocks.expected(pool.name)
        reply = self._run(
            "lease",
            keys,
            ani=ani,
            value=value,
            token=new_token(),
            lessee=lessee,
            ttl_ms=ttl_ms,
            rest_ms=pool.rest_ms,
            pair_rest_ms=pool.pair_rest_ms,
            exhausted=pool.exhausted,
            fallback=pool.fallback,
            share_scan=pool.share_scan,
            max_callers=pool.max_callers,
            tail_digits=pool.match_digits if pool.match == "suffix" else 0,
            max_live=max_live,
            reply_ms=pool.retry_window_ms if blind else ttl_ms + pool.remember_ms if key else 0,
            reply_name=f"{lessee}:{key}" if key else "",
            fingerprint=fingerprint,
            reap_step=_REAP_STEP,
            most_callers=MOST_CALLERS,
            sole=int(pool.match == "sole"),
            expected_ms=expected_ms,
            most_off_ms=self.clocks.most_off_ms,
        )
        if reply[0] in _NOT_LENT:
            raise self._not_lent(pool, lessee, max_live, *reply)
        lease = Lease(*reply)
        if lease.outcome != "replayed" and self.clocks.jumped(pool.name, lease.leased_ms, expected_ms):
            return lease._replace(jumped=True)
        return lease

    def read(
        self, place: Place, ani: str, reader: str, *, token: str = "", last: bool = True, peek: bool = False
    ) -> Held | None:
        """The call's value, left in place; None when nothing is live there, which is counted if ``last``.

        With a ``token`` the call is the lease that has it, or none, whatever the ANI and the rule are. With ``peek``
        nothing is changed or counted: it is not known that anybody has asked.

        Raises Gone and Ambiguous.
        """
        pool, dnis, rule, *_ = place
        return _held(
            self._run(
                "read",
                self._keys.read(pool.name, dnis),
                dnis=dnis,
                ani=ani,
                rule=rule,
                match_digits=pool.match_digits,
                most_callers=MOST_CALLERS,
                reader="" if peek else reader,
                last=int(last),
                token=token,
            )
        )

    def take(
        self,
        place: Place,
        ani: str,
        user: str,
        *,
        token: str = "",
        key: str = _NO_KEY,
        if_match: str = "",
        last: bool = True,
    ) -> Held | None:
        """The call's value, handed over once, and again to whoever repeats ``key``; None when nothing is live there.

        That is counted if ``last``: a request that asks in several places is to be counted once. With a ``token`` the
        call is the lease that has it, or none, whatever the ANI and the rule are. ``if_match`` is a list of quoted
        tokens of which the lease must have one; empty for any.

        Raises Gone, Ambiguous, Stale and KeyReused.
        """
        pool, dnis, rule, *_ = place
        return _held(
            self._run(
                "take",
                self._keys.take(pool.name, dnis, user, key),
                dnis=dnis,
                ani=ani,
                rule=rule,
                match_digits=pool.match_digits,
                most_callers=MOST_CALLERS,
                rest_ms=pool.rest_ms,
                pair_rest_ms=pool.pair_rest_ms,
                gone_ms=pool.remember_ms,
                keyed=int(key != _NO_KEY),
                if_match=if_match,
                last=int(last),
                token=token,
            )
        )

    def renew(
        self,
        place: Place,
        ani: str,
        ttl_ms: int,
        value: str | None = None,
        *,
        if_match: str = "",
        only: str = "",
        last: bool = True,
    ) -> Held | None:
        """Start the call's time again, with a new value if one is given; None, counted if ``last``, without a live one.

        ``only`` is the user who must have leased the call; empty for whoever has.

        Raises Gone, Ambiguous, ForeignCall and Stale.
        """
        pool, dnis, rule, *_ = place
        return _held(
            self._run(
                "renew",
                self._keys.renew(pool.name, dnis),
                dnis=dnis,
                ani=ani,
                rule=rule,
                match_digits=pool.match_digits,
                most_callers=MOST_CALLERS,
                ttl_ms=ttl_ms,
                rest_ms=pool.rest_ms,
                pair_rest_ms=pool.pair_rest_ms,
                replace=int(value is not None),
                value=value or "",
                if_match=if_match,
                gone_ms=pool.remember_ms,
                only=only,
                last=int(last),
            )
        )

    def release(self, pool: Pool, calls: Iterable[tuple[str, str, str]]) -> list[str | int]:
        """End these calls without handing over their values; each is a DNIS, an ANI and a token, empty for any.

        An ANI may be ITS_OWN. Returns for each the token of the lease that was ended; an integer, the time in ms since
        1970 at which the call was taken, below 0 where it was released; empty when no such call is live.
        """
        said: list[str | int] = self._run(
            "release",
            self._keys.release(pool.name),
            most_callers=MOST_CALLERS,
            rest_ms=pool.rest_ms,
            pair_rest_ms=pool.pair_rest_ms,
            gone_ms=pool.remember_ms,
            calls=[text for call in calls for text in call],
        )
        return said

    def pool_leases(
        self,
        pool: Pool,
        *,
        user: str = "",
        dnis: str = "",
        older_s: int = 0,
        after: Cursor = FIRST_PAGE,
        limit: int = MOST_RELEASED,
    ) -> LeasePage:
        """A page of the pool's live leases in the order in which they end: of all users and numbers, or of these.

        ``older_s``: only those that were leased so many seconds ago or more. A page may be short and not the last.
        """
        after_ms, after_dnis = after
        return LeasePage.of(
            *self._run(
                "pool_leases",
                self._keys.pool_leases(pool.name),
                user=user,
                dnis=dnis,
                older_ms=older_s * 1000,
                after_ms=after_ms,
                after_dnis=after_dnis,
                limit=limit,
                most_looked=_MOST_LOOKED,
                most_lessees=_MOST_LESSEES,
            )
        )

    def explain(self, place: Place, ani: str) -> Explanation:
        """Which calls are live on a number, and which of them the ANI would be matched with; changes nothing."""
        pool, dnis, rule, *_ = place
        grade, found, rule, kind, like, *rest = self._run(
            "explain",
            self._keys.explain(pool.name, dnis),
            ani=ani,
            rule=rule,
            match_digits=pool.match_digits,
            most_callers=MOST_CALLERS,
        )
        calls = [LiveCall(*rest[at : at + 5]) for at in range(0, len(rest), 5)]
        return Explanation(grade, str(found), rule, kind, like, calls)

    def service_look(
        self, service: str, start_ms: int, live_ms: int, *, numbers: str, rules: str, who: str, told: str = ""
    ) -> Standing:
        """Register a service for ``live_ms`` more, and learn which of those that live rules.

        ``start_ms`` is 0 for a service that is new, and else what it was told then. ``told`` is what the service tells
        of itself to whoever asks for ``services``.
        """
        start, was_there, ruler, ruling, former = self._run(
            "service_look",
            self._keys.service_look(),
            service=service,
            start_ms=start_ms,
            live_ms=live_ms,
            numbers=numbers,
            rules=rules,
            who=who,
            told=told,
            most_services=_MOST_SERVICES,
        )
        return Standing(start, bool(was_there), Ruler(*ruler), Ruling(ruling, dict(pairs(former)), {}))

    def services(self) -> list[Registered]:
        """The services that live on this Redis, the one that was started last first."""
        reply = iter(self._run("services", self._keys.services(), most_services=_MOST_SERVICES))
        return [
            Registered(service, int(start), *rest)
            for service, start, *rest in zip(*[reply] * _OF_A_SERVICE, strict=True)
        ]

    def service_leave(self, service: str) -> bool:
        """Register a service no longer; whether it was registered."""
        return bool(self._run("service_leave", self._keys.service_leave(), service=service))

    def server_info(self) -> dict[str, str]:
        """What the server says of itself, as INFO does; nothing where it does not tell."""
        _, _, text = self._run("server_info", self._keys.server_info(), most_services=_MOST_SERVICES)
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def event_tell(self, events: Sequence[Event]) -> int:
        """Add what happened to what the services on this Redis keep together; how many were added.

        The oldest first. Of more than are kept, those that would be dropped at once are not sent.
        """
        if not events:
            return 0
        told = [event.text() for event in events[-MOST_EVENTS:]]
        keys = self._keys.event_tell()
        return int(self._run("event_tell", keys, most=MOST_EVENTS, keep_ms=_EVENTS_KEPT_MS, told=told))

    def events(self, count: int = MOST_EVENTS) -> list[Event]:
        """What happened last to the services on this Redis, the newest first."""
        found = (Event.of(text) for text in self._run("events", self._keys.events(), most=count))
        return [event for event in found if event]

    def login_failed(self, user: str, site: str) -> tuple[int, int]:
        """Count a wrong password of a user (``@unknown``: a name that is no user's) and of the site it came from.

        Returns how many both have had in this minute and the one before, in all services on this Redis; sites share
        a bounded number of counts.
        """
        of_user, of_site = self._run(
            "login_failed", self._keys.login_failed(), user=user, bucket=crc32(site.encode()) % _SITE_BUCKETS
        )
        return of_user, of_site

    def login_failures(self) -> FailedLogins:
        """How many wrong passwords there have been."""
        return FailedLogins.of(self._run("login_failures", self._keys.login_failures()))

    def figures(self, pools: Sequence[Pool]) -> tuple[list[PoolStats], FailedLogins | None]:
        """How full each of the pools is, and how many wrong passwords there have been, all in one round trip.

        The latter are beside no pool: None where their node of a Cluster is away.
        """
        asked = self._asked_of(pools)
        try:
            *stats, failed = self._run_all([*asked, ("login_failures", self._keys.login_failures(), {})])
        except RedisUnavailable:
            return [PoolStats.of(*reply) for reply in self._run_all(asked)], None
        return [PoolStats.of(*reply) for reply in stats], FailedLogins.of(failed)

    def pool_claim(
        self,
        step: Literal["take_over", "claim", "forget", "ask", "list"],
        numbers: str = "",
        claims: Mapping[str, str] = _NOTHING,
    ) -> Ruling:
        """Say which pools there are: name -> fingerprint of its numbers; returns what is valid from now on.

        That is not what was said where another service rules. lua/pool_claim.lua lists the steps.
        """
        ruling, former, pools = self._run(
            "pool_claim",
            self._keys.pool_claim(),
            step=step,
            numbers=numbers,
            most_services=_MOST_SERVICES,
            claims=[text for claim in claims.items() for text in claim],
        )
        return Ruling(ruling, dict(pairs(former)), dict(pairs(pools)))

    def pool_sync(self, *steps: Step) -> list[Any]:
        """Bounded steps of bringing pools in line, in one round trip; the reply of each."""
        return self._run_all(
            [
                (
                    "pool_sync",
                    self._keys.pool_sync(each.pool.name),
                    {
                        "step": each.step,
                        "fingerprint": each.fingerprint,
                        "cursor": each.cursor,
                        "count": each.count,
                        "rest_ms": each.pool.rest_ms,
                        "pair_rest_ms": each.pool.pair_rest_ms,
                        "free_ms": each.free_ms,
                        "skip": each.skip,
                        "ranges": each.ranges,
                        "dnises": [*each.dnises],
                    },
                )
                for each in steps
            ]
        )

    def pool_beat(
        self,
        beats: Sequence[tuple[Pool, Beat | None, Beat | None]],
        told: Literal["ahead", "back", "older", ""] = "",
    ) -> list[Beat]:
        """Leave a sign of life beside each pool, all in one round trip, and learn whether Redis lost anything.

        With each pool comes its beat as this service left it last, and the one before; None where it has left none.
        ``told`` is what has been found: that the clock jumped, or that calls of other pools were lost.
        """
        replies = self._run_all(
            [
                (
                    "pool_beat",
                    self._keys.pool_beat(pool.name),
                    {
                        "known_id": last.id if last else "",
                        "fresh_id": new_token(),
                        "least_nth": before.nth if last and before and before.id == last.id else 0,
                        "last_nth": last.nth if last else 0,
                        "known_ms": last.now if last else 0,
                        "after_loss_ms": pool.after_loss_ms,
                        "told": told,
                    },
                )
                for pool, last, before in beats
            ]
        )
        return [Beat(*reply) for reply in replies]

    def pool_rescore(
        self,
        pool: Pool,
        step: Literal["numbers", "leaving", "rescore"],
        *,
        cursor: int = 0,
        skip: int = 0,
        count: int = 1,
        dnises: Iterable[tuple[str, int]] = (),
    ) -> Any:
        """One bounded step of setting the pool's times anew; lua/pool_rescore.lua lists the steps and replies.

        With each DNIS comes the time (ms) until which other pools' calls are on it, or 0.
        """
        return self._run(
            "pool_rescore",
            self._keys.pool_rescore(pool.name),
            step=step,
            cursor=cursor,
            skip=skip,
            count=count,
            rest_ms=pool.rest_ms,
            pair_rest_ms=pool.pair_rest_ms,
            dnises=[str(each) for pair in dnises for each in pair],
        )

    def pool_stats(self, pools: Sequence[Pool]) -> list[PoolStats]:
        """How full each of the pools is, all in one round trip."""
        return [PoolStats.of(*reply) for reply in self._run_all(self._asked_of(pools))]

    def _asked_of(self, pools: Sequence[Pool]) -> list[Invocation]:
        """The invocations for the figures of these pools."""
        return [
            (
                "pool_stats",
                self._keys.pool_stats(pool.name),
                {
                    "rest_ms": pool.rest_ms,
                    "reap_step": _SWEEP_STEP,
                    "most_missed": _MOST_MISSED,
                    "most_lessees": _MOST_LESSEES_TOLD,
                },
            )
            for pool in pools
        ]

    def pool_hours(self, pool: Pool, hours: int, *, running: bool = True) -> list[tuple[int, dict[str, int]]]:
        """The counters of the last hours, with the one that runs or without: hours since 1970 -> counter -> count.

        As many round trips as it takes for others to be served in between.
        """
        keys, last = self._keys.pool_hours(pool.name), 0 if running else 1
        found: dict[int, dict[str, int]] = {}
        # The latest first: where an hour begins meanwhile, none is missed.
        for skip in range(last, hours, _HOURS_AT_ONCE):
            reply = iter(self._run("pool_hours", keys, hours=min(skip + _HOURS_AT_ONCE, hours), skip=skip))
            for hour, size in zip(reply, reply, strict=False):
                found[hour] = {name: int(float(count)) for name, count in pairs(islice(reply, 2 * size))}
        return sorted(found.items())

    def pool_minute(self, pools: Sequence[Pool]) -> int:
        """Keep how full each pool is and what was done with it by now, unless somebody has in this minute.

        Returns of how many pools it was kept. One round trip for each AT_ONCE pools: others are served in between.
        """
        kept = 0
        for some in several(pools, AT_ONCE):
            kept += sum(
                self._run_all(
                    [
                        (
                            "pool_minute",
                            self._keys.pool_minute(pool.name),
                            {"rest_ms": pool.rest_ms, "most_kept": KEPT_MINUTES, "counters": BY_MINUTE},
                        )
                        for pool in some
                    ]
                )
            )
        return kept

    def pool_minutes(self, pools: Sequence[Pool], back: int) -> list[LastMinutes]:
        """What was kept of each pool in the last ``back`` minutes, the one that runs included: up to KEPT_MINUTES.

        As many round trips as it takes for others to be served in between.
        """
        at_once = min(_MINUTES_AT_ONCE // max(back, 1), AT_ONCE)
        return [
            LastMinutes.of(reply)
            for some in several(pools, at_once)
            for reply in self._run_all(
                [("pool_minutes", self._keys.pool_minutes(pool.name), {"back": back}) for pool in some]
            )
        ]

    def try_out(self, pool: str = EVERY_POOL) -> Trial:
        """Run each command that the scripts use, on keys of this trial's own beside those of a pool, and delete these.

        No service looks at them. Without a pool it is beside what all pools share.
        """
        ran, *refused = self._run("try_out", self._keys.try_out(pool, new_token()), left_ms=_TRIED_MS)
        return Trial(int(ran), dict(pairs(refused)))

    def _run(self, script: str, keys: list[str], **arguments: Argument) -> Any:
        return self._run_all([(script, keys, arguments)])[0]

    def _run_all(self, invocations: Sequence[Invocation]) -> list[Any]:
        try:
            replies = self._scripts.run(invocations)
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
        return Outage(trouble(error), self.retry_after).refusal()

    def _not_lent(self, pool: Pool, lessee: str, max_live: int, why: str, ms: int = 0) -> Refusal:
        """The refusal for what lease.lua says instead of a lease; ``ms`` is a wait, or since when the call is over."""
        seconds = _seconds(ms)
        match why:
            case "over":
                return Gone(
                    f"The call that was leased under this idempotency key has been over since {utc(ms)}; nothing was "
                    "leased now. Use a new key for a new call."
                )
            case "max_live":
                return TooManyLive(
                    f"User {lessee} has {max_live} live leases in pool {pool.name}, which is the most allowed; "
                    f"the first of them ends in {seconds} s.",
                    retry_after=seconds,
                )
            case "lost":
                return NotReady(
                    f"Withheld callers, and under match = sole all callers, of pool {pool.name} are served again in "
                    f"{seconds} s: Redis lost calls whose callers may still be on the line.",
                    retry_after=seconds,
                )
            case "jumped":
                return NotReady(f"The clock of Redis has jumped; pool {pool.name} is checked.", retry_after=1)
        if ms < 0 and pool.numbers:
            return NotReady(f"The numbers of pool {pool.name} are not in place yet.", retry_after=self.retry_after)
        if ms < 0:
            return PoolExhausted(f"Pool {pool.name} has no numbers to lease.", retry_after=self.retry_after)
        return PoolExhausted(
            f"No number of pool {pool.name} is free for this caller; one will be in {seconds} s.", retry_after=seconds
        )


def gone(ms: int) -> Gone:
    """The refusal for a call that was taken at this time in ms since 1970, or released where it is below 0."""
    if ms < 0:
        return Gone(f"The call was released by an operator, at {utc(-ms)}.")
    return Gone(f"The call was taken, at {utc(ms)}.")


def _held(reply: Any) -> Held | None:
    if isinstance(reply, int):
        raise gone(reply)
    return Held(*reply[:5], *map(bool, reply[5:])) if reply else None


def _fingerprint(*said: str | int) -> str:
    """64 hex digits that tell one request from another."""
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _seconds(ms: int) -> int:
    """Whole seconds, rounded up, so that whoever waits for them does not come back too early."""
    return -(-ms // 1000)
