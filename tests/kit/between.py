"""Lets something happen in the middle of a sync: another service, or its end."""

from collections.abc import Callable
from typing import Any

from cticache.data.store import Store
from cticache.data.store.numbers import Step

STEPS = ["begin", "list", "drop", "leaving", "add", "finish"]
"""The steps of pool_sync in their order."""
WAYS = [(step, lists) for lists in (False, True) for step in STEPS if lists or step != "list"]
"""Each step where the numbers of a pool are known, and where they must be listed."""
BEGUN = [(step, lists) for step, lists in WAYS if step != "begin"]


class Between(Store):
    """A store that lets a deed be done once, before one step of pool_sync."""

    _step = _pool = ""
    _lists = False

    def happens(self, step: str, deed: Callable[[], object], pool: str = "system-y", *, lists: bool = False) -> None:
        """``lists``: as if nobody knew which numbers are there."""
        self._step, self._pool, self._deed, self._lists = step, pool, deed, lists

    def pool_sync(self, *steps: Step) -> list[Any]:
        for at, each in enumerate(steps):
            if (each.step, each.pool.name) == (self._step, self._pool):
                self._step = ""
                before = self.pool_sync(*steps[:at]) if at else []
                self._deed()
                return before + self.pool_sync(*steps[at:])
        replies = super().pool_sync(*steps)
        return [[*reply[:4], ""] for reply in replies] if self._lists and steps[0].step == "begin" else replies


class KilledError(Exception):
    """The process ends here."""


def killed() -> None:
    raise KilledError
