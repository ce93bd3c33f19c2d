"""What Redis is reached by: the runner of commands for a URL, and the store on it."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from redis import Redis

from cticache.config.sections import Config, RedisConfig
from cticache.data.clock import Clocks
from cticache.data.format import Bar
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.link.breaker import Breaker
from cticache.link.cluster import Cluster, Topology, wait_in_thread
from cticache.link.connection import Direct, Runner, connect, dial, nobody_to_ask
from cticache.link.places import Places
from cticache.link.redis_url import kind
from cticache.link.waits import Waits
from cticache.loop.dispatch import Hub
from cticache.loop.parking import Parking
from cticache.loop.redis_channel import OnLoop, RedisChannel

_MORE_OFF_S = 1.0
"""By how much more than the time-out of a request Redis's clock must be off what is expected to have jumped."""
MOST_AT_NODE = 100
"""Threads that may wait for one node of a Cluster where nothing else bounds them."""
_STUCK = 0.1
"""The part of the time-out in which a node must answer somebody, if as many wait for it as may."""


def new_runner(
    url: str,
    redis: RedisConfig,
    stack: ExitStack,
    hub: Hub | None = None,
    *,
    most_at_node: int = MOST_AT_NODE,
    waits: Waits | None = None,
) -> Runner:
    """What runs the commands: the hub's Redis channels for its requests, redis-py for all others.

    ``most_at_node``: how many threads may wait for one node of a Cluster. ``waits`` learns how long Redis takes.
    """
    waits = waits or Waits()
    if kind(url) == "cluster":
        topology = Topology(url, redis.timeout, redis.probe)

        def in_threads(node: str) -> Breaker:
            places = Places(most_at_node, redis.timeout * _STUCK)
            return _in_threads(connect(node, redis.timeout), redis, waits, places=places)

        threads = Cluster(topology, in_threads, wait_in_thread, redis.timeout)
        stack.callback(threads.close)
        if not hub:
            return threads
        on_loop = Cluster(topology, lambda node: _channel(node, redis, hub, waits), Parking(hub).wait, redis.timeout)
        return OnLoop(hub, on_loop, threads)
    client = stack.enter_context(connect(url, redis.timeout))
    sentinels = client.connection_pool.sentinel_manager if kind(url) == "sentinel" else None
    direct = _in_threads(client, redis, waits, sentinels.look if sentinels else nobody_to_ask)
    stack.callback(direct.close)
    channel = RedisChannel(hub, lambda: dial(client), redis.timeout, redis.probe, waits) if hub else None
    if sentinels:
        on_loop_too = [partial(hub.call_soon, channel.leave)] if hub and channel else []
        watch = sentinels.watch([direct.leave, *on_loop_too])
        watch.start()
        stack.callback(watch.stop)
    return OnLoop(hub, channel, direct) if hub and channel else direct


def _in_threads(
    client: Redis,
    redis: RedisConfig,
    waits: Waits,
    doubt: Callable[[], None] = nobody_to_ask,
    places: Places | None = None,
) -> Breaker:
    return Breaker(Direct(client, doubt), lambda: dial(client).close(), redis.probe, places, waits)


def _channel(url: str, redis: RedisConfig, hub: Hub, waits: Waits) -> RedisChannel:
    client = connect(url, redis.timeout)  # holds what dial needs to know, and opens no connection of its own
    return RedisChannel(hub, lambda: dial(client), redis.timeout, redis.probe, waits)


def new_store(
    runner: Runner, config: Config, clocks: Clocks | None = None, bar: Bar | None = None
) -> tuple[Store, Scripts]:
    """The store on this Redis, and its scripts, which must still be loaded."""
    scripts = Scripts(runner, read_scripts())
    return Store(scripts, Keys(config.redis.prefix), config.redis.retry_after, clocks, bar), scripts


def new_clocks(config: Config) -> Clocks:
    """What is expected of the clocks of its servers."""
    return Clocks(config.redis.timeout + _MORE_OFF_S)
