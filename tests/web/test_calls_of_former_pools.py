"""The calls on numbers that left their pool: when they can be asked for, and by whom."""

from collections.abc import Callable

import pytest
from falcon.testing import Result, TestClient

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age
from kit.between import BEGUN, Between, KilledError, killed
from kit.proxy import Proxy
from kit.running import MAX_BODY, Service, until
from kit.samples import basic, make_pool

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


@pytest.fixture
def starting(after: Service, verifier: Verifier) -> Service:
    """The same service as after, before it has looked at Redis."""
    store, pools = after.store, Pools(after.pools)
    keeper = Keeper(store, pools, interval=3600)
    app = create_app(store, pools, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
    return Service(app, store, pools, keeper, after.client)


def not_ready(answer: Result) -> bool:
    return (answer.status_code, answer.json["error"], answer.headers.get("retry-after")) == (503, "not_ready", "1")


def test_no_call_is_said_not_to_be_there_before_it_is_known_which_numbers_are_leaving(starting: Service) -> None:
    for name in ("username", "other-pool"):
        api = as_user(starting, name)
        assert all(not_ready(api.simulate_request(method, CALL)) for method in ("GET", "PUT", "DELETE"))
        assert not_ready(api.simulate_post(CALLS + "/555:/take"))
    asked = {"dnis": "555", "ani": "1"}
    assert not_ready(as_user(starting, "username").simulate_get("/cticache/explain", params=asked))
    sync(starting.store, starting.pools, take_over=True)
    assert as_user(starting, "username").simulate_get(CALLS + "/555:").status_code == 404
    assert as_user(starting, "other-pool").simulate_get(CALLS + "/555:").status_code == 404
    assert as_user(starting, "username").simulate_get(CALL).json == {"value": 1}


def test_no_user_is_refused_a_number_that_may_have_left_their_pool(
    new_service: Callable[..., Service], verifier: Verifier
) -> None:
    before = new_service(make_pool("100", name="other"))
    as_user(before, "other-pool").simulate_post(CALLS, body='{"value":1,"ani":""}')
    store, pools = before.store, Pools([make_pool("100", name="new"), make_pool("900", name="other")])
    app = create_app(store, pools, verifier, before.keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("other-pool")})
    assert not_ready(api.simulate_get(CALL))
    sync(store, pools, take_over=True)
    assert api.simulate_get(CALL).json == {"value": 1}


@pytest.mark.parametrize(("step", "lists"), BEGUN)
def test_a_call_is_found_as_soon_as_what_was_taken_out_has_been_dropped(
    new_service: Callable[..., Service], between: Between, verifier: Verifier, step: str, *, lists: bool
) -> None:
    before = new_service(make_pool("100-101", name="other"))
    as_user(before, "username").simulate_post(CALLS, body='{"value":1,"ani":""}')
    pools = Pools([make_pool("200-201", name="other")])
    app = create_app(between, pools, verifier, before.keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("username")})
    between.happens(step, killed, pool="other", lists=lists)
    with pytest.raises(KilledError):
        sync(between, pools, take_over=True)
    if step in ("add", "finish"):
        assert api.simulate_get(CALL).json == {"value": 1}
        assert api.simulate_get(CALLS + "/555:").status_code == 404
    else:
        assert not_ready(api.simulate_get(CALL))


def test_a_service_that_does_not_rule_learns_which_numbers_are_leaving(
    new_service: Callable[..., Service], starting: Service
) -> None:
    sync(starting.store, starting.pools, take_over=True)
    new_service(make_pool("800", name="last"))
    pools = starting.pools
    pools.leaving = None
    assert sync(starting.store, pools, take_over=False) == {"other", "last"}
    assert as_user(starting, "username").simulate_get(CALL).json == {"value": 1}
    assert as_user(starting, "username").simulate_get(CALLS + "/555:").status_code == 404


