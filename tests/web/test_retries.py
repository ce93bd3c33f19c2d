"""Requests that are sent again: under a key, blindly, through another instance; and one user's share of a pool."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age, on_the_second
from kit.older import hasty
from kit.racing import at_once
from kit.running import MAX_BODY, Service, Wire
from kit.samples import basic, make_pool, user

NewService = Callable[..., Service]

CALLS = "/cticache/DNIS-ANI"
ANI = "2125551234"
BODY = f'{{"value":"v","ani":"{ANI}"}}'
CALL = f"{CALLS}/5551234560:{ANI}"
FORM = "application/x-www-form-urlencoded"
KEY = "order-66/a"


def api_of(service: Service, name: str = "username") -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


def refused(answer: Result, status: int, code: str) -> bool:
    told = {"status": answer.status_code, **answer.json}
    return (answer.status_code, told["status"], told.get("error")) == (status, status, code)


def names_the_key(answer: Result) -> bool:
    return refused(answer, 422, "invalid_fields") and answer.json["fields"].keys() == {"idempotency_key"}


def replays(answer: Result, first: Result) -> bool:
    """Whether this is the first answer again, to the byte, and says so."""
    for name in ("content-type", "content-length", "cache-control", "etag", "location"):
        assert answer.headers.get(name) == first.headers.get(name)
    assert "idempotent-replayed" not in first.headers
    assert answer.headers["idempotent-replayed"] == "true"
    return (answer.status, answer.text) == (first.status, first.text)


def leased(service: Service) -> int:
    return sum(figures.leased_total for figures in service.store.pool_stats(list(service.pools)))


# A POST under a key


def with_header(name: str, text: str) -> Callable[[TestClient], Result]:
    return lambda api: api.simulate_post(CALLS, body=BODY, headers={name: text})


def with_field(text: str) -> Callable[[TestClient], Result]:
    body = BODY[:-1] + f',"idempotency_key":{json.dumps(text)}}}'
    return lambda api: api.simulate_post(CALLS, body=body)


POSTS = {
    "Idempotency-Key": with_header("Idempotency-Key", KEY),
    "Idempotency-Key, quoted": with_header("Idempotency-Key", f'"{KEY}"'),
    "X-Idempotency-Key": with_header("X-Idempotency-Key", KEY),
    "X-Idempotency-Key, quoted": with_header("x-idempotency-key", f'"{KEY}"'),
    "idempotency_key": with_field(KEY),
    "idempotency_key, quoted": with_field(f'"{KEY}"'),
    "idempotency_key in a form": lambda api: api.simulate_post(
        CALLS, body=f"ani={ANI}&value=v&idempotency_key={quote(KEY, safe='')}", content_type=FORM
    ),
}


@pytest.mark.parametrize("again", POSTS.values(), ids=POSTS.keys())
@pytest.mark.parametrize("first", POSTS.values(), ids=POSTS.keys())
def test_a_post_sent_again_under_its_key_is_one_lease_wherever_the_key_stands(
    service: Service, first: Callable[[TestClient], Result], again: Callable[[TestClient], Result]
) -> None:
    api = api_of(service)
    answer = first(api)
    assert answer.status == "201 Created"
    assert answer.headers["location"] == CALL
    assert replays(again(api), answer)
    assert replays(again(api), answer)
    assert leased(service) == 1


def keyed(api: TestClient, body: str = BODY, key: str = KEY) -> Result:
    return api.simulate_post(CALLS, body=body, headers={"Idempotency-Key": key})


def test_a_replay_echoes_the_ani_and_the_value_as_sent(api: TestClient) -> None:
    body = '{ "ani" : "+1 (212) 555-1234", "value" : {"b": 1.50, "a": []}, "ttl": "60" }'
    first = keyed(api, body)
    assert first.text == '{"dnis":"5551234560","ani":"+1 (212) 555-1234","value":{"b": 1.50, "a": []}}'
    assert replays(keyed(api, body), first)


@pytest.mark.parametrize(
    "body",
    [
        '{"value":"w","ani":"2125551234"}',
        '{"value":"v","ani":"2125551235"}',
        '{"value":"v","ani":"+2125551234"}',
        '{"value":"v","ani":""}',
        '{"value":"v","ani":"2125551234","ttl":60}',
        '{"value":["v"],"ani":"2125551234"}',
    ],
)
def test_a_key_used_for_another_post_is_422(service: Service, body: str) -> None:
    api = api_of(service)
    first = keyed(api)
    answer = keyed(api, body)
    assert refused(answer, 422, "key_reused")
    assert answer.json.keys() == {"error", "detail", "status"}
    assert {"location", "etag", "idempotent-replayed"}.isdisjoint(answer.headers)
    assert replays(keyed(api), first)
    assert leased(service) == 1


def test_the_same_request_in_other_words_is_the_same_request(api: TestClient) -> None:
    first = keyed(api)
    for body in (
        f'{{"ani":"{ANI}","value":"v"}}',
        f' {{ "value" : "v" ,\n"ani":"{ANI}"}} ',
        f'{{"value":"v","ani":"{ANI}","ttl":300}}',
        f'{{"value":"v","ani":"{ANI}","pool":"system-y"}}',
        f'\ufeff{{"value":"v","ani":"{ANI}"}}',
    ):
        assert replays(keyed(api, body), first)


def test_a_key_is_its_users_own(service: Service) -> None:
    answers = [keyed(api_of(service, name)) for name in ("username", "x-only")]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json["dnis"] for answer in answers}) == 2
    assert replays(keyed(api_of(service, "x-only")), answers[1])


@pytest.mark.parametrize("how", ["taken", "ran out"])
def test_a_post_whose_call_is_over_is_410_and_says_since_when(client: Redis, service: Service, how: str) -> None:
    api = api_of(service)
    first = keyed(api)
    if how == "taken":
        assert api.simulate_delete(CALL).status_code == 200
    age(client, 300_000)
    again = keyed(api)
    assert refused(again, 410, "gone")
    assert re.search(r"over since 20\d\d-\d\d-\d\dT.*Z; nothing was leased now\. Use a new key", again.json["detail"])
    age(client, 58_000)
    assert refused(keyed(api), 410, "gone")
    age(client, 2_000)
    later = keyed(api)
    assert later.status_code == 201
    assert "idempotent-replayed" not in later.headers
    assert later.headers["etag"] != first.headers["etag"]


def test_detail_of_a_replay_tells_what_is_left(client: Redis, api: TestClient) -> None:
    headers, params = {"Idempotency-Key": KEY}, {"detail": "1"}
    first = api.simulate_post(CALLS, body=BODY, headers=headers, params=params).json
    assert first["expires_in"] == 300
    age(client, 100_000)
    again = api.simulate_post(CALLS, body=BODY, headers=headers, params=params).json
    assert again["expires_in"] in (199, 200)
    api.simulate_delete(CALL)
    assert api.simulate_post(CALLS, body=BODY, headers=headers, params=params).status_code == 410


# A take under a key


def take(method: str, suffix: str, **more: Any) -> Callable[[TestClient], Result]:
    return lambda api: api.simulate_request(method, CALL + suffix, **more)


TAKES = {
    "DELETE, header": take("DELETE", "", headers={"Idempotency-Key": KEY}),
    "DELETE, quoted header": take("DELETE", "", headers={"Idempotency-Key": f'"{KEY}"'}),
    "DELETE, X header": take("DELETE", "", headers={"X-Idempotency-Key": KEY}),
    "DELETE, query": take("DELETE", "", params={"idempotency_key": KEY}),
    "DELETE, unescaped query": take("DELETE", "", query_string=f"idempotency_key={KEY}"),
    "take, header": take("POST", "/take", headers={"Idempotency-Key": KEY}),
    "take, query": take("POST", "/take", params={"idempotency_key": KEY}),
    "take, query, detail": take("POST", "/take", params={"idempotency_key": KEY, "detail": "0"}),
    "take, body": take("POST", "/take", body=json.dumps({"idempotency_key": KEY})),
    "take, body and header": take(
        "POST", "/take", body=json.dumps({"idempotency_key": KEY}), headers={"Idempotency-Key": KEY}
    ),
    "take, form": take("POST", "/take", body=f"idempotency_key={quote(KEY, safe='')}", headers={"Content-Type": FORM}),
}


@pytest.mark.parametrize("again", TAKES.values(), ids=TAKES.keys())
@pytest.mark.parametrize("first", TAKES.values(), ids=TAKES.keys())
def test_a_take_sent_again_under_its_key_gets_the_same_data_wherever_the_key_stands(
    service: Service, first: Callable[[TestClient], Result], again: Callable[[TestClient], Result]
) -> None:
    api = api_of(service)
    etag = api.simulate_post(CALLS, body=BODY).headers["etag"]
    answer = first(api)
    assert (answer.status, answer.text) == ("200 OK", '{"value":"v"}')
    assert answer.headers["etag"] == etag
    assert replays(again(api), answer)
    assert replays(again(api), answer)


def test_a_takes_key_used_for_another_call_is_422_and_that_call_stays(api: TestClient) -> None:
    for ani in ("1", "2"):
        api.simulate_post(CALLS, body=f'{{"value":"of {ani}","ani":"{ani}"}}')
    headers = {"Idempotency-Key": KEY}
    assert api.simulate_delete(f"{CALLS}/5551234560:1", headers=headers).status_code == 200
    for path in (f"{CALLS}/5551234561:2", f"{CALLS}/5551234560:2"):
        assert refused(api.simulate_delete(path, headers=headers), 422, "key_reused")
        assert refused(api.simulate_post(path + "/take", headers=headers), 422, "key_reused")
    assert api.simulate_delete(f"{CALLS}/5551234561:2").json == {"value": "of 2"}


def test_without_the_key_or_as_another_user_a_repeated_take_is_410_and_says_when(service: Service) -> None:
    api = api_of(service)
    api.simulate_post(CALLS, body=BODY)
    headers = {"Idempotency-Key": KEY}
    assert api.simulate_delete(CALL, headers=headers).status_code == 200
    for answer in (
        api.simulate_delete(CALL),
        api.simulate_delete(CALL, headers={"Idempotency-Key": "another"}),
        api_of(service, "y-only").simulate_delete(CALL, headers=headers),
    ):
        assert refused(answer, 410, "gone")
        assert "taken, at 20" in answer.json["detail"]
    assert api.simulate_delete(CALL, headers=headers).json == {"value": "v"}


def test_a_take_is_replayed_for_a_minute(client: Redis, api: TestClient) -> None:
    api.simulate_post(CALLS, body=BODY)
    headers = {"Idempotency-Key": KEY}
    first = api.simulate_delete(CALL, headers=headers)
    age(client, 58_000)
    assert replays(api.simulate_delete(CALL, headers=headers), first)
    age(client, 2_000)
    assert refused(api.simulate_delete(CALL, headers=headers), 404, "not_found")


def test_a_replayed_take_is_not_the_same_callers_next_call(new_service: NewService) -> None:
    """The pair's rest keeps that call off the number; a shorter one must not allow it."""
    service = new_service(pool := make_pool("5551234560", cooldown_ms=0))
    api = api_of(service)
    headers = {"Idempotency-Key": KEY}
    api.simulate_post(CALLS, body=BODY)
    first = api.simulate_delete(CALL, headers=headers)
    service.store.lease(hasty(pool), ANI, '"second"', "username", 300_000)
    assert replays(api.simulate_delete(CALL, headers=headers), first)
    assert api.simulate_delete(CALL).json == {"value": "second"}


