"""A service that has just been started: Redis may still have the numbers of the one before it."""

from falcon.testing import Result, TestClient
from redis import Redis
from redis.exceptions import BusyLoadingError

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.sync import sync
from cticache.errors import RedisRefuses, RedisUnavailable
from cticache.link.trouble import REFUSALS
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.between import Between
from kit.running import MAX_BODY
from kit.samples import basic, make_pool
from kit.talk import CALLS


def starting(store: Between, verifier: Verifier, *pools: Pool) -> tuple[Keeper, TestClient]:
    """A service whose keeper has not looked yet."""
    directory = Pools(pools)
    keeper = Keeper(store, directory, interval=3600)
    app = create_app(store, directory, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
    return keeper, TestClient(app, headers={"Authorization": basic("username")})


def post(api: TestClient, pool: str = "system-y") -> Result:
    return api.simulate_post(CALLS, body=f'{{"value":1,"ani":"1234567890","pool":"{pool}"}}')


def not_ready(answer: Result) -> bool:
    return (answer.status_code, answer.json["error"], answer.headers.get("retry-after")) == (503, "not_ready", "1")


def test_nothing_is_leased_before_the_first_look(client: Redis, between: Between, verifier: Verifier) -> None:
    """It would be a number of the last configuration, which may be somebody else's by now."""
    sync(between, Pools([make_pool("100")]), take_over=True)
    keeper, api = starting(between, verifier, make_pool("200"))
    answer = post(api)
    assert not_ready(answer)
    assert "not in place yet" in answer.json["detail"]
    assert keeper._look()
    assert post(api).json["dnis"] == "200"


def unavailable(answer: Result) -> bool:
    told = answer.status_code, answer.json["error"], answer.headers.get("retry-after")
    return told == (503, "redis_unavailable", "2")


def test_where_redis_is_why_there_was_no_look_that_is_told_and_not_what_comes_of_it(
    client: Redis, between: Between, verifier: Verifier
) -> None:
    keeper, api = starting(between, verifier, make_pool("200"))
    keeper.not_heard()
    for answer in (post(api), api.simulate_get(CALLS + "/999:1"), api.simulate_delete(CALLS + "/200:1")):
        assert unavailable(answer)
        assert answer.json["detail"] == RedisUnavailable.says
    keeper._outages.met(BusyLoadingError("Redis is loading the dataset in memory"))
    keeper._note_outage()
    assert unavailable(post(api))
    assert post(api).json["detail"] == RedisRefuses.says
    assert api.simulate_get("/readyz").json["detail"] == f"The pools are not in place yet. {REFUSALS['LOADING']}."
    keeper._outages.over()
    assert not_ready(post(api))


def test_a_pool_leases_once_it_has_dropped_what_is_not_configured_and_others_do_not_wait(
    client: Redis, between: Between, verifier: Verifier
) -> None:
    sync(between, Pools([make_pool("100"), make_pool("500", name="other")]), take_over=True)
    keeper, api = starting(between, verifier, make_pool("200"), make_pool("500", name="other"))
    seen: list[tuple[bool, int]] = []
    between.happens("drop", lambda: seen.append((not_ready(post(api)), post(api, "other").status_code)))
    assert keeper._look()
    assert seen == [(True, 201)]


def test_a_pool_that_is_being_filled_leases_what_is_in_place(
    client: Redis, between: Between, verifier: Verifier
) -> None:
    sync(between, Pools([make_pool("100")]), take_over=True)
    keeper, api = starting(between, verifier, make_pool("100-102"))
    seen: list[str] = []
    between.happens("add", lambda: seen.append(post(api).json["dnis"]))
    assert keeper._look()
    assert seen == ["100"]
