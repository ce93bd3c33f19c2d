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
from cticache.data.store.asking import Unread
from cticache.data.store.figures import AT_ONCE
from cticache.errors import BadArgument, NoSuchCall, RedisUnavailable, Refusal
from cticache.logs import NO_NUMBERS
from cticache.numbering.pools import Pools
from cticache.operate.attention import Attention, Key, Strangers, Watched, WatchRules, attention, of_service
from cticache.operate.history import NOTHING, Done, lately
from cticache.operate.roster import Roster
from cticache.operate.unread import looked_at, of_all, why

_log = logging.getLogger(__name__)

_CALM_LOOKS = 6
"""So many looks in a row must not find a thing before it is said to be over: what comes and goes is said once."""
_MEMORY_S = 60.0
"""The time that what came from strangers is counted of."""
_TOLD_ELSEWHERE = frozenset({"redis", "clock", "overruled", "rules", "config"})
"""The log has them in the same words, from who has found them, when they begin and when they are over; but see
``_is_told_elsewhere``."""


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
    missed: Mapping[str, int]
    """Pool -> those of them that were for a number of it, in all services."""


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
            now_ms, watched, unread = self._read()
        except (Refusal, BadArgument) as error:
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
            unread={pool: why(error).says for pool, error in unread.items()},
        )
        self.latest = Look(
            now_ms,
            {each.pool.name: each.stats for each in watched},
            {each.pool.name: each.done for each in watched},
            tuple(found),
        )
        self._tell(found, unread)

    def _read(self) -> tuple[int, list[Watched], dict[str, Unread]]:
        """The time of Redis, the pools of which it tells, and why it does not of others.

        Those whose node of a Cluster is away are in neither. What it refuses for all pools alike is raised.
        """
        now_ms, watched, unread, met = 0, list[Watched](), dict[str, Unread](), None
        for some in several(self._pools, AT_ONCE):
            if self._stop.is_set():
                break
            try:
                read, not_read = looked_at(self._store, some)
            except RedisUnavailable as error:
                met = error
                continue
            unread |= not_read
            for pool, figures, last in read:
                now_ms = max(now_ms, last.now_ms if last else 0)
                watched.append(Watched(pool, figures, lately(last, figures) if last else NOTHING))
        if refused := met if met and not (watched or unread) else of_all(unread, len(list(self._pools))):
            raise refused
        return now_ms, watched, unread

    def _strangers(self, watched: Sequence[Watched]) -> Strangers:
        try:
            failed = self._store.login_failures()
        except RedisUnavailable:  # they are beside no pool: their node of a Cluster may be away
            return Strangers()
        now = _Met(
            time.monotonic(),
            failed.by_user,
            self._refused().get(NoSuchCall.code, 0),
            {each.pool.name: each.stats.counts["missed_total"] for each in watched},
        )
        self._met.append(now)
        while len(self._met) > 1 and self._met[1].at_s <= now.at_s - _MEMORY_S:
            self._met.popleft()
        then = self._met[0]
        # What was missed in a pool that could not be read then or now is not known: it may be all that was in vain.
        in_vain = 0
        if now.missed.keys() == then.missed.keys() == {pool.name for pool in self._pools}:
            missed = sum(now.missed.values()) - sum(then.missed.values())
            in_vain = max(now.in_vain - then.in_vain - max(missed, 0), 0)
        return Strangers(Counter(now.failed) - Counter(then.failed), failed.addresses, in_vain)

    def _cannot_look(self, error: Unread) -> None:
        """Redis cannot be asked: what is known of the service alone needs attention. Nothing is said to be over."""
        found = [*of_service(self._condition(), Strangers(), self._rules, {}, self._refused_config())]
        if not any(each.kind == "redis" for each in found):
            met = why(error)
            found.insert(0, Attention("redis", "CRIT", "", f"{met.says}.", "readyz" if met.is_away else "log"))
            self._begin(found[0], error)
        self.latest = replace(self.latest, attention=tuple(found))

    def _begin(self, each: Attention, met: Unread | None) -> None:
        """Say it, if it is new or has become worse. ``met``: what was met that it tells of."""
        held, _ = self._held.get(each.key, (None, 0))
        if not _is_told_elsewhere(each) and (held is None or (held.level, each.level) == ("WARN", "CRIT")):
            if met:
                _log.warning("%s (%s)", _said(each), met.__cause__)
            else:
                level = logging.ERROR if each.kind == "loss" else logging.WARNING
                _log.log(level, "%s", _said(each), extra=_numbers(each))
        self._held[each.key] = each, 0

    def _tell(self, found: Sequence[Attention], not_read: Mapping[str, Unread]) -> None:
        for each in found:
            self._begin(each, not_read.get(each.pool) if each.kind == "redis" else None)
        keys = {each.key for each in found}
        unread = {pool.name for pool in self._pools} - self.latest.stats.keys() | not_read.keys()
        for _, pool, about in [key for key in keys if key[0] == "full"]:
            self._held.pop(("used", pool, about), None)  # it has become worse, and is not over
        for key, (each, looks) in [*self._held.items()]:
            if key in keys or key[1] in unread:
                continue
            self._held[key] = each, looks + 1
            if looks + 1 >= _CALM_LOOKS:
                del self._held[key]
                if not _is_told_elsewhere(each):
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


def _is_told_elsewhere(each: Attention) -> bool:
    """What Redis refuses to a look at the pools has been met by nobody else; that leads to the log."""
    return each.kind in _TOLD_ELSEWHERE and (each.kind, each.hint) != ("redis", "log")


def _said(each: Attention) -> str:
    return f"pool {each.pool}: {each.says}" if each.pool else each.says


def _numbers(each: Attention) -> Mapping[str, bool] | None:
    """Whether the log has to look for numbers in it."""
    return None if each.about else NO_NUMBERS
