"""JSON (RFC 8259), on one line: what an answer is in unless another format is asked for."""

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit

MEDIA_TYPE = "application/json; charset=utf-8"


def hit(answer: Hit) -> str:
    """The members."""
    text = ""
    for name, value in answer.members:
        text += f',"{name}":{value}'
    return "{" + text[1:] + "}"


def refusal(error: Refusal, _asked: Asked) -> str:
    """The object that scripts test for its key ``error``."""
    return error.body()
