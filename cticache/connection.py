"""How Redis is reached: one client, time-outs on, repeats off."""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, timeout: float) -> Redis:
    """A client that opens its connections when they are needed; ValueError for an URL that cannot be read.

    redis-py would repeat a command up to ten times: a lost reply would then take, or lease, twice. What may be
    repeated, the store repeats. ``timeout``, in seconds, bounds a connect and each wait for a reply.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "decode_responses": True,
        "protocol": 2,
        "driver_info": None,  # no CLIENT SETINFO on each connect
    }
    return Redis.from_url(url, **options)
