"""How full the pools are: as JSON, and for Prometheus."""

from collections.abc import Sequence
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.data.condition import KINDS
from cticache.data.keeper import Keeper
from cticache.link.connection import Command
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age
from kit.running import MAX_BODY, Service, until
from kit.samples import USERS, basic, make_pool

CALLS = "/cticache/DNIS-ANI"
POOLS = "/cticache/pools"


def as_user(service: Service, name: str) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


def post(api: TestClient, ani: str) -> str:
    posted = api.simulate_post(CALLS, body=f'{{"value":1,"ani":"{ani}"}}')
    assert posted.status_code == 201
    return posted.headers["location"]


def figures(api: TestClient, *names: str) -> tuple[int, ...]:
    answer = api.simulate_get(POOLS + "/system-y")
    assert answer.status_code == 200
    return tuple(answer.json[name] for name in names)


def refused(answer: Result, status: int, code: str) -> bool:
    return answer.status_code == status and answer.json["error"] == code and answer.json["status"] == status


FRESH = {
    "pool": "system-y",
    "size": 3,
    "free": 3,
    "leased": 0,
    "cooling": 0,
    "shared": 0,
    "leaving": 0,
    "next_free_ms": 0,
    "leaving_until_ms": 0,
    "peak": 0,
    "leased_total": 0,
    "shared_total": 0,
    "fallback_total": 0,
    "rejected_total": 0,
    "withheld_total": 0,
    "over_max_live_total": 0,
    "taken_total": 0,
    "released_total": 0,
    "renewed_total": 0,
    "replayed_total": 0,
    "match_exact_total": 0,
    "match_suffix_total": 0,
    "match_sole_total": 0,
    "match_uui_total": 0,
    "ambiguous_total": 0,
    "missed_total": 0,
    "gone_total": 0,
    "stale_total": 0,
    "other_live_total": 0,
    "other_more_total": 0,
    "other_less_total": 0,
    "other_tail_total": 0,
    "other_withheld_total": 0,
    "other_constant_total": 0,
    "other_unlike_total": 0,
    "unclaimed_total": 0,
    "losses_total": 0,
    "clock_jumps_total": 0,
    "transits": {},
    "missed": {},
    "live": {},
}


def test_a_fresh_pool_is_all_free(api: TestClient) -> None:
    answer = api.simulate_get(POOLS + "/system-y")
    assert answer.json == FRESH
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def test_all_pools_are_listed_in_the_order_of_the_file(api: TestClient) -> None:
    other = FRESH | {"pool": "other", "size": 1, "free": 1}
    assert api.simulate_get(POOLS).json == {"pools": [FRESH, other], "unread": []}


def test_a_number_goes_from_free_to_leased_to_cooling_to_free(api: TestClient, client: Redis) -> None:
    location = post(api, "1")
    assert figures(api, "free", "leased", "cooling", "leased_total") == (2, 1, 0, 1)
    api.simulate_put(location)
    assert figures(api, "leased", "renewed_total") == (1, 1)
    api.simulate_delete(location)
    assert figures(api, "free", "leased", "cooling", "taken_total") == (2, 0, 1, 1)
    age(client, 5_000)
    assert figures(api, "free", "leased", "cooling", "taken_total") == (3, 0, 0, 1)


def test_a_call_that_nobody_takes_leaves_its_number_cooling_and_then_free(api: TestClient, client: Redis) -> None:
    post(api, "1")
    age(client, 300_000)
    assert figures(api, "free", "leased", "cooling", "taken_total") == (2, 0, 1, 0)
    age(client, 5_000)
    assert figures(api, "free", "leased", "cooling") == (3, 0, 0)


def test_a_full_pool_says_when_a_number_falls_free(api: TestClient, client: Redis) -> None:
    for ani in ("1", "2", "3"):
        post(api, ani)
    age(client, 100_000)
    (next_free_ms,) = figures(api, "next_free_ms")
    assert 200_000 < next_free_ms <= 205_000


def test_a_number_is_shared_until_one_of_its_two_callers_is_left(api: TestClient) -> None:
    locations = [post(api, str(ani)) for ani in range(4)]
    assert figures(api, "leased", "shared", "leased_total", "shared_total") == (3, 1, 4, 1)
    api.simulate_delete(locations[3])
    assert figures(api, "leased", "shared", "leased_total", "shared_total") == (3, 0, 4, 1)


def test_a_call_refused_for_want_of_a_number_is_counted(api: TestClient) -> None:
    for _ in range(3):
        post(api, "1")
    assert refused(api.simulate_post(CALLS, body='{"value":1,"ani":"1"}'), 503, "pool_exhausted")
    assert figures(api, "leased", "rejected_total") == (3, 1)


@pytest.mark.parametrize("path", [POOLS, POOLS + "/system-y", "/metrics"])
@pytest.mark.parametrize("name", ["x-only", "y-only"])
def test_the_figures_need_the_role_watch(service: Service, path: str, name: str) -> None:
    assert refused(as_user(service, name).simulate_get(path), 403, "forbidden")


def test_a_restricted_user_sees_their_pools_alone(service: Service) -> None:
    api = as_user(service, "other-pool")
    assert [pool["pool"] for pool in api.simulate_get(POOLS).json["pools"]] == ["other"]
    assert api.simulate_get(POOLS + "/other").json["pool"] == "other"
    metrics = api.simulate_get("/metrics").text
    assert 'pool="other"' in metrics
    assert "system-y" not in metrics


@pytest.mark.parametrize("name", ["system-y", "nowhere"])
def test_a_restricted_user_does_not_learn_which_other_pools_there_are(service: Service, name: str) -> None:
    assert refused(as_user(service, "other-pool").simulate_get(f"{POOLS}/{name}"), 403, "forbidden")


