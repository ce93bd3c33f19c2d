"""The state of the whole service, as one answer."""

import json
from collections import Counter
from typing import Any

import pytest
from falcon.testing import TestClient
from redis import Redis

from cticache.data.store import Store
from cticache.journal.counts import Sums
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.operate.attention import WatchRules
from cticache.operate.desk import Desk, Fill, Rates, Scrape, Status
from cticache.operate.watch import Watch
from kit.aging import age
from kit.proxy import Proxy
from kit.running import Service
from kit.samples import basic, make_pool

STATUS = "/cticache/status"
CALLS = "/cticache/DNIS-ANI"


def as_user(service: Service, name: str = "username") -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


def post(api: TestClient, ani: str) -> str:
    posted = api.simulate_post(CALLS, body=f'{{"value":"SECRET","ani":"{ani}"}}')
    assert posted.status_code == 201
    return posted.headers["location"]


def status(api: TestClient, pool: str = "") -> dict[str, Any]:
    answer = api.simulate_get(STATUS, params={"pool": pool} if pool else {})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


def test_it_tells_of_the_service_of_redis_and_of_each_pool(service: Service) -> None:
    api = as_user(service)
    post(api, "1234567890")
    told = status(api)
    assert (told["service"]["ready"], told["service"]["config"]["same_on_all"]) == (True, True)
    assert told["redis"]["up"] is True
    assert told["redis"]["role"] == "master"
    assert told["redis"]["used_memory"] > 0
    assert [pool["pool"] for pool in told["pools"]] == ["system-y", "other"]
    assert told["pools"][0] == {
        "pool": "system-y",
        "size": 3,
        "free": 2,
        "leased": 1,
        "cooling": 0,
        "shared": 0,
        "leaving": 0,
        "next_free_ms": 0,
        "used_percent": 33,
        "word": "ok",
        "stale_s": None,
        "a_minute": None,  # nobody watches here
    }
    assert told["opened"] is None
    assert {"status": 201, "count": 1, "a_minute": None} in told["requests"]


def test_an_opened_pool_tells_who_holds_what_and_what_was_done_by_the_hour(service: Service, client: Redis) -> None:
    api = as_user(service)
    locations = [post(api, f"123456789{ani}") for ani in range(3)]
    age(client, 4_000)
    api.simulate_delete(locations[0])
    opened = status(api, "system-y")["opened"]
    assert opened["users"] == [{"user": "username", "live": 2, "max_live": 0}]
    assert opened["hours"][-1] | {"at": ""} == {
        "at": "", "leased": 3, "taken": 1, "missed": 0, "refused": 0, "peak": 3,
    }  # fmt: skip
    assert opened["peak"]["leased"] == 3
    assert opened["found"]["exact"] == 1
    assert opened["transit"] == {"p50_s": 5, "p99_s": 5}
    assert len(opened["minutes"]) == 60
    assert all(isinstance(line, str) for line in opened["advice"])


def test_each_sees_their_own_pools_alone(service: Service) -> None:
    api = as_user(service, "other-pool")
    told = status(api, "other")
    assert [pool["pool"] for pool in told["pools"]] == ["other"]
    assert told["opened"]["pool"] == "other"
    assert "system-y" not in str(told)
    assert api.simulate_get(STATUS, params={"pool": "system-y"}).status_code == 403
    assert as_user(service).simulate_get(STATUS, params={"pool": "nowhere"}).status_code == 404
    assert as_user(service, "x-only").simulate_get(STATUS).status_code == 403


def test_neither_a_value_nor_an_ani_is_in_it(service: Service) -> None:
    api = as_user(service)
    post(api, "1234567890")
    api.simulate_get(f"{CALLS}/100:1234567899")
    told = api.simulate_get(STATUS, params={"pool": "system-y"}).text
    assert "SECRET" not in told
    assert "123456789" not in told


def test_without_redis_it_says_so_and_what_else_is_known(service: Service, redis_url: str) -> None:
    api, proxy = as_user(service), Proxy(redis_url)
    post(api, "1234567890")
    before = status(api)["pools"]
    with connect(proxy.url, 0.6) as through:
        service.store._scripts._runner = Direct(through)
        proxy.cut()
        told = status(api, "system-y")
        proxy.restore()
        assert status(api)["redis"]["up"] is True
    proxy.close()
    assert (told["redis"]["up"], told["service"]["ready"]) == (False, False)
    assert told["redis"]["answer_ms"] is None, "it does not answer"
    assert told["redis"]["says"].startswith("Redis is away")
    first = told["attention"][0]  # at once, and not once the watch has looked
    assert (first["kind"], first["level"]) == ("redis", "CRIT")
    assert first["says"].startswith("Redis is away")
    ages = [pool.pop("stale_s") for pool in told["pools"]]
    assert all(0 <= age_s < 60 for age_s in ages)
    assert [pool | {"stale_s": None} for pool in told["pools"]] == before, "as they were last"
    assert told["opened"] is None