@pytest.mark.parametrize("ani", [ANI, ""])
def test_a_take_or_put_repeated_without_a_key_does_not_meet_the_same_anis_next_call(
    client: Redis, new_service: NewService, ani: str
) -> None:
    api = api_of(new_service(make_pool("5551234560")))
    first, following = (json.dumps({"value": value, "ani": ani}) for value in ("first", "next"))
    location = api.simulate_post(CALLS, body=first).headers["location"]
    assert api.simulate_delete(location).json == {"value": "first"}
    age(client, 6_000)
    on_the_second(client)
    answer = api.simulate_post(CALLS, body=following)
    assert refused(api.simulate_delete(location), 410, "gone")
    assert refused(api.simulate_put(location, body='{"value":"late"}'), 410, "gone")
    assert refused(answer, 503, "pool_exhausted")
    assert answer.headers["retry-after"] == "54"
    age(client, 54_000)
    assert api.simulate_post(CALLS, body=following).headers["location"] == location
    assert api.simulate_delete(location).json == {"value": "next"}


def test_what_a_client_that_hung_up_had_taken_it_gets_again(wire: Wire, api: TestClient) -> None:
    api.simulate_post(CALLS, body=BODY)
    request = (
        f"DELETE {CALL} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('username')}\r\n"
        f"Idempotency-Key: {KEY}\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", wire.port), timeout=20) as hung_up:
        hung_up.sendall(request)
        hung_up.shutdown(socket.SHUT_WR)
        assert hung_up.recv(12) == b"HTTP/1.1 200"
    again = ask(wire.port, "DELETE", CALL, key=KEY)
    assert (again.status, again.body) == (200, '{"value":"v"}')
    assert again.headers["idempotent-replayed"] == "true"


