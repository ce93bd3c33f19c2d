"""What is asked for and not found: counted once for each request, and the near miss told in words."""

import re
from collections.abc import Callable

import pytest
from falcon.testing import TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.numbering.country import Country
from cticache.operate.explain import explain
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age
from kit.running import MAX_BODY, Service
from kit.samples import USERS, basic, make_pool

NewService = Callable[..., Service]
CALLS = "/cticache/DNIS-ANI"
NUMBER = "5551234560"
A, A_AS_Y_SEES_IT, SAME_TAIL, PBX = "2125551234", "12125551234", "3135551234", "8005550000"
EVERY_VERB = pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/take")],
    ids=["GET", "PUT", "DELETE", "take"],
)


def api_of(service: Service) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic("username")})


def post(api: TestClient, ani: str, **more: str) -> None:
    assert api.simulate_post(CALLS, json={"value": "secret-value", "ani": ani, **more}).status_code == 201


def counted(service: Service, name: str) -> int:
    return sum(figures.counts[f"{name}_total"] for figures in service.store.pool_stats(list(service.pools)))


# Counted


@EVERY_VERB
@pytest.mark.parametrize("number", ["9999999999", "555", "+15551234560"])
def test_a_number_of_no_pool_costs_redis_nothing(
    client: Redis, new_service: NewService, number: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool(NUMBER)))
    before = client.info("commandstats")
    assert api.simulate_request(method, f"{CALLS}/{number}:{A}{suffix}").status_code == 404
    after = client.info("commandstats")
    ran = {name for name, said in after.items() if said["calls"] != before.get(name, {"calls": 0})["calls"]}
    assert ran <= {"cmdstat_info"}


@EVERY_VERB
def test_a_request_that_asks_in_two_places_is_counted_once(new_service: NewService, method: str, suffix: str) -> None:
    post(api_of(new_service(make_pool(NUMBER, name="old"), make_pool("900", name="new"))), A, pool="old")
    service = new_service(make_pool("901", name="old"), make_pool(f"900,{NUMBER}", name="new"))
    assert len(service.pools.of(NUMBER)) == 2
    assert api_of(service).simulate_request(method, f"{CALLS}/{NUMBER}:{PBX}{suffix}").status_code == 404
    assert counted(service, "missed") == 1


@EVERY_VERB
def test_what_is_gone_in_one_of_two_places_is_no_miss_in_the_other(
    new_service: NewService, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool(NUMBER, name="old"), make_pool("900", name="new")))
    for ani in (A, SAME_TAIL):
        post(api, ani, pool="old")
    api.simulate_delete(f"{CALLS}/{NUMBER}:{A}")
    service = new_service(make_pool("901", name="old"), make_pool(f"900,{NUMBER}", name="new"))
    assert len(service.pools.of(NUMBER)) == 2
    assert api_of(service).simulate_request(method, f"{CALLS}/{NUMBER}:{A}{suffix}").status_code == 410
    assert (counted(service, "missed"), counted(service, "gone")) == (0, 1)


# Told


def says(service: Service, ani: str) -> str:
    (place,) = api_of(service).simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": ani}).json["places"]
    return re.sub(r"20\d\d-[\dT:.-]+Z", "AT", place["says"])


def test_a_call_that_was_asked_for_too_late_is_told_from_one_that_was_never_there(new_service: NewService) -> None:
    service = new_service(make_pool(NUMBER, ttl_ms=60_000))
    service.keeper._look()
    post(api_of(service), A)
    assert "ended" not in says(service, PBX)
    age(service.client, 61_000)
    assert api_of(service).simulate_delete(f"{CALLS}/{NUMBER}:{A}").status_code == 404
    assert says(service, A) == (
        f"{BY_OWN_RULE} A call of this ANI on this number ended at AT without being taken: System Y asks too late, or "
        "the lease is too short. The audit's line of it has its ttl."
    )
    lost = "If it was posted before AT, it is lost: Redis has calls of this pool since then only."
    assert says(service, PBX) in (BY_OWN_RULE, f"{BY_OWN_RULE} {lost}")


def test_a_call_of_which_it_is_forgotten_whether_it_was_taken_is_not_said_to_have_been_late(
    new_service: NewService,
) -> None:
    service = new_service(make_pool(NUMBER, cooldown_ms=600_000, remember_ms=60_000))
    post(api_of(service), A)
    assert api_of(service).simulate_delete(f"{CALLS}/{NUMBER}:{A}").status_code == 200
    assert says(service, A) == "It is refused with 410: it was taken, at AT."
    age(service.client, 61_000)
    assert says(service, A).startswith(
        f"{BY_OWN_RULE} A call of this ANI on this number ended at AT; by now it is not known whether it was taken."
    )