def test_of_pools_of_which_redis_never_told_nothing_is_told(service: Service, redis_url: str) -> None:
    proxy = Proxy(redis_url)
    with connect(proxy.url, 0.6) as through:
        service.store._scripts._runner = Direct(through)
        proxy.cut()
        assert status(as_user(service))["pools"] == []
    proxy.close()


def test_requests_a_minute_are_told_once_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("cticache.operate.desk.time.monotonic", lambda: now[0])
    rates = Rates()
    assert rates.told(Counter({201: 10})) == [{"status": 201, "count": 10, "a_minute": None}]
    now[0] += 0.05
    assert rates.told(Counter({201: 12}))[0]["a_minute"] is None  # not 2,400
    now[0] += 29.95
    assert rates.told(Counter({201: 40, 404: 1}))[0]["a_minute"] == 60.0
    for _ in range(3):
        now[0] += 60
        (told, _) = rates.told(Counter({201: 40, 404: 1}))
    assert told == {"status": 201, "count": 40, "a_minute": 0.0}


def test_what_needs_attention_is_of_the_pools_of_who_asks(store: Store, service: Service) -> None:
    pools = Pools([make_pool("100"), make_pool("200", name="other")])
    watch = Watch(store, pools, WatchRules(), condition=lambda: service.keeper.condition)
    for pool in pools:
        for _ in range(store.pool_stats([pool])[0].size):
            store.lease(pool, "1234567890", "v", "x", 60_000)
    watch.look()
    desk = Desk(store, pools, Sums(), condition=lambda: service.keeper.condition, watch=watch)

    def attention(*names: str) -> set[str]:
        told = desk.answer(Status(names, "", names_users=False))
        assert isinstance(told, bytes)
        return {each["pool"] for each in json.loads(told)["attention"]}

    assert attention("system-y", "other") == {"system-y", "other"}
    assert attention("other") == {"other"}


def test_however_many_ask_redis_is_asked_once_in_a_while(
    service: Service, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(store, service.pools, Sums(), condition=lambda: service.keeper.condition, max_age_s=60)
    asked: list[object] = []
    run = store._scripts.run

    def run_and_count(invocations: Any) -> Any:
        asked.append(invocations)
        return run(invocations)

    monkeypatch.setattr(store._scripts, "run", run_and_count)
    every = ("system-y", "other")
    first = [desk.answer(question) for question in (Fill(every), Status(every, "", names_users=True))]
    before = len(asked)
    for _ in range(5):
        assert desk.answer(Fill(every)) == first[0]
        assert desk.answer(Scrape(every, names_users=True))
        assert desk.answer(Status(every, "", names_users=True))
    assert len(asked) == before


@pytest.mark.parametrize(
    "ms", ["99999999999999999", "1e400", "-1", '"x"', "null", pytest.param("[" * 100_000, id="nested")]
)
def test_what_another_release_or_hand_wrote_into_redis_takes_nothing_away(
    service: Service, client: Redis, ms: str
) -> None:
    client.lpush("cti:{@all}:events", f'{{"ms":{ms},"level":"W","logger":"x","said":"a","node":"n"}}')
    client.lpush("cti:{@all}:events", '{"ms":1,"level":"W","logger":"x","said":"a \\ud800","node":"n"}')
    client.zadd("cti:{@all}:services", {"other": 1})
    client.hset("cti:{@all}:service:other", mapping={"who": "x", "told": '{"config_changed_at":5,"workers":"many"}'})
    client.zadd("cti:{@all}:services", {"nested": 2})
    client.hset("cti:{@all}:service:nested", mapping={"who": "y", "told": "[" * 100_000})
    client.expire("cti:{@all}:service:nested", 60)
    client.expire("cti:{@all}:service:other", 60)
    client.expire("cti:{@all}:services", 60)
    client.expire("cti:{@all}:events", 60)
    told = status(as_user(service))
    assert [event["text"] for event in told["events"]] == ["a \\ud800"]
    assert [(each["config_changed_at"], each["workers"]) for each in told["nodes"]] == [(None, None), (None, None)]
    assert as_user(service).simulate_get("/cticache/").status_code == 200
