"""The users: which pools and which verbs are theirs."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["lease", "read", "take", "watch"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class User:
    """Someone who may call the service."""

    name: str
    password: str
    """The hash that ``cticache user`` prints (argon2id, PHC string format)."""
    pools: frozenset[str] | None
    """Names of the pools; None is all of them."""
    roles: frozenset[Role]
    max_live: int = 0
    """Most leases that the user may have live in one pool; 0 is any number."""

    def may_use(self, pool: str) -> bool:
        """Whether this pool is among the user's."""
        return self.pools is None or pool in self.pools