SOLE = "match = sole with exhausted = reject"
BY_OWN_RULE = "It is not found (404): no call live on this number fits the rule exact."
NEAR = {
    "a calling code more": (A, A_AS_Y_SEES_IT, {}, "has a prefix more (11 digits against 10) and ends alike: "
        "country_code = 1 or match = suffix would find it."),
    "a calling code less": (A_AS_Y_SEES_IT, A, {}, "has a prefix less (10 digits against 11) and ends alike: "
        "country_code = 1 or match = suffix would find it."),
    "00 and a calling code more": ("2079460000", "00442079460000", {}, "has a prefix more (14 digits against 10) and "
        "ends alike: country_code = 44 or match = suffix would find it."),
    "a calling code in place of a trunk prefix": ("02079460000", "+442079460000", {}, "ends alike: "
        "country_code = 44 or match = suffix would find it."),
    "a trunk prefix more": ("2079460000", "02079460000", {}, "has a prefix more (11 digits against 10) and ends alike: "
        "country_code or match = suffix would find it."),
    "an outside line more": (A, "9" + A, {}, "has a prefix more (11 digits against 10) and ends alike: "
        "match = suffix would find it."),
    "the digits of a calling code before an extension": ("5551234", "15551234", {}, "has a prefix more (8 digits "
        "against 7) and ends alike: match = suffix would find it."),
    "an equal tail": (A, SAME_TAIL, {}, "ends alike: match = suffix would find it."),
    "in a pool with a country": ("02079460000", "442079460000", {"country": Country.of("1")}, "ends alike: "
        "match = suffix would find it."),
    "a zero more in a pool with a country": ("5551234", "05551234", {"country": Country.of("1")}, "has a prefix more "
        "(8 digits against 7) and ends alike: match = suffix would find it."),
    "more digits than seven wanted": (A_AS_Y_SEES_IT, A, {"match_digits": 12}, "has a prefix less (10 digits "
        "against 11) and ends alike: country_code = 1 or match = suffix with match_digits = 7 would find it."),
    "withheld on the way": (A, "", {}, f"is withheld: {SOLE} would find it."),
    "withheld by the carrier": ("", PBX, {}, "is a number: the option withheld, if the "
        f"carrier sends it for one that is withheld, or {SOLE} would find it."),
    "nothing alike": (A, PBX, {}, "is nothing like it: if System Y sees this one for every caller, "
        f"{SOLE} would find it."),
}  # fmt: skip


@pytest.mark.parametrize(("kept", "presented", "rules", "told"), NEAR.values(), ids=NEAR)
def test_explain_tells_how_the_ani_differs_and_which_option_would_find_the_call(
    new_service: NewService, *, kept: str, presented: str, rules: dict[str, object], told: str
) -> None:
    api = api_of(new_service(make_pool(NUMBER, **rules)))
    post(api, kept)
    answer = api.simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": presented}, params_csv=False)
    (place,) = answer.json["places"]
    posted = "another ANI" if kept else "a withheld ANI"
    near = f"A call posted under {posted} is live on this number; the one asked with {told}"
    assert place["says"] == f"{BY_OWN_RULE} {near}"
    assert "secret" not in answer.text
    assert not kept or kept not in answer.text.replace(NUMBER, "").replace(presented, "")


@pytest.mark.parametrize(
    ("rules", "presented", "ending"),
    [
        ({"match": "suffix", "match_digits": 10}, SAME_TAIL, "ends alike: match_digits = 7 would find it."),
        ({"match": "suffix", "exhausted": "reject"}, "", f"the one asked with is withheld: {SOLE[:12]} would find it."),
        ({"match": "sole", "exhausted": "reject"}, PBX, "the one asked with is nothing like it."),
        ({"match": "sole", "exhausted": "reject"}, A_AS_Y_SEES_IT, "(11 digits against 10) and ends alike."),
        ({"match": "sole", "exhausted": "reject"}, "", "the one asked with is withheld."),
    ],
)
def test_explain_advises_no_option_that_is_set(
    new_service: NewService, rules: dict[str, object], presented: str, ending: str
) -> None:
    service = new_service(make_pool(NUMBER, **rules))
    post(api_of(service), A)
    (place,) = service.pools.of(NUMBER)
    told = explain(service.store, place._replace(rule="exact"), presented, lambda _ani: "")
    assert told["says"].endswith(ending)


def test_explain_says_no_more_where_nobody_is_live(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(NUMBER)))
    (place,) = api.simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": A}).json["places"]
    assert place["says"] == BY_OWN_RULE


@pytest.mark.parametrize("enabled", [True, False])
def test_explain_has_a_digest_where_the_audit_writes_one(
    service: Service, verifier: Verifier, *, enabled: bool
) -> None:
    audit = Audit("sixteen-letters-", enabled=enabled)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=audit, max_body=MAX_BODY)
    api = TestClient(app, headers={"Authorization": basic(USERS[0].name)})
    post(api, A)
    (place,) = api.simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": A}).json["places"]
    (live,) = place["live"]
    right = Audit("sixteen-letters-").digest(A) if enabled else ""
    assert (place["digest"], live["digest"]) == (right, right)
