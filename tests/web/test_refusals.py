"""Every refusal: its status, its body, and that it leaves nothing behind."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier, hashed
from cticache.access.users import ROLES, User
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.running import MAX_BODY, Service
from kit.samples import PASSWORD, basic

CALLS = "/cticache/DNIS-ANI"
CALL = f"{CALLS}/5551234560:1234567890"
BODY = '{"value":"v","ani":"1234567890"}'


def check(answer: Result, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, which has the one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(answer.content))
    body: dict[str, Any] = answer.json
    assert list(body) == ["error", "detail", "status"] + ["fields"] * (status == 422)
    assert body["error"] == code
    assert body["status"] == status
    assert body["detail"].endswith(".")
    return body


@pytest.fixture
def untouched(service: Service, client: Redis) -> Iterator[None]:
    """Afterwards no number is leased and no call is stored."""
    yield
    stats = service.store.pool_stats(list(service.pools))
    assert [(pool.leased, pool.cooling, pool.leased_total) for pool in stats] == [(0, 0, 0), (0, 0, 0)]
    assert client.keys("cti:*:call:*") == []


@pytest.fixture
def roomy(service: Service, verifier: Verifier) -> TestClient:
    """The service with room for a body of two million bytes."""
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=2_000_000)
    return TestClient(app, headers={"Authorization": basic("username")})


NOT_JSON: dict[str, str | bytes] = {
    "cut off": '{"value":1,"ani":"1"',
    "trailing garbage": BODY + "x",
    "two objects": BODY + BODY,
    "no comma": '{"value":1 "ani":"1"}',
    "a comma too many": '{"value":1,"ani":"1",}',
    "no colon": '{"value" 1,"ani":"1"}',
    "bare name": '{value:1,"ani":"1"}',
    "single quotes": "{'value':1,'ani':'1'}",
    "no value": '{"value":,"ani":"1"}',
    "leading zero": '{"value":01,"ani":"1"}',
    "leading plus": '{"value":+1,"ani":"1"}',
    "no digit before the point": '{"value":.5,"ani":"1"}',
    "no digit after the point": '{"value":1.,"ani":"1"}',
    "hexadecimal": '{"value":0x10,"ani":"1"}',
    "a comment": '{"value":1,"ani":"1"/* x */}',
    "NaN": '{"value":NaN,"ani":"1"}',
    "Infinity": '{"value":Infinity,"ani":"1"}',
    "-Infinity": '{"value":-Infinity,"ani":"1"}',
    "NaN inside": '{"value":{"a":[NaN]},"ani":"1"}',
    "NaN elsewhere": '{"value":1,"ani":"1","ttl":NaN}',
    "1e400": '{"value":1e400,"ani":"1"}',
    "-1e400 inside": '{"value":[-1e400],"ani":"1"}',
    "unknown escape": r'{"value":"\x41","ani":"1"}',
    "short escape": r'{"value":"\u12","ani":"1"}',
    "a raw line feed in a string": '{"value":"a\nb","ani":"1"}',
    "a raw NUL in a string": '{"value":"a\0b","ani":"1"}',
    "UTF-16 that does not say so": BODY.encode("utf-16-le"),
    "high surrogate in the value": r'{"value":"\ud800","ani":"1"}',
    "low surrogate in the value": r'{"value":["\uDC00x"],"ani":"1"}',
    "a surrogate pair the wrong way round": r'{"value":"\ude00\ud83d","ani":"1"}',
    "lone surrogate in a key of the value": r'{"value":{"\ud800":1},"ani":"1"}',
    "lone surrogate in the ani": r'{"value":1,"ani":"\ud800"}',
    "lone surrogate in a field's name": r'{"value":1,"ani":"1","\uD800":1}',
}

NOT_READ: dict[str, str | bytes] = {
    "no body": "",
    "spaces alone": " \r\n",
    "a word": "nul",
    "NaN alone": "NaN",
    "a list": "[]",
    "a list of an object": f"[{BODY}]",
    "a string": '"value"',
    "a number": "1",
    "null": "null",
    "not UTF-8": b'{"value":"\xff","ani":"1"}',
    "latin-1": '{"value":"J\u00f6rg","ani":"1"}'.encode("latin-1"),
    "a raw surrogate": b'{"value":"\xed\xa0\x80","ani":"1"}',
    "cut-off UTF-16": BODY.encode("utf-16")[:-1],
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("body", NOT_READ.values(), ids=NOT_READ.keys())
def test_what_is_nothing_that_is_read_is_400(api: TestClient, body: str | bytes) -> None:
    check(api.simulate_post(CALLS, body=body), 400, "bad_body")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_400(api: TestClient, body: str | bytes) -> None:
    check(api.simulate_post(CALLS, body=body), 400, "bad_json")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_deep_nesting_is_400(roomy: TestClient, start: str, end: str) -> None:
    nested = start * 200_000 + "1" + end * 200_000
    check(roomy.simulate_post(CALLS, body=f'{{"value":{nested},"ani":"1"}}'), 400, "bad_json")
    check(roomy.simulate_post(CALLS, body=start * 200_000), 400, "bad_json" if start[0] == "{" else "bad_body")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "kind", ["application/json; charset=x", "application/xml;charset=ebcdic", "a/b; charset=utf-7"]
)
def test_a_charset_that_is_not_read_is_415(api: TestClient, kind: str) -> None:
    check(api.simulate_post(CALLS, body=BODY, content_type=kind), 415, "unsupported_type")
    check(api.simulate_post(CALLS, body="", content_type=kind), 415, "unsupported_type")


@pytest.mark.usefixtures("untouched")
def test_what_is_not_the_multipart_that_it_says_is_400(api: TestClient) -> None:
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "multipart/mixed"):
        for body in (BODY, ""):
            check(api.simulate_post(CALLS, body=body, content_type=kind), 400, "bad_body")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_no_harm(api: TestClient, encoding: str) -> None:
    posted = api.simulate_post(CALLS, body=BODY.encode(encoding))
    assert posted.status_code == 201
    assert posted.json["value"] == "v"


WRONG_FIELDS: dict[str, tuple[str, set[str]]] = {
    "nothing in it": ("{}", {"value", "ani"}),
    "no ani": ('{"value":1}', {"ani"}),
    "no value": ('{"ani":"1"}', {"value"}),
    "an unknown field": ('{"value":1,"ani":"1","colour":1}', {"colour"}),
    "a field in capitals": ('{"VALUE":1,"ani":"1"}', {"value", "VALUE"}),
    "all wrong at once": ('{"ani":1,"ttl":0,"pool":2,"x":3}', {"value", "ani", "ttl", "pool", "x"}),
    "value twice": ('{"value":1,"ani":"1","value":2}', {"value"}),
    "ani twice": ('{"value":1,"ani":"1","ani":"1"}', {"ani"}),
    "value twice by an escape": (r'{"value":1,"ani":"1","val\u0075e":2}', {"value"}),
    "pool unknown": ('{"value":1,"ani":"1","pool":"nowhere"}', {"pool"}),
    "pool empty": ('{"value":1,"ani":"1","pool":""}', {"pool"}),
    "pool null": ('{"value":1,"ani":"1","pool":null}', {"pool"}),
    "pool a number": ('{"value":1,"ani":"1","pool":5}', {"pool"}),
}
WRONG_ANIS = {
    "a number": 1234567890,
    "true": True,
    "a list": ["1"],
    "an object": {},
    "a word": "alice",
    "a name at a host": "sip:alice@host",
    "a digit and letters": "12ab",
    "33 digits": "1" * 33,
    "Arabic digits": "\u0661\u0662\u0663",
    "full-width digits": "\uff11\uff12\uff13",
    "superscript digits": "\u00b2\u00b3",
    "a line feed behind": "1234567890\n",
    "a NUL behind": "1234567890\0",
    "two pluses": "++123",
    "a plus inside": "12+3",
    "a plus alone": "+",
    "a colon": "123:456",
    "a brace": "{1}",
    "257 characters": f'"{"J" * 240}" <tel:12345678>',
}
WRONG_TTLS: dict[str, Any] = {
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -1,
    "a fraction": 1.5,
    "a float": 60.0,
    "a word": "abc",
    "empty": "",
    "null": None,
    "a list": [60],
    "over max_ttl": 3601,
    "over max_ttl as a string": "3601",
    "zero as a string": "0",
    "negative as a string": "-60",
    "Arabic digits": "\u0666\u0660",
    "a line feed behind": "60\n",
    "an underscore": "6_0",
    "20 digits": 10**19,
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("body", "names"), WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_a_field_that_is_missing_unknown_or_wrong_is_named(api: TestClient, body: str, names: set[str]) -> None:
    fields = check(api.simulate_post(CALLS, body=body), 422, "invalid_fields")["fields"]
    assert fields.keys() == names
    assert all(faults and all(isinstance(fault, str) for fault in faults) for faults in fields.values())


@pytest.mark.usefixtures("untouched")
def test_who_leaves_the_ani_out_is_told_what_to_send_for_a_withheld_one(api: TestClient) -> None:
    fields = check(api.simulate_post(CALLS, body='{"value":1}'), 422, "invalid_fields")["fields"]
    assert fields == {"ani": ['Missing: send "" if it is withheld.']}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("digits", ["1" * 33, "1 2 3 #"])
def test_what_is_no_word_is_not_to_be_listed_as_withheld(api: TestClient, digits: str) -> None:
    answer = api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": digits}))
    check(answer, 422, "invalid_fields")
    assert "carrier" not in str(answer.json["fields"])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("ani", WRONG_ANIS.values(), ids=WRONG_ANIS.keys())
def test_an_ani_that_is_no_number_is_422(api: TestClient, ani: Any) -> None:
    answer = api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": ani}))
    assert check(answer, 422, "invalid_fields")["fields"].keys() == {"ani"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("length", [257, 15_000])
def test_an_ani_that_is_too_long_is_422_in_a_body_and_in_a_url(roomy: TestClient, length: int) -> None:
    ani = f'"{"J" * (length - 19)}" <tel:1234567890>'
    assert len(ani) == length
    said = {"ani": ["It must not be longer than 256 characters."]}
    form = {"body": urlencode({"value": "v", "ani": ani}), "content_type": "application/x-www-form-urlencoded"}
    for body in ({"body": json.dumps({"value": "v", "ani": ani})}, form):
        assert check(roomy.simulate_post(CALLS, **body), 422, "invalid_fields")["fields"] == said
    said = {"ani": ["It must not be longer than 256 characters."]}
    for method, suffix in VERBS:
        answer = roomy.simulate_request(method, f"{CALLS}/5551234560:{quote(ani)}{suffix}")
        assert check(answer, 422, "invalid_fields")["fields"] == said
    answer = roomy.simulate_get("/cticache/explain", params={"dnis": "5551234560", "ani": ani})
    assert check(answer, 422, "invalid_fields")["fields"].keys() == {"ani"}


def test_an_ani_of_256_characters_has_a_location_that_every_proxy_lets_pass(api: TestClient) -> None:
    ani = '"' + "\U0001f600" * 237 + '" <tel:1234567890>'
    assert len(ani) == 256
    posted = api.simulate_post(CALLS, body=json.dumps({"value": "v", "ani": ani}))
    assert posted.status_code == 201
    assert len(posted.headers["location"]) < 3_200
    assert api.simulate_delete(posted.headers["location"]).json == {"value": "v"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("ttl", WRONG_TTLS.values(), ids=WRONG_TTLS.keys())
def test_a_ttl_that_is_no_number_of_seconds_is_422(api: TestClient, ttl: Any) -> None:
    answer = api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": "1", "ttl": ttl}))
    assert check(answer, 422, "invalid_fields")["fields"].keys() == {"ttl"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("quotes", ["", '"'])
def test_a_ttl_of_5000_digits_is_422(roomy: TestClient, sign: str, quotes: str) -> None:
    answer = roomy.simulate_post(CALLS, body=f'{{"value":1,"ani":"1","ttl":{quotes}{sign}{"9" * 5000}{quotes}}}')
    assert check(answer, 422, "invalid_fields")["fields"].keys() == {"ttl"}


@pytest.mark.parametrize("body", ['{"ani":"1"}', '{"pool":"other"}', '{"ttl":3601}', '{"ttl":true}'])
def test_a_put_with_a_wrong_field_is_422_and_changes_nothing(api: TestClient, client: Redis, body: str) -> None:
    api.simulate_post(CALLS, body=BODY)
    before = client.hgetall("cti:{system-y}:call:5551234560:1234567890")
    check(api.simulate_put(CALL, body=body), 422, "invalid_fields")
    check(api.simulate_put(CALL, body='{"value":NaN}'), 400, "bad_json")
    check(api.simulate_put(CALL, body="[]"), 400, "bad_body")
    assert client.hgetall("cti:{system-y}:call:5551234560:1234567890") == before


@pytest.mark.parametrize("accept", ["text/xml", "text/html", "application/xml", "*/*", "", "garbage;;q=x", "a/b;q=0"])
def test_a_refusal_is_json_whatever_accept_says(service: Service, api: TestClient, accept: str) -> None:
    headers = {"Accept": accept}
    check(api.simulate_post(CALLS, body="{", headers=headers), 400, "bad_json")
    check(TestClient(service.app).simulate_get(CALL, headers=headers), 401, "unauthorized")
    check(api.simulate_get(CALL, headers=headers), 404, "not_found")
    check(api.simulate_get("/nowhere", headers=headers), 404, "no_such_url")
    check(api.simulate_get("/cticache/nowhere", headers=headers), 404, "no_such_url")
    check(api.simulate_get("/cticache/pools/nowhere", headers=headers), 404, "no_such_pool")
    check(api.simulate_patch(CALLS, headers=headers), 405, "method_not_allowed")
    check(api.simulate_post(CALLS, body="x" * (MAX_BODY + 1), headers=headers), 413, "too_large")
    check(api.simulate_post(CALLS, body="{}", headers=headers), 422, "invalid_fields")


def encoded(credentials: bytes) -> str:
    return "Basic " + base64.b64encode(credentials).decode()


CREDENTIALS = {
    "none": None,
    "empty": "",
    "the scheme alone": "Basic",
    "nothing in it": "Basic ",
    "no colon": encoded(b"username"),
    "wrong password": basic("username", "wrong"),
    "empty password": basic("username", ""),
    "password with more behind": basic("username", PASSWORD + "x"),
    "password cut at the colon": basic("username", PASSWORD.partition(":")[0]),
    "unknown user": basic("nobody"),
    "empty user": basic(""),
    "user in capitals": basic("USERNAME"),
    "not base64": "Basic !!!!",
    "badly padded": "Basic dXNlcm5hbWU",
    "base64 with garbage in it": basic("username")[:12] + "\u00e4" + basic("username")[12:],
    "two credentials": basic("username") + ", " + basic("username"),
    "another scheme": "Bearer " + basic("username")[6:],
    "digest": 'Digest username="username"',
    "non-ASCII as UTF-8": encoded("J\u00f6rg:\u2603".encode()),
    "non-ASCII as latin-1": encoded("J\u00f6rg:\u00e4".encode("latin-1")),
    "bytes that are no UTF-8": encoded(b"username:\xff\xfe\x80"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("header", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_without_right_credentials_nothing_is_done(service: Service, header: str | None) -> None:
    api = TestClient(service.app, headers={"Authorization": header} if header is not None else {})
    for method, path in (("POST", CALLS), ("DELETE", CALL), ("GET", "/metrics"), ("GET", "/nowhere"), ("PUT", "/")):
        answer = api.simulate_request(method, path, body=BODY if method == "POST" else "")
        check(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_right_password_may_have_any_letters(service: Service, encoding: str) -> None:
    user = User("jörg", hashed("pässwörd:ü"), None, frozenset(ROLES))
    verifier = Verifier([user], 60, 10)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY)
    header = {"Authorization": encoded("jörg:pässwörd:ü".encode(encoding))}
    assert TestClient(app, headers=header).simulate_post(CALLS, body=BODY).status_code == 201


@pytest.mark.parametrize("header", ["basic", "BASIC", "Basic "])
def test_the_scheme_is_read_in_any_case(service: Service, header: str) -> None:
    api = TestClient(service.app, headers={"Authorization": f"{header} {basic('username')[6:]}"})
    assert api.simulate_post(CALLS, body=BODY).status_code == 201


VERBS = [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/take")]


@pytest.mark.parametrize(("method", "suffix"), VERBS)
def test_a_call_in_anothers_pool_is_403_and_stays(service: Service, api: TestClient, method: str, suffix: str) -> None:
    api.simulate_post(CALLS, body=BODY)
    stranger = TestClient(service.app, headers={"Authorization": basic("other-pool")})
    check(stranger.simulate_request(method, CALL + suffix), 403, "forbidden")
    check(stranger.simulate_request(method, f"{CALLS}/5551234561:9{suffix}"), 403, "forbidden")
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("pool", ["system-y", "nowhere", ""])
def test_a_post_to_anothers_pool_is_403(service: Service, pool: str) -> None:
    stranger = TestClient(service.app, headers={"Authorization": basic("other-pool")})
    body = json.dumps({"value": 1, "ani": "1", "pool": pool})
    check(stranger.simulate_post(CALLS, body=body), 403, "forbidden")


@pytest.mark.parametrize(
    ("name", "method", "suffix"),
    [
        ("x-only", "GET", ""),
        ("x-only", "DELETE", ""),
        ("x-only", "POST", "/take"),
        ("y-only", "PUT", ""),
    ],
)
def test_a_verb_without_its_role_is_403_and_changes_nothing(
    service: Service, api: TestClient, name: str, method: str, suffix: str
) -> None:
    api.simulate_post(CALLS, body=BODY)
    limited = TestClient(service.app, headers={"Authorization": basic(name)})
    check(limited.simulate_request(method, CALL + suffix), 403, "forbidden")
    assert api.simulate_delete(CALL).json == {"value": "v"}


@pytest.mark.usefixtures("untouched")
def test_a_post_without_the_role_lease_is_403(service: Service) -> None:
    y_only = TestClient(service.app, headers={"Authorization": basic("y-only")})
    check(y_only.simulate_post(CALLS, body=BODY), 403, "forbidden")


def test_x_and_y_do_their_part_with_their_roles_alone(service: Service) -> None:
    x, y = (TestClient(service.app, headers={"Authorization": basic(name)}) for name in ("x-only", "y-only"))
    assert x.simulate_post(CALLS, body=BODY).status_code == 201
    assert x.simulate_put(CALL).status_code == 200
    assert y.simulate_get(CALL).status_code == 200
    assert y.simulate_delete(CALL).json == {"value": "v"}
