"""Who is given the calls of a pool that is no longer configured."""

from collections.abc import Callable

import pytest
from falcon.testing import TestClient
from running import Service
from samples import basic, make_pool

CALLS = "/cticache/DNIS-ANI"
CALL = CALLS + "/100:"


def as_user(service: Service, name: str) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


@pytest.fixture(params=["moved", "removed"])
def after(new_service: Callable[..., Service], request: pytest.FixtureRequest) -> Service:
    """A service whose number 100 was in pool old with a call, and is now in pool other, or in none."""
    before = new_service(make_pool("100", name="old"), make_pool("900", name="other"))
    posted = as_user(before, "username").simulate_post(CALLS, body='{"value":1,"ani":"","pool":"old"}')
    assert posted.headers["location"] == CALL
    return new_service(make_pool("900" + ",100" * (request.param == "moved"), name="other"))


def test_a_user_of_every_pool_renews_reads_and_takes_them(after: Service) -> None:
    api = as_user(after, "username")
    assert api.simulate_put(CALL, body='{"value":2}').json == {"value": 2}
    assert api.simulate_get(CALL, params={"detail": "1"}).json["pool"] == "old"
    assert api.simulate_delete(CALL).json == {"value": 2}
    assert api.simulate_delete(CALL).status_code == 410


def test_a_user_of_the_pool_that_has_the_number_now_is_not(after: Service) -> None:
    api = as_user(after, "other-pool")
    for method in ("GET", "PUT", "DELETE"):
        answer = api.simulate_request(method, CALL)
        assert answer.status_code == (404 if len(after.pools.of("100")) == 2 else 403)
        assert set(answer.json) == {"error", "detail", "status"}
    assert as_user(after, "username").simulate_get(CALL).json == {"value": 1}
