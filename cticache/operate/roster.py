"""The services on this Redis, as they were told last to whoever has asked: they are known while it is away, too.

This one is told as it is by now, whatever Redis has of it.
"""

import time
from collections.abc import Sequence
from typing import Any

from cticache.data.replies import Registered
from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.operate import status


class Roster:
    """Those that one service knows; any thread may ask for them."""

    def __init__(self, store: Store, here: Registration | None = None) -> None:
        """``here``: the registration of this service, if it is one."""
        self._store = store
        self._here = here
        self._services: Sequence[Registered] = ()
        self._asked_at = float("-inf")

    def ask(self) -> None:
        """Learn from Redis who they are by now; RedisUnavailable where it is away."""
        self._services, self._asked_at = self._store.services(), time.monotonic()

    @property
    def age_s(self) -> float | None:
        """How long ago they were like that; None where Redis has never told."""
        age_s = time.monotonic() - self._asked_at
        return round(age_s, 1) if age_s < float("inf") else None

    def rows(self) -> list[dict[str, Any]]:
        """Each of them for JSON, the one that rules first."""
        return status.of_nodes(self._services, self._here)
