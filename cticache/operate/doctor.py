"""What about a Redis server would lose data, by what it tells about itself."""

from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from cticache.link.cluster import Topology
from cticache.link.connection import connect
from cticache.link.trouble import REFUSALS, told
from cticache.operate import replay

OLDEST = (6, 2)
"""The oldest Redis with all the commands that the scripts use."""
REPLICA = REFUSALS["READONLY"]
MEMBER = "the server is part of a Redis Cluster: write redis+cluster:// in the URL, not redis://"


def cluster(url: str, timeout: float, more: Callable[[Redis], list[str]]) -> tuple[str, list[str]]:
    """What kind of servers a cluster's primaries are, and what is wrong with each; redis-py's error if none answers.

    ``more`` is asked of each beside ``complaints``.
    """
    topology = Topology(url, timeout, probe=timeout)
    topology.refresh().result()
    kinds, found = set(), []
    for host, port in topology.primaries():
        try:
            with connect(topology.url((host, port)), timeout) as client:
                kinds.add(described(client))
                complained = [*complaints(client, clustered=True), *more(client)]
        except RedisError as error:
            complained = [told(error)]
        found += [f"{host}:{port}: {complaint}" for complaint in complained]
    count = len(topology.primaries())
    return f"a cluster of {count} {'primary' if count == 1 else 'primaries'} ({', '.join(sorted(kinds))})", found


def complaints(client: Redis, *, clustered: bool = False) -> list[str]:
    """One sentence for each thing that is wrong, the worst first; redis-py's errors pass through."""
    try:
        info: dict[str, Any] = client.info("everything")
    except ResponseError:
        return ["the server does not tell about itself (INFO): whether it would lose data is unknown"]
    found = []
    found += foreign(info)
    if info.get("cluster_enabled") and not clustered:
        found.append(MEMBER)
    if clustered and _state(client) == "fail":
        found.append("the cluster is down (CLUSTER INFO): give every slot a node that is up")
    if info.get("role") == "slave":
        found.append(REPLICA)
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}: live calls are thrown away when memory is full; set noeviction")
    found += _persistence(client, info)
    if lost := replay.left_out(client, info):
        found.append(
            f"the default user may not run {', '.join(lost).lower()}: Redis reads the append-only file as that user, "
            "and a restart loses every call; give it what `cticache acl` prints for it"
        )
    if info.get("connected_slaves") and "min_slaves_good_slaves" not in info:
        found.append(
            "there are replicas, and min-replicas-to-write is 0: a failover may lose the newest calls; "
            "set min-replicas-to-write 1 and min-replicas-max-lag 10"
        )
    return found


def foreign(info: Mapping[str, Any]) -> list[str]:
    """What is wrong with the kind or the version of a server, by what INFO says of it."""
    if "garnet_version" in info:
        # Its scripts run side by side unless it is told otherwise, which cannot be asked of it: microsoft/garnet,
        # website/docs/getting-started/configuration.md, EnableLua and LuaTransactionMode.
        return [
            f"the server is Garnet {info['garnet_version']}: it takes scripts only with --lua, and only with "
            "--lua-transaction-mode does one caller not get another's number; cticache is not tested on it, "
            "use Redis or Valkey"
        ]
    if () < replay.version(info.get("redis_version")) < OLDEST:
        return [f"the server is version {info.get('redis_version')}, too old: use Redis 6.2 or later, or Valkey"]
    return []


def described(client: Redis) -> str:
    """The server's kind and version, such as ``Valkey 9.1.2``."""
    try:
        info = client.info("server")
    except ResponseError:
        return "a server of an unknown kind"
    for kind in ("Valkey", "Garnet", "Redis"):
        if told := info.get(f"{kind.lower()}_version"):
            return f"{kind} {told}"
    return "a server of an unknown kind"


def _state(client: Redis) -> str:
    """The state of the cluster as the node sees it: ok or fail; empty if it does not say."""
    try:
        said = str(client.execute_command("CLUSTER", "INFO"))  # type: ignore[no-untyped-call]
    except ResponseError:
        return ""
    return said.partition("cluster_state:")[2].partition("\r")[0]


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
