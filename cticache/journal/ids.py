"""The id of a request, by which an answer and the lines of the log belong together.

A client may send its own. What may hold a telephone number is replaced, for it would stand in the log in full: six
digits or more with nothing but punctuation between them, in plain or in escapes, whatever stands around. In four things
that telephone systems send digits come together by chance: a UUID, a trace id, the present time, an IP address.
"""

import itertools
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import unquote

OWN = r"[0-9a-f]{9}[a-f][0-9a-f]{6,}"
"""An id that is made here, as a pattern."""
_VISIBLE = re.compile(r"[!-~]{1,64}")
"""What can stand in a line of the log and in a header."""
_NUMBER = re.compile(r"\d(?:[^\dA-Za-z]*\d){5,}")
_LEAST_DIGITS = 6
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_BY_CHANCE = re.compile(
    r"(?<![0-9a-z])(?:"
    # A UUID (RFC 9562) and 32 hex digits, as a trace id or behind two letters (Twilio): padded, a number has no letter.
    r"(?=[0-9-]*[a-f])[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    r"|(?:[a-z]{2})?(?=[0-9]*[a-f])[0-9a-f]{32}"
    # 16 hex digits: long enough for a number and something before or behind it.
    r"|(?![0-9]{10})[0-9a-f]{16}(?<![0-9]{10})"
    r")(?![0-9a-z])"
    # The host of a Call-ID (RFC 3261 section 8.1.1.4).
    rf"|(?<=@)(?:{_OCTET}\.){{3}}{_OCTET}(?::[0-9]{{1,5}})?(?![0-9.])",
    re.IGNORECASE,
)
_TIME = re.compile(r"(?<![0-9])([0-9]{10})(?:[0-9]{3}|\.[0-9]{1,6})(?![0-9])")
"""In ms since 1970, or as Asterisk names a channel: in seconds, and a count behind a point."""
_A_DAY_S = 86_400


class RequestIds:
    """Gives each request of this process its id."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock``: the seconds since 1970."""
        # The letter keeps the digits of the count apart: a client may send the id of an answer with its next request.
        self._process = secrets.token_hex(5)[:-1] + secrets.choice("abcdef")
        self._count = itertools.count(1)
        self._clock = clock

    def of(self, sent: str | None) -> str:
        """The id that the client sent (``X-Request-Id``) if it may be one, else a new one."""
        if sent and _VISIBLE.fullmatch(sent) and not self._may_hold_number(sent):
            return sent
        # The id may be guessed, so a count will do: asking the system for random bytes takes longer than all the rest.
        return f"{self._process}{next(self._count):06x}"

    def _may_hold_number(self, sent: str) -> bool:
        if "%" not in sent and sum(map(sent.count, "0123456789")) < _LEAST_DIGITS:  # the usual case
            return False
        while (plain := unquote(sent)) != sent:
            sent = plain
        return _NUMBER.search(_TIME.sub(self._without_present, _BY_CHANCE.sub("x", sent))) is not None

    def _without_present(self, found: re.Match[str]) -> str:
        return "x" if abs(int(found[1]) - self._clock()) < _A_DAY_S else found[0]