# Keys that cannot be used

BAD_KEYS = {
    "empty": "",
    "a space": " ",
    "a space inside": "a b",
    "129 characters": "x" * 129,
    "129 characters, quoted": f'"{"x" * 129}"',
    "an umlaut": "k\u00e4",
    "a control character": "a\x7f",
    "quoted and empty": '""',
}
GOOD_KEYS = {
    "one character": "x",
    "128 characters": "x" * 128,
    "128 characters, quoted": f'"{"x" * 128}"',
    "a UUID": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    "every mark": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
}
NO_STRINGS = {"a number": 5, "null": None, "true": True, "a list": ["k"], "an object": {}}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_bad_key_of_a_post_is_422_and_nothing_is_leased(service: Service, key: str) -> None:
    api = api_of(service)
    assert names_the_key(with_field(key)(api))
    form = f"ani={ANI}&value=v&idempotency_key={quote(key, safe='')}"
    assert names_the_key(api.simulate_post(CALLS, body=form, content_type=FORM))
    if key.isascii():
        for name in ("Idempotency-Key", "X-Idempotency-Key"):
            assert names_the_key(with_header(name, key)(api))
    assert leased(service) == 0


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_bad_key_of_a_take_is_422_and_the_call_stays(api: TestClient, key: str) -> None:
    api.simulate_post(CALLS, body=BODY)
    query = f"idempotency_key={quote(key, safe='')}"
    assert names_the_key(api.simulate_delete(CALL, query_string=query))
    assert names_the_key(api.simulate_post(CALL + "/take", query_string=query))
    assert names_the_key(api.simulate_post(CALL + "/take", body=json.dumps({"idempotency_key": key})))
    assert names_the_key(api.simulate_post(CALL + "/take", body=query, content_type=FORM))
    if key.isascii():
        assert names_the_key(api.simulate_delete(CALL, headers={"Idempotency-Key": key}))
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.parametrize("key", NO_STRINGS.values(), ids=NO_STRINGS.keys())
def test_a_key_that_is_no_string_is_422(api: TestClient, key: Any) -> None:
    body = BODY[:-1] + f',"idempotency_key":{json.dumps(key)}}}'
    assert names_the_key(api.simulate_post(CALLS, body=body))
    assert names_the_key(api.simulate_post(CALL + "/take", body=json.dumps({"idempotency_key": key})))


