"""Reads config.ini again while the service runs, and has it take effect without a gap.

Invariants:

- A configuration takes effect whole, or not at all: what is wrong with it is said, and the one before holds on.
- What a running service cannot change stays as it was, and is named: an option says of itself that it is read at the
  start alone.
- One after the other: whoever asks while the file is being read has it read once more.
"""

import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from cticache import logs
from cticache.access.users import User
from cticache.config import read
from cticache.config.sections import SECTIONS, Config
from cticache.errors import ConfigError
from cticache.logs import NO_NUMBERS, escaped
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pool import Pool
from cticache.operate.attention import refused
from cticache.operate.report import counted

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_END_S = 1.0
"""How long the end of the service waits for a file that is being read."""
_NOBODY = (
    "[user] there is no user any more: this service listens where others can reach it; add a section [user:NAME], "
    "as `cticache user NAME` prints it"
)


class Reloaded(NamedTuple):
    """What became of a configuration that was read."""

    is_in_force: bool
    says: str
    """In words, one line: what is in force now, or what is wrong with the file."""

    def text(self) -> str:
        """The same as a JSON object."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> "Reloaded | None":
        """What ``text`` made; None for what another release wrote, and which cannot be read here."""
        try:
            told = json.loads(text)
            return cls(bool(told["is_in_force"]), escaped(str(told["says"])))
        except (ValueError, KeyError, TypeError):
            return None


Serve = Callable[[Config, Sequence[User]], str]
"""Has the whole service go by a configuration; returns once it does, with why its numbers are not in place yet."""


def _nobody_serves(_config: Config, _users: Sequence[User]) -> str:
    return ""


class Reloading:
    """A thread that reads the file when it is asked to."""

    def __init__(self, config: Config) -> None:
        """``config``: the one that the service starts with."""
        self._config = config
        self._users: Sequence[User] = ()
        self._serve: Serve = _nobody_serves
        self._note: Callable[[str], None] = lambda _text: None
        self._asked: SimpleQueue[Future[Reloaded] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reloading", daemon=True)

    @property
    def config(self) -> Config:
        """The configuration that holds."""
        return self._config

    def start(self, users: Sequence[User], serve: Serve, note: Callable[[str], None]) -> None:
        """Begin: from now on what is asked is done, and what was asked before.

        ``users``: those who may call, of the configuration or the one that was invented. ``note`` is told what needs
        attention: that a configuration was refused; an empty text takes it back.
        """
        self._users, self._serve, self._note = users, serve, note
        self._thread.start()

    def ask(self) -> "Future[Reloaded]":
        """Have the file read; what became of it. A signal's handler may do so; it may be asked before ``start``."""
        asked = Future[Reloaded]()
        self._asked.put(asked)
        return asked

    def close(self) -> None:
        """Do no more than what is under way; a disk that hangs does not keep the service from ending."""
        self._asked.put(None)
        if self._thread.ident:
            self._thread.join(_END_S)

    def _run(self) -> None:
        while asked := self._asked.get():
            together = [asked]  # one reading is enough for all who have asked before it
            while not self._asked.empty():
                if not (another := self._asked.get()):
                    return
                together.append(another)
            told = self._read()
            for each in together:
                each.set_result(told)

    def _read(self) -> Reloaded:
        try:
            return self._in_force(self._readable())
        except ConfigError as error:
            wrong = "; ".join(str(error).splitlines())
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it meets
            _log.exception("the configuration could not be taken into force")
            wrong = f"a fault in cticache, please report it: {type(error).__name__}; the log has more"
        _log.error("the configuration is refused, and the one before holds on: %s", wrong)
        self._note(refused(str(self._config.source), datetime.now(UTC), wrong))
        return Reloaded(False, f"refused, and the configuration before it holds on: {wrong}")

    def _readable(self) -> Config:
        """What the file says; ConfigError where it cannot be served by."""
        source = self._config.source
        if not _may_be_read(source):
            raise ConfigError(f"{source}: is not a file: put the config.ini there")
        config = read(source, os.environ)
        if not config.users and self._config.users:
            raise ConfigError(f"{source}: {_NOBODY}")
        return config

    def _in_force(self, said: Config) -> Reloaded:
        before = self._config
        config = replace(
            said,
            server=_kept(said.server, before.server, "server"),
            redis=_kept(said.redis, before.redis, "redis"),
            log=_kept(said.log, before.log, "log"),
        )
        fixed = [
            *_differing(said.server, config.server, "server"),
            *_differing(said.redis, config.redis, "redis"),
            *_differing(said.log, config.log, "log"),
        ]
        if fixed:
            _log.warning(
                "%s: what is read at the start alone stays as before until the service is restarted: %s",
                config.source,
                ", ".join(fixed),
            )
        logs.change(config.log.format, config.log.level)
        users = config.users or self._users
        not_yet = self._serve(config, users)
        self._config, self._users = config, users
        self._note("")
        says = _told(before, config)
        if fixed:
            says += f"; restart the service for {', '.join(fixed)}"
        if not_yet:
            says += f"; the numbers are not in place yet: {not_yet}"
        _log.info("the configuration was read again from %s: %s", config.source, says, extra=NO_NUMBERS)
        return Reloaded(True, f"reloaded: {says}")


def _may_be_read(source: Path) -> bool:
    """Whether a read comes to an end: who opens a pipe waits for somebody to write into it."""
    try:
        return stat.S_ISREG(source.stat().st_mode)
    except OSError:
        return True  # the read says why not


def _kept(said: _T, before: _T, section: str) -> _T:
    """The same section with what is read at the start alone as it was."""
    at_start = SECTIONS[section].at_start
    kept = {name: getattr(before, name) for name in at_start.values()}
    return replace(said, **kept)  # type: ignore[type-var]


def _differing(said: object, kept: object, section: str) -> list[str]:
    """The options in which the two differ."""
    options = SECTIONS[section].options
    return [f"[{section}] {option}" for option, name in options.items() if getattr(said, name) != getattr(kept, name)]


def _told(before: Config, now: Config) -> str:
    """What is in force, and how many numbers came and went."""
    had, has = _numbers(before.pools), _numbers(now.pools)
    more, fewer = len(has - had), len(had - has)
    changed = [f"{count:,} {word}" for count, word in ((more, "more"), (fewer, "fewer")) if count]
    return (
        f"{counted(len(now.pools), 'pool')}, {counted(len(has), 'number')}"
        f"{' (' + ', '.join(changed) + ')' if changed else ''}, {counted(len(now.users), 'user')}"
    )


def _numbers(pools: Sequence[Pool]) -> NumberSet:
    return NumberSet(span for pool in pools for span in pool.numbers.spans)
