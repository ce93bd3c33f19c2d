"""What somebody else has put into Redis: the commands name the pool, tell all else, and steer no terminal by it."""

import json
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.data.sync import Sync
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools

Run = Callable[..., tuple[int, str, str]]
TWO = "[pool:sales]\nnumbers = 100-103\n[pool:support]\nnumbers = 200-203\n"
WHY = "A key of cticache holds what somebody else has put there: give cticache a Redis of its own (read by pool_stats: "
SUPPORT = f"support: {WHY}"


@pytest.fixture(autouse=True)
def pools(client: Redis, store: Store, new_pool: Callable[..., Pool]) -> Iterator[Pools]:
    """Two of them in place, one with a counter that is none, under a service that runs."""
    pools = Pools([new_pool("100-103", name="sales"), new_pool("200-203", name="support")])
    Registration(store, pools, Sync(store, pools, lambda _how_far: None).numbers, 60).look()
    client.hset("cti:{support}:stats", "leased", "abc")
    yield pools
    client.flushall()


def test_pools_has_the_table_of_the_others_and_a_line_for_that_pool(run: Run) -> None:
    code, out, err = run(TWO, "pools")
    assert (code, err) == (1, "")
    *table, last = out.splitlines()
    assert [line.split()[0] for line in table[2:]] == ["sales"]
    assert last.startswith(SUPPORT)
    code, out, _ = run(TWO, "pools", "--json")
    told = json.loads(out)
    assert (code, [each["pool"] for each in told["pools"]]) == (1, ["sales"])
    assert [each["pool"] for each in told["unread"]] == ["support"]
    assert told["unread"][0]["says"].startswith(WHY)
    assert run(TWO, "pools", "sales")[0] == 0
    code, out, err = run(TWO, "pools", "support")
    assert (code, out.startswith(SUPPORT), err) == (1, True, "")


def test_a_pool_whose_minutes_cannot_be_read_is_in_the_table_without_them(client: Redis, run: Run) -> None:
    client.hdel("cti:{support}:stats", "leased")
    client.hset("cti:{support}:minutes", client.time()[0] // 60, "junk")
    code, out, _ = run(TWO, "pools", "--counters")
    assert (code, [line.split()[0] for line in out.splitlines() if "%" in line]) == (1, ["sales", "support"])
    assert out.splitlines()[-1].startswith(SUPPORT.replace("pool_stats", "pool_minutes"))


def test_a_monitoring_system_is_told_that_the_state_of_one_is_unknown_and_judges_the_others(
    store: Store, pools: Pools, run: Run
) -> None:
    code, out, _ = run(TWO, "pools", "--warn", "75", "--crit", "90")
    assert code == 3
    assert out.startswith(f"CTICACHE UNKNOWN - {SUPPORT}")
    assert out.endswith(" | sales=0%;75;90;0;100 support=U;75;90;0;100\n")
    for ani in "1234":
        store.lease(next(iter(pools)), ani, "1", "x", 60_000)
    code, out, _ = run(TWO, "pools", "--warn", "75", "--crit", "90")
    assert code == 2
    assert out.startswith("CTICACHE CRITICAL - sales 100 % (0 of 4 free, ")
    assert f"; {SUPPORT}" in out
    code, out, _ = run(TWO, "pools", "--crit", "90", "--json")
    told = json.loads(out)
    assert (code, told["state"]) == (2, "CRITICAL")
    assert [(each["pool"], each["state"]) for each in told["pools"] + told["unread"]] == [
        ("sales", "CRITICAL"),
        ("support", "UNKNOWN"),
    ]


def test_advise_advises_on_the_others(client: Redis, run: Run) -> None:
    code, out, err = run(TWO, "advise")
    assert (code, err) == (1, "")
    first, last = out.splitlines()
    assert first.startswith("sales: nothing has been leased")
    assert last.startswith(SUPPORT)
    client.hset("cti:{support}:stats", "leased", 1)
    client.hset(f"cti:{{support}}:stats:{client.time()[0] // 3600}", "leased", "junk")
    code, out, _ = run(TWO, "advise", "--json")
    told = json.loads(out)
    assert (code, [each["pool"] for each in told["pools"] + told["unread"]]) == (1, ["sales", "support"])


def test_status_names_the_pool_and_tells_the_rest(run: Run) -> None:
    code, out, err = run(TWO, "status")
    assert (code, err) == (2, "")
    first, redis, service, pool = out.splitlines()
    assert first.startswith(f"CTICACHE CRITICAL - support: What is kept of it in Redis cannot all be read. {WHY}")
    assert redis.startswith("Redis: UP, ")
    assert service.startswith("Service: process ")
    assert pool == "Pool: sales 0 % ok, 4 of 4 free, next now"


def test_a_terminal_obeys_nothing_that_is_in_redis(client: Redis, store: Store, pools: Pools, run: Run) -> None:
    odd = "\x1b[2J\r\nCTICACHE OK\x9b"
    store.lease(next(iter(pools)), "5551234", "1", odd, 60_000)
    client.zadd("cti:{@all}:services", {"other": 1e300})
    client.hset("cti:{@all}:service:other", mapping={"who": odd, "told": json.dumps({"version": odd})})
    client.expire("cti:{@all}:service:other", 60)
    for arguments in (("status",), ("leases",), ("explain", "100", "5551234")):
        _, out, err = run(TWO, *arguments)
        assert "\\x1b[2J\\r\\nCTICACHE OK\\x9b" in out, arguments
        assert not {"\x1b", "\r", "\x9b"} & set(out), arguments
        assert err == ""


@pytest.mark.parametrize("start", ["-9e15", "1e300", "-inf", "inf"])
def test_a_service_that_began_at_no_time_is_listed(client: Redis, run: Run, start: str) -> None:
    client.zadd("cti:{@all}:services", {"other": start})
    client.hset("cti:{@all}:service:other", "who", "somebody")
    client.expire("cti:{@all}:service:other", 60)
    _, out, _ = run(TWO, "status")
    when = "0001-01-01T00:00:00.000Z" if start.startswith("-") else "9999-12-31T23:59:59"
    (line,) = (line for line in out.splitlines() if line.startswith("Service: somebody, "))
    assert f"pools in force since {when}" in line


@pytest.mark.parametrize("key", ["services", "events"])
def test_status_tells_of_the_pools_where_what_they_share_cannot_be_read(client: Redis, run: Run, key: str) -> None:
    client.hdel("cti:{support}:stats", "leased")
    client.delete(f"cti:{{@all}}:{key}")
    client.set(f"cti:{{@all}}:{key}", "junk", px=60_000)
    code, out, err = run(TWO, "status")
    assert (code, err) == (2, "")
    what = "Which services there are" if key == "services" else "What happened last"
    assert out.startswith(
        f"CTICACHE CRITICAL - {what} cannot be read. A key of cticache holds what somebody else has put"
    )
    assert "\nRedis: UP, " in out
    assert out.count("\nPool: ") == 2
    assert run(TWO, "pools", "--crit", "90")[0] == 0