@pytest.mark.parametrize("key", GOOD_KEYS.values(), ids=GOOD_KEYS.keys())
def test_a_good_key_is_taken_everywhere(api: TestClient, key: str) -> None:
    first = keyed(api, key=key)
    assert replays(with_field(key)(api), first)
    taken = api.simulate_delete(CALL, headers={"Idempotency-Key": key})
    assert taken.status_code == 200
    assert replays(api.simulate_delete(CALL, params={"idempotency_key": key}), taken)
    assert replays(api.simulate_post(CALL + "/take", body=json.dumps({"idempotency_key": key})), taken)


def test_two_keys_that_differ_are_422_and_nothing_is_done(service: Service) -> None:
    api = api_of(service)
    field = BODY[:-1] + ',"idempotency_key":"a"}'
    for headers in (
        {"Idempotency-Key": "b"},
        {"X-Idempotency-Key": "b"},
        {"Idempotency-Key": "A"},
        {"Idempotency-Key": "a", "X-Idempotency-Key": "b"},
    ):
        assert names_the_key(api.simulate_post(CALLS, body=field, headers=headers))
    assert names_the_key(
        api.simulate_post(CALLS, body=BODY, headers={"Idempotency-Key": "a", "X-Idempotency-Key": "b"})
    )
    assert leased(service) == 0
    api.simulate_post(CALLS, body=BODY)
    for more in (
        {"headers": {"Idempotency-Key": "a"}, "params": {"idempotency_key": "b"}},
        {"headers": {"Idempotency-Key": "a", "X-Idempotency-Key": "b"}},
    ):
        assert names_the_key(api.simulate_delete(CALL, **more))
        assert names_the_key(api.simulate_post(CALL + "/take", **more))
    for more in ({"headers": {"Idempotency-Key": "b"}}, {"params": {"idempotency_key": "b"}}):
        assert names_the_key(api.simulate_post(CALL + "/take", body='{"idempotency_key":"a"}', **more))
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.parametrize("query", ["idempotency_key=a&idempotency_key=b", "idempotency_key=&idempotency_key=b"])
def test_two_keys_in_the_query_are_422_and_the_call_stays(api: TestClient, query: str) -> None:
    api.simulate_post(CALLS, body=BODY)
    assert names_the_key(api.simulate_delete(CALL, query_string=query))
    assert names_the_key(api.simulate_post(CALL + "/take", query_string=query))
    assert api.simulate_delete(CALL).json == {"value": "v"}


