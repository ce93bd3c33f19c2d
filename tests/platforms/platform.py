"""One platform: how it asks, what its library makes of that on the wire, and how it reads the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kit.talk import Answer
from platforms.library import Library, Request

HARD = "0012 J\u00f6rg & \"S\u00f6hne\" <100% + 'x'>=1; a\\b\r\nzweite Zeile\n\u00dcber"
"""What a careless encoder spoils: leading zeros, umlauts, the marks of XML, forms, URLs and scripts, line ends."""


@dataclass(frozen=True)
class Call:
    """What a platform knows: the caller and the data before the transfer, the two numbers after it."""

    ani: str
    dnis: str = ""
    value: str = ""
    pool: str = ""
    idempotency_key: str = ""


class Credentials(NamedTuple):
    """How a platform proves who it is."""

    scheme: str
    is_late: bool = False
    """Whether it asks without them first, and again after the 401."""


AT_ONCE = Credentials("basic")
AFTER_401 = Credentials("basic", is_late=True)
BEARER = Credentials("bearer")
API_KEY = Credentials("key")

Way = Callable[[Call], Request]
Outcome = tuple[str, ...]
"""("hit", the text), ("miss",), ("full",), ("without", the number to call without data) or ("fault",)."""
Reader = Callable[[Answer, str], Outcome]
"""What the platform finds in an answer, given the name of the field that it looks for."""


def as_it_is(number: str) -> str:
    """A number in the form in which the pool has it."""
    return number


def e164(number: str) -> str:
    """A number of North America as most clouds write it."""
    return f"+1{number}"


@dataclass(frozen=True)
class Platform:
    """One client of the service."""

    name: str
    source: str
    """Where its bytes come from: captured; after its source, its documentation or its manual; by the HTTP library that
    it is known to use; or assumed, with a usual library in place of one that is not known. Then what it reads.
    """
    library: Library
    lease: Way
    take: Way
    reads: Reader
    reads_lease: Reader | None = None
    """What it reads a lease with, where that is not what it reads a take with."""
    credentials: Credentials = AT_ONCE
    ani: Callable[[str], str] = as_it_is
    """How it writes the caller's ten digits."""
    dnis: Callable[[str], str] = as_it_is
    """How it writes the number that was called."""
    withheld: str = "anonymous"
    """What it has in place of a withheld caller."""
    value: str = HARD
    """What it hands over."""
    repeats: bool = False
    """Whether it sends a lease again by itself; then it sends an idempotency key, too."""
    needs_leniency: bool = False
    """Whether it needs the options that are off by default, for GET writes and single quotes."""
