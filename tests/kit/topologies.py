"""Where Redis is: one server, a primary behind a sentinel, a cluster. And how it is asked: by threads, on a loop."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from cticache.link.connection import Runner, connect
from cticache.link.redis_url import addresses, kind
from cticache.reach import new_runner
from kit import clusters, servers
from kit.running import InTurn, Served, Watched

TOPOLOGIES = ("single", "sentinel", "cluster")
WAYS = ("threads", "loop")
"""How the store asks: each thread for itself, or the requests of a loop together."""


@contextmanager
def under_test(topology: str) -> Iterator[tuple[str, str]]:
    """The URL, and what is there: the one server that TEST_REDIS names, or several from a package."""
    if topology == "sentinel":
        with clusters.watched() as pair:
            yield pair.url, "a primary and its replica, behind a sentinel"
    elif topology == "cluster":
        with clusters.cluster() as made:
            yield made.url, f"a cluster of {len(made.nodes)}"
    else:
        with servers.under_test() as found:
            yield found


@contextmanager
def runner(url: str, way: str) -> Iterator[Runner]:
    """Runs commands as the service does, from any thread."""
    with ExitStack() as stack:
        hub = Watched() if way == "loop" else None
        made = new_runner(url, clusters.redis_config(url, 5.0), stack, hub)
        if hub:
            served = Served(lambda _environ, _start: [], hub)
            stack.callback(served.stop)
            made = InTurn(hub, made)
        yield made


def client_of(url: str) -> Redis:
    """A client with which a test empties what is there, looks at it and changes it."""
    url = servers.as_admin(url)
    if kind(url) != "cluster":
        return connect(url, 5.0)
    host, port = addresses(url)[0]
    who = dict(zip(("username", "password"), servers.ADMIN, strict=True)) if servers.HARDENED else {}
    return _Whole(host=host, port=port, decode_responses=True, protocol=2, **who)  # type: ignore[return-value]


class _Whole(RedisCluster):
    """A cluster's client that asks every primary what has no key: all together answer as one server would."""

    def keys(self, pattern: str = "*") -> Any:
        return super().keys(pattern, target_nodes=self.PRIMARIES)

    def eval(self, script: str, numkeys: int, *arguments: Any) -> Any:
        """Of a script that takes no keys; of what they return, the greatest."""
        done = self.execute_command("EVAL", script, numkeys, *arguments, target_nodes=self.PRIMARIES)
        return max(done.values())

    def info(self, section: str) -> Any:
        """What is counted is counted together."""
        found: dict[str, Any] = {}
        for told in super().info(section, target_nodes=self.PRIMARIES).values():
            for name, figures in told.items():
                if name in found and isinstance(figures, dict):
                    found[name] = {count: found[name][count] + figures[count] for count in figures}
                else:
                    found[name] = figures
        return found
