"""The users, and which pools and verbs each may use."""

import base64
import re
from dataclasses import dataclass
from typing import Literal, get_args

from cticache.options import Text, Whole, declared, words

Role = Literal["lease", "read", "take", "watch"]
ROLES: tuple[Role, ...] = get_args(Role)


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
    password: str = declared(Text(_hash, missing="is missing: run `cticache user NAME`"), secret=True)
    """The hash that ``cticache user`` prints (argon2id, PHC string format)."""
    pools: frozenset[str] | None = declared(Text(_pools), None)
    """Names of the pools; None stands for all of them."""
    roles: frozenset[Role] = declared(Text(_roles), frozenset({"lease", "read", "take"}))
    max_live: int = declared(Whole(1, 1_000_000, "leases", empty=0), 0)
    """Most live leases that the user may have in one pool; 0 stands for any number."""

    def may_use(self, pool: str) -> bool:
        """Whether the user may use this pool."""
        return self.pools is None or pool in self.pools
