"""Lets time pass without waiting, and shows what is stored."""

from typing import Any

from redis import Redis


def age(client: Redis, ms: int) -> None:
    """Make everything stored ``ms`` milliseconds older, as if it had been written that much earlier."""
    for key in client.scan_iter():
        if client.type(key) == "zset":
            for member, score in client.zrange(key, 0, -1, withscores=True):
                if score > ms:
                    client.zadd(key, {member: score - ms})
        elif client.type(key) == "hash" and client.hexists(key, "leased_ms"):
            client.hincrby(key, "leased_ms", -ms)
        elif ":gone:" in key:
            client.set(key, int(client.get(key)) - ms, keepttl=True)
        left = client.pttl(key)
        if left >= 0:
            client.pexpire(key, left - ms)  # deletes it where no time is left


def on_the_second(client: Redis) -> None:
    """Round the time that is left to everything to whole seconds: undoes what real time has passed since."""
    now = now_ms(client)
    for key in client.scan_iter():
        if client.type(key) == "zset":
            for member, score in client.zrange(key, 0, -1, withscores=True):
                if score > 0:
                    client.zadd(key, {member: now + round((score - now) / 1000) * 1000})
        left = client.pttl(key)
        if left >= 0:
            client.pexpire(key, round(left / 1000) * 1000)


def now_ms(client: Redis) -> int:
    """The server's time in whole milliseconds."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def everything(client: Redis) -> dict[str, Any]:
    """All keys and what they hold, to compare before and after."""
    read = {
        "hash": client.hgetall,
        "string": client.get,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter()}
