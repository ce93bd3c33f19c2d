"""What in a Redis server would lose data, or keep the scripts from running."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

OLDEST = (6, 2)
"""The oldest Redis that has all commands the scripts use."""


def complaints(client: Redis) -> list[str]:
    """One sentence for each thing that is wrong, the worst first; redis-py's errors pass through."""
    try:
        info: dict[str, Any] = client.info("everything")
    except ResponseError:
        return ["the server does not tell about itself (INFO): whether it would lose data is unknown"]
    found = []
    if _version(info) < OLDEST:
        found.append(f"the server is version {info['redis_version']}, too old: use Redis 6.2 or later, or Valkey")
    if info.get("cluster_enabled"):
        found.append("the server is part of a Redis Cluster, which is not supported yet: use a stand-alone server")
    if info.get("role") == "slave":
        found.append("the server is a replica and refuses writes: give the address of its primary")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}: live calls are thrown away when memory is full; set noeviction")
    found += _persistence(client, info)
    if info.get("connected_slaves") and "min_slaves_good_slaves" not in info:
        found.append(
            "there are replicas, and min-replicas-to-write is 0: a failover may lose the newest calls; "
            "set min-replicas-to-write 1 and min-replicas-max-lag 10"
        )
    return found


def described(client: Redis) -> str:
    """The server's kind and version, such as ``Valkey 9.1.2``."""
    try:
        info = client.info("server")
    except ResponseError:
        return "a server of an unknown kind"
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def _persistence(client: Redis, info: Mapping[str, Any]) -> list[str]:
    if info.get("aof_enabled"):
        return []
    try:
        save = client.config_get("save").get("save")
    except ResponseError:
        save = None  # a managed server hides its settings
    if save == "":
        return ["there is no persistence: a restart loses every live call; set appendonly yes"]
    return ["appendonly is off: a crash loses the calls since the last snapshot; set appendonly yes"]


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
