"""A withheld caller has a number alone, or none: nobody whose ANI is lost on the way can be taken for that caller."""

import json
from collections.abc import Callable

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.numbering.country import Country
from kit.aging import age, on_the_second
from kit.older import withhold
from kit.running import Service
from kit.samples import basic, make_pool

NewService = Callable[..., Service]

CALLS = "/cticache/DNIS-ANI"
NUMBER, FALLBACK = "5551234560", "5559990000"
A, B = "2125551234", "4159990000"
WITHHELD = pytest.mark.parametrize("ani", ["", "anonymous"])
EACH_MATCH = pytest.mark.parametrize(("match", "rest_s"), [("exact", 5), ("suffix", 60)])


def api_of(service: Service) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic("username")})


def post(api: TestClient, ani: str) -> Result:
    return api.simulate_post(CALLS, body=json.dumps({"value": f"of {ani}", "ani": ani, "ttl": 60}))


def dnis(posted: Result) -> str:
    assert posted.status_code == 201, posted.text
    return str(posted.json["dnis"])


def refused(posted: Result, retry_after: int) -> bool:
    told = posted.json.get("error"), posted.headers.get("retry-after")
    return (posted.status_code, *told) == (503, "pool_exhausted", str(retry_after))


@WITHHELD
@EACH_MATCH
@pytest.mark.parametrize("exhausted", ["share", "fallback"])
def test_a_withheld_caller_is_refused_a_number_in_use_and_the_fallback_number_until_one_is_free(
    client: Redis, new_service: NewService, *, match: str, rest_s: int, exhausted: str, ani: str
) -> None:
    api = api_of(new_service(make_pool(NUMBER, match=match, exhausted=exhausted, fallback=FALLBACK)))
    post(api, A)
    on_the_second(client)
    assert refused(post(api, ani), 60 + rest_s)
    assert dnis(post(api, B)) == (NUMBER if exhausted == "share" else FALLBACK)
    age(client, (60 + rest_s) * 1000)
    assert dnis(post(api, ani)) == NUMBER


@EACH_MATCH
def test_a_withheld_caller_is_refused_a_number_that_rests(
    client: Redis, new_service: NewService, match: str, rest_s: int
) -> None:
    api = api_of(new_service(make_pool(NUMBER, match=match)))
    api.simulate_delete(post(api, A).headers["location"])
    on_the_second(client)
    assert refused(post(api, ""), rest_s)


@EACH_MATCH
def test_a_caller_is_refused_the_number_of_a_withheld_one_until_that_call_is_taken(
    client: Redis, new_service: NewService, match: str, rest_s: int
) -> None:
    api = api_of(new_service(make_pool(NUMBER, match=match)))
    location = post(api, "").headers["location"]
    on_the_second(client)
    assert refused(post(api, A), 60 + rest_s)
    assert api.simulate_delete(location).json == {"value": "of "}
    age(client, rest_s * 1000)
    assert dnis(post(api, A)) == NUMBER


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_a_caller_shares_the_number_that_no_withheld_one_has(new_service: NewService, match: str) -> None:
    api = api_of(new_service(make_pool(f"{NUMBER}-5551234561", match=match)))
    assert [dnis(post(api, ani)) for ani in ("", A, B)] == [NUMBER, "5551234561", "5551234561"]


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_nobody_joins_a_withheld_caller_whom_an_older_release_put_beside_another(
    new_service: NewService, match: str
) -> None:
    service = new_service(make_pool(NUMBER, match=match))
    api = api_of(service)
    for ani in (A, "0"):
        post(api, ani)
    withhold(service.client, NUMBER, "0")
    assert post(api, B).status_code == 503
    assert api.simulate_delete(f"{CALLS}/{NUMBER}:").json == {"value": "of 0"}
    assert dnis(post(api, B)) == NUMBER
    for ani in (A, B):
        assert api.simulate_delete(f"{CALLS}/{NUMBER}:{ani}").json == {"value": f"of {ani}"}


@pytest.mark.parametrize("match", ["exact", "suffix"])
def test_nobody_joins_a_withheld_caller_whom_an_older_release_put_on_the_fallback_number(
    new_service: NewService, match: str
) -> None:
    service = new_service(make_pool(NUMBER, match=match, exhausted="fallback", fallback=FALLBACK))
    api = api_of(service)
    assert [dnis(post(api, ani)) for ani in (A, "0")] == [NUMBER, FALLBACK]
    withhold(service.client, FALLBACK, "0")
    assert post(api, B).status_code == 503
    assert api.simulate_delete(f"{CALLS}/{FALLBACK}:").json == {"value": "of 0"}
    assert dnis(post(api, B)) == FALLBACK


@pytest.mark.parametrize("country", [None, "1", "44"])
@pytest.mark.parametrize("sent", ["+266696687", "266696687", "00266696687"])
def test_a_number_that_the_carrier_sends_for_a_withheld_one_is_withheld_with_and_without_its_plus(
    new_service: NewService, country: str | None, sent: str
) -> None:
    if country is None and sent.startswith("00"):
        sent = sent.removeprefix("00")  # which only a country gives a meaning
    rules = {"country": Country.of(country) if country else None, "withheld": ("+266696687",)}
    api = api_of(new_service(make_pool("5551234560", **rules)))
    assert api.simulate_post(CALLS, json={"value": 1, "ani": sent}).status_code == 201
    assert api.simulate_post(CALLS, json={"value": 2, "ani": "3035550001"}).status_code == 503
    assert api.simulate_get(f"{CALLS}/5551234560:anonymous").json == {"value": 1}


def test_a_listed_number_is_withheld_in_each_spelling_that_its_country_has_for_it(new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560", country=Country.of("44"), withheld=("02079460000",))))
    assert api.simulate_post(CALLS, json={"value": 1, "ani": "+442079460000"}).status_code == 201
    assert api.simulate_get(f"{CALLS}/5551234560:anonymous").json == {"value": 1}
