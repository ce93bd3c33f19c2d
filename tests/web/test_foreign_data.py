"""What somebody else has put into Redis costs the pool, or the call, whose key it is: never what is asked of others."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from falcon.testing import TestClient
from redis import Redis

from kit.running import Service, Wire
from kit.samples import basic
from kit.talk import BODY, CALLS, Talk, request

STATS = "cti:{other}:stats"
Write = Callable[[Redis], Any]
WRITES: dict[str, Write] = {
    "a key of another type": lambda client: client.set("cti:{other}:lessees", "junk", px=60_000),
    "a number that is no text": lambda client: client.zadd("cti:{other}:unclaimed", {b"\xff": 1}),
    "as many calls as there are not": lambda client: client.zadd("cti:{other}:unclaimed", {"5559990000": "inf"}),
    "a counter that is no text": lambda client: client.hset(STATS, b"\xff", "1"),
    "a counter of letters": lambda client: client.hset(STATS, "leased", "abc"),
    "a counter that is no number": lambda client: client.hset(STATS, "leased", "nan"),
    "a counter beyond all numbers": lambda client: client.hset(STATS, "leased", "1e400"),
    "a counter that no script counts to": lambda client: client.hset(STATS, "t1", "9" * 300),
}
WHY = "A key of cticache holds what somebody else has put there: give cticache a Redis of its own."


@pytest.fixture(autouse=True)
def _nothing_left(client: Redis) -> Iterator[None]:
    yield
    client.flushall()  # the look for keys without a TTL reads text


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_one_pool_that_cannot_be_read_is_named_and_the_others_are_told(
    service: Service, api: TestClient, client: Redis, write: Write
) -> None:
    write(client)
    metrics = api.simulate_get("/metrics").text
    assert 'cticache_numbers{pool="system-y",state="free"} 3.0' in metrics
    assert 'pool="other"' not in metrics
    assert "cticache_redis_up 1.0" in metrics
    told = api.simulate_get("/cticache/pools").json
    assert [each["pool"] for each in told["pools"]] == ["system-y"]
    assert told["unread"] == [{"pool": "other", "says": WHY}]
    status = api.simulate_get("/cticache/status", params={"pool": "other"}).json
    assert ([each["pool"] for each in status["pools"]], status["opened"]) == (["system-y"], None)
    assert (status["redis"]["up"], status["service"]["ready"]) == (True, True)
    assert status["unread"] == told["unread"]
    page = api.simulate_get("/cticache/", params={"pool": "other"})
    assert page.status_code == 200
    assert f"other</a>: {WHY}" in page.text
    assert api.simulate_get("/cticache/pools/system-y").status_code == 200
    assert api.simulate_get("/cticache/pools/other").json["error"] == "redis_unavailable"
    assert api.simulate_get("/readyz").status_code == 200


@pytest.mark.parametrize("pool", ["system-y", "other"])
def test_a_service_is_ready_for_its_other_pools(api: TestClient, client: Redis, pool: str) -> None:
    """Of each pool that cannot be read: a load balancer would leave no service to the calls of the others."""
    client.set(f"cti:{{{pool}}}:lessees", "junk", px=60_000)
    assert api.simulate_get("/readyz").status_code == 200


def test_who_may_see_that_pool_alone_is_told_that_redis_refuses(service: Service, client: Redis) -> None:
    own = TestClient(service.app, headers={"Authorization": basic("other-pool")})
    client.hset(STATS, "leased", "abc")
    answer = own.simulate_get("/cticache/pools")
    assert (answer.status_code, answer.json["error"]) == (503, "redis_unavailable")
    client.hdel(STATS, "leased")
    client.set("cti:{system-y}:lessees", "junk", px=60_000)
    assert own.simulate_get("/cticache/pools").json["unread"] == []
    assert own.simulate_get("/cticache/status").json["unread"] == []


@pytest.mark.parametrize("key", ["minutes", "stats"])
def test_a_pool_opens_without_what_cannot_be_read(service: Service, api: TestClient, client: Redis, key: str) -> None:
    seconds = client.time()[0]
    if key == "minutes":
        client.hset("cti:{other}:minutes", seconds // 60, "the junk")
    else:
        client.hset(STATS, "leased", 1)
        client.hset(f"{STATS}:{seconds // 3600}", "leased", "the junk")
    status = api.simulate_get("/cticache/status", params={"pool": "other"})
    assert (status.status_code, status.json["opened"]) == (200, None)
    assert api.simulate_get("/cticache/", params={"pool": "other"}).status_code == 200
    assert api.simulate_get("/cticache/status", params={"pool": "system-y"}).json["opened"]["pool"] == "system-y"


def test_a_value_that_is_no_text_costs_its_own_call(
    client: Redis, wire: Wire, connect: Callable[[], Talk], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    talk = connect()
    bodies = (BODY, BODY.replace(b"7890", b"7899").replace(b'"v"', b'"w"'))
    answer, sound = (
        talk.send(request(f"POST {CALLS}", f"Content-Length: {len(body)}", body=body)).answer() for body in bodies
    )
    call = answer.headers["location"]
    assert (answer.status, sound.status) == (201, 201)
    dnis, _, ani = call.rpartition("/")[2].partition(":")
    client.hset(f"cti:{{system-y}}:call:{dnis}:{ani}", "value", b"\xff\xfe")
    talks = [connect() for _ in range(20)]
    for at, each in enumerate(talks):
        each.send(request(f"GET {call if at % 2 else sound.headers['location']}"))
    answers = [each.answer() for each in talks]
    assert [each.status for each in answers] == [200, 503] * 10
    assert {each.json["value"] for each in answers[::2]} == {"w"}
    assert {each.json["error"] for each in answers[1::2]} == {"redis_unavailable"}
    taken = talk.send(request(f"DELETE {call}")).answer()
    assert taken.status == 503
    causes = {record.getMessage() for record in caplog.records if record.getMessage().startswith("redis_unavailable: ")}
    assert causes == {
        f"redis_unavailable: {WHY[:-1]} (read by {each}: it has a text that is not UTF-8)" for each in ("read", "take")
    }


@pytest.mark.parametrize("start", ["-9e15", "1e300", "inf"])
def test_what_a_service_tells_of_itself_is_shown_where_it_can_be(api: TestClient, client: Redis, start: str) -> None:
    client.zadd("cti:{@all}:services", {"other": start})
    told = '{"version": "9.9", "restarts": -1, "workers": 1' + 400 * "0" + "}"
    client.hset("cti:{@all}:service:other", mapping={"who": "somebody", "told": told})
    client.expire("cti:{@all}:service:other", 60)
    (node,) = api.simulate_get("/cticache/status").json["nodes"]
    assert (node["version"], node["workers"], node["restarts"]) == ("9.9", None, None)
    assert node["in_force_at"][:4] in {"0001", "9999"}
    page = api.simulate_get("/cticache/")
    assert (page.status_code, "somebody" in page.text) == (200, True)
