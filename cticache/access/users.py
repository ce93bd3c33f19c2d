"""The users, and which pools and verbs each may use."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Literal, get_args

from cticache.access.networks import NOWHERE, Networks
from cticache.options import Text, Whole, declared, words

Role = Literal["lease", "read", "take", "watch", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
MISSING = "is missing: run `cticache user NAME`"
"""What is wrong with a user who has neither a password nor a token."""
_TOKEN = re.compile(r"sha256:([0-9a-f]{64})")


def token_digest(token: str) -> str:
    """What is kept of a token, and what a token that is sent is looked for by: its SHA-256 (FIPS 180-4) in hex.

    That suffices for a random text of 256 bits, which nobody can try out; and the time that it takes to find one in a
    table tells nothing of a text whose SHA-256 is not known.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_PHC = re.compile(
    r"\$argon2id\$v=(?:16|19)\$m=([1-9][0-9]{0,9}),t=[1-9][0-9]{0,9},p=([1-9][0-9]{0,7})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
"""A hash as the PHC string format has it: https://github.com/P-H-C/phc-string-format."""
_LEAST_SALT, _TAG = 8, 32
"""Bytes: what argon2 takes at least, and what RFC 9106 section 4 recommends. One that is shorter has been cut."""


def _hash(text: str) -> str:
    found = _PHC.fullmatch(text)
    if not found or int(found[1]) < 8 * int(found[2]):  # argon2 would refuse it with every login
        raise ValueError("must be a hash as `cticache user NAME` prints it, whole, and never the password itself")
    if len(_decoded(found[3])) < _LEAST_SALT or len(_decoded(found[4])) != _TAG:
        raise ValueError("must be a hash as `cticache user NAME` prints it, whole: a part of this one is missing")
    return text


def _decoded(text: str) -> bytes:
    """What stands in base64 without padding; nothing if argon2 could not read it."""
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
    return found if base64.b64encode(found).decode().rstrip("=") == text else b""


def _next_hash(text: str) -> str:
    return _hash(text) if text else ""


def _tokens(text: str) -> frozenset[str]:
    found = [_TOKEN.fullmatch(word.lower()) for word in words(text)]
    if not all(found):
        raise ValueError("must be sha256: and 64 hex digits, as `cticache user NAME --token` prints it, or several")
    return frozenset(match[1] for match in found if match)


def _pools(text: str) -> frozenset[str] | None:
    names = frozenset(words(text))
    return None if "*" in names else names


def _roles(text: str) -> frozenset[str]:
    for word in words(text):
        if word not in ROLES:
            raise ValueError(f"{word!r} is not one of {', '.join(ROLES)}")
    return frozenset(words(text))


@dataclass(frozen=True)
class User:
    """Someone who may call the service: [user:NAME]."""

    name: str
    password: str = declared(Text(_hash), "", secret=True)
    """The hash that ``cticache user`` prints (argon2id, PHC string format); empty for none."""
    pools: frozenset[str] | None = declared(Text(_pools), None)
    """Names of the pools; None stands for all of them."""
    roles: frozenset[Role] = declared(Text(_roles), frozenset({"lease", "read", "take"}))
    max_live: int = declared(Whole(1, 1_000_000, "leases", empty=0), 0)
    """Most live leases that the user may have in one pool; 0 stands for any number."""
    password_next: str = declared(Text(_next_hash), "", secret=True)
    """The hash of a second password, which is right, too; empty for none."""
    token: frozenset[str] = declared(Text(_tokens), frozenset(), secret=True)
    """The digests of the user's tokens, as ``token_digest`` makes them."""
    networks: Networks = declared(Text(Networks.parse), NOWHERE)
    """Where the user may come from; empty for anywhere."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes of the passwords that are right."""
        return tuple(stored for stored in (self.password, self.password_next) if stored)

    def may_use(self, pool: str) -> bool:
        """Whether the user may use this pool."""
        return self.pools is None or pool in self.pools
