"""A form, as Asterisk's HASH reads one: pairs of names and values, all but the unreserved characters escaped."""

from collections.abc import Iterable
from urllib.parse import quote

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit, plain, texts

MEDIA_TYPE = "application/x-www-form-urlencoded"


def hit(answer: Hit) -> str:
    """``found``, then the members in JSON's order."""
    return _pairs("true", ((name, plain(value)) for name, value in answer.members))


def refusal(error: Refusal, _asked: Asked) -> str:
    """``found`` and what is wrong."""
    return _pairs("false", texts(error))


def _pairs(found: str, members: Iterable[tuple[str, str]]) -> str:
    """A space is ``%20``: what is read as a form, and decoded as a URL, would leave a plus."""
    return "&".join([f"found={found}", *(f"{name}={quote(text, safe='')}" for name, text in members)])
