"""Finds the Lua scripts, loads them into Redis, and runs them.

SCRIPT LOAD at start-up means that a script that does not compile stops the service before it serves anybody. A script
is run by a plain EVALSHA: redis-py's own Script object would send SCRIPT EXISTS first in every pipeline. A server that
does not know the script (restarted, flushed, new after a failover) says so and has run nothing; the command is then
sent again as EVAL, which carries the script with it. So nobody waits for all scripts to be loaded.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, ResponseError

from cticache.errors import ScriptError
from cticache.link.connection import Command, Runner, copied

Argument = str | int | Sequence[str]
"""What goes into a slot of ARGV; several texts for a last slot that takes any number. They may be sent twice."""

_PLACES = tuple(folder / "lua" for folder in Path(__file__).parents[1:3])
"""In a wheel, and in a checkout."""
_NO_FLAGS = "near '#'"
"""How a server that does not know the ``#!`` line complains of a script that begins with it."""
_DOES_NOT_COMPILE = re.compile("[Cc]ompil|user_script")
_DEMOTED = re.compile("READONLY|MASTERDOWN")
"""What a primary that has become a replica says, and one that serves nothing until it has caught up."""
_ALONE = "NOREPLICAS"
"""What a primary says that has lost its replicas, perhaps to another primary."""
_INCLUDE = re.compile(r"include\('([a-z_]+)'\)")
_SLOT = re.compile(r"^-- ARGV\[\d+(\.\.\.)?\]  +(\w+)", re.MULTILINE)
_TRIES_IN_FULL = 2
"""The second is for a server that takes scripts in another form than its predecessor."""


Invocation = tuple[str, Sequence[str], Mapping[str, Argument]]
"""A script that is to be run, its keys, and its arguments by the names that its header gives to the slots of ARGV."""


def read_scripts(folder: Path | None = None) -> dict[str, str]:
    """The scripts' sources by name, with their includes filled in; ScriptError when there are none.

    ``include('name')`` in a script stands for the value that lua/include/name.lua returns.
    """
    places = (folder,) if folder else _PLACES
    for place in places:
        if sources := {path.stem: path.read_text("utf-8") for path in sorted(place.glob("*.lua"))}:
            return {name: _assembled(name, source, place / "include") for name, source in sources.items()}
    looked_at = " or ".join(map(str, places))
    raise ScriptError(f"no Lua scripts in {looked_at}: the installation is incomplete, install cticache again")


