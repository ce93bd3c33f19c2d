"""The exchange of a call's data, byte for byte."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from falcon.testing import Result, TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from kit.aging import age
from kit.running import Service, Wire
from kit.samples import PASSWORD, basic, make_pool

CALLS = "/cticache/DNIS-ANI"
BODY = '{"value" : "12345678", "ani" : "1234567890"}'
ANSWER = '{"dnis":"5551234560","ani":"1234567890","value":"12345678"}'
LOCATION = f"{CALLS}/5551234560:1234567890"
JSON = "application/json; charset=utf-8"

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


def post(api: TestClient, value: str = '"v"', ani: str | None = "1234567890", **more: Any) -> Result:
    fields = f'"ani":{json.dumps(ani)}' + "".join(f',"{name}":{json.dumps(field)}' for name, field in more.items())
    return api.simulate_post(CALLS, body=f'{{"value":{value},{fields}}}', content_type="application/json")


def pttl(client: Redis, ani: str = "1234567890") -> int:
    return client.pttl(f"cti:{{system-y}}:call:5551234560:{ani}")


def check(answer: Result, status: str, body: str) -> None:
    assert answer.status == status
    assert answer.text == body
    assert answer.headers["content-type"] == JSON
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(body.encode()))
    assert re.fullmatch(r'"[A-Za-z0-9_-]{16}"', answer.headers["etag"])


def test_the_exchange_works_to_the_byte(api: TestClient) -> None:
    posted = api.simulate_post(CALLS, body=BODY, content_type="application/json")
    check(posted, "201 Created", ANSWER)
    assert posted.headers["location"] == LOCATION
    for answer in (api.simulate_get(LOCATION), api.simulate_get(LOCATION), api.simulate_delete(LOCATION)):
        check(answer, "200 OK", '{"value":"12345678"}')
        assert answer.headers["etag"] == posted.headers["etag"]
    assert api.simulate_delete(LOCATION).status_code == 410
    assert api.simulate_get(LOCATION).status_code == 410


def curl(wire: Wire, *args: str) -> tuple[str, dict[str, str], str]:
    """The status line, the headers and the body that curl gets."""
    url = f"http://127.0.0.1:{wire.port}{args[-1]}"
    command = ["curl", "-q", "-sS", "-i", "--noproxy", "*", "--max-time", "20", "--user", f"username:{PASSWORD}"]
    done = subprocess.run([*command, *args[:-1], url], capture_output=True, check=True)
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return status, {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}, body


@needs_curl
def test_the_exchange_works_to_the_byte_with_curl(wire: Wire) -> None:
    sent = ("-H", "Content-Type:application/json", "-X", "POST", "-d", BODY)
    status, headers, body = curl(wire, *sent, CALLS)
    assert (status, body) == ("HTTP/1.1 201 Created", ANSWER)
    etag = headers.pop("etag")
    assert headers.pop("date")
    assert headers.pop("x-request-id")
    assert headers == {
        "location": LOCATION,
        "content-type": JSON,
        "content-length": str(len(ANSWER)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    for method in ("GET", "DELETE"):
        status, headers, body = curl(wire, "-X", method, LOCATION)
        assert (status, body) == ("HTTP/1.1 200 OK", '{"value":"12345678"}')
        assert headers["content-type"] == JSON
        assert headers["content-length"] == "20"
        assert headers["cache-control"] == "no-store"
        assert headers["etag"] == etag
    assert curl(wire, "-X", "DELETE", LOCATION)[0] == "HTTP/1.1 410 Gone"


@needs_curl
@pytest.mark.parametrize("ani", ["+1 (234) 567-890", "sip:1234567890@host/a?b#c", '"J\u00f6rg 100%" <tel:1234567890>'])
def test_curl_follows_the_location_of_every_ani(wire: Wire, ani: str) -> None:
    status, headers, _ = curl(wire, "-d", json.dumps({"value": ani, "ani": ani}), CALLS)
    assert status == "HTTP/1.1 201 Created"
    status, _, body = curl(wire, "-X", "DELETE", headers["location"])
    assert (status, json.loads(body)) == ("HTTP/1.1 200 OK", {"value": ani})


def test_take_by_post_hands_the_value_over_once(api: TestClient) -> None:
    etag = post(api).headers["etag"]
    taken = api.simulate_post(LOCATION + "/take")
    check(taken, "200 OK", '{"value":"v"}')
    assert taken.headers["etag"] == etag
    assert api.simulate_post(LOCATION + "/take").status_code == 410
    assert api.simulate_delete(LOCATION).status_code == 410


def test_an_answer_is_never_304(api: TestClient) -> None:
    etag = post(api).headers["etag"]
    assert api.simulate_get(LOCATION, headers={"If-None-Match": etag}).status_code == 200


def test_each_lease_has_an_etag_of_its_own(api: TestClient) -> None:
    assert len({post(api, ani=str(ani)).headers["etag"] for ani in range(1, 4)}) == 3


def test_put_without_a_body_starts_the_time_again(api: TestClient, client: Redis) -> None:
    etag = post(api).headers["etag"]
    age(client, 200_000)
    renewed = api.simulate_put(LOCATION)
    check(renewed, "200 OK", '{"value":"v"}')
    assert renewed.headers["etag"] == etag
    assert 299_000 < pttl(client) <= 300_000


@pytest.mark.parametrize("value", ['"new"', "null", "{}", '""', "0"])
def test_put_with_a_value_replaces_it_and_starts_the_time_again(api: TestClient, client: Redis, value: str) -> None:
    post(api)
    age(client, 200_000)
    check(api.simulate_put(LOCATION, body=f'{{"value": {value}}}'), "200 OK", f'{{"value":{value}}}')
    assert 299_000 < pttl(client) <= 300_000
    assert api.simulate_delete(LOCATION).text == f'{{"value":{value}}}'


def test_put_with_a_ttl_keeps_the_value_for_as_long(api: TestClient, client: Redis) -> None:
    post(api)
    assert api.simulate_put(LOCATION, body='{"ttl": 1800}').text == '{"value":"v"}'
    assert 1_799_000 < pttl(client) <= 1_800_000


def test_put_with_an_empty_object_renews(api: TestClient) -> None:
    post(api)
    assert api.simulate_put(LOCATION, body="{}").text == '{"value":"v"}'


@pytest.mark.parametrize("ttl", [2, 60, 3600, "60"])
def test_a_call_lives_as_long_as_its_post_asks(api: TestClient, client: Redis, ttl: int | str) -> None:
    assert post(api, ttl=ttl).status_code == 201
    assert int(ttl) * 1000 - 1000 < pttl(client) <= int(ttl) * 1000


def test_a_call_lives_as_long_as_its_pool_says_and_no_longer(api: TestClient, client: Redis) -> None:
    post(api)
    assert 299_000 < pttl(client) <= 300_000
    age(client, 300_000)
    assert api.simulate_get(LOCATION).status_code == 404
    assert api.simulate_put(LOCATION).status_code == 404
    assert api.simulate_delete(LOCATION).status_code == 404


def test_a_trailing_slash_changes_nothing(api: TestClient) -> None:
    posted = api.simulate_post(CALLS + "/", body=BODY)
    check(posted, "201 Created", ANSWER)
    assert posted.headers["location"] == LOCATION
    assert api.simulate_get(LOCATION + "/").status_code == 200


@pytest.mark.parametrize(
    "ani",
    [
        "1234567890",
        "+1234567890",
        "+1 (234) 567-890",
        "123.456.7890",
        "123/4567890",
        " 1234567890\t",
        "sip:1234567890@host",
        "sips:+1234567890@host:5061;transport=tls?a=b&c=d#e",
        "SIP:1234567890@[2001:db8::1]",
        "tel:+1-234-567-890;ext=5",
        '"J\u00f6rg \u2603 100% \\"x\\"" <sip:1234567890@host>;tag=1',
        "Anna, Bea <tel:1234567890>",
    ],
)
def test_the_ani_is_echoed_as_sent_and_kept_in_its_canonical_form(api: TestClient, client: Redis, ani: str) -> None:
    posted = post(api, ani=ani)
    check(posted, "201 Created", f'{{"dnis":"5551234560","ani":{json.dumps(ani, ensure_ascii=False)},"value":"v"}}')
    location = posted.headers["location"]
    assert location == f"{CALLS}/5551234560:{quote(ani, safe='')}"
    assert client.keys("cti:*:call:*") == ["cti:{system-y}:call:5551234560:1234567890"]
    assert api.simulate_get(location).text == '{"value":"v"}'
    assert api.simulate_delete(LOCATION).text == '{"value":"v"}'


@pytest.mark.parametrize(
    "key",
    [
        "5551234560:1234567890",
        "5551234560%3A1234567890",
        "5551234560%3a1234567890",
        "5551234560:+1234567890",
        "5551234560:%2B1234567890",
        "5551234560:%2b1234567890",
        "%35551234560:%31234567890",
        "5551234560:tel:+1234567890",
        "5551234560:tel%3A%2B1234567890",
        "5551234560:sip:1234567890@host",
        "5551234560%3asip%3a1234567890%40host",
        "5551234560:(123)%20456-7890",
        "5551234560:123%2F4567890",
        "5551234560:%22J%C3%B6rg%22%20%3Csip:1234567890@host%3E",
    ],
)
@pytest.mark.parametrize("suffix", ["", "/take"])
def test_a_call_is_found_under_every_spelling_of_its_url(api: TestClient, key: str, suffix: str) -> None:
    post(api)
    verb = "POST" if suffix else "DELETE"
    assert api.simulate_request(verb, f"{CALLS}/{key}{suffix}").text == '{"value":"v"}'


@pytest.mark.parametrize(
    "key", ["", "anonymous", "Anonymous", "%3Cnull%3E", "sip:anonymous@anonymous.invalid", "sip:10.0.0.1:5060", "none"]
)
@pytest.mark.parametrize(
    "sent",
    [
        *("", "anonymous", "restricted", "unavailable", "private", "unknown", "withheld", "undefined", "none"),
        *("asserted-anonymous", '"" <>', "sip:10.0.0.1:5060", '"Anonymous" <sip:pbx.example>', "<10.0.0.1>", None),
    ],
)
def test_a_withheld_number_is_one_ani_however_it_is_named(api: TestClient, sent: str | None, key: str) -> None:
    posted = post(api, ani=sent)
    assert posted.headers["location"] == f"{CALLS}/5551234560:{quote(sent or '', safe='')}"
    assert posted.json["ani"] == sent
    assert api.simulate_get(f"{CALLS}/5551234560:{key}").text == '{"value":"v"}'
    assert api.simulate_post(f"{CALLS}/5551234560:{key}/take").text == '{"value":"v"}'


VALUES = {
    "null": "null",
    "true": "true",
    "false": "false",
    "empty string": '""',
    "empty list": "[]",
    "empty object": "{}",
    "zero": "0",
    "minus zero": "-0",
    "minus zero point zero": "-0.0",
    "beyond a double": "9007199254740993",
    "beyond 64 bits": "123456789012345678901234567890",
    "a thousand digits": "9" * 1000,
    "a negative thousand digits": "-" + "9" * 1000,
    "a float's trailing zeros": "1.5000",
    "one point zero": "1.0",
    "more digits than a double has": "0.1000000000000000055511151231257827",
    "an exponent": "1E+05",
    "a number that underflows": "1e-400",
    "members out of order and doubled": '{"b":1,"a":[2,{"b":null}],"b":3}',
    "spaces inside": '[ 1,\t{ "a" : 2 } ]',
    "unicode": '"\u00e4\u65e5\U0001f600\u2028"',
    "escaped unicode": r'"\u00e4\/\n\t\""',
    "a surrogate pair": r'"\ud83d\ude00"',
    "an escaped NUL": r'"a\u0000b"',
    "an escaped backslash before ud800": r'"\\ud800"',
    "braces in a string": '"}]\\""',
    "a value in a value": '{"value":"x","ani":"1"}',
    "deep": "[" * 100 + "]" * 100,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_as_the_text_that_was_sent(api: TestClient, value: str) -> None:
    check(post(api, value), "201 Created", f'{{"dnis":"5551234560","ani":"1234567890","value":{value}}}')
    check(api.simulate_get(LOCATION), "200 OK", f'{{"value":{value}}}')
    check(api.simulate_put(LOCATION, body=f'{{"value":{value}}}'), "200 OK", f'{{"value":{value}}}')
    check(api.simulate_delete(LOCATION), "200 OK", f'{{"value":{value}}}')


_CALLERS = map(str, itertools.count(1))
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
_ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(value=_ANYTHING, ascii_only=st.booleans())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_comes_back_as_the_text_that_was_sent(
    new_service: Callable[..., Service], value: Any, ascii_only: bool
) -> None:
    service = new_service(make_pool(cooldown_ms=0))
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    text = json.dumps(value, ensure_ascii=ascii_only)
    posted = post(api, text, ani=next(_CALLERS))
    assert posted.text.endswith(f',"value":{text}}}')
    assert api.simulate_get(posted.headers["location"]).text == f'{{"value":{text}}}'
    assert api.simulate_delete(posted.headers["location"]).text == f'{{"value":{text}}}'


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", "text/plain", "text/xml", "", None, FORM, "image/png"]
)
def test_json_is_read_whatever_an_old_client_calls_it(api: TestClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type is not None else {}
    check(api.simulate_post(CALLS, body=BODY, headers=headers), "201 Created", ANSWER)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("value=12345678&ani=1234567890", '"ani":"1234567890","value":"12345678"'),
        ("value=&ani=", '"ani":"","value":""'),
        ("ani=%2B1+%28234%29&value=a+b%26c%3D%22%C3%A4%22\r\n", '"ani":"+1 (234)","value":"a b&c=\\"\u00e4\\""'),
        ("ani=1&value=%00%0a", '"ani":"1","value":"\\u0000\\n"'),
    ],
)
def test_a_form_is_read_its_value_a_string(api: TestClient, form: str, fields: str) -> None:
    posted = api.simulate_post(CALLS, body=form, content_type=FORM)
    check(posted, "201 Created", f'{{"dnis":"5551234560",{fields}}}')
    assert api.simulate_delete(posted.headers["location"]).json["value"] == posted.json["value"]


def test_a_form_may_name_pool_and_ttl(api: TestClient, client: Redis) -> None:
    posted = api.simulate_post(CALLS, body="value=1&ani=1&ttl=60&pool=other", content_type=FORM)
    assert posted.json["dnis"] == "5559990000"
    assert 59_000 < client.pttl("cti:{other}:call:5559990000:1") <= 60_000


def test_a_post_without_a_pool_leases_from_the_first(api: TestClient) -> None:
    assert post(api).json["dnis"] == "5551234560"


def test_a_post_names_its_pool(api: TestClient, client: Redis) -> None:
    posted = post(api, pool="other")
    assert posted.text == '{"dnis":"5559990000","ani":"1234567890","value":"v"}'
    assert client.keys("cti:*:call:*") == ["cti:{other}:call:5559990000:1234567890"]
    assert api.simulate_delete(posted.headers["location"]).text == '{"value":"v"}'


def test_a_post_without_a_pool_leases_from_the_first_that_the_user_may_use(service: Service) -> None:
    api = TestClient(service.app, headers={"Authorization": basic("other-pool")})
    assert post(api).json["dnis"] == "5559990000"
