"""The data layer: one method per script of lua/, under the script's name.

Every call is one EVALSHA, one round trip. It is repeated only after NOSCRIPT, which proves that nothing ran.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from cticache.errors import BadArgument, PoolExhausted, RedisUnavailable
from cticache.keys import Keys
from cticache.loader import Scripts
from cticache.pools import Pool

_REFUSALS = {refusal.code: refusal for refusal in (BadArgument,)}
_CODE = re.compile(r"-?\b([A-Z]{4,})\b")


class Lease(NamedTuple):
    """A number lent: the DNIS to transfer to, and the token that names the lease."""

    dnis: str
    token: str
    shared: bool
    """Others hold the number too: the call is told apart by its ANI alone."""


class Held(NamedTuple):
    """A call's value, as the JSON text that was stored, and the token of its lease."""

    value: str
    token: str


@dataclass(frozen=True)
class PoolStats:
    """How full a pool is; ``size`` is the sum of ``free``, ``leased`` and ``cooling``."""

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
    leased_total: int
    shared_total: int
    rejected_total: int
    taken_total: int
    renewed_total: int


class Store:
    """The calls kept in one Redis."""

    def __init__(self, client: Redis, scripts: Scripts, keys: Keys, retry_after: int) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._retry_after = retry_after

    def lease(self, pool: Pool, ani: str, value: str, lessee: str, ttl_ms: int) -> Lease:
        """Lend a number of ``pool`` to the caller and keep the value; PoolExhausted says when to come back."""
        token = secrets.token_urlsafe(12)
        reply = self._call(
            "lease",
            self._keys.lease(pool.name),
            ani,
            value,
            token,
            lessee,
            ttl_ms,
            pool.cooldown_ms,
            pool.exhausted,
            pool.share_scan,
            pool.max_callers,
        )
        if isinstance(reply, int):
            raise self._exhausted(pool, reply)
        return Lease(reply[0], token, reply[1] == 1)

    def read(self, pool: Pool, dnis: str, ani: str) -> Held | None:
        """The call's value, left in place; None when nothing is live under this key."""
        reply = self._call("read", self._keys.read(pool.name, dnis, ani))
        return Held(*reply) if reply else None

    def take(self, pool: Pool, dnis: str, ani: str) -> Held | None:
        """The call's value, handed over once; None when nothing is live under this key."""
        reply = self._call("take", self._keys.take(pool.name, dnis, ani), dnis, ani, pool.cooldown_ms, pool.max_callers)
        return Held(*reply) if reply else None

    def renew(self, pool: Pool, dnis: str, ani: str, ttl_ms: int, value: str | None = None) -> Held | None:
        """Start the call's time again, with a new value if one is given; None when nothing is live."""
        reply = self._call(
            "renew",
            self._keys.renew(pool.name, dnis, ani),
            dnis,
            ani,
            ttl_ms,
            pool.cooldown_ms,
            pool.max_callers,
            0 if value is None else 1,
            value or "",
        )
        return Held(*reply) if reply else None

    def pool_sync(
        self,
        pool: Pool,
        step: str,
        *,
        fingerprint: str = "",
        cursor: str = "0",
        count: int = 0,
        free_ms: int = 0,
        take_over: bool = False,
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
            pool.cooldown_ms,
            free_ms,
            int(take_over),
            *dnises,
        )

    def pool_stats(self, pools: Sequence[Pool]) -> list[PoolStats]:
        """How full each of the pools is, all in one round trip."""
        calls = [("pool_stats", self._keys.pool_stats(pool.name), (pool.cooldown_ms,)) for pool in pools]
        return [PoolStats(*reply) for reply in self._call_all(calls)]

    def _call(self, script: str, keys: list[str], *args: str | int) -> Any:
        try:
            return self._evalsha(script, keys, args)
        except RedisError as error:
            raise self._refusal(error) from error

    def _evalsha(self, script: str, keys: list[str], args: Sequence[str | int]) -> Any:
        try:
            return self._client.evalsha(self._scripts.sha(script), len(keys), *keys, *args)
        except NoScriptError:
            self._scripts.load()
            return self._client.evalsha(self._scripts.sha(script), len(keys), *keys, *args)

    def _call_all(self, calls: Sequence[tuple[str, list[str], Sequence[str | int]]]) -> list[Any]:
        """Several calls in one round trip. redis-py's own pipeline errors would quote the arguments."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            for script, keys, args in calls:
                pipeline.evalsha(self._scripts.sha(script), len(keys), *keys, *args)
            replies = pipeline.execute(raise_on_error=False)
            return [
                self._evalsha(*call) if isinstance(reply, NoScriptError) else _checked(reply)
                for call, reply in zip(calls, replies, strict=True)
            ]
        except RedisError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: RedisError) -> Exception:
        """What a Redis error means to the caller. Its text carries the script's sha and stays in the log."""
        if isinstance(error, ResponseError):
            for code in _CODE.findall(str(error)):
                if refusal := _REFUSALS.get(code):
                    return refusal(str(error).partition(" ")[2])
            if isinstance(error, ReadOnlyError) or "READONLY" in str(error):  # 6.2 wraps what a script met
                self._client.connection_pool.disconnect()  # a demoted primary: the next call must find the new one
        return RedisUnavailable(
            "The store is away or refuses to work. Nothing was answered from it; try again.",
            retry_after=self._retry_after,
        )

    def _exhausted(self, pool: Pool, wait_ms: int) -> PoolExhausted:
        if wait_ms < 0:
            return PoolExhausted(f"Pool {pool.name} has no numbers to lease.", retry_after=self._retry_after)
        seconds = -(-wait_ms // 1000)
        return PoolExhausted(
            f"Every number of pool {pool.name} is in use; the next falls free in {seconds} s.", retry_after=seconds
        )


def _checked(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
