"""The state of all services on a Redis as it can be told without asking one of them: by what they keep there.

What a service alone knows is not in it: its processes, its logins, its requests.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from cticache.access.users import User
from cticache.data.difference import difference
from cticache.data.replies import LastMinutes, Registered, utc
from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.data.sync import Sync
from cticache.errors import RedisRefuses
from cticache.link.trouble import REFUSALS
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate import status
from cticache.operate.attention import LOST, Attention, Watched, WatchRules, of_pool, of_unread
from cticache.operate.fill import Limits
from cticache.operate.history import LATELY, MINUTE_MS, NOTHING, lately
from cticache.operate.report import counted, listed
from cticache.operate.unread import in_words, looked_at, told_of

_T = TypeVar("_T")
_MOST_EVENTS = 5
_LEVELS = ("CRIT", "WARN")


def seen(store: Store, pools: Pools, rules: WatchRules, users: Sequence[User], file: str) -> dict[str, Any]:
    """Redis, the services on it, the pools, what needs attention and the last events, for JSON.

    ``file`` names the configuration that ``pools`` are of. RedisUnavailable where Redis is away.
    """
    before = time.monotonic()
    info = store.server_info()
    took_s = time.monotonic() - before
    read, not_read = looked_at(store, list(pools))
    unread = told_of(not_read, len(list(pools)))
    here = Registration(store, pools, Sync(store, pools, lambda _how_far: None).numbers, 0)
    untold: list[Attention] = []
    services = _unless_refused(store.services, untold, "Which services there are")
    events = _unless_refused(lambda: store.events(_MOST_EVENTS), untold, "What happened last") or []
    watched = [Watched(pool, figures, lately(last, figures) if last else NOTHING) for pool, figures, last in read]
    limits = Limits(rules.warn, rules.crit)
    number = "" if not services or services[0].numbers == here.numbers else _first_number(store, pools, file)
    found = [
        *_of_memory(info),
        *(() if services is None else _of_services(services, here, file, number)),
        *untold,
        *_of_losses([(pool, last) for pool, _, last in read if last]),
    ]
    found += [of_unread(name, why) for name, why in unread.items()]
    for each in watched:
        found += of_pool(each, users, rules, {}, has_note=any(one.kind == "loss" for one in found))
    return {
        "redis": status.of_redis(info, "", took_s),
        "services": status.of_nodes(services or (), here),
        "attention": [asdict(each) for each in sorted(found, key=lambda each: _LEVELS.index(each.level))],
        "pools": [status.of_pool(each.pool.name, each.stats, each.done, limits) for each in watched],
        "events": [status.of_event(each) for each in events],
    }


def _unless_refused(ask: Callable[[], list[_T]], untold: list[Attention], what: str) -> list[_T] | None:
    """What is told; None where Redis refuses it, or somebody else has written there, which is added to what is not."""
    try:
        return ask()
    except RedisRefuses as error:
        untold.append(Attention("redis", "CRIT", "", f"{what} cannot be read. {in_words(error)}.", "log"))
        return None


def away(why: str) -> dict[str, Any]:
    """The same where Redis cannot be asked, for this reason in words."""
    attention = Attention("redis", "CRIT", "", why, "readyz")
    redis = status.of_redis({}, why, None)
    return {"redis": redis, "services": [], "attention": [asdict(attention)], "pools": [], "events": []}


def memory_full(info: Mapping[str, str]) -> str:
    """That Redis leases nothing for want of memory, in words, or empty: its figures are still told then, and well."""
    most = int(info.get("maxmemory", 0))
    # Redis leaves out what its replicas and its append-only file have yet to be sent.
    held = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return REFUSALS["OOM"] if most and held > most and info.get("maxmemory_policy") == "noeviction" else ""


def _of_memory(info: Mapping[str, str]) -> Iterator[Attention]:
    if full := memory_full(info):
        yield Attention("redis", "CRIT", "", f"{full}.", "readyz")


def _first_number(store: Store, pools: Pools, file: str) -> str:
    """In which the configuration differs from Redis, as a sentence; empty where that is not known."""
    found = difference(store, pools)
    says = found.says("in Redis", f"in {file}") if found else ""
    return f" {says[:1].upper()}{says[1:]}." if says else ""


def _of_services(services: Sequence[Registered], here: Registration, file: str, number: str) -> Iterator[Attention]:
    if not services:
        yield Attention(
            "redis",
            "CRIT",
            "",
            "No service of cticache runs on this Redis, or under this [redis] prefix: start it.",
            "log",
        )
        return
    names = {each.who for each in services}
    if len({each.numbers for each in services}) > 1:
        yield Attention(
            "overruled",
            "CRIT",
            "",
            f"The services on this Redis have different pools or numbers ({listed(names)}): give them the "
            f"same.{number}",
            "readyz",
        )
    elif len({each.rules for each in services}) > 1:
        yield Attention(
            "rules",
            "WARN",
            "",
            f"The services on this Redis have different rules for their pools ({listed(names)}): give them the same.",
            "readyz",
        )
    elif (services[0].numbers, services[0].rules) != (here.numbers, here.rules):
        other = "rules for its pools" if services[0].numbers == here.numbers else "pools or numbers"
        yield Attention(
            "rules",
            "WARN",
            "",
            f"{file} has other {other} than {counted(len(services), 'service')} on this Redis: if it was changed "
            f"since, run `cticache reload`.{number}",
            "readyz",
        )


def _of_losses(minutes: Iterable[tuple[Pool, LastMinutes]]) -> Iterator[Attention]:
    lost: dict[Pool, int] = {
        pool: last.lost_ms for pool, last in minutes if last.lost_ms > last.now_ms - LATELY * MINUTE_MS
    }
    if lost:
        yield Attention(
            "loss",
            "CRIT",
            "",
            f"Redis lost calls at {utc(max(lost.values()))}, of pools {listed({pool.name for pool in lost})}. {LOST}",
            "readyz",
        )
