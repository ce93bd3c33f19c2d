"""The id of a request, by which an answer and the lines of the log belong together."""

import itertools
import re
import secrets

_OWN = re.compile(r"(?!\+?[0-9().-]{5,32}\Z)[!-~]{1,64}")
"""What a client may send for an id: visible ASCII, so that it can stand in a line of the log and in a header; but not
what may be a telephone number, which would stand in the log in full."""


class RequestIds:
    """Gives each request of this process its id."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(5)
        self._count = itertools.count(1)

    def of(self, sent: str | None) -> str:
        """The id that the client sent (``X-Request-Id``) if it may be one, else a new one."""
        if sent and _OWN.fullmatch(sent):
            return sent
        # The id may be guessed, so a count will do: asking the system for random bytes takes longer than all the rest.
        return f"{self._process}{next(self._count):06x}"
