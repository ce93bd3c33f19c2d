"""A call: leased, asked for, ended; and which are live."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cticache.data.replies import FIRST_PAGE, Cursor, Explanation, Held, Lease, LeasePage, LiveCall, utc
from cticache.data.store.asking import Asking
from cticache.data.tokens import token as new_token
from cticache.errors import Gone, NotReady, PoolExhausted, Refusal, TooManyLive
from cticache.numbering.pool import MOST_CALLERS, Pool
from cticache.numbering.pools import Place

_REAP_STEP = 32
"""Most unclaimed calls that one lease counts in passing: about 0.1 ms of Redis."""
_MOST_LESSEES = 1000
_MOST_LOOKED = 200
"""Leases that one page looks at: some milliseconds of Redis."""
MOST_RELEASED = 50
"""Leases that are ended in one step: the same."""
ITS_OWN = "*"
"""In the place of an ANI: that of the call which the token names."""
_NOT_LENT = frozenset({"exhausted", "max_live", "over", "lost", "jumped"})
"""What lease.lua says instead of a lease."""
_NO_KEY = ""


class Calls(Asking):
    """What is done with a call."""

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
        grade, found, rule, kind, like, now_ms, born_ms, lost_ms, loss, ended_ms, *rest = self._run(
            "explain",
            self._keys.explain(pool.name, dnis),
            ani=ani,
            rule=rule,
            match_digits=pool.match_digits,
            most_callers=MOST_CALLERS,
        )
        calls = [LiveCall(*rest[at : at + 5]) for at in range(0, len(rest), 5)]
        return Explanation(grade, str(found), rule, kind, like, calls, now_ms, born_ms, lost_ms, loss, ended_ms)

    def _not_lent(self, pool: Pool, lessee: str, max_live: int, why: str, ms: int = 0, *more: int) -> Refusal:
        """The refusal for what lease.lua says instead of a lease; ``ms`` is a wait, or since when the call is over.

        ``more``: how many leases the lessee has, where these are too many.
        """
        seconds = _seconds(ms)
        match why:
            case "over":
                return Gone(
                    f"The call that was leased under this idempotency key has been over since {utc(ms)}; nothing was "
                    "leased now. Use a new key for a new call."
                )
            case "max_live":
                (held,) = more
                leases = f"{held:,} live lease{'' if held == 1 else 's'}"
                return TooManyLive(
                    f"User {lessee} has {leases} in pool {pool.name}, and max_live allows {max_live:,}; "
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
