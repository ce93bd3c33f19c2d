"""Answers what operators ask of the whole service, as bytes that only have to be sent.

It asks Redis for so few pools at a time that nobody has to wait for it there, and keeps what it learns for a moment:
however many ask, Redis is asked no more than once in that time. It may block, so it runs beside the loop: in the parent
process, or in a thread.
"""

import json
import os
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from cticache.access.users import User
from cticache.data.condition import Condition
from cticache.data.counters import KEPT_HOURS
from cticache.data.outage import Outage
from cticache.data.paging import several
from cticache.data.replies import FailedLogins, PoolStats
from cticache.data.store import Store
from cticache.data.store.asking import Unread
from cticache.data.store.figures import AT_ONCE
from cticache.errors import BadArgument, Refusal
from cticache.journal.counts import Sums
from cticache.journal.events import Event
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate import status
from cticache.operate.attention import Attention, Hint
from cticache.operate.fill import Limits
from cticache.operate.history import HOUR, Done
from cticache.operate.metrics import Processes, Seen, exposition
from cticache.operate.roster import Roster
from cticache.operate.unread import of_all, parted, why
from cticache.operate.watch import Watch

_MOST_EVENTS = 50
"""Events that are shown."""
_RATE_S = 60.0
"""The time over which requests a minute are told."""
_LEAST_S = 4.0
"""The shortest: of a few requests within a moment thousands a minute would be made."""


class Scrape(NamedTuple):
    """Asks for /metrics: with the families of these pools, and of the users' logins where those may be seen."""

    pools: Sequence[str]
    names_users: bool


class Fill(NamedTuple):
    """Asks for /cticache/pools: how full these are."""

    pools: Sequence[str]


class Status(NamedTuple):
    """Asks for /cticache/status: the service at a glance, with these pools, and one of them opened unless empty.

    Whoever asks has seen to it that the user may see these, and that one.
    """

    pools: Sequence[str]
    opened: str
    names_users: bool


Question = Scrape | Fill | Status


class Figures(NamedTuple):
    """What Redis said of the pools."""

    read_at: float
    """By time.monotonic()."""
    stats: Mapping[str, PoolStats]
    """By the names of the pools of which it said anything."""
    failed: FailedLogins | None
    """None where nobody knows."""
    trouble: Outage | None
    """Why it has not said all, unless that is of single pools."""
    unread: Mapping[str, Outage]
    """Pool -> why it has not said anything of that one, while it tells of others."""


class ConfigFile(NamedTuple):
    """The configuration that a service has read."""

    file: str | None
    changed_at: str | None
    """When it had been changed last."""
    read_at: str | None
    """When it was read."""


