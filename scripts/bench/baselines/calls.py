"""The commands of lease, read and take as cticache's store sends them, for baselines that speak to Redis themselves."""

import secrets

from cticache.data.keys import Keys

Command = tuple[str | int, ...]

_USER = "bench"
_REMEMBER_MS = 60_000
_MATCH_DIGITS, _MOST_CALLERS, _REAP_STEP, _SHARE_SCAN, _MAX_CALLERS = 7, 1000, 32, 64, 20
_REST_MS = 0


class Calls:
    """Builds one EVALSHA for each operation on one pool."""

    def __init__(self, prefix: str, pool: str, shas: dict[str, str]) -> None:
        self._keys = Keys(prefix)
        self._pool = pool
        self._shas = shas

    def lease(self, ani: str, value: str, ttl_ms: int) -> Command:
        """Lend a number; the reply's second item is the DNIS."""
        return self._command(
            "lease", self._keys.lease(self._pool, _USER, ""),
            ani, value, secrets.token_urlsafe(12), _USER, ttl_ms, _REST_MS, "share", "", _SHARE_SCAN, _MAX_CALLERS,
            0, 0, 0, 0, "", _REAP_STEP, _MOST_CALLERS,
        )  # fmt: skip

    def read(self, dnis: str, ani: str) -> Command:
        """The value, left in place: the reply's first item; an integer, or None, when there is none."""
        keys = self._keys.read(self._pool, dnis)
        return self._command("read", keys, dnis, ani, "exact", _MATCH_DIGITS, _MOST_CALLERS, _USER, 1)

    def take(self, dnis: str, ani: str) -> Command:
        """The value, once: the reply's first item; an integer, or None, when there is none."""
        return self._command(
            "take", self._keys.take(self._pool, dnis, _USER, ""),
            dnis, ani, "exact", _MATCH_DIGITS, _MOST_CALLERS, _REST_MS, _REMEMBER_MS, 0, "", 1,
        )  # fmt: skip

    def _command(self, script: str, keys: list[str], *args: str | int) -> Command:
        return ("EVALSHA", self._shas[script], len(keys), *keys, *args)