def test_one_key_said_twice_is_one_key(service: Service) -> None:
    api = api_of(service)
    headers = {"Idempotency-Key": '"a"', "X-Idempotency-Key": "a"}
    first = api.simulate_post(CALLS, body=BODY[:-1] + ',"idempotency_key":"a"}', headers=headers)
    assert replays(keyed(api, key="a"), first)
    taken = api.simulate_delete(CALL, headers=headers, params={"idempotency_key": "a"})
    assert replays(api.simulate_delete(CALL, headers={"Idempotency-Key": "a"}), taken)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('{"colour":1}', {"colour"}),
        ('{"value":"v"}', {"value"}),
        ('{"idempotency_key":"a","idempotency_key":"a"}', {"idempotency_key"}),
    ],
)
def test_a_take_with_a_wrong_body_is_422_and_the_call_stays(api: TestClient, body: str, fields: set[str]) -> None:
    api.simulate_post(CALLS, body=BODY)
    answer = api.simulate_post(CALL + "/take", body=body)
    assert refused(answer, 422, "invalid_fields")
    assert answer.json["fields"].keys() == fields
    assert refused(api.simulate_post(CALL + "/take", body="{"), 400, "bad_json")
    assert refused(api.simulate_post(CALL + "/take", body="[]"), 400, "bad_body")
    assert refused(api.simulate_post(CALL + "/take", body="<k>"), 400, "bad_xml")
    xml = api.simulate_post(CALL + "/take", body="<k/>", content_type="application/xml; charset=x")
    assert refused(xml, 415, "unsupported_type")
    assert refused(api.simulate_post(CALL + "/take", body="x" * (MAX_BODY + 1)), 413, "too_large")
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.parametrize("body", ["", " \r\n", "{}", "{ }"])
def test_a_take_with_nothing_in_its_body_takes(api: TestClient, body: str) -> None:
    api.simulate_post(CALLS, body=BODY)
    assert api.simulate_post(CALL + "/take", body=body).json == {"value": "v"}


