"""Why Redis cannot be asked, as the processes of a service tell each other, the log and a client."""

import logging
from typing import NamedTuple

from cticache.errors import RedisRefuses, RedisUnavailable
from cticache.link.trouble import Trouble, told, trouble
from cticache.logs import REDIS_AWAY, REDIS_BACK

_log = logging.getLogger(__name__)

_AWAY = "away"
"""How it is away is no matter: the log is told once."""


class Outage(NamedTuple):
    """What is wrong with Redis, or with what this service is to it."""

    trouble: Trouble
    retry_after: int
    """Seconds that a client is told to wait."""

    def refusal(self) -> RedisUnavailable:
        """What a client is told of it; a new one for each request."""
        kind = RedisUnavailable if self.trouble.is_away else RedisRefuses
        refusal = kind(retry_after=self.retry_after)
        refusal.why = self.trouble.says
        return refusal


class Outages:
    """Logs what is wrong when it begins, when it becomes something else and when it is over; one thread at a time."""

    def __init__(self, retry_after: int) -> None:
        self._retry_after = retry_after
        self._logged = ""
        self.now: Outage | None = None
        """What is wrong now; None while Redis does what it is asked."""

    def unlogged(self, found: Trouble) -> None:
        """This is so, as far as is known before Redis has been heard: there is nothing to log yet."""
        self.now = Outage(found, self._retry_after)

    def met(self, error: BaseException | None) -> None:
        """Redis failed with this; logged once for as long as it goes on, however it is that Redis is away."""
        found = trouble(error)
        self._begun(found, told(error))

    def barred(self, found: Trouble) -> None:
        """This keeps the service from asking Redis; logged once for as long as it goes on."""
        self._begun(found, found.says)

    def _begun(self, found: Trouble, said: str) -> None:
        kind = _AWAY if found.is_away else found.says
        if kind != self._logged:
            _log.warning("%s", said, extra=REDIS_AWAY)
        self._logged = kind
        self.now = Outage(found, self._retry_after)

    def over(self) -> None:
        """Redis did what it was asked."""
        if self._logged:
            was_away = self._logged == _AWAY
            text = "Redis is back" if was_away else "Redis works again: what it refused it does now"
            _log.warning(text, extra=REDIS_BACK)
        self._logged, self.now = "", None
