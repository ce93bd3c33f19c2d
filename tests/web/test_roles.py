"""Each verb needs its own role, and no other will do."""

import pytest
from falcon.testing import TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.access.users import ROLES, Role
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Leniency
from kit.aging import everything
from kit.running import Service
from kit.samples import basic, user

CALLS = "/cticache/DNIS-ANI"
CALL = f"{CALLS}/5551234560:1234567890"
BODY = '{"value":"v","ani":"1234567890"}'
NEEDS: dict[tuple[str, str, str], Role] = {
    ("POST", CALLS, BODY.replace("1234567890", "42")): "lease",
    ("GET", CALL, ""): "read",
    ("PUT", CALL, ""): "lease",
    ("DELETE", CALL, ""): "take",
    ("POST", f"{CALL}/take", ""): "take",
    ("GET", "/cticache/pools", ""): "watch",
    ("GET", "/cticache/pools/system-y", ""): "watch",
    ("GET", "/cticache/explain?dnis=5551234560&ani=1234567890", ""): "watch",
    ("POST", "/cticache/explain", '{"dnis":"5551234560","ani":"1234567890"}'): "watch",
    ("GET", "/cticache", ""): "watch",
    ("POST", "/cticache/", '{"dnis":"5551234560","ani":"1234567890"}'): "watch",
    ("GET", "/cticache/page.js", ""): "watch",
    ("GET", "/cticache/page.css", ""): "watch",
    ("GET", "/cticache/leases?pool=system-y", ""): "watch",
    ("POST", "/cticache/release", '{"pool":"system-y","dnis":"5551234560","ani":"1234567890"}'): "admin",
    ("GET", "/metrics", ""): "watch",
}


@pytest.fixture(scope="module")
def each_has_one() -> Verifier:
    """A user for each role, named after it."""
    return Verifier([user(role, roles=(role,)) for role in ROLES], remember_s=3600, size=100)


@pytest.mark.parametrize(
    ("asked", "needed"), NEEDS.items(), ids=lambda part: part if isinstance(part, str) else part[0]
)
def test_a_verb_is_served_to_who_has_its_role_and_to_nobody_else(
    service: Service, each_has_one: Verifier, asked: tuple[str, str, str], needed: Role
) -> None:
    app = create_app(service.store, service.pools, each_has_one, service.keeper, audit=Audit(), max_body=4096)
    ask = {role: TestClient(app, headers={"Authorization": basic(role)}) for role in ROLES}
    ask["lease"].simulate_post(CALLS, body=BODY)
    method, path, body = asked
    for role in sorted(ROLES, key=lambda role: role == needed):  # the right one last: it may take the call
        answer = ask[role].simulate_request(method, path, body=body)
        assert answer.status_code in ((200, 201) if role == needed else (403,)), f"{method} as {role}: {answer.text}"


@pytest.mark.parametrize("role", ["watch", "admin"])
def test_who_may_come_with_a_browser_changes_nothing_by_get(service: Service, role: Role) -> None:
    verifier = Verifier([user("x", roles=("lease", "take", role))], remember_s=3600, size=100)
    reads = Leniency(get_writes=True)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=4096, reads=reads)
    api = TestClient(app, headers={"Authorization": basic("x")})
    assert api.simulate_post(CALLS, body=BODY).status_code == 201
    for path in (f"{CALLS}?value=1&ani=777", f"{CALL}/take"):
        answer = api.simulate_get(path)
        assert (answer.status_code, answer.json["error"]) == (403, "forbidden")
        assert f"has the role {role}" in answer.json["detail"]


@pytest.fixture
def ask(service: Service) -> dict[str, TestClient]:
    """Two who may lease, one of whom may read."""
    users = [user("x", roles=("lease",)), user("z", roles=("lease",)), user("both", roles=("lease", "read"))]
    verifier = Verifier(users, remember_s=3600, size=100)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=4096)
    return {each.name: TestClient(app, headers={"Authorization": basic(each.name)}) for each in users}


@pytest.mark.parametrize("body", ["", '{"value":"mine"}', '{"ttl":1}'], ids=["bare", "value", "ttl"])
@pytest.mark.parametrize("tag", [{}, {"If-Match": "*"}, {"If-Match": '"a-guess"'}], ids=["", "any", "a guess"])
def test_who_may_lease_and_not_read_cannot_renew_what_another_user_leased(
    ask: dict[str, TestClient], client: Redis, body: str, tag: dict[str, str]
) -> None:
    assert ask["z"].simulate_post(CALLS, body=BODY).status_code == 201
    before = everything(client)
    answer = ask["x"].simulate_put(CALL, body=body, headers=tag)
    assert (answer.status_code, answer.json["error"]) == (403, "forbidden")
    assert '"v"' not in answer.text
    assert "etag" not in answer.headers
    assert everything(client) == before


def test_who_leased_it_renews_it_and_so_does_who_may_read(ask: dict[str, TestClient]) -> None:
    ask["x"].simulate_post(CALLS, body=BODY)
    assert ask["x"].simulate_put(CALL, body='{"value":"x"}').json == {"value": "x"}
    assert ask["both"].simulate_put(CALL, body='{"value":"both"}').json == {"value": "both"}
    assert ask["x"].simulate_put(CALL).json == {"value": "both"}