@pytest.mark.parametrize("name", ["nowhere", "SYSTEM-Y", "system-y%20", "%F0%9F%98%80", "{system-y}"])
def test_a_pool_that_is_not_there_is_404(api: TestClient, name: str) -> None:
    assert refused(api.simulate_get(f"{POOLS}/{name}"), 404, "no_such_pool")


def test_the_metrics_are_in_the_text_format_of_prometheus(api: TestClient) -> None:
    location = post(api, "1")
    post(api, "2")
    api.simulate_delete(location)
    answer = api.simulate_get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    lines = answer.text.splitlines()
    for line in (
        "# TYPE cticache_numbers gauge",
        'cticache_numbers{pool="system-y",state="free"} 1.0',
        'cticache_numbers{pool="system-y",state="leased"} 1.0',
        'cticache_numbers{pool="system-y",state="cooling"} 1.0',
        'cticache_numbers{pool="other",state="free"} 1.0',
        "# TYPE cticache_leases_total counter",
        'cticache_leases_total{pool="system-y"} 2.0',
        'cticache_takes_total{pool="system-y"} 1.0',
        'cticache_rejections_total{pool="system-y"} 0.0',
        'cticache_shared_numbers{pool="system-y"} 0.0',
    ):
        assert line in lines
    assert answer.text.endswith("\n")


def test_the_metrics_take_one_round_trip(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    api, runner = as_user(service, "username"), service.store._scripts._runner
    api.simulate_get("/metrics")  # the login is known from now on
    asked: list[Sequence[Command]] = []

    def run(commands: Sequence[Command]) -> list[Any]:
        asked.append(commands)
        return before(commands)

    before = runner.run
    monkeypatch.setattr(runner, "run", run)
    assert api.simulate_get("/metrics").status_code == 200
    assert len(asked) == 1


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_head_answers_as_get_without_the_body(api: TestClient, path: str) -> None:
    got, head = api.simulate_get(path), api.simulate_head(path)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "cache-control"):
        assert head.headers[name] == got.headers[name]
    assert (head.headers["content-length"] == got.headers["content-length"]) == (
        path != "/metrics"
    )  # which counts both


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_the_probes_need_no_credentials(service: Service, path: str, status: str) -> None:
    answer = TestClient(service.app).simulate_get(path)
    assert answer.status_code == 200
    assert answer.json == {"status": status}


def test_a_service_whose_pools_are_not_in_place_is_not_ready(service: Service) -> None:
    service.keeper.synced.clear()
    answer = TestClient(service.app).simulate_get("/readyz")
    assert refused(answer, 503, "not_ready")
    assert int(answer.headers["retry-after"]) >= 1


def test_what_an_operator_must_see_stands_in_the_body_of_readyz(service: Service) -> None:
    api = TestClient(service.app)
    service.keeper.note("clock", "The clock jumped.")
    service.keeper.note("rules", "The rules differ.")
    answer = api.simulate_get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "notes": {"rules": "The rules differ.", "clock": "The clock jumped."}}
    service.keeper.note("rules", "")
    assert api.simulate_get("/readyz").json["notes"] == {"clock": "The clock jumped."}
    service.keeper.synced.clear()
    answer = api.simulate_get("/readyz")
    assert refused(answer, 503, "not_ready")
    assert answer.json["detail"] == "The pools are not in place yet. The clock jumped."
    service.keeper.note("overruled", "Another rules.")
    assert api.simulate_get("/readyz").json["detail"] == "Another rules. The clock jumped."


def test_each_kind_of_note_is_a_metric(service: Service, api: TestClient) -> None:
    service.keeper.note("loss", "Redis came back without its data.")
    lines = api.simulate_get("/metrics").text.splitlines()
    assert sum(line.startswith("cticache_condition{") for line in lines) == len(KINDS)
    for kind in KINDS:
        assert f'cticache_condition{{kind="{kind}"}} {float(kind == "loss")}' in lines


def test_a_redis_that_lost_the_numbers_is_told_from_a_full_pool_and_filled_at_once(
    service: Service, client: Redis
) -> None:
    keeper = Keeper(service.store, service.pools, interval=3600)
    app = create_app(service.store, service.pools, Verifier(USERS, 60, 10), keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("username")})
    body = '{"value":1,"ani":"1"}'
    client.flushall()
    keeper._sync.unsure = frozenset()  # it has looked before
    answer = api.simulate_post(CALLS, body=body)
    assert refused(answer, 503, "not_ready")
    assert "not in place yet" in answer.json["detail"]
    assert answer.headers["retry-after"] == "2"
    keeper.start()
    try:
        assert keeper.synced.wait(10)
        client.flushall()
        assert refused(api.simulate_post(CALLS, body=body), 503, "not_ready")
        assert keeper.synced.wait(10)
        assert api.simulate_post(CALLS, body=body).status_code == 201
    finally:
        keeper.stop()


def test_a_service_is_not_ready_while_another_configuration_rules(service: Service) -> None:
    keeper = Keeper(service.store, service.pools, interval=0.02)
    app = create_app(service.store, service.pools, Verifier(USERS, 60, 10), keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app)
    keeper.start()
    try:
        assert keeper.synced.wait(10)
        assert api.simulate_get("/readyz").status_code == 200
        canary = Keeper(service.store, Pools([make_pool("200")]), interval=0.02)
        canary.start()
        try:
            until(lambda: refused(api.simulate_get("/readyz"), 503, "not_ready"))
            until(lambda: "rules this Redis: process" in api.simulate_get("/readyz").json["detail"])
        finally:
            canary.stop()
        until(lambda: api.simulate_get("/readyz").json == {"status": "ready"})
    finally:
        keeper.stop()