class Around(NamedTuple):
    """What Redis said of itself and of what happened to the services on it, with how long it took to say so."""

    read_at: float
    """By time.monotonic()."""
    info: Mapping[str, str]
    took_s: float | None
    """None where it has never said so."""
    events: Sequence[Event]
    """The newest first."""


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
        limits: Mapping[str, float] | None = None,
        users: Sequence[User] = (),
        watch: Watch | None = None,
        roster: Roster | None = None,
        thresholds: Limits | None = None,
        config_file: Path | None = None,
        max_age_s: float = 0.0,
    ) -> None:
        """``limits`` are those of the configuration by their names; without a ``watch`` nothing needs attention.
        ``roster``: the services on this Redis.

        ``max_age_s``: how old an answer may be.
        """
        self._store = store
        self._pools = pools
        self._sums = sums
        self._condition = condition
        self._processes = processes
        self._limits = limits or {}
        self._users = users
        self._watch = watch
        self._roster = roster or Roster(store)
        self._thresholds = thresholds or Limits()
        self._config_file = config_file
        self._max_age_s = max_age_s
        self._config_changed_at = _changed_at(config_file)
        self._started = self._read = datetime.now(UTC)
        self._lock = threading.Lock()
        self._figures = Figures(float("-inf"), {}, None, None, {})
        self._seen: dict[str, tuple[float, PoolStats]] = {}
        """Pool -> when Redis told of it last, by time.monotonic(), and what."""
        self._around = Around(float("-inf"), {}, None, ())
        self._rates = Rates()

    def change(
        self, pools: Pools, limits: Mapping[str, float], users: Sequence[User], thresholds: Limits, max_age_s: float
    ) -> None:
        """Answer by the configuration that has just been read, of which these are."""
        changed_at = _changed_at(self._config_file)
        with self._lock:
            self._pools, self._limits, self._users = pools, limits, users
            self._thresholds, self._max_age_s = thresholds, max_age_s
            self._config_changed_at, self._read = changed_at, datetime.now(UTC)
            self._figures = self._figures._replace(read_at=float("-inf"))

    def answer(self, question: Question) -> bytes | Outage | None:
        """What is asked; or why Redis cannot be asked, where that is needed for it."""
        figures = self.figures()
        match question:
            case Scrape(names, names_users):
                return self._scrape(figures, names, names_users=names_users)
            case Fill(names):
                return self._fill(figures, names)
            case Status():
                return _json(self._status(figures, question))
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
        stats: dict[str, PoolStats] = {}
        unread: dict[str, Unread] = {}
        failed: FailedLogins | None = None
        trouble: Outage | None = None
        for some in several(self._pools, AT_ONCE):
            try:
                told, failed = self._store.figures(some)
            except (Refusal, BadArgument) as error:  # what Redis may say, though no script that runs there says it
                trouble = self._outage(error)
            else:
                read, not_read = parted(zip(some, told, strict=True))
                stats |= {pool.name: each for pool, each in read}
                unread |= not_read
        if refused := of_all(unread, len(list(self._pools))):
            trouble, unread = self._outage(refused), {}
        now = time.monotonic()
        self._seen.update({name: (now, each) for name, each in stats.items()})
        return Figures(now, stats, failed, trouble, {name: self._outage(each) for name, each in unread.items()})

    def _outage(self, error: Unread) -> Outage:
        return Outage(why(error), self._store.retry_after)

    @staticmethod
    def _fill(figures: Figures, names: Sequence[str]) -> bytes | Outage:
        known = [name for name in names if name in figures.stats]
        unread = {name: figures.unread[name] for name in names if name in figures.unread}
        if figures.trouble and len(known) + len(unread) < len(names):
            return figures.trouble
        if unread and not known:
            return next(iter(unread.values()))
        rows = [{"pool": name, **figures.stats[name].figures()} for name in known]
        return _json({"pools": rows, "unread": _unread(unread)})

    def _scrape(self, figures: Figures, names: Sequence[str], *, names_users: bool) -> bytes:
        return exposition(
            Seen(
                stats={name: figures.stats[name] for name in names if name in figures.stats},
                failed_logins=figures.failed,
                names_users=names_users,
                is_up=not (figures.trouble and figures.trouble.trouble.is_away),
                condition=self._condition(),
                sums=self._sums,
                processes=self._processes(),
                limits=self._limits,
                users=self._users,
                config_read_at=self._read.timestamp(),
                attention=self._attention(names, names_users=names_users),
            )
        )

    def _attention(self, names: Sequence[str], *, names_users: bool) -> list[Attention]:
        """What needs attention, of these pools and of the whole service."""
        found = self._watch.latest.attention if self._watch else ()
        return [each for each in found if (each.pool in names if each.pool else names_users or each.kind != "logins")]

    def _wanting(self, asked: Status, trouble: Outage | None) -> list[Attention]:
        """The same, with a Redis that does not answer now, if the watch has not looked since."""
        found = self._attention(asked.pools, names_users=asked.names_users)
        if trouble and not any(each.kind == "redis" and not each.pool for each in found):
            hint: Hint = "readyz" if trouble.trouble.is_away else "log"
            found.insert(0, Attention("redis", "CRIT", "", f"{trouble.trouble.says}.", hint))
        return found

    def _status(self, figures: Figures, asked: Status) -> dict[str, Any]:
        condition, processes = self._condition(), self._processes()
        latest = self._watch.latest if self._watch else None
        trouble = figures.trouble.trouble.says if figures.trouble else ""
        around = self._asked_around(trouble)
        pool = self._pools.get(asked.opened)
        return {
            "at": status.to_the_second(datetime.now(UTC)),
            "age_s": round(time.monotonic() - figures.read_at, 1),
            "service": {
                "version": version("cticache"),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_at": self.started_at,
                "ready": condition.in_place and not trouble,
                "says": " ".join(condition.notes.values()) if condition.in_place else condition.why_not(),
                "dispatch": processes.dispatch,
                "config": {
                    **self.config._asdict(),
                    "same_on_all": not {"overruled", "rules"} & condition.notes.keys(),
                },
            },
            "redis": status.of_redis(around.info, trouble, around.took_s),
            "workers": {
                "wanted": processes.wanted,
                "serving": len(processes.pids.keys() - {"parent"}),
                "restarts": processes.restarts,
            },
            "nodes": self._roster.rows() if asked.names_users else [],
            "nodes_age_s": self._roster.age_s,
            "attention": [asdict(each) for each in self._wanting(asked, figures.trouble)],
            "thresholds": {"warn": self._thresholds.warn, "crit": self._thresholds.crit},
            "pools": self._rows(figures, asked.pools, latest.done if latest else {}),
            "unread": _unread({name: each for name, each in figures.unread.items() if name in asked.pools}),
            "requests": self._rates.told(status.by_status(self._sums.answers())),
            "refused_logins": self._sums.of("logins"),
            "events": [status.of_event(each) for each in around.events] if asked.names_users else [],
            "opened": self._opened(pool, figures) if pool else None,
        }

    def _rows(self, figures: Figures, names: Sequence[str], done: Mapping[str, Done]) -> list[dict[str, Any]]:
        """Each of these pools as it is; as it was last, where Redis has not told now."""
        rows = []
        for name in (pool.name for pool in self._pools):
            if name in names and name in self._seen:
                told_at, stats = self._seen[name]
                stale_s = None if name in figures.stats else round(time.monotonic() - told_at, 1)
                rows.append(status.of_pool(name, stats, done.get(name), self._thresholds, stale_s))
        return rows

    @property
    def started_at(self) -> str:
        """When the service was started."""
        return status.to_the_second(self._started)

    @property
    def config(self) -> ConfigFile:
        """The configuration that the service has read."""
        file = self._config_file
        return ConfigFile(str(file) if file else None, self._config_changed_at, status.to_the_second(self._read))

    def _asked_around(self, trouble: str) -> Around:
        """What Redis says of itself, or said a moment ago, or last if it cannot be asked."""
        with self._lock:
            now = time.monotonic()
            if not trouble and now - self._around.read_at >= self._max_age_s:
                try:
                    info = self._store.server_info()
                    took_s = time.monotonic() - now
                    # One whose reply was lost was sent again, and may be there twice.
                    events = dict.fromkeys(self._store.events(_MOST_EVENTS))
                    self._around = Around(now, info, took_s, list(events))
                    self._roster.ask()
                except (Refusal, BadArgument):
                    pass  # the next look at the pools tells why
            return self._around

    def _opened(self, pool: Pool, figures: Figures) -> dict[str, Any] | None:
        if pool.name not in figures.stats:
            return None
        try:
            (last,) = self._store.pool_minutes([pool], HOUR + 1)
            hours = self._store.pool_hours(pool, KEPT_HOURS)
        except (Refusal, BadArgument):
            return None  # Redis has just gone: the next answer says so
        return status.opened(pool, figures.stats[pool.name], last, hours, self._users)


