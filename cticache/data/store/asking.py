"""How the store runs scripts, and what an error of Redis means to who asked."""

import re
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from cticache.data.clock import Clocks
from cticache.data.format import Bar
from cticache.data.keys import Keys
from cticache.data.outage import Outage
from cticache.data.scripts import Argument, Invocation, Scripts
from cticache.errors import BadArgument, refusals
from cticache.link.trouble import trouble

_REFUSALS = {kind.script: kind for kind in refusals() if kind.script}
"""By the code under which a script reports them."""
_CODE = re.compile(r"-?\b([A-Z]{4,})\b")


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
                raise self._refusal(reply) from reply
        return replies

    def _refusal(self, error: RedisError) -> Exception:
        """What a Redis error means to the caller. Its text carries the script's sha and stays in the log."""
        if isinstance(error, ResponseError):
            for code in _CODE.findall(str(error)):
                if code in _REFUSALS:
                    return _REFUSALS[code]()
                if code == BadArgument.script:
                    return BadArgument(str(error))
        return Outage(trouble(error), self.retry_after).refusal()
