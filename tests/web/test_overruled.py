"""A service beside another one on the same Redis, which was started later with other numbers and so rules."""

from collections.abc import Callable

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.running import MAX_BODY, Service
from kit.samples import basic, make_pool

CALLS = "/cticache/DNIS-ANI"

Start = Callable[..., Service]


@pytest.fixture
def start(store: Store, client: Redis, verifier: Verifier) -> Start:
    """Starts a service: it looks when it is told to, and has looked once."""

    def make(*pools: Pool) -> Service:
        directory = Pools(pools)
        keeper = Keeper(store, directory, interval=3600)
        app = create_app(store, directory, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
        keeper._look()
        return Service(app, store, directory, keeper, client)

    return make


def api(service: Service, name: str = "username") -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


def post(service: Service, ani: str, pool: str = "system-y", name: str = "username") -> Result:
    return api(service, name).simulate_post(CALLS, body=f'{{"value":1,"ani":"{ani}","pool":"{pool}"}}')


def not_ready(answer: Result) -> str:
    """What a refusal says that only a service with other numbers may know better."""
    assert (answer.status_code, answer.json["error"], answer.headers["retry-after"]) == (503, "not_ready", "1")
    return str(answer.json["detail"])


def overruled(first: Service, last: Service) -> str:
    """The first one learns of the last, which is named so."""
    assert not first.keeper._look()
    ruler = first.keeper.condition.ruler
    assert last.keeper._registration._who in ruler
    return ruler


def test_a_pool_that_differs_leases_nothing_and_the_refusal_says_who_rules_and_what_to_do(start: Start) -> None:
    first = start(make_pool("100-101"), make_pool("500", name="other"))
    last = start(make_pool("200"), make_pool("500", name="other"))
    ruler = overruled(first, last)
    says = not_ready(post(first, "1"))
    assert says == (
        f"Pool system-y has other numbers in the cticache that rules this Redis: {ruler}. "
        "Give both the same pools and numbers, or stop that one."
    )
    assert post(last, "1").json["dnis"] == "200"
    assert not_ready(api(first).simulate_get("/readyz")) == first.keeper.condition.notes["overruled"]
    last.keeper._registration.leave()
    assert first.keeper._look()
    assert post(first, "2").json["dnis"] == "100"
    assert api(first).simulate_get("/readyz").json == {"status": "ready"}


def test_a_pool_with_the_same_numbers_goes_on(start: Start) -> None:
    first = start(make_pool("100-101"), make_pool("500", name="other"))
    overruled(first, start(make_pool("200"), make_pool("500", name="other")))
    answer = post(first, "1", "other")
    assert answer.json["dnis"] == "500"
    assert api(first).simulate_get(answer.headers["location"]).json == {"value": 1}
    assert api(first).simulate_get(f"{CALLS}/500:2").status_code == 404  # whoever rules, it is in this pool


def test_a_pool_with_the_same_numbers_leaves_its_fallback_alone(start: Start) -> None:
    """To the service that rules it may be a number like any other."""
    rules = {"name": "other", "exhausted": "fallback"}
    first = start(make_pool("100"), make_pool("500", fallback="900", **rules))
    last = start(make_pool("100,900"), make_pool("500", fallback="901", **rules))
    overruled(first, last)
    assert post(first, "1", "other").json["dnis"] == "500"
    assert post(first, "2", "other").json["error"] == "pool_exhausted"
    last.keeper._registration.leave()
    assert first.keeper._look()
    assert post(first, "2", "other").json["dnis"] == "900"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_of_a_number_that_the_other_may_have_no_call_is_said_not_to_be_there(start: Start, method: str) -> None:
    first = start(make_pool("100-101", draining="102"), make_pool("500", name="other", draining="501"))
    last = start(make_pool("101, 200"), make_pool("500", name="other"), make_pool("100, 102, 501", name="new"))
    assert post(last, "1").status_code == post(last, "1", "new").status_code == 201
    assert api(first).simulate_request(method, f"{CALLS}/300:1").status_code == 404  # it does not know yet
    ruler = overruled(first, last)
    for dnis in ("100", "102", "200", "501"):
        says = not_ready(api(first).simulate_request(method, f"{CALLS}/{dnis}:1"))
        assert says == (
            f"The number may be in a pool of which only the cticache that rules this Redis knows: {ruler}. "
            "Give both the same pools and numbers, or stop that one."
            if dnis == "200"
            else "No call is live here, and another cticache, which rules this Redis, may have the number in another "
            f"pool: ask that one ({ruler})."
        )
    asked = {"dnis": "200", "ani": "1"}
    assert ruler in not_ready(api(first).simulate_get("/cticache/explain", params=asked))
    assert not_ready(api(first, "other-pool").simulate_request(method, f"{CALLS}/100:1"))  # 403 else
    assert api(first).simulate_request(method, f"{CALLS}/500:1").status_code == 404


def test_a_call_that_both_know_is_found_by_either(start: Start) -> None:
    first = start(make_pool("100-101"))
    location = post(first, "1").headers["location"]
    last = start(make_pool("100, 102"))
    overruled(first, last)
    assert api(first).simulate_get(location).json == {"value": 1}
    assert api(last).simulate_delete(location).json == {"value": 1}
    assert api(first).simulate_get(location).status_code == 410


def test_who_leases_a_number_that_it_does_not_know_has_a_look(start: Start) -> None:
    first = start(make_pool("100"))
    assert post(first, "0").json["dnis"] == "100"
    assert not first.keeper._woken.is_set()
    start(make_pool("200"))
    assert post(first, "1").json["dnis"] == "200"
    assert first.keeper._woken.is_set()
    assert not_ready(api(first).simulate_get("/readyz"))


def test_a_number_known_of_another_pool_is_not_known_of_this_one(start: Start) -> None:
    first = start(make_pool("100"), make_pool("200", name="other"))
    start(make_pool("200"), make_pool("100", name="other"))
    assert post(first, "1").json["dnis"] == "200"
    assert first.keeper._woken.is_set()


def test_a_repeated_answer_with_a_number_that_is_leaving_needs_no_look(start: Start) -> None:
    first = start(make_pool("100"))
    headers = {"Authorization": basic("username"), "Idempotency-Key": "k"}
    body = '{"value":1,"ani":"1"}'
    assert TestClient(first.app, headers=headers).simulate_post(CALLS, body=body).json["dnis"] == "100"
    last = start(make_pool("200"))
    first.keeper._registration.leave()
    again = TestClient(last.app, headers=headers).simulate_post(CALLS, body=body)
    assert (again.json["dnis"], again.headers["idempotent-replayed"]) == ("100", "true")
    assert not last.keeper._woken.is_set()


def test_the_fallback_number_is_known(start: Start) -> None:
    first = start(make_pool("100", exhausted="fallback", fallback="900"))
    assert [post(first, ani).json["dnis"] for ani in "12"] == ["100", "900"]
    assert not first.keeper._woken.is_set()


def test_last_digits_are_not_enough_where_another_service_has_other_numbers(start: Start) -> None:
    """The number that they mean may be one that only the other has."""
    rules = {"match": "sole", "exhausted": "reject", "dnis_digits": 4}
    first = start(make_pool("5551234560", **rules))
    last = start(make_pool("5551234560", **rules), make_pool("6669994560", name="q", **rules))
    overruled(first, last)
    assert post(last, "2025550001", "q").status_code == 201
    assert post(first, "2025550002").status_code == 201
    for method in ("GET", "PUT", "DELETE"):
        not_ready(api(first).simulate_request(method, CALLS + "/4560:2025550001"))
    assert api(first).simulate_get(CALLS + "/5551234560:2025550002").status_code == 200


def test_an_unknown_number_may_be_the_fallback_of_a_service_with_other_rules(start: Start) -> None:
    first = start(make_pool("100", exhausted="fallback", fallback="900"))
    start(make_pool("100", exhausted="fallback", fallback="901"))
    assert api(first).simulate_get(CALLS + "/901:1").status_code == 404
    assert first.keeper._look()
    not_ready(api(first).simulate_get(CALLS + "/901:1"))
    assert api(first).simulate_get(CALLS + "/100:1").status_code == 404
