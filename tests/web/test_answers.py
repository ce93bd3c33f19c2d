"""In which format a request is answered, and with which status: by its query, its suffix, or Accept."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from falcon.testing import Result, TestClient

from kit.running import Service
from kit.samples import basic, make_pool

CALLS = "/cticache/DNIS-ANI"
DNIS, ANI = "5551234560", "12345678901"
CALL = f"{CALLS}/{DNIS}:{ANI}"
NewService = Callable[..., Service]
TYPES = {
    "json": "application/json; charset=utf-8",
    "xml": "text/xml; charset=utf-8",
    "vxml": "application/voicexml+xml; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
    "txt": "text/plain; charset=utf-8",
}
HITS = {
    "json": '{"value":"v"}',
    "xml": '<?xml version="1.0" encoding="UTF-8"?><cticache><found>true</found><value>v</value></cticache>',
    "vxml": '<vxml version="2.1"',
    "form": "found=true&value=v",
    "txt": "v",
}
MISSES = {
    "json": '{"error":"not_found"',
    "xml": '<?xml version="1.0" encoding="UTF-8"?><cticache><found>false</found><error>not_found</error>',
    "vxml": '<vxml version="2.1"',
    "form": "found=false&error=not_found&",
    "txt": "",
}


@pytest.fixture
def service(new_service: NewService) -> Service:
    return new_service(make_pool(DNIS, exhausted="reject", without_data="5550001111", uui=True))


def lease(api: TestClient, ani: str = ANI, **query: str) -> Result:
    return api.simulate_post(CALLS, body=json.dumps({"value": "v", "ani": ani}), params=query)


def has_format(answer: Result, name: str, bodies: dict[str, str]) -> None:
    assert answer.headers["content-type"] == TYPES[name]
    assert answer.text.startswith(bodies[name]) if bodies[name] else answer.text == ""
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "transfer-encoding" not in answer.headers


def asking(name: str) -> list[tuple[str, str]]:
    """Suffixes and queries that name a format."""
    return [("", f"format={name}"), (f".{name}", ""), (f".{name.upper()}", ""), (f".{name}", f"format={name}")]


@pytest.mark.parametrize("name", TYPES)
def test_a_format_is_named_by_the_query_or_the_suffix_and_an_error_follows_it(api: TestClient, name: str) -> None:
    lease(api)
    for suffix, query in asking(name):
        has_format(api.simulate_get(CALL + suffix, query_string=query), name, HITS)
        missed = api.simulate_get(f"{CALLS}/{DNIS}/999{suffix}", query_string=query)
        assert missed.status_code == 404
        has_format(missed, name, MISSES)
        assert missed.headers.get("x-cticache-error") == ("not_found" if name == "txt" else None)
    named = api.simulate_post(f"{CALLS}/take.{name}", body=json.dumps({"dnis": DNIS, "ani": ANI}))
    has_format(named, name, HITS)


@pytest.mark.parametrize("name", TYPES)
def test_every_refusal_follows_a_named_format(service: Service, name: str) -> None:
    anybody = TestClient(service.app)
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    for client, method, path, body, status, code in (
        (anybody, "GET", CALL, "", 401, "unauthorized"),
        (api, "PATCH", CALL, "", 405, "method_not_allowed"),
        (api, "POST", CALLS, "{", 400, "bad_json"),
        (api, "POST", CALLS, "{}", 422, "invalid_fields"),
        (api, "GET", CALLS + "/a/b/c/d", "", 404, "no_such_url"),
    ):
        answer = client.simulate_request(method, path, body=body, query_string=f"format={name}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == TYPES[name]
        if name == "txt":
            assert (answer.headers["x-cticache-error"], answer.text) == (code, "")
        else:
            assert code in answer.text
        assert ('"fields"' in answer.text) == (name == "json" and status == 422)


@pytest.mark.parametrize("wrong", ["status=201", "status=200&status=201", "detail=2"])
def test_a_wrong_option_is_told_in_the_format_that_is_named_beside_it(service: Service, wrong: str) -> None:
    for headers, status in (({"Authorization": basic("username")}, 422), ({}, 401)):
        api = TestClient(service.app, headers=headers)
        for suffix, query in asking("xml"):
            answer = api.simulate_get(CALL + suffix, query_string=f"{query}&{wrong}")
            assert answer.status_code == status
            assert answer.headers["content-type"] == TYPES["xml"]
        told = api.simulate_get(CALL, query_string=wrong, headers={"Accept": "text/xml"})
        assert (told.status_code, told.headers["content-type"]) == (status, TYPES["json"])


ACCEPTS = [
    (None, "json"),
    ("", "json"),
    ("*/*", "json"),
    ("application/json", "json"),
    ("text/xml", "xml"),
    ("application/xml;q=0.5", "xml"),
    ("text/xml, application/xml", "xml"),
    ("text/xml, application/json;q=0", "xml"),
    ("text/xml;q=0", "json"),
    ("text/xml;q=0.000", "json"),
    ("text/xml;q=0.001", "xml"),
    ("Text/XML ; Q=1", "xml"),
    ("text/plain", "txt"),
    ("application/x-www-form-urlencoded", "form"),
    ("text/plain, text/xml", "json"),
    ("text/xml, */*", "json"),
    ("text/*", "json"),
    ("text/html", "json"),
    ("application/json, text/plain, */*", "json"),
    ("application/voicexml+xml", "json"),
    ("application/voicexml+xml, text/xml", "json"),
    ("text/plain" + " " * 300, "txt"),
]


@pytest.mark.parametrize(("accept", "name"), ACCEPTS)
def test_accept_chooses_where_all_of_it_means_one_format_and_an_error_stays_json(
    api: TestClient, accept: str | None, name: str
) -> None:
    lease(api)
    headers = {} if accept is None else {"Accept": accept}
    has_format(api.simulate_get(CALL, headers=headers), name, HITS)
    missed = api.simulate_get(f"{CALLS}/{DNIS}/999", headers=headers)
    assert missed.status_code == 404
    has_format(missed, "json", MISSES)
    same = api.simulate_get(f"{CALLS}/{DNIS}/999", headers=headers, query_string="status=200")
    assert same.status_code == 200
    if name == "json":
        assert same.text.startswith('{"found":false,"error":"not_found",')
    else:
        has_format(same, name, MISSES)


def test_with_status_200_every_hit_and_every_miss_is_200_and_nothing_else(service: Service, api: TestClient) -> None:
    leased = lease(api, status="200")
    assert leased.status == "200 OK"
    assert leased.text.startswith(f'{{"found":true,"dnis":"{DNIS}","ani":"{ANI}","value":"v","uui":"')
    assert leased.headers["location"] == CALL
    assert leased.headers["etag"]
    full = lease(api, "2", status="200")
    assert full.status_code == 200
    assert full.json == {
        "found": False,
        "error": "pool_exhausted",
        "detail": full.json["detail"],
        "status": 503,
        "transfer_to": "5550001111",
    }
    assert next(iter(full.json)) == "found"
    assert int(full.headers["retry-after"]) > 0
    got = api.simulate_get(CALL, query_string="status=200")
    assert (got.status_code, got.text) == (200, '{"found":true,"value":"v"}')
    for path, code in ((f"{CALLS}/{DNIS}/3", "not_found"), (f"{CALLS}/777/3", "not_found")):
        missed = api.simulate_get(path, query_string="status=200")
        assert (missed.status_code, missed.json["found"], missed.json["error"]) == (200, False, code)
    api.simulate_delete(CALL)
    gone = api.simulate_delete(CALL, query_string="status=200")
    assert (gone.status_code, gone.json["error"], gone.json["status"]) == (200, "gone", 410)
    empty = api.simulate_get(f"{CALLS}/{DNIS}/3.txt", query_string="status=200")
    assert (empty.status_code, empty.text, empty.headers["x-cticache-error"]) == (200, "", "not_found")
    for method, path, status in (
        ("GET", "/cticache/nothing", 404),
        ("GET", f"{CALLS}/{DNIS}", 422),
        ("PATCH", CALL, 405),
        ("DELETE", f"{CALLS}/{DNIS}/3", 200),
    ):
        answer = api.simulate_request(method, path, query_string="status=200")
        assert answer.status_code == status, answer.text
        assert status == 200 or "found" not in answer.json
    assert TestClient(service.app).simulate_get(CALL, query_string="status=200").status_code == 401


def test_a_lease_in_each_format(new_service: NewService) -> None:
    service = new_service(make_pool("5551234560-5551234569"))
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    texts = {}
    for at, name in enumerate(TYPES):
        leased = lease(api, f"12345678{at}", format=name)
        assert leased.status_code == 201
        assert leased.headers["location"].startswith(f"{CALLS}/555123456")
        assert "." not in leased.headers["location"]
        texts[name] = re.sub(r"555123456\d", "D", leased.text).replace(f"12345678{at}", "A")
    assert texts["json"] == '{"dnis":"D","ani":"A","value":"v"}'
    assert texts["xml"].endswith("<found>true</found><dnis>D</dnis><ani>A</ani><value>v</value></cticache>")
    assert '<var name="dnis" expr="\'D\'"/><var name="ani" expr="\'A\'"/>' in texts["vxml"]
    assert texts["form"] == "found=true&dnis=D&ani=A&value=v"
    assert texts["txt"] == "D"
    detailed = lease(api, "77", format="form", detail="1").text
    assert re.fullmatch(
        r"found=true&dnis=\d+&ani=77&value=v&pool=system-y&match=null&leased_at=[^&]+&expires_in=\d+&uui=[0-9a-f]+",
        detailed,
    )


def test_a_transfer_without_data_goes_with_a_full_pool_in_each_format(api: TestClient) -> None:
    lease(api)
    to = "5550001111"
    full = {name: lease(api, "2", format=name) for name in TYPES}
    assert {answer.status_code for answer in full.values()} == {503}
    assert full["json"].json["transfer_to"] == to
    assert full["xml"].text.endswith(f"<status>503</status><transfer_to>{to}</transfer_to></cticache>")
    assert full["form"].text.endswith(f"&status=503&transfer_to={to}")
    assert 'namelist="found dnis ani value error status transfer_to"' in full["vxml"].text
    assert f'<var name="transfer_to" expr="\'{to}\'"/>' in full["vxml"].text
    assert (full["txt"].text, full["txt"].headers["x-cticache-error"]) == (to, "pool_exhausted")
    for refused in (api.simulate_post(CALLS, body="{}"), api.simulate_get(f"{CALLS}/{DNIS}/3")):
        assert "transfer_to" not in refused.json
    assert api.simulate_get(f"{CALLS}/{to}/2").json["error"] == "not_found"


def test_the_data_are_taken_by_their_uui_whatever_became_of_the_ani(new_service: NewService) -> None:
    service = new_service(make_pool(DNIS, exhausted="share"))
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    leases = [lease(api, ani, detail="1").json for ani in ("111", "222")]
    assert {each["dnis"] for each in leases} == {DNIS}  # one number, shared
    first, second = (each["uui"] for each in leases)
    assert "uui" not in lease(api, "333").json
    assert re.fullmatch("[0-9a-f]{1,127}", first)
    got: dict[str, Any] = api.simulate_get(CALLS, query_string=f"uui={second}&detail=1").json
    assert got["match"] == "uui"
    for path, query in (
        (f"{CALLS}/{DNIS}:999", f"uui={first}"),
        (f"{CALLS}/{DNIS}/anonymous", f"uui={first.upper()}%3Bencoding%3Dhex"),
        (CALLS, f"uui={first}&dnis=%2B{DNIS}"),
    ):
        assert api.simulate_get(path, query_string=query).json == {"value": "v"}
        assert api.simulate_head(path, query_string=query).status_code == 200
    for wrong in ("", "00", first[:-2], f"{first}&uui={second}"):
        assert api.simulate_delete(CALLS, query_string=f"uui={wrong}").status_code in (404, 422)
    assert api.simulate_delete(CALLS, query_string=f"uui={first}&dnis=5559999999").status_code == 422
    taken = api.simulate_post(CALLS + "/take", query_string=f"uui={first}&ani=lost&idempotency_key=k")
    assert taken.json == {"value": "v"}
    again = api.simulate_post(CALLS + "/take", query_string=f"uui={first}&idempotency_key=k")
    assert again.headers["idempotent-replayed"] == "true"
    assert api.simulate_delete(CALLS, query_string=f"uui={first}").status_code == 410
    assert api.simulate_get(f"{CALLS}/{DNIS}:111").status_code == 410
    assert api.simulate_get(f"{CALLS}/{DNIS}:222").status_code == 200


def test_what_the_server_refuses_by_itself_is_json_and_has_the_same_headers(api: TestClient) -> None:
    answer = api.simulate_get("/cticache/pools", query_string="format=xml")
    assert answer.status_code == 422
    assert api.simulate_get("/cticache/pools.xml").json["error"] == "no_such_url"
    assert "<error>no_such_url</error>" in api.simulate_get("/cticache/DNIS", query_string="format=xml").text
    assert api.simulate_get("/cticache/DNIS", query_string="format=nonsense").json["error"] == "no_such_url"
    assert api.simulate_get("/cticache/pools/nothing").json["error"] == "no_such_pool"
    assert api.simulate_get("/healthz", query_string="format=nonsense").status_code == 200
