"""Answers what operators ask of the whole service: its figures, as bytes that only have to be sent.

It asks Redis for so few pools at a time that nobody has to wait for it there, and keeps what it learns for a moment:
however many ask, Redis is asked no more than once in that time. It may block, so it runs beside the loop: in the parent
process, or in a thread.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from cticache.data.condition import Condition
from cticache.data.outage import Outage
from cticache.data.replies import FailedLogins, PoolStats
from cticache.data.store import Store
from cticache.errors import BadArgument, Refusal
from cticache.journal.counts import Sums
from cticache.link.trouble import trouble as trouble_of
from cticache.numbering.pools import Pools
from cticache.operate.metrics import Processes, Seen, exposition

AT_ONCE = 50
"""Pools asked in one round trip: about 2 ms of Redis."""


_NONE: Mapping[str, int] = MappingProxyType({})


class Scrape(NamedTuple):
    """Asks for /metrics: with the families of these pools, and of the users' logins where those may be seen."""

    pools: Sequence[str]
    names_users: bool


class Fill(NamedTuple):
    """Asks for /cticache/pools: how full these are."""

    pools: Sequence[str]


class Figures(NamedTuple):
    """What Redis said of the pools."""

    read_at: float
    """By time.monotonic()."""
    stats: Mapping[str, PoolStats]
    """By the names of the pools of which it said anything."""
    failed: FailedLogins | None
    """None where nobody knows."""
    took_s: float
    """How long it took to ask."""
    trouble: Outage | None
    """Why it has not said all."""


class Desk:
    """Answers one question after the other, from any thread."""

    def __init__(
        self,
        store: Store,
        pools: Pools,
        sums: Sums,
        *,
        condition: Callable[[], Condition],
        processes: Callable[[], Processes] = Processes,
        limits: Mapping[str, float] = _NONE,
        most_live: Mapping[str, int] = _NONE,
        max_age_s: float = 0.0,
    ) -> None:
        """``limits`` are those of the configuration by their names; ``most_live`` has each user's max_live, 0 for none.

        ``max_age_s``: how old an answer may be.
        """
        self._store = store
        self._pools = pools
        self._sums = sums
        self._condition = condition
        self._processes = processes
        self._limits = limits
        self._most_live = most_live
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._figures = Figures(float("-inf"), {}, None, 0.0, None)

    def answer(self, question: Any) -> bytes | Outage | None:
        """What is asked; or why Redis cannot be asked, where that is needed for it."""
        figures = self.figures()
        match question:
            case Scrape(names, names_users):
                stats = {name: figures.stats[name] for name in names if name in figures.stats}
                seen = Seen(
                    stats=stats,
                    failed_logins=figures.failed,
                    names_users=names_users,
                    is_up=not figures.trouble,
                    condition=self._condition(),
                    sums=self._sums,
                    processes=self._processes(),
                    limits=self._limits,
                    most_live=self._most_live,
                )
                return exposition(seen)
            case Fill(names):
                if figures.trouble and not all(name in figures.stats for name in names):
                    return figures.trouble
                return _json({"pools": [{"pool": name, **figures.stats[name].figures()} for name in names]})
        return None

    def figures(self) -> Figures:
        """What Redis says of all pools, or said a moment ago."""
        if not self._max_age_s:
            return self._asked()
        with self._lock:
            if time.monotonic() - self._figures.read_at >= self._max_age_s:
                self._figures = self._asked()
            return self._figures

    def _asked(self) -> Figures:
        began = time.monotonic()
        stats: dict[str, PoolStats] = {}
        failed: FailedLogins | None = None
        trouble: Outage | None = None
        pools = list(self._pools)
        for at in range(0, len(pools), AT_ONCE):
            some = pools[at : at + AT_ONCE]
            try:
                told, failed = self._store.figures(some)
            except (Refusal, BadArgument) as error:  # what Redis may say, though no script that runs there says it
                trouble = Outage(trouble_of(error.__cause__), self._store.retry_after)
            else:
                stats.update(zip((pool.name for pool in some), told, strict=True))
        now = time.monotonic()
        return Figures(now, stats, failed, now - began, trouble)


def _json(what: Any) -> bytes:
    return json.dumps(what, ensure_ascii=False).encode()