class Scripts:
    """The scripts, in the form that one Redis takes."""

    def __init__(self, runner: Runner, sources: dict[str, str]) -> None:
        self._runner = runner
        self._sources = sources
        self._slots = {name: _slots(source) for name, source in sources.items()}
        """The names of a script's slots in order, and whether the last one takes any number of texts."""
        self._known: dict[str, tuple[str, str]] = {}
        """Name -> SHA1 and the source it belongs to; empty until it is known whether Redis reads the ``#!`` line."""

    def load(self) -> None:
        """Load every script; ScriptError names one that does not compile, redis-py's errors pass through."""
        known = self._learnt()
        replies = self._runner.run([("SCRIPT", "LOAD", source) for _, source in known.values()])
        for name, reply in zip(known, replies, strict=True):
            if isinstance(reply, ResponseError):
                if _DOES_NOT_COMPILE.search(str(reply)):
                    raise ScriptError(f"lua/{name}.lua does not compile: {reply}") from None
                raise copied(reply)
        self._known = known

    def run(self, invocations: Sequence[Invocation]) -> list[Any]:
        """The replies in order, all in one round trip; an error reply as an exception in its place.

        A script that Redis does not know is sent again with its source. If a server says that it has become a replica,
        the next command finds the new primary; if it says that it has lost its replicas, it is found out whether there
        is a new one. Raises redis-py's errors for a connection that fails, and TypeError for an argument too many or
        too few.
        """
        began = time.monotonic()
        if self._known:
            replies = self._runner.run([self._by_sha(*each) for each in invocations])
        else:  # the first command finds out how Redis takes scripts, if it was away until now
            replies = self._runner.again([self._by_sha(*each) for each in invocations], began)
        for reply in replies:
            if isinstance(reply, ResponseError):
                return self._followed(invocations, replies, began)
        return replies

    def _followed(self, invocations: Sequence[Invocation], replies: list[Any], began: float) -> list[Any]:
        """The replies, once the errors among them have been acted on, in what is left of the time since it began."""
        for _ in range(_TRIES_IN_FULL):
            unknown = [at for at, reply in enumerate(replies) if self._is_unknown(reply)]
            if not unknown:
                break
            again = self._runner.again([self._in_full(*invocations[at]) for at in unknown], began)
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        self._leave_if_demoted(replies)
        return replies

    def _leave_if_demoted(self, replies: Sequence[Any]) -> None:
        is_demoted = any(_is_demoted(reply) for reply in replies)
        if is_demoted:
            self._runner.drop()
        if is_demoted or any(isinstance(reply, ResponseError) and _ALONE in str(reply) for reply in replies):
            self._runner.doubt()

    def _ordered(self, name: str, given: Mapping[str, Argument]) -> list[Any]:
        """The arguments in the order of the script's header."""
        slots, open_ended = self._slots[name]
        if tuple(given) != slots:  # as the store gives them, they are in order
            if wrong := ", ".join(sorted(set(slots) ^ given.keys())):
                raise TypeError(f"lua/{name}.lua and what it is given differ in {wrong}")
            given = {slot: given[slot] for slot in slots}
        ordered: list[Any] = list(given.values())
        if open_ended:
            ordered[-1:] = ordered[-1]
        return ordered

    def _by_sha(self, name: str, keys: Sequence[str], arguments: Mapping[str, Argument]) -> Command:
        """The command by SHA1."""
        sha1, _ = self._known.get(name) or self._one(name)
        return ("EVALSHA", sha1, len(keys), *keys, *self._ordered(name, arguments))

    def _in_full(self, name: str, keys: Sequence[str], arguments: Mapping[str, Argument]) -> Command:
        """The same with the source, for a server that does not know the script; from then on it does."""
        return ("EVAL", self._one(name)[1], len(keys), *keys, *self._ordered(name, arguments))

    def _is_unknown(self, reply: Any) -> bool:
        """Whether a server says that it does not know the script; it has run nothing then.

        One that stumbles over the ``#!`` line is older than the server asked before, which it has replaced.
        """
        if isinstance(reply, ResponseError) and _NO_FLAGS in str(reply):
            self._known = {}
            return True
        return isinstance(reply, NoScriptError)

    def _one(self, name: str) -> tuple[str, str]:
        if not self._known:
            self._known = self._learnt()
        return self._known[name]

    def _learnt(self) -> dict[str, tuple[str, str]]:
        sources = self._sources
        if not self._reads_flags():
            sources = {name: _without_flags(source) for name, source in sources.items()}
        return {name: (_sha1(source), source) for name, source in sources.items()}

    def _reads_flags(self) -> bool:
        """Whether the server knows the ``#!`` line: Redis 7 does; to 6.2 and fakeredis it is a syntax error."""
        (reply,) = self._runner.run([("EVAL", "#!lua flags=no-writes\nreturn 1", 0)])
        if isinstance(reply, ResponseError):
            if _NO_FLAGS in str(reply):
                return False
            self._leave_if_demoted([reply])
            raise copied(reply)
        return True


def _slots(source: str) -> tuple[tuple[str, ...], bool]:
    listed = _SLOT.findall(source)
    return tuple(name for _, name in listed), bool(listed and listed[-1][0])


def _is_demoted(reply: Any) -> bool:
    if not isinstance(reply, ResponseError):
        return False
    return isinstance(reply, ReadOnlyError | MasterDownError) or bool(_DEMOTED.search(str(reply)))  # 6.2 wraps it


def _assembled(name: str, source: str, folder: Path) -> str:
    def included(match: re.Match[str]) -> str:
        try:
            return f"(function()\n{(folder / f'{match[1]}.lua').read_text('utf-8')}end)()"
        except FileNotFoundError:
            raise ScriptError(f"lua/{name}.lua includes {match[1]}, and there is no {folder / match[1]}.lua") from None

    return _INCLUDE.sub(included, source)


def _without_flags(source: str) -> str:
    """The same script with its first line as a comment, so that the lines keep their numbers."""
    return re.sub(r"\A#!", "-- ", source)


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
