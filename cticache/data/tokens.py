"""Tokens that name a lease: 96 bits from the system's generator, as 16 characters of base64url (RFC 4648 section 5)."""

import secrets
from collections import deque

_BITS_EACH = 96
_LENGTH = _BITS_EACH // 6
_AT_ONCE = 256
_ready: deque[str] = deque()


def token() -> str:
    """A token that was never given out before; from any thread.

    They are made in batches: asking the system for each one costs as much as all else that a lease does in Python.
    """
    try:
        return _ready.pop()
    except IndexError:
        many = secrets.token_urlsafe(_AT_ONCE * _BITS_EACH // 8)
        _ready.extend(many[at : at + _LENGTH] for at in range(_LENGTH, len(many), _LENGTH))
        return many[:_LENGTH]
