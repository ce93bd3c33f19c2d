"""Who may do what: users that cannot do their part, and pools that nobody can use."""

from collections.abc import Iterable, Sequence

from cticache.access.users import ROLES, User
from cticache.numbering.pool import Pool
from cticache.operate.report import counted, listed


def described(user: User) -> str:
    """One line for a user: what he may do, where, and from where; and what a rotation leaves behind."""
    roles = ", ".join(role for role in ROLES if role in user.roles) or "no role"
    where = "every pool" if user.pools is None else listed(user.pools) if user.pools else "no pool"
    more = (
        f", at most {counted(user.max_live, 'live lease')} in a pool" if user.max_live else "",
        f"; only from {user.networks}" if user.networks else "",
        "" if "take" in user.roles else "; has no take",
        "; two passwords are right (password_next)" if len(user.hashes) > 1 else "",
        f"; {counted(len(user.token), 'token')}" if user.token else "",
    )
    return f"user {user.name}: {roles} in {where}{''.join(more)}"


def complaints(pools: Iterable[Pool], users: Sequence[User]) -> list[str]:
    """A sentence for users who may do nothing, and for each kind of pool whose calls nobody can lease or ask for."""
    pools = list(pools)
    unleased = [pool.name for pool in pools if pool.numbers and not _may(pool, users, "lease")]
    unasked = [pool.name for pool in pools if not _may(pool, users, "read", "take")]
    idle = [user.name for user in users if not (user.roles and (user.pools is None or user.pools))]
    found = [f"user {listed(idle)} may do nothing: roles or pools are empty"] if idle else []
    if unleased:
        found.append(f"no user may lease in pool {listed(unleased)}: give one the role lease, and this pool")
    if unasked:
        found.append(
            f"no user may read or take in pool {listed(unasked)}: nobody gets the data of its calls; "
            "give one the roles read and take, and this pool"
        )
    return found


def remarks(pools: Iterable[Pool], users: Sequence[User]) -> list[str]:
    """A sentence for pools that work, but keep each number for the whole time of its call."""
    untaken = [pool.name for pool in pools if not _may(pool, users, "take") and _may(pool, users, "read")]
    return [f"no user may take in pool {listed(untaken)}: each call keeps its number until its ttl"] if untaken else []


def _may(pool: Pool, users: Iterable[User], *roles: str) -> bool:
    return any(user.may_use(pool.name) and user.roles.intersection(roles) for user in users)
