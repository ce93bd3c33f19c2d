"""What systems send for a caller's number and for the number called, over HTTP."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.numbering.country import Country
from kit.running import Service
from kit.samples import basic, make_pool

NewService = Callable[..., Service]

CALLS = "/cticache/DNIS-ANI"
EXPLAIN = "/cticache/explain"
NUMBER = "5551234560"
A = "2125551234"
LISTED = {"withheld": ("+266696687", "0000000000", "no caller id")}
VERBS = [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/take")]
EVERY_VERB = pytest.mark.parametrize(("method", "suffix"), VERBS, ids=["GET", "PUT", "DELETE", "take"])


def api_of(service: Service) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic("username")})


def post(api: TestClient, ani: str | None, **more: Any) -> Result:
    posted = api.simulate_post(CALLS, body=json.dumps({"value": f"of {ani}", "ani": ani, **more}))
    assert posted.status_code == 201, posted.text
    return posted


def call(ani: str, dnis: str = NUMBER) -> str:
    return f"{CALLS}/{dnis}:{ani}"


def refused(answer: Result, status: int, code: str) -> bool:
    return (answer.status_code, answer.json.get("error")) == (status, code)


def explained(api: TestClient, ani: str) -> list[dict[str, Any]]:
    answer = api.simulate_get(EXPLAIN, params={"dnis": NUMBER, "ani": ani})
    assert answer.status_code == 200, answer.text
    places: list[dict[str, Any]] = answer.json["places"]
    return places


@EVERY_VERB
@pytest.mark.parametrize("asked", ["+266696687", "266696687", "0000000000", "No%20Caller%20ID", "NO%20CALLER%20ID", ""])
@pytest.mark.parametrize("posted", ["+266696687", "sip:266696687@10.0.0.1", "000-000-0000", "No Caller ID", ""])
def test_what_the_pool_lists_is_the_withheld_caller_in_a_post_and_in_a_url(
    client: Redis, new_service: NewService, *, posted: str, asked: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool(**LISTED)))
    answer = post(api, posted)
    assert answer.json["ani"] == posted
    assert client.keys("cti:*:call:*") == [f"cti:{{system-y}}:call:{NUMBER}:"]
    assert api.simulate_request(method, call(asked) + suffix).text == f'{{"value":"of {posted}"}}'


def test_two_callers_who_show_what_the_pool_lists_never_share_a_number(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(NUMBER, **LISTED)))
    post(api, "+266696687")
    full = api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": "No Caller ID"}))
    assert refused(full, 503, "pool_exhausted")


@pytest.mark.parametrize("ani", ["No Caller ID", "sip:No%20Caller%20ID@10.0.0.1"])
def test_a_word_that_another_pool_lists_is_422_and_a_number_is_a_number(new_service: NewService, ani: str) -> None:
    api = api_of(new_service(make_pool(NUMBER, **LISTED), make_pool("5559990000", name="two")))
    answers = [
        api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": ani, "pool": "two"})),
        *(api.simulate_request(method, call(quote(ani), "5559990000") + suffix) for method, suffix in VERBS),
        api.simulate_get(EXPLAIN, params={"dnis": "5559990000", "ani": ani}),
    ]
    for answer in answers:
        assert refused(answer, 422, "invalid_fields")
        assert answer.json["fields"] == {
            "ani": [
                "It must be a telephone number of 1 to 32 digits, or empty when the caller withholds it; if your "
                "carrier sends this for a withheld caller, list it under [pool:two] withheld."
            ]
        }
    post(api, "+266696687", pool="two")
    assert api.simulate_get(call("266696687", "5559990000")).status_code == 200
    assert api.simulate_get(call("", "5559990000")).status_code == 404


@pytest.mark.parametrize("old_lists", [True, False])
def test_of_two_pools_with_one_number_each_reads_the_ani_by_its_own_list(
    new_service: NewService, old_lists: bool
) -> None:
    old, new = (LISTED, {}) if old_lists else ({}, LISTED)
    post(api_of(new_service(make_pool(NUMBER, name="one", **old))), "0000000000")
    api = api_of(new_service(make_pool("5559990000", name="one", **old), make_pool(NUMBER, name="two", **new)))
    for ani, found in (("0000000000", True), ("No Caller ID", old_lists), ("", old_lists)):
        assert api.simulate_get(call(quote(ani))).status_code == (200 if found else 404)
    assert [place["pool"] for place in explained(api, "0000000000")] == ["one", "two"]
    (place,) = explained(api, "No Caller ID")
    assert place["pool"] == ("one" if old_lists else "two")


def test_explain_says_in_words_why_an_ani_is_withheld(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(NUMBER, **LISTED)))
    post(api, None)
    for ani, before, why in (
        ("+266696687", "266696687", "withheld, by the pool's own list"),
        ("sip:No%20Caller%20ID@h", "No Caller ID", "withheld, by the pool's own list"),
        ('"Anonymous" <sip:10.0.0.1>', "10.0.0.1", "withheld, as this names a host and no caller"),
    ):
        (place,) = explained(api, ani)
        assert [step["gives"] for step in [{"gives": ani}, *place["steps"]]][-2:] == [before, ""]
        assert place["steps"][-1]["step"] == why
        assert (place["canonical"], place["digest"], place["grade"]) == ("", "withheld", "exact")


@pytest.mark.parametrize("dnis", ["10.0.0.1", "sip:10.0.0.1", "%3C10.0.0.1%3E", "%3Csip%3A10.0.0.1%3E"])
def test_the_address_of_a_host_is_no_number_of_a_pool(new_service: NewService, dnis: str) -> None:
    number = "5551110001"
    api = api_of(new_service(make_pool(number, dnis_digits=4)))
    post(api, A)
    assert refused(api.simulate_get(call(A, dnis)), 404, "not_found")
    assert api.simulate_get(call(A, "10001")).status_code == 200


def test_a_plus_that_was_not_escaped_in_a_query_is_a_plus_in_both_numbers(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(f"+1{NUMBER}", country=Country.of("1"))))
    post(api, "+55 5123 4567")
    answer = api.simulate_get(EXPLAIN, query_string=f"dnis=+1{NUMBER}&ani=+5551234567")
    assert (answer.json["dnis"], answer.json["ani"]) == (f"+1{NUMBER}", "+5551234567")
    assert [(place["dnis"], place["grade"]) for place in answer.json["places"]] == [(f"+1{NUMBER}", "exact")]


def test_a_plus_that_was_not_escaped_in_a_form_is_a_plus(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(country=Country.of("1"))))
    body, kind = "value=v&ani=+5551234567", "application/x-www-form-urlencoded"
    posted = api.simulate_post(CALLS, body=body, content_type=kind)
    assert posted.json == {"dnis": NUMBER, "ani": "+5551234567", "value": "v"}
    assert posted.headers["location"] == call("%2B5551234567")
    assert api.simulate_get(call("5551234567")).status_code == 404
    assert api.simulate_get(call("+5551234567")).status_code == 200


def test_a_space_in_the_key_of_a_url_is_a_space(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(country=Country.of("1"))))
    post(api, "555 123 4567")
    assert api.simulate_get(call("%205551234567")).status_code == 200
    assert api.simulate_get(call("+5551234567")).status_code == 404
