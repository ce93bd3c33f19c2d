"""Reads the replies of Redis as redis-py does, its errors included."""

import hiredis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

_ERRORS: dict[str, type[ResponseError]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "MOVED": MovedError,
    "ASK": AskError,
    "TRYAGAIN": TryAgainError,
    "CLUSTERDOWN": ClusterDownError,
}
"""As in redis-py: the text of these errors does not repeat their code."""


def new_reader() -> hiredis.Reader:
    """What makes replies of the bytes of one connection; an error reply is an exception among them."""
    return hiredis.Reader(encoding="utf-8", replyError=error_of)


def error_of(text: str) -> ResponseError:
    """What redis-py would make of this error reply."""
    code, _, rest = text.partition(" ")
    return _ERRORS[code](rest) if code in _ERRORS else ResponseError(text)