# The retry window


@pytest.fixture
def windowed(new_service: NewService) -> Service:
    return new_service(make_pool(retry_window_ms=20_000))


@pytest.mark.parametrize(
    ("body", "kind"), [(BODY, "application/json"), (f"ani={ANI}&value=v", FORM), (BODY, FORM), (BODY, "text/plain")]
)
def test_within_the_window_the_same_post_is_one_lease(windowed: Service, body: str, kind: str) -> None:
    api = api_of(windowed)
    first = api.simulate_post(CALLS, body=BODY)
    for _ in range(2):  # as a platform does that sends every failed request twice by itself
        assert replays(api.simulate_post(CALLS, body=body, content_type=kind), first)
    assert leased(windowed) == 1


def test_after_the_window_or_the_take_the_same_post_is_another_lease(client: Redis, windowed: Service) -> None:
    api = api_of(windowed)
    first = api.simulate_post(CALLS, body=BODY)
    age(client, 20_000)
    second = api.simulate_post(CALLS, body=BODY)
    assert api.simulate_delete(second.headers["location"]).status_code == 200
    third = api.simulate_post(CALLS, body=BODY)
    assert len({answer.headers["etag"] for answer in (first, second, third)}) == 3
    assert "idempotent-replayed" not in {*second.headers, *third.headers}


@pytest.mark.parametrize("ani", ["", "anonymous", "sip:anonymous@anonymous.invalid"])
def test_a_withheld_callers_post_is_never_a_retry(windowed: Service, ani: str) -> None:
    api = api_of(windowed)
    answers = [api.simulate_post(CALLS, body=json.dumps({"value": "v", "ani": ani})) for _ in range(3)]
    assert len({answer.json["dnis"] for answer in answers}) == 3
    assert all("idempotent-replayed" not in answer.headers for answer in answers)


def test_another_users_same_post_is_never_a_retry(windowed: Service) -> None:
    answers = [api_of(windowed, name).simulate_post(CALLS, body=BODY) for name in ("username", "x-only")]
    assert len({answer.json["dnis"] for answer in answers}) == 2


def test_without_a_window_the_same_post_is_another_lease(service: Service) -> None:
    api = api_of(service)
    assert len({api.simulate_post(CALLS, body=BODY).json["dnis"] for _ in range(3)}) == 3


# One user's share of a pool


@pytest.fixture
def capped(new_service: NewService) -> Service:
    """The service with a user who may have two leases live in a pool, and another."""
    service = new_service(make_pool("5551234560-5551234569"), make_pool("5559990000", name="other"))
    users = [replace(user("runaway"), max_live=2), user("username")]
    service.app = create_app(
        service.store, service.pools, Verifier(users, 60, 10), service.keeper, audit=Audit(), max_body=MAX_BODY
    )
    return service


def fill(api: TestClient) -> list[Result]:
    answers = []
    for ani, ttl in (("1", 300), ("2", 100)):
        body = json.dumps({"value": ani, "ani": ani, "ttl": ttl})
        answers.append(api.simulate_post(CALLS, body=body, headers={"Idempotency-Key": ani}))
        assert answers[-1].status_code == 201
    return answers


def test_a_user_with_max_live_leases_is_told_when_the_first_of_them_ends(client: Redis, capped: Service) -> None:
    api = api_of(capped, "runaway")
    fill(api)
    on_the_second(client)
    answer = api.simulate_post(CALLS, body=BODY)
    assert refused(answer, 429, "max_live")
    assert answer.headers["retry-after"] == "100"
    assert {"location", "etag"}.isdisjoint(answer.headers)
    age(client, 99_000)
    assert api.simulate_post(CALLS, body=BODY).headers["retry-after"] == "1"
    age(client, 1_000)
    assert api.simulate_post(CALLS, body=BODY).status_code == 201


