"""What a release leaves in Redis, kept as a file that every later one must read: tests/releases/format-N.json.

It has each key as [type, key, content, ms to live], the pools, and what there is to be found. ``scripts/keep_data.py``
writes that of this release, once, before the next one changes what is kept.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis

from cticache.data.format import FORMAT
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.journal.events import Event
from cticache.link.connection import Direct, connect
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import now_ms
from kit.former import RELEASES
from kit.samples import at, make_pool
from kit.servers import binary, packaged

_BEFORE = {"blind": {"numbers": "400-401"}, "moved": {"numbers": "500-501"}, "dropped": {"numbers": "600"}}
"""Pools as they were first: one gave a number to another pool since, and one is gone."""
_POOLS: dict[str, dict[str, Any]] = {
    "sales": {"numbers": "100-107", "match": "suffix"},
    "one": {"numbers": "200"},
    "spare": {"numbers": "300", "exhausted": "fallback", "fallback": "399"},
    "blind": {"numbers": "400-401, 501", "retry_window_ms": 600_000},
    "moved": {"numbers": "500"},
}
_TTL_MS = 3_600_000
"""Of every call."""
_USER = "ivr"
_TIME = re.compile(r"(?<!\d)1[6-9]\d{11}(?!\d)")
"""Milliseconds since 1970, until 2033."""
_COUNTED = re.compile(r"(.*:(?:(stats)|minute):)(\d+)")
"""A key with an hour or a minute since 1970 in its name."""


def pools_of(said: dict[str, dict[str, Any]]) -> Pools:
    """The pools that a file names."""
    return Pools([make_pool(name=name, remember_ms=600_000, **rules) for name, rules in said.items()])


def write(path: Path = RELEASES / f"format-{FORMAT}.json") -> None:
    """Do all that leaves something in Redis, and write what is there."""
    with binary(packaged()) as url, connect(url, 5) as client:
        store = Store(Scripts(Direct(client), read_scripts()), Keys("cti"), 2)
        calls = [*_done(client, store)]
        pools = pools_of(_POOLS)
        counts = {
            pool.name: {name: count for name, count in figures.counts.items() if count}
            for pool, figures in zip(pools, store.pool_stats(list(pools)), strict=True)
        }
        document = {
            "format": FORMAT,
            "at_ms": now_ms(client),
            "pools": _POOLS,
            "calls": calls,
            "counts": counts,
            "keys": sorted(_read(client), key=lambda each: each[1]),
        }
    path.write_text(_written(document), "utf-8")


def put_back(client: Redis, document: dict[str, Any]) -> None:
    """Put it all into an empty Redis, as old as it was when it was written."""
    now, then = now_ms(client), document["at_ms"]

    def shifted(text: str) -> str:
        return _TIME.sub(lambda found: str(int(found[0]) + now - then), text)

    def later(number: str, unit_ms: int) -> str:
        return str(int(number) + now // unit_ms - then // unit_ms)

    for kind, name, content, left_ms in document["keys"]:
        key = name
        if found := _COUNTED.fullmatch(name):
            key = found[1] + later(found[3], 3_600_000 if found[2] else 60_000)
        if kind == "string":
            client.set(key, shifted(content))
        elif kind == "list":
            client.rpush(key, *map(shifted, content))
        elif kind == "zset":
            client.zadd(key, {member: float(shifted(str(score))) for member, score in content.items()})
        elif key.endswith(":minutes"):
            last, kept = content.pop("last"), {later(minute, 60_000): text for minute, text in content.items()}
            client.hset(key, mapping=kept | {"last": later(last, 60_000)})
        else:
            client.hset(key, mapping={field: shifted(text) for field, text in content.items()})
        if left_ms >= 0:
            client.pexpire(key, left_ms)


def _done(client: Redis, store: Store) -> Iterator[dict[str, str]]:
    """Everything once; each call, and what became of it."""

    def lease(pool: Pool, ani: str, key: str = "") -> dict[str, str]:
        value = json.dumps(f"of {ani}")
        dnis = store.lease(pool, ani, value, _USER, _TTL_MS, key=key).dnis
        return {"pool": pool.name, "dnis": dnis, "ani": ani, "value": value, "key": key}

    Keeper(store, pools_of(_POOLS | _BEFORE), 60)._look()
    _, moved, dropped = (make_pool(name=name, **rules) for name, rules in _BEFORE.items())
    for pool, ani in ((moved, "5550001"), (moved, "5550002"), (dropped, "6660001")):
        yield lease(pool, ani) | {"is": "live"}
    pools = pools_of(_POOLS)
    keeper = Keeper(store, pools, 600, lambda: json.dumps({"version": "a release"}))
    keeper._look()
    sales, one, spare, blind, _ = pools
    live = lease(sales, "1110001", "a-lease")
    yield live | {"is": "live"}
    yield lease(sales, "") | {"is": "live"}
    for pool, ani in ((one, "2220001"), (one, "2220002"), (spare, "3330001"), (spare, "3330002"), (blind, "4440001")):
        yield lease(pool, ani) | {"is": "live"}
    store.read(at(blind, "400"), "9998887", "agents")  # finds nothing, beside that call
    taken = lease(sales, "1110002")
    store.take(at(sales, taken["dnis"]), taken["ani"], "agents", key="a-take")
    yield taken | {"is": "taken", "key": "a-take"}
    released = lease(sales, "1110003", "released")
    store.release(sales, [(released["dnis"], released["ani"], "")])
    yield released | {"is": "released"}
    store.read(at(sales, live["dnis"]), live["ani"], "agents")
    store.lease(sales, "1110004", '"x"', _USER, 1)
    until = now_ms(client) + 2
    while now_ms(client) < until:
        pass
    store.pool_stats(list(pools))
    store.pool_minute(list(pools))
    store.pool_beat([(one, None, None)], "older")
    store.login_failed(_USER, "203.0.113.9")
    store.event_tell([Event(now_ms(client), "WARNING", "cticache.test", "something happened", "a node")])


def _read(client: Redis) -> Iterator[list[Any]]:
    read = {
        "hash": client.hgetall,
        "string": client.get,
        "list": partial(client.lrange, start=0, end=-1),
        "zset": lambda key: {member: int(score) for member, score in client.zrange(key, 0, -1, withscores=True)},
    }
    for key in client.scan_iter():
        kind = client.type(key)
        content = read[kind](key)
        if kind == "hash" and "who" in content:
            content["who"] = "process 1 on host"
        yield [kind, key, content, client.pttl(key)]


def _written(document: dict[str, Any]) -> str:
    """As JSON, with a line for each key and each call."""

    def lines(each: Iterable[Any]) -> str:
        return "[\n" + ",\n".join("  " + json.dumps(one, sort_keys=True) for one in each) + "\n ]"

    members = [
        f' "{name}": {lines(each) if isinstance(each, list) else json.dumps(each)}' for name, each in document.items()
    ]
    return "{\n" + ",\n".join(members) + "\n}\n"
