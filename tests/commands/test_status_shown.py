"""``cticache status``: what is wrong is in the first line and in the exit code, whoever asks."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from cticache.data.heartbeat import Heartbeat
from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.data.sync import Sync, sync
from cticache.errors import PoolExhausted
from cticache.journal.events import Event
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit import servers
from kit.samples import make_pool

Run = Callable[..., tuple[int, str, str]]
CONFIGURATION = "[pool:support]\nnumbers = 100-104\nexhausted = reject\n"
POOL = make_pool("100-104", name="support", exhausted="reject", ttl_ms=300_000)
TELLS = {
    "started_at": "2026-11-27",
    "version": "1.2",
    "workers": 2,
    "restarts": 1,
    "config_file": "own.ini",
    "config_changed_at": "2026-11-28",
}


@pytest.fixture
def registered(store: Store) -> Callable[..., None]:
    """Registers a service with this pool, as a running one does."""

    def registered(*several: Pool) -> None:
        pools = Pools(several or [POOL])
        numbers = Sync(store, pools, lambda _how_far: None).numbers
        Registration(store, pools, numbers, 60, tells=lambda: json.dumps(TELLS)).look()

    return registered


@pytest.fixture
def pool(new_pool: Callable[..., Pool], registered: Callable[..., None]) -> Pool:
    """In place, under a service that runs."""
    registered()
    return new_pool("100-104", name="support", exhausted="reject")


def test_where_all_is_well_one_screen_says_so(pool: Pool, run: Run) -> None:
    code, out, err = run(CONFIGURATION, "status")
    assert (code, err) == (0, "")
    first, redis, service, *pools = out.splitlines()
    assert first == "CTICACHE OK - 1 service, 1 pool, nothing needs attention"
    assert redis.startswith("Redis: UP, ")
    assert ", answers in " in redis
    assert service.startswith("Service: process ")
    assert ", started 2026-11-27, pools in force since 20" in service
    assert service.endswith("Z, version 1.2, workers 2, restarted 1, configuration own.ini, of 2026-11-28")
    assert pools == ["Pool: support 0 % ok, 5 of 5 free, next now"]


def test_what_needs_attention_is_told_the_worst_first(store: Store, client: Redis, pool: Pool, run: Run) -> None:
    heartbeat = Heartbeat(store, Pools([pool]), lambda _kind, _note: None)
    heartbeat.look()
    for ani in "12345":
        store.lease(pool, ani, "the value", "x", 60_000)
    code, out, _ = run(CONFIGURATION, "status")
    assert code == 2
    assert out.startswith("CTICACHE CRITICAL - support: FULL: 5 of 5 numbers in use, 100 %. ")
    with pytest.raises(PoolExhausted):
        store.lease(pool, "6", "the value", "x", 60_000)
    code, out, _ = run(CONFIGURATION, "status")
    assert out.startswith(
        "CTICACHE CRITICAL - support: FULL: none of 5 numbers is free, 1 call refused in 10 minutes, "
    )
    assert "\nPool: support 100 % FULL, 0 of 5 free, next 6" in out
    assert "the value" not in out
    client.hset("cti:{support}:beat", "lost_ms", client.time()[0] * 1000)
    store.event_tell([Event(1_796_000_000_000, "ERROR", "x", "It was lost.", "a node")])
    lines = run(CONFIGURATION, "status")[1].splitlines()
    assert lines[0].startswith("CTICACHE CRITICAL - Redis lost calls at 20")
    assert "Look at the log of Redis, and let `cticache check` say" in lines[0]
    assert lines[0].endswith(" (and 1 more)")
    assert [line.partition(": ")[0] for line in lines[-3:]] == ["CRIT", "CRIT", "Event"]
    assert lines[-1].endswith(" ERROR It was lost. (a node)")
    assert lines[-2].startswith("CRIT: support: FULL: none of 5")


def test_three_quarters_are_a_warning(store: Store, pool: Pool, run: Run) -> None:
    for ani in "1234":
        store.lease(pool, ani, "1", "x", 60_000)
    code, out, _ = run(CONFIGURATION, "status")
    assert (code, out.partition(" - ")[0]) == (1, "CTICACHE WARNING")
    assert run(CONFIGURATION + "[watch]\nwarn = 81\ncrit = 90\n", "status")[0] == 0


def test_that_no_service_runs_is_told(new_pool: Callable[..., Pool], run: Run) -> None:
    new_pool("100-104", name="support", exhausted="reject")
    code, out, _ = run(CONFIGURATION, "status")
    assert (code, out.splitlines()[0]) == (
        2,
        "CTICACHE CRITICAL - No service of cticache runs on this Redis, or under this [redis] prefix: start it.",
    )


def test_a_file_that_was_changed_and_services_that_differ_are_told(
    pool: Pool, registered: Callable[..., None], run: Run
) -> None:
    code, out, _ = run(CONFIGURATION + "ttl = 60\n", "status")
    assert (code, "WARNING - config.ini has other rules for its pools than 1 service on this" in out) == (1, True)
    assert ", OTHER RULES than in this configuration\n" in out
    code, out, _ = run(CONFIGURATION.replace("104", "103, 5551234567"), "status")
    assert "Of pool support the first only in Redis is 104, the first only in config.ini is 5551234567.\n" in out
    assert (code, "WARNING - config.ini has other pools or numbers than 1 service on this" in out) == (1, True)
    assert ", OTHER NUMBERS than in this configuration\n" in out
    registered(make_pool("100-104", name="support", exhausted="reject", ttl_ms=60_000))
    code, out, _ = run(CONFIGURATION, "status")
    assert (code, "have different rules for their pools" in out) == (1, True)
    registered(make_pool("100-105", name="support"))
    code, out, _ = run(CONFIGURATION, "status")
    assert (code, "have different pools or numbers" in out) == (2, True)


def test_the_number_that_differs_is_found_in_whichever_of_many_pools(
    store: Store, registered: Callable[..., None], run: Run
) -> None:
    pools = [make_pool(f"{nth}00-{nth}09", name=f"p{nth}") for nth in range(1, 31)]
    registered(*pools)
    sync(store, Pools(pools), take_over=True)
    configured = "".join(f"[pool:{pool.name}]\nnumbers = {pool.numbers}\n" for pool in pools)
    out = run(configured.replace("2800-2809", "2800-2808"), "status")[1]
    assert "Of pool p28 the first only in Redis is 2809.\n" in out


def test_it_says_which_of_several_services_rules(pool: Pool, registered: Callable[..., None], run: Run) -> None:
    assert ", rules" not in run(CONFIGURATION, "status")[1]
    registered(make_pool("100-105", name="support"))
    lines = [line for line in run(CONFIGURATION, "status")[1].splitlines() if line.startswith("Service: ")]
    assert [", rules, " in line for line in lines] == [True, False]
    assert ["OTHER NUMBERS" in line for line in lines] == [True, False]
    told = json.loads(run(CONFIGURATION, "status", "--json")[1])
    assert [each["ruler"] for each in told["services"]] == [True, False]


def test_with_redis_away_it_says_so_and_that_is_critical(run: Run) -> None:
    url = f"redis://127.0.0.1:{servers.free_port()}/0"
    code, out, err = run(CONFIGURATION, "status", url=url)
    assert (code, err) == (2, "")
    first, redis = out.splitlines()
    assert first.startswith("CTICACHE CRITICAL - Redis is away")
    assert redis == "Redis: AWAY"
    told = json.loads(run(CONFIGURATION, "status", "--json", url=url)[1])
    assert (told["state"], told["redis"]["up"], told["pools"]) == ("CRITICAL", False, [])


@contextmanager
def full(client: Redis) -> Iterator[None]:
    before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


def test_a_redis_that_is_full_is_critical_for_who_asks_for_the_pools_alone(pool: Pool, client: Redis, run: Run) -> None:
    with full(client):
        code, out, _ = run(CONFIGURATION, "pools", "--warn", "75")
        told = json.loads(run(CONFIGURATION, "pools", "--crit", "90", "--json")[1])
    said, _, figures = out.partition(" | ")
    assert (code, told["state"]) == (2, "CRITICAL")
    assert said.startswith(
        "CTICACHE CRITICAL - Redis takes no new data because its memory is full (OOM): give it more maxmemory; 1 pool, "
    )
    assert figures == "support=0%;75;;0;100\n"
    assert "(OOM)" in told["redis"]
    assert run(CONFIGURATION, "pools", "--warn", "75")[0] == 0
    assert json.loads(run(CONFIGURATION, "pools", "--crit", "90", "--json")[1])["redis"] == ""


def test_a_redis_that_is_full_is_critical_though_it_tells_its_figures(pool: Pool, client: Redis, run: Run) -> None:
    with full(client):
        code, out, _ = run(CONFIGURATION, "status")
    first, redis, *_ = out.splitlines()
    assert (code, redis[:11]) == (2, "Redis: UP, ")
    assert first == (
        "CTICACHE CRITICAL - Redis takes no new data because its memory is full (OOM): give it more maxmemory."
    )
    assert run(CONFIGURATION, "status")[0] == 0


def test_a_mistake_is_unknown_to_a_monitoring_system(run: Run) -> None:
    code, out, err = run("[pool:support]\nnumbers = x\n", "status")
    assert (code, err) == (3, "")
    assert out.startswith("CTICACHE UNKNOWN - ")
    assert run(CONFIGURATION, "status", "--config", "none.ini")[0] == 3


def test_only_the_fullest_of_many_pools_are_on_the_screen(
    new_pool: Callable[..., Pool], store: Store, run: Run
) -> None:
    pools = [new_pool(f"{nth}00-{nth}09", name=f"p{nth}") for nth in range(1, 8)]
    store.lease(pools[5], "1", "1", "x", 60_000)
    configured = "".join(f"[pool:{pool.name}]\nnumbers = {pool.numbers}\n" for pool in pools)
    shown = [line for line in run(configured, "status")[1].splitlines() if line.startswith("Pool: ")]
    assert shown[0].startswith("Pool: p6 10 % ok, 9 of 10 free")
    assert shown[5:] == ["Pool: 2 more, less full: `cticache pools` shows all"]


def test_a_document_has_all_of_it(pool: Pool, run: Run) -> None:
    told = json.loads(run(CONFIGURATION, "status", "--json")[1])
    assert told.keys() == {"state", "redis", "services", "attention", "pools", "events"}
    assert (told["state"], told["redis"]["up"], told["services"][0]["same"]) == ("OK", True, True)
    assert told["pools"][0]["word"] == "ok"