def test_max_live_is_one_users_in_one_pool(capped: Service) -> None:
    api = api_of(capped, "runaway")
    fill(api)
    assert refused(api.simulate_post(CALLS, body=BODY), 429, "max_live")
    assert api_of(capped).simulate_post(CALLS, body=BODY).status_code == 201
    assert api.simulate_post(CALLS, body=BODY[:-1] + ',"pool":"other"}').status_code == 201


def test_a_replay_is_answered_though_the_user_has_max_live_leases(capped: Service) -> None:
    api = api_of(capped, "runaway")
    first = fill(api)
    for answer, (ani, ttl) in zip(first, (("1", 300), ("2", 100)), strict=True):
        body = json.dumps({"value": ani, "ani": ani, "ttl": ttl})
        assert replays(api.simulate_post(CALLS, body=body, headers={"Idempotency-Key": ani}), answer)
    assert refused(api.simulate_post(CALLS, body=BODY, headers={"Idempotency-Key": "1"}), 422, "key_reused")


def test_a_take_makes_room_and_a_renewal_moves_the_end(client: Redis, capped: Service) -> None:
    api = api_of(capped, "runaway")
    one, two = (answer.headers["location"] for answer in fill(api))
    assert api.simulate_put(two, body='{"ttl":500}').status_code == 200
    on_the_second(client)
    assert api.simulate_post(CALLS, body=BODY).headers["retry-after"] == "300"
    assert api_of(capped).simulate_delete(one).status_code == 200
    assert api.simulate_post(CALLS, body=BODY).status_code == 201
    assert refused(api.simulate_post(CALLS, body=BODY), 429, "max_live")


# Two instances on one Redis


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


def ask(port: int, method: str, path: str, body: str | None = None, key: str = "") -> Answer:
    headers = {"Authorization": basic("username")} | ({"Idempotency-Key": key} if key else {})
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode())


@pytest.fixture
def instances(
    client: Redis, redis_url: str, verifier: Verifier, new_service: NewService, dispatch: str
) -> Iterator[list[int]]:
    """The ports of two services that share nothing but the Redis, as two processes do."""
    pool = make_pool("5551234560-5551234599", retry_window_ms=20_000)
    new_service(pool)
    with ExitStack() as stack:
        ports = []
        for _ in range(2):
            own = stack.enter_context(connect(redis_url, 5.0))
            scripts = Scripts(Direct(own), read_scripts())
            scripts.load()
            store, pools = Store(scripts, Keys("cti"), retry_after=2), Pools([pool])
            keeper = Keeper(store, pools, interval=3600)
            keeper.synced.set()  # they are in place
            app = create_app(store, pools, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
            running = Wire(Service(app, store, pools, keeper, own), dispatch)
            stack.callback(running.stop)
            ports.append(running.port)
        yield ports


@pytest.mark.parametrize("key", [KEY, ""], ids=["under a key", "within the window"])
def test_retries_sent_to_two_instances_at_once_are_one_lease(client: Redis, instances: list[int], key: str) -> None:
    answers = at_once(lambda number: ask(instances[number % 2], "POST", CALLS, BODY, key), 32)
    assert {answer.status for answer in answers} == {201}
    assert len({(answer.body, answer.headers["location"], answer.headers["etag"]) for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(client.keys("cti:*:call:*")) == 1


def test_takes_sent_to_two_instances_at_once_under_one_key_all_get_the_data(instances: list[int]) -> None:
    location = ask(instances[0], "POST", CALLS, BODY).headers["location"]
    answers = at_once(lambda number: ask(instances[number % 2], "DELETE", location, key=KEY), 32)
    assert {(answer.status, answer.body) for answer in answers} == {(200, '{"value":"v"}')}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


def test_takes_sent_to_two_instances_at_once_without_a_key_are_one_200_and_else_410(instances: list[int]) -> None:
    location = ask(instances[0], "POST", CALLS, BODY).headers["location"]
    answers = at_once(lambda number: ask(instances[number % 2], "DELETE", location), 32)
    assert sorted(answer.status for answer in answers) == [200] + [410] * 31
