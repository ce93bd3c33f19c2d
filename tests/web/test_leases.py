"""Who holds what, over HTTP, and how it is ended."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.access.users import Role
from cticache.errors import RedisUnavailable
from cticache.logs import AUDIT
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age, everything
from kit.running import MAX_BODY, Service
from kit.samples import basic, make_pool, user

CALLS = "/cticache/DNIS-ANI"
LEASES = "/cticache/leases"
RELEASE = "/cticache/release"
ANI = "2125550187"
WATCH: tuple[Role, ...] = ("watch",)
ADMIN: tuple[Role, ...] = ("watch", "admin")
VERIFIER = Verifier(
    [
        user("ivr", roles=("lease", "read", "take")),
        user("bot", roles=("lease",)),
        user("desk", roles=("read", "take")),
        user("watcher", {"system-y"}, WATCH),
        user("admin", {"system-y"}, ADMIN),
        user("of-two", roles=ADMIN),
        user("elsewhere", {"other"}, ADMIN),
        user("nowhere", set(), ADMIN),
    ],
    3600,
    100,
    many=1_000_000,
)
Ask = Callable[[str], TestClient]


@pytest.fixture
def ask(service: Service) -> Ask:
    app = create_app(service.store, service.pools, VERIFIER, service.keeper, audit=Audit("secret"), max_body=MAX_BODY)
    return lambda name: TestClient(app, headers={"Authorization": basic(name)})


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    monkeypatch.setattr(logging.getLogger(AUDIT), "propagate", True)
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if record.name == AUDIT]


def post(api: TestClient, ani: str | None = ANI, **more: Any) -> Result:
    answer = api.simulate_post(CALLS, body=json.dumps({"value": "secret-value", "ani": ani, **more}))
    assert answer.status_code == 201
    return answer


def release(api: TestClient, **asked: Any) -> Result:
    return api.simulate_post(RELEASE, body=json.dumps(asked))


def test_a_lease_is_listed_with_what_an_operator_must_know_and_no_more(ask: Ask, client: Redis) -> None:
    leased = post(ask("ivr"), ttl=60)
    age(client, 10_000)
    answer = ask("watcher").simulate_get(LEASES)
    assert answer.status_code == 200
    (lease,) = answer.json["leases"]
    assert answer.json["after"] is None
    assert lease.pop("age_s") in (10, 11)
    assert lease.pop("expires_in") in (48, 49)
    assert lease.pop("leased_at").endswith("Z")
    assert lease == {
        "pool": "system-y",
        "dnis": "5551234560",
        "ani": "…187",
        "digits": 10,
        "digest": Audit("secret").digest(ANI),
        "token": leased.headers["etag"].strip('"'),
        "user": "ivr",
        "asked": False,
    }
    ask("desk").simulate_get(f"{CALLS}/5551234560:{ANI}")
    assert ask("watcher").simulate_get(LEASES).json["leases"][0]["asked"]
    for hidden in ("secret-value", ANI):
        assert hidden not in answer.text


def test_a_withheld_caller_is_listed_as_one(ask: Ask) -> None:
    post(ask("ivr"), None)
    (lease,) = ask("watcher").simulate_get(LEASES).json["leases"]
    assert (lease["ani"], lease["digits"], lease["digest"]) == ("withheld", 0, "withheld")


def test_pages_lead_to_all_leases_and_show_no_whole_ani(ask: Ask, new_service: Callable[..., Service]) -> None:
    service = new_service(make_pool("+15551230000-+15551239999"))
    anis = [f"21255501{at:02}" for at in range(10, 35)]
    for ani in anis:
        service.store.lease(next(iter(service.pools)), ani, "1", "ivr", 300_000)
    app = create_app(service.store, service.pools, VERIFIER, service.keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("watcher")})
    seen, after, pages = [], "", 0
    while after is not None:
        answer = api.simulate_get(LEASES, params={"limit": "7"} | ({"after": after} if after else {}))
        seen += [lease["dnis"] for lease in answer.json["leases"]]
        assert len(answer.json["leases"]) <= 7
        assert not any(ani in answer.text for ani in anis)
        after, pages = answer.json["after"], pages + 1
    assert seen == sorted(set(seen))
    assert (len(seen), pages) == (25, 4)


def test_a_list_is_of_one_user_one_number_and_of_what_has_lasted(ask: Ask, client: Redis) -> None:
    post(ask("ivr"), "1")
    age(client, 60_000)
    post(ask("bot"), "2")

    def users(**asked: str) -> list[str]:
        return [lease["user"] for lease in ask("watcher").simulate_get(LEASES, params=asked).json["leases"]]

    assert users() == ["ivr", "bot"]
    assert users(user="bot") == ["bot"]
    assert users(user="b") == []
    assert users(dnis="555 123-4560") == ["ivr"]
    assert users(dnis="5551234569") == []
    assert users(older="59") == ["ivr"]
    assert users(older="59", user="bot") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "x"}, "after"),
        ({"after": "1-"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"older": "-1"}, "older"),
        ({"older": "1" * 10}, "older"),
    ],
)
def test_a_wrong_word_of_the_query_is_named(ask: Ask, query: dict[str, str], field: str) -> None:
    answer = ask("watcher").simulate_get(LEASES, params=query)
    assert (answer.status_code, [*answer.json["fields"]]) == (422, [field])


@pytest.mark.parametrize(
    ("name", "asked", "status", "code"),
    [
        ("of-two", {}, 422, "invalid_fields"),
        ("nowhere", {}, 403, "forbidden"),
        ("elsewhere", {"pool": "system-y"}, 403, "forbidden"),
        ("of-two", {"pool": "none"}, 404, "no_such_pool"),
        ("ivr", {"pool": "system-y"}, 403, "forbidden"),
        ("desk", {"pool": "system-y"}, 403, "forbidden"),
    ],
)
def test_only_the_users_own_pools_are_listed_and_ended(
    ask: Ask, client: Redis, *, name: str, asked: dict[str, str], status: int, code: str
) -> None:
    post(ask("ivr"))
    before = everything(client)
    for answer in (
        ask(name).simulate_get(LEASES, params=asked),
        release(ask(name), **asked, user="ivr"),
        release(ask(name), **asked, dnis="5551234560", ani=ANI),
    ):
        assert (answer.status_code, answer.json["error"]) == (status, code)
    assert everything(client) == before


def test_who_only_watches_ends_nothing(ask: Ask, client: Redis) -> None:
    token = post(ask("ivr")).headers["etag"].strip('"')
    before = everything(client)
    for asked in ({"dnis": "5551234560", "ani": ANI}, {"dnis": "5551234560", "token": token}, {"user": "ivr"}):
        assert release(ask("watcher"), **asked).status_code == 403
    assert everything(client) == before


@pytest.mark.parametrize("how", ["its ANI", "its token", "both"])
def test_a_call_is_ended_and_gone_for_both_systems(ask: Ask, how: str) -> None:
    leased = post(ask("ivr"), idempotency_key="k")
    token = leased.headers["etag"].strip('"')
    named = {"its ANI": {"ani": "(212) 555-0187"}, "its token": {"token": token}, "both": {"ani": ANI, "token": token}}
    answer = release(ask("admin"), dnis="5551234560", **named[how])
    assert (answer.status_code, answer.json) == (200, {"released": 1, "more": False})
    for again in (
        ask("desk").simulate_get(f"{CALLS}/5551234560:{ANI}"),
        ask("desk").simulate_delete(f"{CALLS}/5551234560:{ANI}"),
        release(ask("admin"), dnis="5551234560", **named[how]),
    ):
        assert (again.status_code, again.json["error"]) == (410, "gone")
        assert "released by an operator" in again.json["detail"]
    repeated = ask("ivr").simulate_post(
        CALLS, body=json.dumps({"value": "secret-value", "ani": ANI, "idempotency_key": "k"})
    )
    assert (repeated.status_code, repeated.json["error"]) == (410, "gone")
    told = ask("watcher").simulate_get("/cticache/explain", params={"dnis": "5551234560", "ani": ANI}).json
    assert "it was released, at 20" in told["places"][0]["says"]
    assert ask("watcher").simulate_get(LEASES).json["leases"] == []


def test_a_call_that_is_not_there_is_not_found(ask: Ask, client: Redis) -> None:
    post(ask("ivr"))
    before = everything(client)
    for asked in ({"ani": "2125550188"}, {"token": "A" * 16}, {"ani": ANI, "token": "A" * 16}, {"ani": "1" + ANI}):
        answer = release(ask("admin"), dnis="5551234560", **asked)
        assert (answer.status_code, answer.json["error"]) == (404, "not_found")
    assert everything(client) == before


def test_all_that_a_user_holds_in_the_pool_is_ended_and_nothing_else(
    new_service: Callable[..., Service], client: Redis
) -> None:
    pool, other = make_pool("5551230000-5551230999", exhausted="reject"), make_pool("5559990000", name="other")
    service = new_service(pool, other)
    app = create_app(service.store, service.pools, VERIFIER, service.keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("admin")})
    for ani in range(1, 251):
        service.store.lease(pool, str(ani), "1", "bot", 300_000)
    kept = [service.store.lease(where, "777", "1", who, 300_000) for where, who in ((pool, "ivr"), (other, "bot"))]
    assert release(api, user="bot").json == {"released": 200, "more": True}
    assert release(api, user="bot").json == {"released": 50, "more": False}
    assert release(api, user="bot").json == {"released": 0, "more": False}
    left = [lease for each in (pool, other) for lease in service.store.pool_leases(each).leases]
    assert [lease.token for lease in left] == [lease.token for lease in kept]


def test_what_was_leased_before_the_clock_was_set_back_is_listed_and_ended(ask: Ask, client: Redis) -> None:
    post(ask("bot"))
    age(client, -3_600_000)
    (listed,) = ask("watcher").simulate_get(LEASES).json["leases"]
    assert (listed["user"], listed["age_s"]) == ("bot", 0)
    assert release(ask("admin"), user="bot").json == {"released": 1, "more": False}
    assert ask("watcher").simulate_get(LEASES).json["leases"] == []


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({}, ["dnis"]),
        ({"ani": ANI}, ["dnis"]),
        ({"token": "x"}, ["dnis"]),
        ({"dnis": "5551234560"}, ["ani"]),
        ({"dnis": "5551234560", "token": ""}, ["token"]),
        ({"user": ""}, ["user"]),
        ({"user": "ivr", "dnis": "5551234560", "ani": ANI}, ["user"]),
        ({"dnis": "5551234560", "ani": "x1"}, ["ani"]),
        ({"dnis": "5551234560", "ani": ANI, "users": "ivr"}, ["users"]),
    ],
)
def test_a_body_that_does_not_say_what_to_end_ends_nothing(
    ask: Ask, client: Redis, asked: dict[str, str], fields: list[str]
) -> None:
    post(ask("ivr"))
    before = everything(client)
    answer = release(ask("admin"), **asked)
    assert (answer.status_code, [*answer.json["fields"]]) == (422, fields)
    assert everything(client) == before


def test_what_is_to_be_ended_stands_in_the_body_and_not_in_the_query(ask: Ask) -> None:
    post(ask("ivr"))
    answer = ask("admin").simulate_post(RELEASE, params={"user": "ivr"}, body="{}")
    assert (answer.status_code, [*answer.json["fields"]]) == (422, ["user"])


@pytest.mark.parametrize("header", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_a_page_of_another_site_ends_nothing(
    ask: Ask, client: Redis, header: dict[str, str], content_type: str
) -> None:
    post(ask("ivr"))
    before = everything(client)
    answer = ask("admin").simulate_post(RELEASE, body='{"user":"ivr"}', headers=header | {"Content-Type": content_type})
    assert (answer.status_code, answer.json["error"]) == (403, "cross_origin")
    assert everything(client) == before


def test_nothing_is_ended_by_get(ask: Ask) -> None:
    assert ask("admin").simulate_get(RELEASE, params={"user": "ivr"}).status_code == 405


def test_the_audit_has_a_line_for_the_request_and_one_for_each_lease(ask: Ask, audit: Callable[[], list[str]]) -> None:
    tokens = [post(ask("ivr"), ani).headers["etag"].strip('"') for ani in (ANI, "2125550188", "2125550189")]
    release(ask("admin"), dnis="5551234560", ani=ANI)
    release(ask("admin"), dnis="5551234561", token=tokens[1])
    release(ask("admin"), user="ivr")
    release(ask("admin"), user="ivr")
    release(ask("admin"), dnis="5551234560", ani=ANI)
    lines = [re.sub(r" ms=\S+", "", line.partition(" ")[2]) for line in audit() if "op=release" in line]
    digest = Audit("secret").digest
    begin = "user=admin op=release pool=system-y"
    assert lines[:-1] == [
        f"{begin} dnis=5551234560 ani=…187 digest={digest(ANI)} token={tokens[0]} outcome=released status=200",
        f"{begin} dnis=5551234561 ani=- digest=- token={tokens[1]} outcome=released status=200",
        f"{begin} dnis=5551234562 ani=…189 digest={digest('2125550189')} token={tokens[2]} outcome=released status=200",
        f"{begin} dnis=- ani=- digest=- token=- outcome=released status=200",
        f"{begin} dnis=- ani=- digest=- token=- outcome=none status=200",
    ]
    assert "outcome=gone status=410 address=" in lines[-1]


@pytest.mark.parametrize("sent", ["12025550123456", "+12025550123456", "2" * 3_000, "x outcome=released token=zz"])
def test_a_number_of_no_pool_is_in_the_audit_by_its_last_digits(
    ask: Ask, audit: Callable[[], list[str]], sent: str
) -> None:
    assert release(ask("admin"), dnis=sent, ani=ANI).status_code == 404
    (line,) = [line for line in audit() if "op=release" in line]
    assert sent not in line
    assert line.count("outcome=") == line.count("token=") == 1
    assert len(line) < 300


def test_where_redis_fails_half_way_it_is_told_what_was_ended(
    new_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = new_service(make_pool("+15551230000-+15551239999"))
    (pool,) = service.pools
    for ani in range(150):
        service.store.lease(pool, str(ani), "1", "bot", 300_000)
    app = create_app(service.store, service.pools, VERIFIER, service.keeper, audit=Audit(), max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic("admin")})
    steps: list[object] = []
    end = service.store.release

    def fail_the_second_time(*asked: Any) -> Any:
        steps.append(asked)
        if len(steps) == 2:
            raise RedisUnavailable(retry_after=2)
        return end(*asked)

    monkeypatch.setattr(service.store, "release", fail_the_second_time)
    caplog.set_level(logging.INFO)
    ended = release(api, user="bot").json
    assert ended["more"] is True
    assert 0 < ended["released"] < 150
    assert caplog.text.count("outcome=released") == ended["released"] + 1
    steps[:] = [None]
    assert release(api, user="bot").status_code == 503
