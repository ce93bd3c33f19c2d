"""Wrong passwords are counted for all processes: of each user, and of the addresses that they come from."""

import re

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.data.store.logins import _SITE_BUCKETS

HERE, THERE = "203.0.113.1", "198.51.100.1"


def a_minute_passes(client: Redis) -> None:
    for key in sorted(client.keys("cti:{@logins}:minute:*")):
        minute = int(key.rpartition(":")[2])
        client.rename(key, f"cti:{{@logins}}:minute:{minute - 1}")


def test_a_user_and_an_address_are_counted_by_themselves(store: Store) -> None:
    assert store.login_failed("bob", HERE) == (1, 1)
    assert store.login_failed("bob", THERE) == (2, 1)
    assert store.login_failed("eve", HERE) == (1, 2)
    assert store.login_failed("@unknown", THERE) == (1, 2)
    failed = store.login_failures()
    assert (failed.addresses, failed.by_user) == (2, {"bob": 2, "eve": 1, "@unknown": 1})


def test_what_was_known_to_be_wrong_is_told_of_its_user_and_is_no_guess(client: Redis, store: Store) -> None:
    assert store.login_failed("bob", HERE) == (1, 1)
    assert store.login_failed("bob", HERE, 40) == (1, 1)
    assert store.login_failed("@unknown", THERE, 2) == (0, 0)
    failed = store.login_failures()
    assert (failed.addresses, failed.by_user) == (2, {"bob": 41, "@unknown": 2})


def test_counts_are_of_this_minute_and_the_one_before(client: Redis, store: Store) -> None:
    begun = None
    while begun != (begun := client.time()[0] // 60):  # once more if a minute ended meanwhile
        client.flushall()
        counted = [store.login_failed("bob", HERE)]
        a_minute_passes(client)
        counted.append(store.login_failed("bob", HERE))
        one = store.login_failures().addresses
        for _ in range(2):
            a_minute_passes(client)
        none = store.login_failures().addresses
        counted.append(store.login_failed("bob", HERE))
        ever = store.login_failures().by_user
    assert counted == [(1, 1), (2, 2), (1, 1)]
    assert (one, none, ever) == (1, 0, {"bob": 3})


def test_the_counts_of_a_minute_expire(client: Redis, store: Store) -> None:
    store.login_failed("bob", HERE)
    (key,) = client.keys("cti:{@logins}:minute:*")
    assert 60 <= client.ttl(key) <= 120
    assert client.ttl("cti:{@logins}:failed") == -1


def test_a_scanner_of_many_names_and_addresses_makes_no_more_keys_and_few_fields(client: Redis, store: Store) -> None:
    for at in range(200):
        store.login_failed("@unknown", f"203.0.{at}.113")
    keys = client.keys("*")
    assert len(keys) <= 3  # the last of them if the minute ended meanwhile
    assert all(re.fullmatch(r"cti:\{@logins\}:(failed|minute:\d+)", key) for key in keys)
    fields = {field for key in keys if "minute" in key for field in client.hkeys(key)}
    assert "@unknown" in fields
    buckets = [int(field[1:]) for field in fields - {"@unknown", "@addresses"}]
    assert max(buckets) < _SITE_BUCKETS
    assert store.login_failures().addresses <= len(buckets)


@pytest.mark.parametrize("key", ["failed", "minute"])
def test_a_key_of_another_type_is_told_before_anything_is_counted(client: Redis, store: Store, key: str) -> None:
    from cticache.errors import RedisUnavailable

    store.login_failed("bob", HERE)
    for each in client.keys("cti:{@logins}:*"):
        if key in each:
            client.delete(each)
            client.set(each, "x", px=60_000)
    with pytest.raises(RedisUnavailable):
        store.login_failed("bob", HERE)
