"""Each verb needs its own role, and no other will do."""

import pytest
from falcon.testing import TestClient

from cticache.access.passwords import Verifier
from cticache.access.users import ROLES, Role
from cticache.web.app import create_app
from cticache.web.audit import Audit
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
