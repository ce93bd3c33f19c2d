"""What clients and operators see of a Redis that lost calls, and of a clock that jumped."""

import re
from collections.abc import Callable

import pytest
from falcon.testing import Result, TestClient

from cticache.data.keeper import Keeper
from kit.aging import age, now_ms, set_clock
from kit.fixtures import Service
from kit.samples import basic, make_pool

CALLS = "/cticache/DNIS-ANI"
A, B = "5551234567", "5557654321"
BEAT, DAY_S = "cti:{system-y}:beat", 86_400
NewService = Callable[..., Service]


def client_of(service: Service) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic("username")})


def post(api: TestClient, ani: str) -> Result:
    return api.simulate_post(CALLS, json={"ani": ani, "value": f"of {ani}"})


def look(service: Service) -> Keeper:
    service.keeper._look()
    return service.keeper


@pytest.mark.parametrize(("match", "refused", "served"), [("exact", "", A), ("suffix", "", A), ("sole", A, None)])
def test_an_arriving_caller_is_not_given_the_data_of_the_next_one_when_redis_came_back_empty(
    new_service: NewService, match: str, refused: str, served: str | None
) -> None:
    service = new_service(make_pool("5551234560-5551234569", match=match, exhausted="reject"))
    look(service)
    api = client_of(service)
    first = post(api, refused).json["dnis"]
    service.client.flushall()
    assert post(api, refused).json["error"] == "not_ready"  # no number is in place
    look(service)
    for _ in range(5):
        answer = post(api, refused)
        assert (answer.status_code, answer.json["error"]) == (503, "not_ready")
        wait = answer.headers["retry-after"]
        assert int(wait) in range(359, 361)
        assert answer.json["detail"] == (
            f"Withheld callers, and under match = sole all callers, of pool system-y are served again in {wait} s: "
            "Redis lost calls whose callers may still be on the line."
        )
    assert api.simulate_delete(f"{CALLS}/{first}:{refused}").status_code == 404
    if served is not None:
        assert post(api, served).status_code == 201
    age(service.client, 360_000)
    look(service)
    assert post(api, refused).status_code == 201


def test_readyz_notes_a_loss_and_a_jump_and_metrics_count_them(new_service: NewService) -> None:
    service = new_service(make_pool())
    api = client_of(service)
    look(service)
    assert api.simulate_get("/readyz").json == {"status": "ready"}
    service.client.flushall()
    look(service)
    set_clock(service.client, service.store, 3_600_000)
    look(service)
    notes = api.simulate_get("/readyz").json["notes"]
    assert "Redis lost calls of pool system-y: until 20" in notes["loss"]
    assert "set ahead by about 3,600 s" in notes["clock"]
    metrics = api.simulate_get("/metrics").text
    assert 'cticache_losses_total{pool="system-y"} 2.0' in metrics
    assert 'cticache_clock_jumps_total{pool="system-y"} 1.0' in metrics
    assert 'cticache_condition{kind="loss"} 1.0' in metrics


def test_a_lease_that_finds_the_clock_wrong_has_the_keeper_look(new_service: NewService) -> None:
    service = new_service(make_pool("100-101"))
    api = client_of(service)
    look(service)
    set_clock(service.client, service.store, -3_600_000)
    answer = post(api, "")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "clock of Redis has jumped" in answer.json["detail"]
    assert not service.keeper.condition.in_place
    look(service)
    assert post(api, "").status_code == 201
    set_clock(service.client, service.store, 3_600_000)
    service.keeper._woken.clear()
    assert post(api, A).status_code == 201
    assert service.keeper._woken.is_set()


def test_explain_says_that_redis_came_back_empty_after_the_call_may_have_been_posted(new_service: NewService) -> None:
    service = new_service(make_pool("5551234560"))
    look(service)
    api = client_of(service)
    asked = {"dnis": post(api, A).json["dnis"], "ani": A}

    def says() -> str:
        (place,) = api.simulate_get("/cticache/explain", params=asked).json["places"]
        return re.sub(r"20\d\d-[\dT:.-]+Z", "AT", place["says"])

    assert says() == "It is found: a call under this very ANI is live."
    service.client.flushall()
    look(service)
    assert says().endswith(" Redis came back empty at AT: what was posted before it is gone.")
    assert post(api, A).status_code == 201
    assert says() == "It is found: a call under this very ANI is live."
    api.simulate_delete(f"{CALLS}/5551234560:{A}")
    assert says() == "It is refused with 410: it was taken, at AT."


@pytest.mark.parametrize(
    ("beat", "says"),
    [
        ({"born_ms": 1}, "If it was posted before AT, it is lost: Redis has calls of this pool since then only."),
        ({"born_ms": DAY_S}, ""),
        ({"born_ms": 9, "lost_ms": 1, "loss": "older"}, "Redis came back with an older state at AT: "),
        ({"born_ms": DAY_S, "lost_ms": 1, "loss": "ahead"}, "The clock of Redis was set ahead at AT: "),
        ({"lost_ms": 1}, "Redis lost calls at AT: what was posted before it may be gone."),
        ({"lost_ms": DAY_S, "loss": "empty"}, ""),
        ({}, ""),
    ],
)
def test_explain_says_what_is_known_of_a_loss_for_a_day(
    beat: dict[str, int | str], says: str, new_service: NewService
) -> None:
    service = new_service(make_pool("5551234560"))
    look(service)
    now = now_ms(service.client)
    service.client.hdel(BEAT, "born_ms")
    for name, ago_s in beat.items():
        service.client.hset(BEAT, name, now - 1000 * ago_s if isinstance(ago_s, int) else ago_s)
    asked = {"dnis": "5551234560", "ani": A}
    (place,) = client_of(service).simulate_get("/cticache/explain", params=asked).json["places"]
    said = re.sub(r"20\d\d-[\dT:.-]+Z", "AT", place["says"])
    assert said.partition("fits the rule exact.")[2].strip().startswith(says)
    assert bool(says) == ("AT" in said)


def test_explain_says_that_care_is_taken_where_more_would_be_found_otherwise(new_service: NewService) -> None:
    service = new_service(make_pool("5551234560", match="suffix"))
    look(service)
    service.client.flushall()
    look(service)
    api = client_of(service)
    assert post(api, A).status_code == 201
    asked = {"dnis": "5551234560", "ani": "1" + A}
    (place,) = api.simulate_get("/cticache/explain", params=asked).json["places"]
    assert "(404)" in place["says"]
    assert place["says"].endswith("so that nobody whose own call was lost is given another's.")
    (place,) = api.simulate_get("/cticache/explain", params=asked | {"ani": A}).json["places"]
    assert place["says"] == "It is found: a call under this very ANI is live."
