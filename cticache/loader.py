"""Finds the Lua scripts and loads them into Redis.

SCRIPT LOAD at start-up makes a script that does not compile stop the service before it serves anybody. Calls are
plain EVALSHA: redis-py's own Script object would ask SCRIPT EXISTS first in every pipeline.
"""

import re
from pathlib import Path

from redis.exceptions import ResponseError

from cticache.connection import Runner
from cticache.errors import ScriptError

_PLACES = (Path(__file__).parent / "lua", Path(__file__).parent.parent / "lua")
"""In a wheel, and in a checkout."""
_INCLUDE = re.compile(r"include\('([a-z_]+)'\)")


def read_scripts(folder: Path | None = None) -> dict[str, str]:
    """The scripts' sources by name, what they include put in; ScriptError when there are none.

    ``include('name')`` in a script stands for the value that lua/include/name.lua returns.
    """
    places = (folder,) if folder else _PLACES
    for place in places:
        if sources := {path.stem: path.read_text("utf-8") for path in sorted(place.glob("*.lua"))}:
            return {name: _assembled(name, source, place / "include") for name, source in sources.items()}
    looked_at = " or ".join(map(str, places))
    raise ScriptError(f"no Lua scripts in {looked_at}: the installation is incomplete, install cticache again")


class Scripts:
    """The scripts as one Redis knows them: name -> SHA1."""

    def __init__(self, runner: Runner, sources: dict[str, str]) -> None:
        self._runner = runner
        self._sources = sources
        self._shas: dict[str, str] = {}

    def load(self) -> None:
        """Load every script; ScriptError names one that does not compile, redis-py's errors pass through."""
        sources = self._sources
        if not self._reads_flags():
            sources = {name: _without_flags(source) for name, source in sources.items()}
        shas = self._runner.run([("SCRIPT", "LOAD", source) for source in sources.values()])
        for name, sha in zip(sources, shas, strict=True):
            if isinstance(sha, ResponseError):
                if "ompil" in str(sha) or "user_script" in str(sha):
                    raise ScriptError(f"lua/{name}.lua does not compile: {sha}") from None
                raise sha
        self._shas = dict(zip(sources, map(str, shas), strict=True))

    def sha(self, name: str) -> str:
        """The SHA1 of a script; loads all of them first if Redis was away until now."""
        if name not in self._shas:
            self.load()
        return self._shas[name]

    def _reads_flags(self) -> bool:
        """Whether the server knows the ``#!`` line: Redis 7 does, 6.2 and fakeredis take it for a wrong script."""
        (reply,) = self._runner.run([("EVAL", "#!lua flags=no-writes\nreturn 1", 0)])
        if isinstance(reply, ResponseError):
            if "near '#'" in str(reply):
                return False
            raise reply
        return True


def _assembled(name: str, source: str, folder: Path) -> str:
    def included(match: re.Match[str]) -> str:
        try:
            return f"(function()\n{(folder / f'{match[1]}.lua').read_text('utf-8')}end)()"
        except FileNotFoundError:
            raise ScriptError(f"lua/{name}.lua includes {match[1]}, and there is no {folder / match[1]}.lua") from None

    return _INCLUDE.sub(included, source)


def _without_flags(source: str) -> str:
    """The same script, its first line a comment: the lines keep their numbers."""
    return re.sub(r"\A#!", "-- ", source)