def test_while_redis_is_away_at_the_start_no_call_is_said_not_to_be_there(redis_url: str, verifier: Verifier) -> None:
    proxy = Proxy(redis_url)
    proxy.cut()
    with connect(proxy.url, 0.3) as away:
        store = Store(Scripts(Direct(away), read_scripts()), Keys("cti"), retry_after=2)
        pools = Pools([make_pool("900")])
        keeper = Keeper(store, pools, interval=0.02)
        app = create_app(store, pools, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
        client = TestClient(app, headers={"Authorization": basic("username")})
        assert not_ready(client.simulate_get(CALL))
        keeper.start()
        until(lambda: keeper.condition.outage)
        answer = client.simulate_get(CALL)
        keeper.stop()
    proxy.close()
    assert (answer.status_code, answer.json["error"]) == (503, "redis_unavailable")


def test_a_call_that_is_live_outranks_one_that_was_taken_on_the_same_number_in_its_former_pool(
    new_service: Callable[..., Service],
) -> None:
    """The rest of a number that moves keeps them apart; an older release leased it again after the cool-down."""
    before = as_user(new_service(make_pool("100", name="old"), make_pool("900", name="other")), "username")
    for ani in ("777", "888"):
        posted = before.simulate_post(CALLS, body=f'{{"value":"old","ani":"{ani}","pool":"old","ttl":10}}')
        assert posted.headers["location"] == CALL + ani
    assert before.simulate_delete(CALL + "777").json == {"value": "old"}
    after = new_service(make_pool("100", name="other"))
    age(after.client, 16_000)  # the other call has ended, and its cool-down; what was taken is remembered for 60 s
    after.client.zadd("cti:{other}:numbers", {"100": 0})
    api = as_user(after, "username")
    assert api.simulate_get(CALL + "777").status_code == 410
    assert api.simulate_post(CALLS, body='{"value":"new","ani":"777"}').headers["location"] == CALL + "777"
    assert api.simulate_get(CALL + "777", params={"detail": "1"}).json["pool"] == "other"


@pytest.mark.parametrize("loose", ["sole", "suffix"])
@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE"])
def test_what_the_old_pool_finds_by_less_than_the_ani_hides_no_call_of_this_ani_in_the_new_one(
    new_service: Callable[..., Service], loose: str, verb: str
) -> None:
    there, here = "12125551234", "2125551234"
    old = {"match": loose, "exhausted": "reject", "max_ttl_ms": 400_000}
    before = as_user(new_service(make_pool("100", name="old", **old), make_pool("900", name="other")), "username")
    before.simulate_post(CALLS, json={"value": "old", "ani": there, "pool": "old", "ttl": 400})
    after = new_service(make_pool("900", name="old", **old), make_pool("100", name="other"))
    after.client.zadd("cti:{other}:numbers", {"100": 0})  # as if the old pool had promised it from now on
    api = as_user(after, "username")
    assert api.simulate_get(CALL + here).json == {"value": "old"}
    assert (
        api.simulate_post(CALLS, json={"value": "new", "ani": here, "pool": "other"}).headers["location"] == CALL + here
    )
    assert api.simulate_request(verb, CALL + here).json == {"value": "new"}
    if verb == "DELETE":
        assert api.simulate_get(CALL + here).status_code == 410
        age(after.client, 61_000)
        assert api.simulate_get(CALL + here).json == {"value": "old"}
    assert api.simulate_get(CALL + there).json == {"value": "old"}


def test_a_number_that_moved_costs_two_scripts_a_place_at_most_and_another_one(
    new_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"match": "sole", "exhausted": "reject"}
    before = as_user(new_service(make_pool("100", name="old", **old), make_pool("900", name="other")), "username")
    before.simulate_post(CALLS, json={"value": "old", "ani": "777", "pool": "old"})
    after = new_service(make_pool("900", name="old", **old), make_pool("100-101", name="other", match="suffix"))
    api = as_user(after, "username")
    asked: list[tuple[str, str]] = []
    run = Store.read
    monkeypatch.setattr(
        Store,
        "read",
        lambda store, place, *more, **named: (
            asked.append((place.pool.name, place.rule)) or run(store, place, *more, **named)
        ),
    )
    assert api.simulate_get(CALL + "1").json == {"value": "old"}
    assert asked == [("old", "exact"), ("other", "exact"), ("old", "sole")]
    asked.clear()
    assert api.simulate_get(f"{CALLS}/101:1").status_code == 404
    assert asked == [("other", "suffix")]


def test_before_it_is_known_which_numbers_left_a_call_is_found_by_its_whole_ani_alone(
    new_service: Callable[..., Service], verifier: Verifier
) -> None:
    """A service that is started while Redis is away is asked before it has looked."""
    rules = {"match": "suffix", "match_digits": 4, "exhausted": "reject", "dnis_digits": 4}
    before = new_service(make_pool("5551114560", name="c", **rules), make_pool("6669994560,700", name="b", **rules))
    as_user(before, "username").simulate_post(CALLS, json={"value": "of Z", "ani": "2025559993", "pool": "c"})
    after = new_service(make_pool("6669994560", name="b", **rules))
    as_user(after, "username").simulate_post(CALLS, json={"value": "of Q", "ani": "4045559993", "pool": "b"})
    pools = Pools(after.pools)
    app = create_app(after.store, pools, verifier, Keeper(after.store, pools, 3600), audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("username")})
    assert not_ready(api.simulate_get(CALLS + "/4560:2025559993"))
    assert api.simulate_get(CALLS + "/6669994560:4045559993").json == {"value": "of Q"}
    sync(after.store, pools, take_over=True)
    assert api.simulate_get(CALLS + "/4560:2025559993").json == {"value": "of Z"}


def test_of_a_removed_pool_whose_rules_are_lost_a_call_is_found_by_its_whole_ani_alone(
    new_service: Callable[..., Service],
) -> None:
    sole = make_pool("666", name="s", match="sole", exhausted="reject")
    before = new_service(sole, make_pool("100", name="e"))
    as_user(before, "username").simulate_post(CALLS, json={"value": 1, "ani": "777", "pool": "e"})
    api = as_user(new_service(sole), "username")
    assert api.simulate_get(CALL + "888").status_code == 404
    assert api.simulate_get(CALL + "777").json == {"value": 1}
