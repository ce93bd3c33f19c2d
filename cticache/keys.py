"""The names of all keys in Redis: the hash tag ``{pool}`` puts a pool's keys into one Cluster slot.

- ``cti:{pool}:numbers``, a zset: DNIS -> ms from which it may be leased again; for ever
- ``cti:{pool}:shared``, a zset: DNIS -> ms until which it has more than one live caller; until the latest of these
- ``cti:{pool}:leaving``, a zset: DNIS taken out with live calls -> their end + cool-down; until the latest of these
- ``cti:{pool}:synced``, a string: fingerprint of the configured numbers, all of them in place; for ever
- ``cti:{pool}:stats``, a hash: counters; for ever
- ``cti:{pool}:call:DNIS:ANI``, a hash: value, token, leased_ms, lessee; its TTL
- ``cti:{pool}:callers:DNIS``, a zset: ANI -> ms at which that lease ends; until the last end + cool-down
"""

import re

PERMANENT = re.compile(r".*:\{[^{}]+\}:(?:numbers|synced|stats)")
"""The keys that never expire; every other key of the service must have a TTL."""


class Keys:
    """The key names under one prefix; a method named after a script returns its KEYS in order."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def lease(self, pool: str) -> list[str]:
        """KEYS of lease.lua."""
        return self._of(pool, "numbers", "shared", "stats", "call:", "callers:")

    def read(self, pool: str, dnis: str, ani: str) -> list[str]:
        """KEYS of read.lua."""
        return self._of(pool, f"call:{dnis}:{ani}")

    def take(self, pool: str, dnis: str, ani: str) -> list[str]:
        """KEYS of take.lua."""
        return self._of(pool, "numbers", "shared", "stats", f"call:{dnis}:{ani}", f"callers:{dnis}", "call:")

    def renew(self, pool: str, dnis: str, ani: str) -> list[str]:
        """KEYS of renew.lua."""
        return self._of(pool, "numbers", "shared", "leaving", "stats", f"call:{dnis}:{ani}", f"callers:{dnis}", "call:")

    def pool_sync(self, pool: str) -> list[str]:
        """KEYS of pool_sync.lua."""
        return self._of(pool, "numbers", "leaving", "synced", "callers:")

    def pool_stats(self, pool: str) -> list[str]:
        """KEYS of pool_stats.lua."""
        return self._of(pool, "numbers", "shared", "leaving", "stats")

    def _of(self, pool: str, *names: str) -> list[str]:
        return [f"{self._prefix}:{{{pool}}}:{name}" for name in names]
