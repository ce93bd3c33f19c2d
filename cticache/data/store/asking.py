"""How the store runs scripts, and what an error of Redis means to who asked."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError, ResponseError

from cticache.data.clock import Clocks
from cticache.data.format import Bar
from cticache.data.keys import Keys
from cticache.data.outage import Outage
from cticache.data.scripts import Argument, Invocation, Scripts
from cticache.errors import BadArgument, Refusal, refusals
from cticache.link.trouble import NotOurs, trouble

_REFUSALS = {kind.script: kind for kind in refusals() if kind.script}
"""By the code under which a script reports them."""
_CODE = re.compile(r"-?\b([A-Z]{4,})\b")
_T = TypeVar("_T")

Unread = Refusal | BadArgument
"""Why Redis has not told something; what it said is its cause."""


class Asking:
    """Runs scripts on one Redis."""

    def __init__(
        self, scripts: Scripts, keys: Keys, retry_after: int, clocks: Clocks | None = None, bar: Bar | None = None
    ) -> None:
        """``retry_after``: seconds a client is told to wait while Redis is away."""
        self._scripts = scripts
        self.clocks = clocks or Clocks()
        """What is expected of the clocks of Redis."""
        self.bar = bar or Bar()
        """What keeps this store from asking; whoever shares it says so."""
        self._keys = keys
        self.retry_after = retry_after

    def _run(self, script: str, keys: list[str], **arguments: Argument) -> Any:
        return self._run_all([(script, keys, arguments)])[0]

    def _run_all(self, invocations: Sequence[Invocation]) -> list[Any]:
        if self.bar.outage:
            raise self.bar.outage.refusal()
        return self._run_anyway(invocations)

    def _run_anyway(self, invocations: Sequence[Invocation]) -> list[Any]:
        """The same where something keeps this store from asking."""
        try:
            replies = self._scripts.run(invocations)
        except RedisError as error:
            raise self._refusal(error) from error
        for reply in replies:
            if isinstance(reply, RedisError):
                raise self._unread(invocations[replies.index(reply)][0], reply)
        return replies

    def _run_each(self, invocations: Sequence[Invocation], made: Callable[[Any], _T]) -> list[_T | Unread]:
        """What ``made`` makes of each reply, and in the place of one that it cannot be made of, why.

        What Redis refuses, or somebody else has written into a key, costs what is asked of that key and nothing else.
        Raises RedisUnavailable where Redis is away.
        """
        replies = self._replies(invocations)
        return [self._made(script, reply, made) for (script, *_), reply in zip(invocations, replies, strict=True)]

    def _made(self, script: str, reply: Any, made: Callable[[Any], _T]) -> _T | Unread:
        """What ``made`` makes of a reply; in its place why it cannot be made."""
        try:
            return self._read(script, reply, made)
        except (Refusal, BadArgument) as error:
            return error.with_traceback(None)

    def _read(self, script: str, reply: Any, made: Callable[[Any], _T]) -> _T:
        """The same; raises why not. ``made`` raises ValueError or OverflowError for what no script has written."""
        if isinstance(reply, RedisError):
            raise self._unread(script, reply)
        try:
            return made(reply)
        except (ValueError, OverflowError):
            pass  # whose text may quote what was read
        raise self._unread(script, NotOurs("it has a number or a form that cticache does not write"))

    def _replies(self, invocations: Sequence[Invocation]) -> list[Any]:
        """The replies, an error reply in its place; raises RedisUnavailable where there are none."""
        if self.bar.outage:
            raise self.bar.outage.refusal()
        try:
            return self._scripts.run(invocations)
        except RedisError as error:
            raise self._refusal(error) from error

    def _unread(self, script: str, error: RedisError) -> Unread:
        """What an error in the place of a script's reply means to the caller."""
        if isinstance(error, NotOurs):
            error = NotOurs(f"read by {script}: {error}")
        refusal = self._refusal(error)
        refusal.__cause__ = error
        return refusal

    def _refusal(self, error: RedisError) -> Unread:
        """What a Redis error means to the caller. Its text carries the script's sha and stays in the log."""
        if isinstance(error, ResponseError):
            for code in _CODE.findall(str(error)):
                if code in _REFUSALS:
                    return _REFUSALS[code]()
                if code == BadArgument.script:
                    return BadArgument(str(error))
        return Outage(trouble(error), self.retry_after).refusal()
