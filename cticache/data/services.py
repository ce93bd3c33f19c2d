"""The services that share one Redis. Of those that live the one started last rules: its pools are put in place.

A service that is started is the last one, and so takes over; so is one that has read other pools from its file.
When it ends, the one started before it has its own numbers put back. One that dies is missed after three looks. With
each look a service tells of itself what an operator may ask of any of them, and learns whether a reload is asked for.
"""

import hashlib
import json
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import fields
from functools import partial

from cticache.data.replies import Standing
from cticache.data.store import Store
from cticache.data.tokens import token
from cticache.errors import BadArgument, Refusal
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools

_log = logging.getLogger(__name__)

Tells = Callable[[], str]
"""What a service tells of itself now: a JSON object without a value or a number of a caller, some 1 KB at most."""
Reload = Callable[[Callable[[str], None]], None]
"""Has the configuration read again, and returns at once; what it is given is told what became of it, as text."""
_LOOKS = 3
"""How many looks a service may miss before it is taken for dead."""
_LEAST_MS = 3000
"""It is not taken for dead sooner, however often it looks: Redis may be slow to answer for a moment."""


def who() -> str:
    """This service, in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class Registration:
    """This service among them."""

    def __init__(
        self,
        store: Store,
        pools: Pools,
        numbers: str,
        interval: float,
        *,
        tells: Tells = lambda: "",
        reload: Reload = lambda _tell: None,
    ) -> None:
        """``numbers``: the fingerprint of the numbers of all pools; ``interval``: seconds from look to look."""
        self._store = store
        self._live_ms = max(round(_LOOKS * interval * 1000), _LEAST_MS)
        self._start_ms = 0
        self._is_new = True
        self._tells = tells
        self._reload = reload
        self._asked = ""
        """The last question that was heard."""
        self._has_told = True
        self._who = who()
        self.service = token()
        self.numbers = numbers
        self.rules = _rules(pools)

    def change(self, pools: Pools, numbers: str) -> None:
        """Have these pools from now on; if they differ, as a service that has just been started."""
        rules = _rules(pools)
        if (numbers, rules) != (self.numbers, self.rules):
            self.numbers, self.rules = numbers, rules
            self._is_new = True

    def look(self) -> Standing:
        """Be registered for three looks more; tells who rules, and what."""
        standing = self._store.service_look(
            self.service,
            0 if self._is_new else self._start_ms,
            self._live_ms,
            numbers=self.numbers,
            rules=self.rules,
            who=self._who,
            told=self.told(),
        )
        self._start_ms, self._is_new = standing.start_ms, False
        if standing.asked and standing.asked != self._asked:
            self._asked = standing.asked
            self._reload(partial(self._answer, standing.asked))
        return standing

    def _answer(self, asked: str, answer: str) -> None:
        try:
            self._store.service_answer(self.service, asked, answer)
        except (Refusal, BadArgument) as error:
            _log.warning("who has asked for a reload could not be told what became of it: %s", type(error).__name__)

    def leave(self) -> None:
        """Be registered no longer."""
        if self._start_ms:
            self._store.service_leave(self.service)

    def told(self) -> str:
        """What it tells of itself by now; a service that cannot tell is registered all the same."""
        try:
            told = self._tells()
        except Exception:  # noqa: BLE001 - the calls of all pools depend on the registration
            if self._has_told:
                _log.exception("what this service tells of itself to others could not be made")
            self._has_told = False
            return ""
        self._has_told = True
        return told


def _rules(pools: Pools) -> str:
    """Fingerprint of all that pools have beside their numbers, and of their order: the first is the default."""
    said = [
        [_written(getattr(pool, field.name)) for field in fields(Pool) if field.name != "numbers"] for pool in pools
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _written(value: object) -> str:
    return value.code if isinstance(value, Country) else str(value)
