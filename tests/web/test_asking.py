"""What a request says wherever it says it: keys, verbs, options, bodies of old systems, credentials, other origins."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.origins import Origins
from cticache.access.passwords import Verifier
from cticache.access.users import token_digest
from cticache.numbering.country import Country
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Leniency
from kit.running import MAX_BODY, Service
from kit.samples import PASSWORD, USERS, basic, make_pool, user

CALLS = "/cticache/DNIS-ANI"
DNIS, ANI = "5551234560", "12345678901"
JSON = "application/json; charset=utf-8"
NewService = Callable[..., Service]
TOKEN = "tok-1234567890abcdefghij"
OTHER_TOKEN = "tok-of-another-user-4567"


@pytest.fixture
def service(new_service: NewService) -> Service:
    """One number of North America, and a pool with one more."""
    return new_service(make_pool(DNIS, country=Country.of("1")), make_pool("5559990000", name="other"))


@pytest.fixture
def lenient(service: Service, verifier: Verifier) -> TestClient:
    """The service with all that must be asked for."""
    reads = Leniency(Origins.parse("cti.example.com"), get_writes=True, single_quotes=True)
    app = create_app(
        service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY, reads=reads
    )
    return TestClient(app, headers={"Authorization": basic("writer")})


@pytest.fixture(scope="session")
def verifier() -> Verifier:
    """Users of which one may not watch, and two have tokens."""
    writer = user("writer", roles=("lease", "read", "take"))
    users = [*USERS, writer, replace(user("machine"), token=frozenset({token_digest(TOKEN)}))]
    users.append(replace(user("other-machine"), token=frozenset({token_digest(OTHER_TOKEN)})))
    return Verifier(users, remember_s=3600, size=1000, many=1_000_000)


def lease(api: TestClient, ani: str = ANI, value: Any = "v") -> Result:
    posted = api.simulate_post(CALLS, body=json.dumps({"value": value, "ani": ani}))
    assert posted.status_code == 201
    return posted


def is_live(api: TestClient) -> bool:
    return api.simulate_get(f"{CALLS}/{DNIS}:{ANI}").status_code == 200


def wrong(answer: Result, *names: str) -> None:
    assert (answer.status_code, answer.json["error"]) == (422, "invalid_fields"), answer.text
    assert sorted(answer.json["fields"]) == sorted(names)


# Keys

KEYS = [
    f"/{DNIS}:{ANI}",
    f"/{DNIS}/{ANI}",
    f"/{DNIS}/{ANI}/",
    f"/%2B1{DNIS}:%2B{ANI}",
    f"/+1{DNIS}/+{ANI}",
    f"/%252B1{DNIS}/%252B{ANI}",
    f"/sip:{DNIS}@10.0.0.1:5060/sip:+{ANI}@10.0.0.1:5060",
    f"/sip:{DNIS}@10.0.0.1:5060:{ANI}",
    f"/sip:{DNIS}@pbx:sip:{ANI}@pbx:5060",
    f"/sip:{DNIS}@[::1]:5060:{ANI}",
    f"/tel:{DNIS}:tel:+{ANI}",
    f"/{DNIS}:sip:{ANI}@h:5060",
    f"?dnis={DNIS}&ani={ANI}",
    f"/?dnis={DNIS}&ani={ANI}",
    f"?dnis=%2B1{DNIS}&ani=+{ANI}",
    f"?dnis=sip:{DNIS}@h:5060&ani=sip:{ANI}@h:5060",
    f"?dnis=%252B1{DNIS}&ani=%252B{ANI}",
    f"/{DNIS}:{ANI}?dnis=%2B1{DNIS}&ani={ANI[1:]}",
    f"?dnis={DNIS}&dnis={DNIS}&ani={ANI}",
]


@pytest.mark.parametrize("ending", ["DELETE", "POST"])
@pytest.mark.parametrize("key", KEYS)
def test_every_form_of_a_key_reads_renews_and_takes_the_call(api: TestClient, key: str, ending: str) -> None:
    lease(api)
    path, _, query = key.partition("?")
    for method in ("GET", "HEAD", "PUT", ending):
        suffix = path.removesuffix("/") + "/take" if method == "POST" else path
        answer = api.simulate_request(method, CALLS + suffix, query_string=query)
        assert answer.status_code == 200, answer.text
        assert answer.text == ("" if method == "HEAD" else '{"value":"v"}')
    assert not is_live(api)


TAKES: list[tuple[str, str, dict[str, str] | None]] = [
    ("/take", "", {"dnis": DNIS, "ani": ANI}),
    ("/take", f"dnis={DNIS}&ani={ANI}", None),
    ("/take", f"dnis={DNIS}", {"ani": "+" + ANI}),
    ("/take", f"ani={ANI}", {"dnis": "+1" + DNIS}),
    (f"/{DNIS}/take", "", {"ani": ANI}),
    (f"/{DNIS}/take", f"ani={ANI}", None),
    (f"/{DNIS}/take", f"ani={ANI}", {"ani": ANI, "dnis": DNIS}),
    (f"/sip:{DNIS}@h:5060/take", f"ani={ANI}", None),
    (f"/{DNIS}/{ANI}/take", "", {"idempotency_key": "k"}),
    (f"/{DNIS}:{ANI}/take/", "", {}),
]


@pytest.mark.parametrize(("path", "query", "fields"), TAKES)
@pytest.mark.parametrize("is_form", [False, True])
def test_a_take_finds_its_key_in_the_path_the_query_or_the_body(
    api: TestClient, path: str, query: str, fields: dict[str, str] | None, is_form: bool
) -> None:
    lease(api)
    body = "" if fields is None else json.dumps(fields)
    if is_form and fields:
        body = "&".join(f"{name}={text.replace('+', '%2B')}" for name, text in fields.items())
    answer = api.simulate_post(CALLS + path, query_string=query, body=body)
    assert (answer.status_code, answer.text) == (200, '{"value":"v"}')
    assert not is_live(api)


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "names"),
    [
        ("GET", "", "", "", ["ani", "dnis"]),
        ("GET", "", f"dnis={DNIS}", "", ["ani"]),
        ("GET", f"/{DNIS}", "", "", ["key"]),
        ("GET", f"/{DNIS}", f"ani={ANI}", "", ["key"]),
        ("GET", f"/sip:{DNIS}@h:5060", "", "", ["key"]),
        ("DELETE", f"/{DNIS}/", "", "", ["key"]),
        ("GET", f"/{DNIS}:{ANI}/{ANI}", "", "", ["key"]),
        ("POST", f"/{DNIS}/take", "", "{}", ["ani"]),
        ("POST", "/take", "", "", ["ani", "dnis"]),
        ("GET", f"/{DNIS}:{ANI}", "ani=12345678902", "", ["ani"]),
        ("GET", f"/{DNIS}:{ANI}", "dnis=5559990000", "", ["dnis"]),
        ("DELETE", f"/{DNIS}:{ANI}", "dnis=1", "", ["dnis"]),
        ("DELETE", f"/{DNIS}:{ANI}", f"ani={ANI}&ani=1", "", ["ani"]),
        ("POST", f"/{DNIS}:{ANI}/take", "", '{"ani":null}', ["ani"]),
        ("POST", f"/{DNIS}:{ANI}/take", "", '{"dnis":"5559990000"}', ["dnis"]),
        ("POST", "/take", f"dnis={DNIS}&ani={ANI}", f"dnis={DNIS}&ani=2", ["ani"]),
        ("POST", f"/{DNIS}:{ANI}/take", "idempotency_kee=1", "", ["idempotency_kee"]),
        ("DELETE", f"/{DNIS}:{ANI}", "_=1", "", ["_"]),
        ("PUT", f"/{DNIS}:{ANI}", "uui=00", "", ["uui"]),
        ("PUT", f"/{DNIS}:{ANI}", "idempotency_key=1", "", ["idempotency_key"]),
        ("DELETE", f"/{DNIS}:{ANI}", "uui=00", "", ["uui"]),
        ("POST", "", f"dnis={DNIS}", '{"value":1,"ani":"1"}', ["dnis"]),
        ("POST", "", "", f'{{"value":1,"ani":"1","dnis":"{DNIS}"}}', ["dnis"]),
        ("POST", "", "valeu=1", '{"value":1,"ani":"1"}', ["valeu"]),
        ("POST", "", "ani=2", '{"value":1,"ani":"1"}', ["ani"]),
        ("POST", "", f"ani={'1' * 257}", '{"value":1,"ani":"1"}', ["ani"]),
        ("POST", "", "ani=<tel:1>,<tel:2>", '{"value":1,"ani":"1"}', ["ani"]),
        ("POST", "", "format=pdf", '{"value":1,"ani":"1"}', ["format"]),
        ("POST", "", "status=201", '{"value":1,"ani":"1"}', ["status"]),
        ("POST", "", "detail=2", '{"value":1,"ani":"1"}', ["detail"]),
        ("GET", f"/{DNIS}:{ANI}", "detail=yes", "", ["detail"]),
        ("GET", f"/{DNIS}:{ANI}", "format=xml&format=txt", "", ["format"]),
        ("GET", f"/{DNIS}:{ANI}.xml", "format=txt", "", ["format"]),
        ("POST", f"/{DNIS}:{ANI}/take", "format=JSON", "", ["format"]),
        ("DELETE", f"/{DNIS}:{ANI}", "ani=%ff", "", ["ani"]),
        ("DELETE", f"/{DNIS}:{ANI}", "", '{"ani":"12345678902"}', ["ani"]),
        ("DELETE", f"/{DNIS}:{ANI}", "", "dnis=5559990000", ["dnis"]),
        (
            "DELETE",
            f"/{DNIS}:{ANI}",
            "idempotency_key=1",
            "<a><idempotency_key>2</idempotency_key></a>",
            ["idempotency_key"],
        ),
        ("DELETE", f"/{DNIS}:{ANI}", "", '{"idempotency_kee":"1"}', ["idempotency_kee"]),
    ],
)
def test_what_is_missing_unknown_or_said_twice_is_named_and_nothing_is_done(
    api: TestClient, *, method: str, path: str, query: str, body: str, names: list[str], service: Service
) -> None:
    lease(api)
    wrong(api.simulate_request(method, CALLS + path, query_string=query, body=body), *names)
    assert is_live(api)
    assert [figures.leased for figures in service.store.pool_stats(list(service.pools))] == [1, 0]


@pytest.mark.parametrize(
    ("url", "query", "name"),
    [
        ("/cticache/version", "detail=2", "detail"),
        ("/cticache/pools", "detail=1&detail=0", "detail"),
        ("/cticache/explain", f"dnis={DNIS}&ani={ANI}&ani=1", "ani"),
        ("/cticache/explain", f"dnis={DNIS}&dnis=1&ani={ANI}", "dnis"),
        ("/cticache/explain", f"dnis={DNIS}&ani=%ff", "ani"),
    ],
)
def test_a_wrong_option_and_a_number_said_twice_are_refused_wherever_they_stand(
    api: TestClient, url: str, query: str, name: str
) -> None:
    wrong(api.simulate_get(url, query_string=query), name)


def test_an_answer_does_not_grow_with_what_is_wrong(api: TestClient, service: Service) -> None:
    lease(api)
    names = [f"word{number:04}" for number in range(400)]
    query = "&".join(f"{name}=1" for name in names)
    body = json.dumps({"value": 1, "ani": "1"} | dict.fromkeys(names[:150], 1))
    for answer in (
        api.simulate_delete(f"{CALLS}/{DNIS}:{ANI}", query_string=query),
        api.simulate_post(CALLS, body=body),
    ):
        wrong(answer, *names[:20])
        assert re.search(r"word0019 and \d+ more\.$", answer.json["detail"])
        assert len(answer.content) < 6000
    assert is_live(api)


def test_a_get_ignores_words_that_it_does_not_know(api: TestClient) -> None:
    lease(api)
    for query in ("_=1701234567", "nocache=1&format=json", "idempotency_key=1"):
        answer = api.simulate_get(f"{CALLS}/{DNIS}:{ANI}", query_string=query)
        assert answer.text == '{"value":"v"}'


def test_a_last_segment_anonymous_is_the_withheld_caller_and_a_key_may_have_dots(api: TestClient) -> None:
    lease(api, "anonymous")
    assert api.simulate_get(f"{CALLS}/{DNIS}/anonymous").text == '{"value":"v"}'
    for method, ending in (("DELETE", "/"), ("DELETE", "//"), ("DELETE", "/.json"), ("POST", "//take")):
        wrong(api.simulate_request(method, f"{CALLS}/{DNIS}{ending}"), "key")
    assert api.simulate_delete(f"{CALLS}/{DNIS}:").text == '{"value":"v"}'
    lease(api, "123.456.7891")
    assert api.simulate_get(f"{CALLS}/{DNIS}:123.456.7891").text == '{"value":"v"}'
    assert api.simulate_delete(f"{CALLS}/{DNIS}/123.456.7891.TXT").text == "v"


def test_head_is_no_pick_up(api: TestClient, client: Redis) -> None:
    lease(api)
    pending = "cti:{system-y}:pending"
    before = client.zcard(pending)
    answer = api.simulate_head(f"{CALLS}/{DNIS}:{ANI}", headers={"Authorization": basic("y-only")})
    assert (answer.status_code, answer.headers["content-length"]) == (200, "13")
    assert "etag" in answer.headers
    assert client.zcard(pending) == before == 1
    assert api.simulate_head(f"{CALLS}/{DNIS}:999").status_code == 404
    api.simulate_get(f"{CALLS}/{DNIS}:{ANI}", headers={"Authorization": basic("y-only")})
    assert client.zcard(pending) == 0


def test_options_is_204_with_allow_after_authentication(api: TestClient, service: Service) -> None:
    for path, allow in (
        ("", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        (f"/{DNIS}:{ANI}", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/take", "OPTIONS, POST"),
        (f"/{DNIS}/{ANI}/take", "OPTIONS, POST"),
    ):
        answer = api.simulate_options(CALLS + path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["allow"] == allow
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert TestClient(service.app).simulate_options(CALLS + path).status_code == 401


# Verbs

OVERRIDES = [
    ({"X-HTTP-Method-Override": "delete"}, "", ""),
    ({}, "_method=DELETE", ""),
    ({}, "", "_method=Delete"),
    ({}, "", '{"_method":"DELETE"}'),
    ({}, "", "<a><_method>DELETE</_method></a>"),
    ({"X-HTTP-Method-Override": "DELETE"}, "_method=delete", '{"_method":"DELETE"}'),
    ({"Content-Type": "application/json; charset=utf-16"}, "", '{"_method":"DELETE"}'.encode("utf-16-be")),
]


@pytest.mark.parametrize(("headers", "query", "body"), OVERRIDES)
@pytest.mark.parametrize("path", [f"/{DNIS}:{ANI}", f"/{DNIS}/{ANI}"])
def test_a_post_may_stand_for_a_delete(
    api: TestClient, *, headers: dict[str, str], query: str, body: str | bytes, path: str
) -> None:
    lease(api)
    answer = api.simulate_post(CALLS + path, headers=headers, query_string=query, body=body)
    assert (answer.status_code, answer.text) == (200, '{"value":"v"}')
    assert not is_live(api)


def test_a_post_may_stand_for_a_put_or_a_delete_whose_key_is_in_its_body(api: TestClient) -> None:
    lease(api)
    put = {"_method": "PUT", "dnis": DNIS, "ani": ANI, "value": "new"}
    assert api.simulate_post(CALLS, body=json.dumps(put)).text == '{"value":"new"}'
    delete = {"_method": "DELETE", "dnis": DNIS, "ani": ANI, "idempotency_key": "k"}
    for _ in range(2):
        assert api.simulate_post(CALLS, body=json.dumps(delete)).text == '{"value":"new"}'


@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        ({"X-HTTP-Method-Override": "PATCH"}, "", ""),
        ({"X-HTTP-Method-Override": "POST"}, "", ""),
        ({"X-HTTP-Method-Override": ""}, "", ""),
        ({}, "_method=GET", ""),
        ({"X-HTTP-Method-Override": "PUT"}, "_method=DELETE", ""),
        ({}, "_method=PUT", "_method=DELETE"),
        ({}, "", '{"_method":5}'),
    ],
)
def test_a_verb_that_is_none_or_two_is_refused(api: TestClient, headers: dict[str, str], query: str, body: str) -> None:
    lease(api)
    wrong(api.simulate_post(f"{CALLS}/{DNIS}:{ANI}", headers=headers, query_string=query, body=body), "_method")
    assert is_live(api)


def test_a_get_stays_a_get_whatever_verb_it_names(api: TestClient) -> None:
    lease(api)
    for headers, query in (({"X-HTTP-Method-Override": "DELETE"}, ""), ({}, "_method=DELETE")):
        answer = api.simulate_get(f"{CALLS}/{DNIS}:{ANI}", headers=headers, query_string=query)
        assert answer.text == '{"value":"v"}'
        assert is_live(api)


# GET writes

WRITE = f"ani={ANI}&value=J%C3%B6rg+%26"


def test_a_get_leases_and_takes_where_that_is_allowed(lenient: TestClient) -> None:
    for _ in range(2):
        leased = lenient.simulate_get(CALLS, query_string=WRITE + "&ttl=60&pool=system-y&idempotency_key=k")
        assert (leased.status_code, leased.json) == (201, {"dnis": DNIS, "ani": ANI, "value": "Jörg &"})
    assert lenient.simulate_head(CALLS, query_string=WRITE).status_code == 405
    assert lenient.simulate_head(f"{CALLS}/{DNIS}:{ANI}/take").status_code == 405
    wrong(lenient.simulate_get(CALLS, query_string=WRITE + "&dnis=1"), "dnis")
    wrong(lenient.simulate_get(CALLS, query_string="value=1"), "ani")
    wrong(lenient.simulate_get(CALLS, query_string="value=J%F6rg&ani=777"), "value")  # Latin-1
    wrong(lenient.simulate_get(f"{CALLS}/{DNIS}:{ANI}/take", query_string="_=1"), "_")
    for header in ("Sec-Purpose", "Purpose"):
        prefetch = {header: "prefetch;anonymous-client-ip"}
        assert lenient.simulate_get(f"{CALLS}/{DNIS}:{ANI}/take", headers=prefetch).status_code == 403
    cross = lenient.simulate_get(f"{CALLS}/{DNIS}:{ANI}/take", headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.json["error"] == "cross_origin"
    assert is_live(lenient)
    taken = lenient.simulate_get(f"{CALLS}/take", query_string=f"dnis={DNIS}&ani={ANI}")
    assert taken.json == {"value": "Jörg &"}
    assert "GET" in lenient.simulate_options(CALLS + "/take").headers["allow"]


def test_a_get_changes_nothing_for_who_may_watch(lenient: TestClient) -> None:
    watcher = {"Authorization": basic("username")}
    for path, query in ((CALLS, WRITE), (f"{CALLS}/{DNIS}:{ANI}/take", "")):
        answer = lenient.simulate_get(path, query_string=query, headers=watcher)
        assert (answer.status_code, answer.json["error"]) == (403, "forbidden")


def test_a_get_that_would_change_something_is_405_and_says_how_to(api: TestClient) -> None:
    lease(api)
    for path, query in ((CALLS, WRITE), (f"{CALLS}/{DNIS}:{ANI}/take", ""), (CALLS + "/take", "")):
        answer = api.simulate_get(path, query_string=query)
        assert (answer.status_code, answer.json["error"]) == (405, "method_not_allowed")
        assert "get_writes" in answer.json["detail"]
        assert "{}" in answer.json["detail"]
        assert "POST" in answer.headers["allow"]
    assert is_live(api)


# Bodies of old systems

HARD = "ü<&% +\"'\r\n"
XML_TYPES = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="urn:x" i:schemaLocation="urn:x y"'


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        ("text/xml", f"<a {XML_TYPES}><value>00123</value><ani>{ANI}</ani></a>", "00123"),
        ("application/json", f"<?xml version='1.0'?><x:a xmlns:x='u'><x:ani>{ANI}</x:ani><value/></x:a>", ""),
        ("text/xml", f'<?xml version="1.0" encoding="iso-8859-1"?><a><value>ü</value><ani>{ANI}</ani></a>'.encode(
            "latin-1"), "ü"),
        ("text/xml", f'<?xml version="1.0" encoding="utf-16"?><a><value>ü</value><ani>{ANI}</ani></a>'.encode(
            "utf-16"), "ü"),
        ("text/xml; charset=windows-1252", f"<a><value>€</value><ani>{ANI}</ani></a>".encode("cp1252"), "€"),
        ("text/xml", f"<a><value><![CDATA[<&]]>&lt;&#252;</value><ani>{ANI}</ani></a>", "<&<ü"),
        ("text/xml", f'<a {XML_TYPES}><value i:type="s" i:nil="true"/><ani>{ANI}</ani></a>', None),
        ("application/x-www-form-urlencoded", f'{{"value":"v","ani":"{ANI}"}}', "v"),
        ("application/json-inin", f'{{"value":"v","ani":"{ANI}"}}', "v"),
        ("text/plain", f"value=v%2B+1&ani=+{ANI}", "v+ 1"),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", f"value=%FC&ani={ANI}", "ü"),
        ("application/json; charset=iso-8859-1", f'{{"value":"ü","ani":"{ANI}"}}'.encode("latin-1"), "ü"),
        ("application/json; charset=utf-16", f'{{"value":"ü","ani":"{ANI}"}}'.encode("utf-16-le"), "ü"),
        ("application/json", f'{{"value":"ü","ani":"{ANI}"}}'.encode("utf-8-sig"), "ü"),
        ("multipart/form-data; boundary=b", "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
            for name, text in (("value", HARD), ("ani", ANI))) + "--b--\r\n", HARD),
    ],
)  # fmt: skip
def test_a_lease_is_read_in_whatever_it_is_written(
    api: TestClient, content_type: str, body: str | bytes, value: str | None
) -> None:
    leased = api.simulate_post(CALLS, headers={"Content-Type": content_type}, body=body)
    assert leased.status_code == 201, leased.text
    assert leased.json["value"] == value
    assert api.simulate_get(f"{CALLS}/{DNIS}:{ANI}").json == {"value": value}


MANY = "".join(f'--b\r\nContent-Disposition: form-data; name="f{at}"\r\n\r\n1\r\n' for at in range(33)) + "--b--\r\n"
FILE = (
    '--b\r\nContent-Disposition: form-data; name="ani"\r\n\r\n1\r\n'
    '--b\r\nContent-Disposition: form-data; name="value"; filename="x.txt"\r\n\r\nv\r\n--b--\r\n'
)
BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]><a><value>&c;</value><ani>1</ani></a>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a><value>&b;</value><ani>1</ani></a>'


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("text/xml", BOMB, 400, "bad_xml"),
        ("text/xml", OUTSIDE, 400, "bad_xml"),
        ("text/xml", "<!DOCTYPE a><a><value>1</value><ani>1</ani></a>", 400, "bad_xml"),
        ("text/xml", "<a><value>&nbsp;</value><ani>1</ani></a>", 400, "bad_xml"),
        ("text/xml", "<a><value>1</value><ani>1</ani></a>&ani=2", 400, "bad_xml"),
        ("text/xml", "<a><value>1</value><ani>1</ani>", 400, "bad_xml"),
        ("text/xml", '<a b="1"><value>1</value><ani>1</ani></a>', 422, "invalid_fields"),
        ("text/xml", '<a><value b="1">1</value><ani>1</ani></a>', 422, "invalid_fields"),
        ("text/xml", "<a><value><b/></value><ani>1</ani></a>", 422, "invalid_fields"),
        ("text/xml", "<a>text<value>1</value><ani>1</ani></a>", 422, "invalid_fields"),
        ("text/xml", "<a><value>1</value><ani>1</ani><ani>1</ani></a>", 422, "invalid_fields"),
        ("text/xml", '<?xml version="1.0" encoding="koi8-r"?><a/>', 415, "unsupported_type"),
        ("text/xml; charset=utf-7", "<a/>", 415, "unsupported_type"),
        ("application/json", '{"value":1,"ani":"1"}&ani=2', 400, "bad_json"),
        ("application/json", "{'value':'v','ani':'1'}", 400, "bad_json"),
        ("application/json", '{"value":1,"ani":1}', 422, "invalid_fields"),
        ("application/json", "value", 400, "bad_body"),
        ("application/json", "", 400, "bad_body"),
        ("application/json", b'{"value":"\xfc","ani":"1"}', 400, "bad_body"),
        ("application/json; charset=us-ascii", '{"value":"ü","ani":"1"}', 400, "bad_body"),
        ("application/x-www-form-urlencoded", "value=%FC&ani=1", 400, "bad_body"),
        ("application/x-www-form-urlencoded", "value=1&ani=1&ani=1", 422, "invalid_fields"),
        ("multipart/form-data; boundary=b", FILE, 422, "invalid_fields"),
        ("multipart/form-data; boundary=b", MANY, 400, "bad_body"),
        ("multipart/form-data; boundary=c", FILE, 400, "bad_body"),
        ("multipart/form-data", FILE, 400, "bad_body"),
    ],
)
def test_a_body_that_cannot_be_read_leases_nothing(
    api: TestClient, *, service: Service, content_type: str, body: str | bytes, status: int, code: str
) -> None:
    answer = api.simulate_post(CALLS, headers={"Content-Type": content_type}, body=body)
    assert (answer.status_code, answer.json["error"]) == (status, code), answer.text
    assert [figures.leased for figures in service.store.pool_stats(list(service.pools))] == [0, 0]


def test_single_quotes_are_read_where_that_is_allowed(lenient: TestClient) -> None:
    single = f"{{'value':'it is','ani':'{ANI}'}}"
    assert lenient.simulate_post(CALLS, body=single).json["value"] == "it is"
    for body in ("{'value':'it's','ani':'1'}", "{'value':'a\\b','ani':'1'}", "{'value':\"v\",'ani':'1'}", "{'value'"):
        assert lenient.simulate_post(CALLS, body=body).json["error"] == "bad_json"


@pytest.mark.parametrize("ani", ["null", '"undefined"', '"none"', '""'])
def test_a_withheld_caller_is_one_in_each_body(api: TestClient, ani: str) -> None:
    leased = api.simulate_post(CALLS, body=f'{{"value":1,"ani":{ani}}}')
    assert leased.status_code == 201
    assert api.simulate_get(f"{CALLS}/{DNIS}/anonymous").json == {"value": 1}


def test_an_ani_may_stand_in_the_query_of_a_lease(api: TestClient) -> None:
    leased = api.simulate_post(CALLS, query_string=f"ani=+{ANI}", body='{"value":1}')
    assert leased.json == {"dnis": DNIS, "ani": f"+{ANI}", "value": 1}
    again = api.simulate_post(CALLS, query_string="ani=2345678901&idempotency_key=k", body=f"value=1&ani={ANI}")
    assert again.status_code == 503  # the same caller, for whom no number is left


# Credentials


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Api-Key": TOKEN}, 200),
        ({"X-Api-Key": TOKEN, "Authorization": basic("machine")}, 200),
        ({"X-Api-Key": TOKEN, "Authorization": f"Bearer {TOKEN}"}, 200),
        ({"X-Api-Key": f" {TOKEN} "}, 200),
        ({"X-Api-Key": TOKEN, "Authorization": basic("username")}, 401),
        ({"X-Api-Key": TOKEN, "Authorization": f"Bearer {OTHER_TOKEN}"}, 401),
        ({"X-Api-Key": TOKEN, "Authorization": basic("machine", "wrong")}, 401),
        ({"X-Api-Key": TOKEN + "x", "Authorization": basic("machine")}, 401),
        ({"X-Api-Key": ""}, 401),
        ({"X-Api-Key": PASSWORD}, 401),
    ],
)
def test_a_token_may_come_in_x_api_key(service: Service, headers: dict[str, str], status: int) -> None:
    answer = TestClient(service.app).simulate_get("/cticache/pools", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith('Basic realm="cticache"')


# Other origins

FROM = [
    ({}, True),
    ({"Sec-Fetch-Mode": "cors"}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, False),
    ({"Origin": "http://cti.test:8080"}, True),
    ({"Origin": "HTTP://CTI.TEST:8080"}, True),
    ({"Origin": "http://cti.test"}, False),
    ({"Origin": "http://cti.test:8081"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "http://cti.test:8080.evil.example"}, False),
]


@pytest.mark.parametrize(("headers", "is_own"), FROM)
def test_a_page_of_another_site_changes_nothing(
    api: TestClient, service: Service, headers: dict[str, str], is_own: bool
) -> None:
    headers = headers | {"Host": "cti.test:8080"}
    body = json.dumps({"value": "v", "ani": ANI})
    posted = api.simulate_post(CALLS, body=body, headers=headers)
    assert posted.status_code == (201 if is_own else 403)
    if not is_own:
        assert posted.json["error"] == "cross_origin"
        lease(api)
    assert api.simulate_get(f"{CALLS}/{DNIS}:{ANI}", headers=headers).status_code == 200
    for method, suffix in (("PUT", ""), ("POST", "?_method=PUT"), ("POST", "/take"), ("DELETE", "")):
        path, _, query = suffix.partition("?")
        answer = api.simulate_request(method, f"{CALLS}/{DNIS}:{ANI}{path}", query_string=query, headers=headers)
        assert answer.status_code in ((200, 410) if is_own else (403,))
    assert is_own or is_live(api)


@pytest.mark.parametrize(("origin", "status"), [("https://cti.example.com", 201), ("https://cti.example.com:444", 403)])
def test_a_proxys_host_is_this_services_where_it_is_listed(lenient: TestClient, origin: str, status: int) -> None:
    body = json.dumps({"value": "v", "ani": ANI})
    assert lenient.simulate_post(CALLS, body=body, headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("listed", ["cti.example.com", "cti.example.com:443", "https://cti.example.com:443"])
def test_a_listed_host_may_have_the_port_that_browsers_leave_out(listed: str) -> None:
    origins = Origins.parse(listed)
    assert origins.has("https://cti.example.com", "10.0.0.1:8080")
    assert not origins.has("https://cti.example.com:444", "10.0.0.1:8080")
