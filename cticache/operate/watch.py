"""A thread that looks every few seconds for what needs attention, and says so in the log when it begins and is over."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from cticache.access.users import User
from cticache.data.condition import Condition
from cticache.data.paging import several
from cticache.data.replies import PoolStats
from cticache.data.store import Store
from cticache.data.store.figures import AT_ONCE
from cticache.errors import NoSuchCall, RedisUnavailable
from cticache.logs import NO_NUMBERS
from cticache.numbering.pools import Pools
from cticache.operate.attention import Attention, Key, Strangers, Watched, WatchRules, attention, of_service
from cticache.operate.history import READ_BACK, Done, lately
from cticache.operate.roster import Roster

_log = logging.getLogger(__name__)

_CALM_LOOKS = 6
"""So many looks in a row must not find a thing before it is said to be over: what comes and goes is said once."""
_MEMORY_S = 60.0
"""The time that what came from strangers is counted of."""
_TOLD_ELSEWHERE = frozenset({"redis", "clock", "overruled", "rules", "config"})
"""The log has them in the same words, from who has found them, when they begin and when they are over."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    at_ms: int = 0
    """When the pools were as they are here, by Redis's clock in ms since 1970; 0: nobody has been able to look yet."""
    stats: Mapping[str, PoolStats] = field(default_factory=dict)
    """By pool."""
    done: Mapping[str, Done] = field(default_factory=dict)
    """Pool -> what was done with it in the last ten minutes, as far as it is known."""
    attention: tuple[Attention, ...] = ()
    """What needs attention, the worst first. While Redis is away that alone is of now."""


class _Met(NamedTuple):
    """What had come from strangers by a time."""

    at_s: float
    failed: Mapping[str, int]
    """User -> wrong passwords ever."""
    in_vain: int
    """Questions that this service has answered with 404 since its start."""
    missed: int
    """Those of them that were for a pool's number, in all services."""