class Rates:
    """How often a minute requests are answered with each status."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: deque[tuple[float, Counter[int]]] = deque()

    def told(self, now: Counter[int]) -> list[dict[str, Any]]:
        """Each status with its count and, once they were told some seconds before, how many a minute since."""
        at_s = time.monotonic()
        with self._lock:
            while len(self._before) > 1 and self._before[1][0] <= at_s - _RATE_S:
                self._before.popleft()
            since_s, then = self._before[0] if self._before else (at_s, now)
            if not self._before or at_s - self._before[-1][0] >= 1:
                self._before.append((at_s, now))
        minutes = (at_s - since_s) / 60
        return [
            {
                "status": code,
                "count": count,
                "a_minute": round((count - then[code]) / minutes, 1) if 60 * minutes >= _LEAST_S else None,
            }
            for code, count in sorted(now.items())
        ]


def _changed_at(file: Path | None) -> str | None:
    try:
        return status.to_the_second(datetime.fromtimestamp(file.stat().st_mtime, UTC)) if file else None
    except OSError:
        return None


def _unread(unread: Mapping[str, Outage]) -> list[dict[str, str]]:
    return [{"pool": name, "says": f"{each.trouble.says}."} for name, each in unread.items()]


def _json(what: Any) -> bytes:
    return json.dumps(what, ensure_ascii=False).encode()
