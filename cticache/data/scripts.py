"""Finds the Lua scripts, loads them into Redis, and makes the commands that call them.

SCRIPT LOAD at start-up makes a script that does not compile stop the service before it serves anybody. Calls are
plain EVALSHA: redis-py's own Script object would ask SCRIPT EXISTS first in every pipeline. A server that does not know
the script (restarted, flushed, the one after a failover) says so and has run nothing; the same call as EVAL then brings
the script along.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from cticache.errors import ScriptError
from cticache.link.connection import Command, Runner

_PLACES = tuple(folder / "lua" for folder in Path(__file__).parents[1:3])
"""In a wheel, and in a checkout."""
_NO_FLAGS = "near '#'"
"""What a server that does not know the ``#!`` line says of a script that begins with it."""
_INCLUDE = re.compile(r"include\('([a-z_]+)'\)")


def read_scripts(folder: Path | None = None) -> dict[str, str]:
    """The scripts' sources by name, what they include put in; ScriptError when there are none.

    ``include('name')`` in a script stands for the function that lua/include/name.lua returns; what is included includes
    nothing itself.
    """
    places = (folder,) if folder else _PLACES
    for place in places:
        if sources := {path.stem: path.read_text("utf-8") for path in sorted(place.glob("*.lua"))}:
            return {name: _assembled(name, source, place / "include") for name, source in sources.items()}
    looked_at = " or ".join(map(str, places))
    raise ScriptError(f"no Lua scripts in {looked_at}: the installation is incomplete, install cticache again")


class Scripts:
    """The scripts as one Redis takes them, and the commands that call them."""

    def __init__(self, runner: Runner, sources: dict[str, str]) -> None:
        self._runner = runner
        self._sources = sources
        self._known: dict[str, tuple[str, str]] = {}
        """Name -> SHA1, and the source it is of; empty until it is known whether Redis reads the ``#!`` line."""

    def load(self) -> None:
        """Load every script; ScriptError names one that does not compile, redis-py's errors pass through."""
        known = self._learnt()
        replies = self._runner.run([("SCRIPT", "LOAD", source) for _, source in known.values()])
        for name, reply in zip(known, replies, strict=True):
            if isinstance(reply, ResponseError):
                if "ompil" in str(reply) or "user_script" in str(reply):
                    raise ScriptError(f"lua/{name}.lua does not compile: {reply}") from None
                raise reply
        self._known = known

    def call(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        """The command that calls a script; the first one asks Redis how it takes them if it was away until now."""
        return ("EVALSHA", self._one(name)[0], len(keys), *keys, *args)

    def call_in_full(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        """The same for a server that does not know the script; it does from then on."""
        return ("EVAL", self._one(name)[1], len(keys), *keys, *args)

    def is_unknown(self, reply: Any) -> bool:
        """Whether a server says that it does not know the script; it has run nothing then.

        One that stumbles over the ``#!`` line is older than the one that was asked before: another has taken its place.
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
        """Whether the server knows the ``#!`` line: Redis 7 does, 6.2 and fakeredis take it for a wrong script."""
        (reply,) = self._runner.run([("EVAL", "#!lua flags=no-writes\nreturn 1", 0)])
        if isinstance(reply, ResponseError):
            if _NO_FLAGS in str(reply):
                return False
            raise reply
        return True


def _assembled(name: str, source: str, folder: Path) -> str:
    def included(match: re.Match[str]) -> str:
        path = folder / f"{match[1]}.lua"
        try:
            _, _, function = path.read_text("utf-8").partition("\nreturn ")
        except FileNotFoundError:
            raise ScriptError(f"lua/{name}.lua includes {match[1]}, and there is no {path}") from None
        return f"({function})"

    return _INCLUDE.sub(included, source)


def _without_flags(source: str) -> str:
    """The same script, its first line a comment: the lines keep their numbers."""
    return re.sub(r"\A#!", "-- ", source)


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