class Watch:
    """Looks at all pools every ``rules.interval`` seconds, and keeps what was done with them by the minute."""

    def __init__(
        self,
        store: Store,
        pools: Pools,
        rules: WatchRules,
        *,
        condition: Callable[[], Condition],
        users: Callable[[], Sequence[User]] = tuple,
        refused: Callable[[], Mapping[str, int]] = dict,
        refused_config: Callable[[], str] = str,
        roster: Roster | None = None,
    ) -> None:
        """``refused``: how often this service has refused with each code since its start. ``refused_config``: what is
        wrong with the configuration that was read last, if it was refused. ``roster``: the services on this Redis;
        each look brings them up to date.
        """
        self._store = store
        self._pools = pools
        self._rules = rules
        self._condition = condition
        self._users = users
        self._refused = refused
        self._refused_config = refused_config
        self._roster = roster or Roster(store)
        self._held: dict[Key, tuple[Attention, int]] = {}
        """What needs attention as far as the log was told, and in how many looks it has not been found since."""
        self._met: deque[_Met] = deque()
        self._failed_as = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.latest = Look()
        """What the last look found; another object after each."""

    def change(self, pools: Pools, rules: WatchRules) -> None:
        """Look at these pools by these rules from the next look on."""
        self._pools, self._rules = pools, rules

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round trip under way."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()

    def look(self) -> None:
        """Keep the minute, and see what needs attention; the log is told what is new and what is over."""
        with suppress(RedisUnavailable):  # a full Redis takes nothing more, and can still be read
            self._store.pool_minute(list(self._pools))
        try:
            now_ms, watched = self._read()
        except RedisUnavailable as error:
            self._cannot_look(error)
            return
        with suppress(RedisUnavailable):  # they are beside no pool: their node of a Cluster may be away
            self._roster.ask()
        if self._stop.is_set():
            return
        found = attention(
            watched,
            self._condition(),
            self._strangers(watched),
            users=self._users(),
            rules=self._rules,
            before={key: held.level for key, (held, _) in self._held.items()},
            refused_config=self._refused_config(),
        )
        self.latest = Look(
            now_ms,
            {each.pool.name: each.stats for each in watched},
            {each.pool.name: each.done for each in watched},
            tuple(found),
        )
        self._tell(found)

    def _read(self) -> tuple[int, list[Watched]]:
        """The time of Redis, and the pools of which it tells: all but those whose node of a Cluster is away."""
        now_ms, watched, met = 0, list[Watched](), None
        for some in several(self._pools, AT_ONCE):
            if self._stop.is_set():
                break
            try:
                stats = self._store.pool_stats(some)
                minutes = self._store.pool_minutes(some, READ_BACK)
            except RedisUnavailable as error:
                met = error
                continue
            for pool, figures, last in zip(some, stats, minutes, strict=True):
                now_ms = max(now_ms, last.now_ms)
                watched.append(Watched(pool, figures, lately(last, figures)))
        if met and not watched:
            raise met
        return now_ms, watched

    def _strangers(self, watched: Sequence[Watched]) -> Strangers:
        if len(watched) < len(list(self._pools)):
            return Strangers()  # what was missed in the others is not known
        try:
            failed = self._store.login_failures()
        except RedisUnavailable:  # they are beside no pool: their node of a Cluster may be away
            return Strangers()
        now = _Met(
            time.monotonic(),
            failed.by_user,
            self._refused().get(NoSuchCall.code, 0),
            sum(each.stats.counts["missed_total"] for each in watched),
        )
        self._met.append(now)
        while len(self._met) > 1 and self._met[1].at_s <= now.at_s - _MEMORY_S:
            self._met.popleft()
        then = self._met[0]
        return Strangers(
            Counter(now.failed) - Counter(then.failed),
            failed.addresses,
            max(now.in_vain - then.in_vain - max(now.missed - then.missed, 0), 0),
        )

    def _cannot_look(self, error: RedisUnavailable) -> None:
        """Redis cannot be asked: what is known of the service alone needs attention. Nothing is said to be over."""
        found = [*of_service(self._condition(), Strangers(), self._rules, {}, self._refused_config())]
        if not any(each.kind == "redis" for each in found):
            found.insert(0, Attention("redis", "CRIT", "", f"{error.why}.", "readyz"))
        self.latest = replace(self.latest, attention=tuple(found))

    def _tell(self, found: Sequence[Attention]) -> None:
        for each in found:
            held, _ = self._held.get(each.key, (None, 0))
            if each.kind not in _TOLD_ELSEWHERE and (held is None or (held.level, each.level) == ("WARN", "CRIT")):
                level = logging.ERROR if each.kind == "loss" else logging.WARNING
                _log.log(level, "%s", _said(each), extra=_numbers(each))
            self._held[each.key] = each, 0
        keys, unread = {each.key for each in found}, {pool.name for pool in self._pools} - self.latest.stats.keys()
        for _, pool, about in [key for key in keys if key[0] == "full"]:
            self._held.pop(("used", pool, about), None)  # it has become worse, and is not over
        for key, (each, looks) in [*self._held.items()]:
            if key in keys or key[1] in unread:
                continue
            self._held[key] = each, looks + 1
            if looks + 1 >= _CALM_LOOKS:
                del self._held[key]
                if each.kind not in _TOLD_ELSEWHERE:
                    _log.info("over: %s", _said(each).partition(". ")[0], extra=_numbers(each))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
                self._failed_as = ""
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it meets
                if self._failed_as != type(error).__name__:  # else each look would say so again
                    _log.exception(
                        "what needs attention could not be found out; tried again every %g s", self._rules.interval
                    )
                self._failed_as = type(error).__name__
            self._stop.wait(self._rules.interval)


def _said(each: Attention) -> str:
    return f"pool {each.pool}: {each.says}" if each.pool else each.says


def _numbers(each: Attention) -> Mapping[str, bool] | None:
    """Whether the log has to look for numbers in it."""
    return None if each.about else NO_NUMBERS
