"""JSON (RFC 8259), on one line: what an answer is in unless another format is asked for."""

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit

MEDIA_TYPE = "application/json; charset=utf-8"


def hit(answer: Hit) -> str:
    """The members."""
    return "{" + ",".join([f'"{name}":{value}' for name, value in answer.members]) + "}"


def refusal(error: Refusal, _asked: Asked) -> str:
    """The object that scripts test for its key ``error``."""
    return error.body()
