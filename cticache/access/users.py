"""The users, and which pools and verbs each may use."""

from dataclasses import dataclass
from typing import Literal, get_args

from argon2 import Type, extract_parameters
from argon2.exceptions import InvalidHashError

from cticache.options import Text, Whole, declared, words

Role = Literal["lease", "read", "take", "watch"]
ROLES: tuple[Role, ...] = get_args(Role)


def _hash(text: str) -> str:
    try:
        if extract_parameters(text).type is Type.ID:
            return text
    except InvalidHashError:
        pass
    raise ValueError("must be a hash as `cticache user NAME` prints it, never the password itself")


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
