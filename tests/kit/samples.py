"""Pools and users to test with."""

import base64
from typing import Any

from cticache.access.passwords import hashed
from cticache.access.users import ROLES, Role, User
from cticache.numbering.numbers import NumberSet
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place

PASSWORD = "correct:horse"
"""Every test user's password; the colon must not disturb."""
_HASH = hashed(PASSWORD)


def user(name: str, pools: set[str] | None = None, roles: tuple[Role, ...] = ROLES) -> User:
    """A user with the password PASSWORD."""
    return User(name, _HASH, frozenset(pools) if pools is not None else None, frozenset(roles))


def basic(name: str, password: str = PASSWORD) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


USERS = (
    user("username"),
    user("x-only", roles=("lease",)),
    user("y-only", roles=("read", "take")),
    user("other-pool", pools={"other"}),
    user("no-pools", pools=set()),
    user("x-and-y", roles=("lease", "take")),
)


def make_pool(numbers: str = "5551234560-5551234562", name: str = "system-y", **changes: Any) -> Pool:
    """A pool with the defaults of config.ini, but for ``changes``; not yet in Redis."""
    draining = NumberSet.parse(changes.pop("draining", ""), 10_000)
    rules: dict[str, Any] = {
        "ttl_ms": 300_000,
        "max_ttl_ms": 3_600_000,
        "cooldown_ms": 5_000,
        "exhausted": "share",
        "share_scan": 64,
        "max_callers": 20,
    }
    return Pool(name=name, numbers=NumberSet.parse(numbers, 5_000_000) - draining, draining=draining, **rules | changes)


def at(pool: Pool, dnis: str) -> Place:
    """The place of this number in the pool, under the pool's own rule."""
    return Place(pool, dnis, pool.match)
