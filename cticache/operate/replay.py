"""Whether Redis would load what the scripts have written, once it starts again: the default user decides.

Redis 7.0 to 8.2, and Valkey before 9.1, read the append-only file as that user. What it may not do is left out where it
stands between MULTI and EXEC, as all writes of a script do: see redis/redis#14541 and valkey-io/valkey#3983.
"""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from cticache.operate.acl import DEFAULT

WRITES = {
    "DEL": 0,
    "HDEL": 1,
    "HINCRBY": 2,
    "HSET": 2,
    "HSETNX": 2,
    "LPUSH": 1,
    "LTRIM": 2,
    "PEXPIRE": 1,
    "PEXPIREAT": 1,
    "SET": 1,
    "UNLINK": 0,
    "ZADD": 2,
    "ZINCRBY": 2,
    "ZREM": 1,
    "ZREMRANGEBYSCORE": 2,
}
"""What the scripts write with -> how many arguments it needs behind the key."""
_UNCHECKED_BEFORE = (7, 0)
"""Redis 6.2 asks for no permission within MULTI and EXEC."""
_VALKEY_UNCHECKED_FROM = (9, 1)


def left_out(client: Redis, info: Mapping[str, Any]) -> list[str]:
    """Which of the scripts' writes Redis would leave out when it starts again; none if it does not tell.

    ``info`` is what INFO says.
    """
    if not _matters(client, info):
        return []
    asked = {command: _may(client, command, arguments) for command, arguments in WRITES.items()}
    return [command for command, allowed in asked.items() if allowed is False]


def is_unknown(client: Redis) -> bool:
    """Whether it matters, and Redis does not tell."""
    try:
        info: dict[str, Any] = client.info("everything")
    except ResponseError:
        return False  # which is a complaint of its own
    return _matters(client, info) and _may(client, *next(iter(WRITES.items()))) is None


def _matters(client: Redis, info: Mapping[str, Any]) -> bool:
    """If the service itself is the default user, the trial finds what that one may not do."""
    return bool(info.get("aof_enabled")) and not _is_unchecked(info) and _user(client) != DEFAULT


def _may(client: Redis, command: str, arguments: int) -> bool | None:
    """Whether the default user may run it; None if Redis does not tell."""
    try:
        # In two words: redis-py has a parser of its own for the reply to "ACL DRYRUN".
        told = client.execute_command("ACL", "DRYRUN", DEFAULT, command, "a", *["1"] * arguments)  # type: ignore[no-untyped-call]
    except ResponseError:
        return None
    return bool(told == "OK")


def _user(client: Redis) -> str:
    return str(client.get_connection_kwargs().get("username") or DEFAULT)


def _is_unchecked(info: Mapping[str, Any]) -> bool:
    if "valkey_version" in info:
        return version(info["valkey_version"]) >= _VALKEY_UNCHECKED_FROM
    return version(info.get("redis_version", "")) < _UNCHECKED_BEFORE


def version(text: object) -> tuple[int, ...]:
    """The first two numbers of a version; none where it has another form."""
    parts = str(text).split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()
