"""What a request about a call is answered, whatever the format: a hit; a Refusal is the other answer.

A hit has members, as JSON has them: their names, in JSON's order, and their values as JSON text, because a caller's
value is kept as the very text that was sent.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from cticache.errors import Refusal

_ENCODER = json.JSONEncoder(ensure_ascii=False)
Members = list[tuple[str, str]]


@dataclass(slots=True)
class Hit:
    """A lease, or a call that was found."""

    members: Members
    """Names and JSON texts."""
    gist: str
    """The name of the member that is all of the answer where there is room for one: ``dnis`` or ``value``."""
    dnis: str
    """The number that was leased, or asked for as it was asked."""
    ani: str
    """The caller's number as it was sent; empty where null was."""


Asked = tuple[str, str]
"""The DNIS and the ANI that a request is about, as they were sent; empty where it said nothing."""


def encoded(text: str | None) -> str:
    """A string, or null, as JSON text."""
    return _ENCODER.encode(text)


def plain(text: str) -> str:
    """What a JSON text stands for where there are only strings: a string itself, anything else its JSON text."""
    if text[:1] != '"':
        return text
    decoded: str = json.loads(text)
    return decoded


def texts(refusal: Refusal) -> Iterable[tuple[str, str]]:
    """The members of a refusal as strings; what is wrong with each field is told in JSON alone."""
    return [(name, str(value)) for name, value in refusal.members().items() if name != "fields"]
