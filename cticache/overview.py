"""What the parent of all processes that serve knows: their counts and lines, what needs attention, and the answers."""

import json
import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

from cticache import logs
from cticache.access.users import User
from cticache.config import Config
from cticache.data.keeper import Keeper
from cticache.data.outage import Outage
from cticache.data.services import who
from cticache.data.store import Store
from cticache.errors import BadArgument, Refusal
from cticache.journal.counts import Sums, Telling, Told
from cticache.journal.events import MOST_EVENTS, Event, Events
from cticache.numbering.pools import Pools
from cticache.operate.desk import Desk, Question
from cticache.operate.fill import Limits
from cticache.operate.metrics import Processes
from cticache.operate.roster import Roster
from cticache.operate.watch import Watch
from cticache.web.page.shown import View, answer

_LIMITS = ("connections", "connections_per_address", "threads", "max_body", "auth_queue", "auth_threads")
"""The options of [server] that /metrics tells."""

_MOST_KEPT = 20
"""Answers kept for who asks the same a moment later."""
_TOGETHER_MS = 5_000
"""What the processes of a service tell in the same words within this time has happened once."""


class Overview:
    """Of one service."""

    def __init__(self, config: Config, users: Sequence[User], store: Store, pools: Pools, keeper: Keeper) -> None:
        """``users``: those who may call, of the configuration or the one that was invented."""
        self._users = users
        self._sums = Sums()
        self._dispatch = config.server.dispatch
        self._roster = Roster(store, keeper.registration)
        self._watch = Watch(
            store,
            pools,
            config.watch,
            condition=lambda: keeper.condition,
            users=lambda: self._users,
            refused=lambda: self._sums.of("refusals"),
            refused_config=lambda: self._refused_config,
            roster=self._roster,
        )
        self._desk = Desk(
            store,
            pools,
            self._sums,
            condition=lambda: keeper.condition,
            processes=lambda: self.processes(),  # noqa: PLW0108 - it may be another one by then
            limits=_limits(config),
            users=users,
            watch=self._watch,
            thresholds=_thresholds(config),
            roster=self._roster,
            config_file=config.source,
            max_age_s=config.server.figures_age / 2,
        )
        self._store = store
        self._max_age_s = config.server.figures_age / 2  # of an answer that is made of figures as old
        self._answers: OrderedDict[Question | View, tuple[float, bytes | Outage | None]] = OrderedDict()
        self._answering = threading.Lock()
        self._here = Events(who(), config.log.repeat)
        self._happened: deque[Event] = deque(maxlen=MOST_EVENTS)
        """What has happened in all processes of the service, and has not been told to the others."""
        self._keeping = threading.Lock()
        self._said: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        """The words of those that have happened last -> when."""
        self._telling = Telling(self._tell_events)
        logging.getLogger().addHandler(self._here)
        self.processes: Callable[[], Processes] = lambda: Processes(1, {"1": os.getpid()}, 0, self._dispatch)
        """The processes of the service: this one alone, unless somebody knows better."""
        self._refused_config = ""

    def start(self) -> None:
        """Watch for what needs attention from now on, and tell other services what happens to this one."""
        self._watch.start()
        self._telling.start()

    def change(self, config: Config, users: Sequence[User], pools: Pools) -> None:
        """Watch and answer by another configuration from now on; what was counted and what has happened stays."""
        self._users, self._here.period_s = users, config.log.repeat
        self._watch.change(pools, config.watch)
        max_age_s = config.server.figures_age / 2
        self._desk.change(pools, _limits(config), users, _thresholds(config), max_age_s)
        with self._answering:
            self._max_age_s = max_age_s
            self._answers.clear()

    def note_refused(self, says: str) -> None:
        """Say that a configuration was refused, which needs attention; an empty text takes it back."""
        self._refused_config = says

    def stop(self) -> None:
        """Watch no longer; tell what has happened by now."""
        self._watch.stop()
        self._telling.close()
        logging.getLogger().removeHandler(self._here)

    def reported(self, what: Told | list[Event] | str) -> None:
        """Act on what a process that serves tells: what it has counted, what has happened, or lines for the log."""
        if isinstance(what, Told):
            self._sums.add(what)
        elif isinstance(what, str):
            logs.write(what)
        else:
            self._keep(event._replace(node=who()) for event in what)

    def tells(self) -> str:
        """What this service tells of itself to others on its Redis: a JSON object, whose names status.py knows."""
        processes, config = self.processes(), self._desk.config
        told = {
            "version": version("cticache"),
            "started_at": self._desk.started_at,
            "workers": len(processes.pids.keys() - {"parent"}) or None,  # at the first look they are on their way
            "restarts": processes.restarts,
            "config_file": config.file,
            "config_changed_at": config.changed_at,
            "config_read_at": config.read_at,
        }
        return json.dumps(told, ensure_ascii=False)

    def _tell_events(self) -> None:
        self._keep(self._here.take())
        events = [self._happened.popleft() for _ in range(len(self._happened))]
        try:
            self._store.event_tell(events)
        except (Refusal, BadArgument):  # they are kept until Redis takes them, as far as there is room
            room = MOST_EVENTS - len(self._happened)
            self._happened.extendleft(reversed(events[-room:] if room else []))

    def _keep(self, events: Iterable[Event]) -> None:
        """Have these told to the others, but for what another process has told in the same words just before."""
        with self._keeping:
            for event in events:
                words = event.level, event.logger, event.said
                if abs(event.ms - self._said.get(words, -_TOGETHER_MS)) >= _TOGETHER_MS:
                    self._said[words] = event.ms
                    self._said.move_to_end(words)
                    self._happened.append(event)
            while len(self._said) > MOST_EVENTS:
                self._said.popitem(last=False)

    def answer(self, question: Question | View) -> bytes | Outage | None:
        """What an operator asks, or what the operator's page shows; as it was told to another a moment ago."""
        with self._answering:
            told_at, told = self._answers.get(question, (float("-inf"), None))
        if time.monotonic() - told_at < self._max_age_s:
            return told
        told = answer(self._desk, question)
        with self._answering:
            while len(self._answers) >= _MOST_KEPT:
                self._answers.popitem(last=False)
            self._answers[question] = time.monotonic(), told
        return told


def _limits(config: Config) -> dict[str, float]:
    return {name: getattr(config.server, name) for name in _LIMITS}


def _thresholds(config: Config) -> Limits:
    return Limits(config.watch.warn, config.watch.crit)
