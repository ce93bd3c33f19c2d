"""Finds the Lua scripts and loads them into Redis.

SCRIPT LOAD at start-up makes a script that does not compile stop the service before it serves anybody. Calls are
plain EVALSHA: redis-py's own Script object would ask SCRIPT EXISTS first in every pipeline.
"""

import re
from pathlib import Path

from redis import Redis
from redis.exceptions import ResponseError

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

    def __init__(self, client: Redis, sources: dict[str, str]) -> None:
        self._client = client
        self._sources = sources
        self._shas: dict[str, str] = {}

    def load(self) -> None:
        """Load every script; ScriptError names one that does not compile, redis-py's errors pass through."""
        sources = self._sources
        if not self._reads_flags():
            sources = {name: _without_flags(source) for name, source in sources.items()}
        self._shas = {name: self._load(name, source) for name, source in sources.items()}

    def sha(self, name: str) -> str:
        """The SHA1 of a script; loads all of them first if Redis was away until now."""
        if name not in self._shas:
            self.load()
        return self._shas[name]

    def _load(self, name: str, source: str) -> str:
        try:
            return str(self._client.script_load(source))
        except ResponseError as error:
            if "ompil" in str(error) or "user_script" in str(error):
                raise ScriptError(f"lua/{name}.lua does not compile: {error}") from None
            raise

    def _reads_flags(self) -> bool:
        """Whether the server knows the ``#!`` line: Redis 7 does, 6.2 and fakeredis take it for a wrong script."""
        try:
            self._client.eval("#!lua flags=no-writes\nreturn 1", 0)
        except ResponseError as error:
            if "near '#'" in str(error):
                return False
            raise
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
