"""Lets something happen in the middle of a sync: another service, or its end."""

from collections.abc import Callable
from typing import Any

from cticache.data.store import Store
from cticache.numbering.pools import Pool

STEPS = ["begin", "list", "drop", "leaving", "add", "finish"]
"""The steps of pool_sync in their order."""


class Between(Store):
    """A store that lets a deed be done once, before one step of pool_sync."""

    _step = _pool = ""

    def happens(self, step: str, deed: Callable[[], object], pool: str = "system-y") -> None:
        self._step, self._pool, self._deed = step, pool, deed

    def pool_sync(self, pool: Pool, step: str, **arguments: Any) -> Any:
        if (step, pool.name) == (self._step, self._pool):
            self._step = ""
            self._deed()
        return super().pool_sync(pool, step, **arguments)


class KilledError(Exception):
    """The process ends here."""


def killed() -> None:
    raise KilledError
