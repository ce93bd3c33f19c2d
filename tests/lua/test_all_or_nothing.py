"""What somebody else has put in the place of a key, or of a field, stops an operation before it writes, or not at all.

A caller's data must not go with a refusal: whoever is told to try again finds it where it was.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import RedisUnavailable
from cticache.numbering.pool import Pool
from kit.aging import age, dumped, now_ms
from kit.samples import at

MakePool = Callable[..., Pool]
HOUR_MS = 3_600_000
VALUE = '"of 777"'
PREFIX = "cti:{system-y}:"
NOT_THERE_YET = ("shared", "leaving", "unclaimed", "lost", "taken:y:again", "gone:100:777", "callers:101")


def lend(store: Store, pool: Pool) -> None:
    store.lease(pool, "888", VALUE, "another", 60_000, key="another")


def read(store: Store, pool: Pool) -> str:
    held = store.read(at(pool, "100"), "777", "y")
    assert held
    return held.value


def renew(store: Store, pool: Pool) -> str:
    held = store.renew(at(pool, "100"), "777", 5 * HOUR_MS)
    assert held
    return held.value


def take(store: Store, pool: Pool) -> str:
    held = store.take(at(pool, "100"), "777", "y")
    assert held
    return held.value


def take_under_a_key(store: Store, pool: Pool) -> str:
    held = store.take(at(pool, "100"), "777", "y", key="again")
    assert held
    return held.value


def release(store: Store, pool: Pool) -> None:
    (told,) = store.release(pool, [("100", "777", "")])
    assert told


OPERATIONS = (lend, read, renew, take, take_under_a_key, release)


def beat(store: Store, pool: Pool) -> None:
    store.pool_beat([(pool, None, None)], "back")


def keep_the_minute(store: Store, pool: Pool) -> None:
    store.pool_minute([pool])


def spoilt(client: Redis, key: str, field: str) -> None:
    """A field of a hash is no number, or with ``-`` before it is gone; without a field, the key is of another type."""
    if field.startswith("-"):
        client.hdel(key, field[1:])
        return
    if field:
        client.hset(key, field, "abc")
        return
    is_text = client.type(key) == "string"
    client.delete(key)
    if is_text:
        client.hset(key, "poison", "1")
    else:
        client.set(key, "poison")
    client.pexpire(key, HOUR_MS)


def spoils(client: Redis) -> Iterator[tuple[str, str]]:
    """Each key of the pool, and each field of its hashes, those included that the operations make."""
    hour = now_ms(client) // HOUR_MS
    made = [f"{PREFIX}{name}" for name in (*NOT_THERE_YET, f"stats:{hour}", f"stats:{hour - 2}", f"stats:{hour - 1}")]
    for key in {*client.scan_iter(f"{PREFIX}*"), *made}:
        yield key, ""
        for field in client.hkeys(key) if client.type(key) == "hash" else ():
            yield key, field
            yield key, f"-{field}"
    for key in (f"{PREFIX}stats", *made[-3:]):
        for field in ("leased", "taken", "renewed", "released", "held_ms", "match_exact", "t3600", "t7200", "peak"):
            yield key, field


@pytest.mark.parametrize("operation", [*OPERATIONS, beat, keep_the_minute])
def test_an_operation_is_done_or_leaves_all_as_it_was(
    client: Redis, store: Store, new_pool: MakePool, operation: Callable[..., Any]
) -> None:
    pool = new_pool("100-101", exhausted="share")

    def begin() -> None:
        client.flushall()
        beat(store, pool)
        keep_the_minute(store, pool)
        new_pool("100-101", exhausted="share")
        store.lease(pool, "777", VALUE, "x", 3 * HOUR_MS, key="k")
        age(client, HOUR_MS)  # what it holds is booked in an hour that is over

    begin()
    done = 0
    for key, field in sorted(spoils(client)):
        begin()
        spoilt(client, key, field)
        before, what = dumped(client), f"{key} {field}"
        value = client.hget(f"{PREFIX}call:100:777", "value") if key != f"{PREFIX}call:100:777" or field else None
        try:
            found = operation(store, pool)
        except RedisUnavailable:
            assert dumped(client) == before, what
        else:
            assert found in (None, value), what
            done += 1
    assert done > 30


@pytest.mark.parametrize("key", ["stats", "stats:{hour}"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_counter_that_is_no_number_keeps_nobody_waiting(
    client: Redis, store: Store, new_pool: MakePool, operation: Callable[..., Any], key: str
) -> None:
    pool = new_pool("100-101")
    store.lease(pool, "777", VALUE, "x", HOUR_MS)
    key = PREFIX + key.format(hour=now_ms(client) // HOUR_MS)
    wrong = dict.fromkeys(["leased", "taken", "renewed", "released", "held_ms", "match_exact", "t1", "peak"], "abc")
    client.hset(key, mapping=wrong)
    assert operation(store, pool) in (None, VALUE)
    wrong["peak"] = client.hget(key, "peak") or ""  # which is set, not counted
    assert client.hgetall(key).items() >= wrong.items()
