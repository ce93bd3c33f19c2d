"""The file of users for a hardened Redis: who may log in, and no more than the service needs on its keys.

Each line holds for ``ACL SETUSER`` as well, without its first word. A file of users has no comments: redis.io, "ACL".
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from cticache.errors import UserError

DEFAULT = "default"
"""Who everybody is that gives no name."""
SENT = ("ping", "select", "evalsha", "eval", "script|load", "info", "cluster|slots", "cluster|info", "asking",
        "acl|dryrun")  # fmt: skip
"""The commands that the service sends itself; AUTH needs no permission.

INFO, CLUSTER INFO and ACL DRYRUN are for ``cticache check``. CONFIG GET is left out: it shows the replicas' passwords.
"""
_CALLED = re.compile(r"redis\.p?call\('([A-Z]+)'")


def called(sources: Mapping[str, str]) -> list[str]:
    """The commands that the scripts run, in capitals, each once; ``sources`` have their includes filled in."""
    return sorted({name for source in sources.values() for name in _CALLED.findall(source)})


def credentials(url: str) -> tuple[str, str]:
    """The user and the password in a URL of Redis, the user ``cticache`` and no password if it has none.

    UserError if that user is the default one, or his name cannot stand in a file of users.
    """
    parts = urlsplit(url)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if name == DEFAULT or re.search(r"[\s\0]", name):
        raise UserError(
            f"[redis] url: the service needs a user of its own, and {name!r} cannot be one: write another name, "
            "such as cticache, before the password"
        )
    return (name, password) if name else ("cticache", "")


def everybody(name: str, password: str, prefix: str, commands: Iterable[str], admin: tuple[str, str] | None) -> str:
    """The file's text: the default user, the service's and, where there is one, the administrator's with his password.

    Redis 7.0 to 8.2 read the append-only file as the default user, and leave out what that one may not do within
    MULTI and EXEC: every write of a script. So it may do everything, but nobody can log in as it.
    """
    allowed = " ".join(f"+{command}" for command in (*SENT, *(each.lower() for each in commands)))
    lines = [
        "user default reset off allkeys allchannels +@all",
        f"user {name} reset on #{_digest(password)} ~{prefix}:* {allowed}",
    ]
    if admin:
        lines.append(f"user {admin[0]} reset on #{_digest(admin[1])} allkeys allchannels +@all")
    return "\n".join(lines)


def _digest(password: str) -> str:
    """How a file of users has a password without telling it."""
    return hashlib.sha256(password.encode()).hexdigest()
