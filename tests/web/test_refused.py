"""Every refused request leaves one line and is counted, whoever refuses it; nothing in the line is a client's text."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis
from redis.exceptions import ResponseError

from cticache.access.networks import Networks
from cticache.access.passwords import Verifier
from cticache.data.outage import Outage
from cticache.errors import (
    BadRequest,
    HeadersTooLarge,
    Internal,
    NotReady,
    PlainHttp,
    Refusal,
    Stopping,
    TargetTooLong,
    TooLarge,
    UnknownMethod,
    UnsupportedCoding,
    UnsupportedVersion,
    refusals,
)
from cticache.journal.closed import CAUSES
from cticache.journal.refused import Refused
from cticache.link.connection import Direct
from cticache.link.connection import connect as connected
from cticache.link.trouble import trouble
from cticache.logs import _FORMATTERS, AUDIT, FORMATS
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.checkout import ROOT
from kit.monotonic import Monotonic
from kit.proxy import Proxy
from kit.running import MAX_BODY, Service
from kit.samples import PASSWORD, USERS, basic
from kit.talk import BODY, CALL, CALLS, Talk, get, posting, request

FIELDS = ("id", "user", "address", "method", "route", "code", "status")
LINE = re.compile(" ".join(rf"{name}=(\S+)" for name in FIELDS) + r" ms=(?:-|\d+\.\d)")
KEY = CALLS + "/{key}"
VERIFIER = Verifier(USERS, 3600, 1000)
HOST = "192.0.2.7"
NewService = Callable[..., Service]
Told = Callable[[], list[dict[str, str]]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """The lines written since the last time, each as its fields."""
    caplog.set_level(logging.INFO)

    def told() -> list[dict[str, str]]:
        found = [LINE.fullmatch(record.getMessage()) for record in caplog.records if record.name == "cticache.refused"]
        caplog.clear()
        return [dict(zip(FIELDS, match.groups(), strict=True)) for match in found if match]

    return told


def api(service: Service, name: str = "username", password: str = PASSWORD, **audit: Any) -> TestClient:
    app = create_app(
        service.store,
        service.pools,
        VERIFIER,
        service.keeper,
        audit=Audit(**audit),
        max_body=MAX_BODY,
        proxies=Networks.parse("10.0.0.5"),
    )
    return TestClient(app, headers={"Authorization": basic(name, password)} if name else {})


def ask(client: TestClient, line: str, **more: object) -> Result:
    method, _, path = line.partition(" ")
    return client.simulate_request(method, path, remote_addr=HOST, **more)


def line(user: str, code: str, status: int, route: str = "-", method: str = "GET") -> dict[str, str]:
    return {"user": user, "address": HOST, "method": method, "route": route, "code": code, "status": str(status)}


REFUSED: dict[str, tuple[str, str, str, dict[str, object], dict[str, str]]] = {
    "no credentials": ("", "", f"GET {CALL}", {}, line("-", "unauthorized", 401)),
    "a wrong password": ("x-only", "wrong", f"GET {CALL}", {}, line("x-only", "unauthorized", 401)),
    "no user of this name": ("hunter2", "wrong", f"GET {CALL}", {}, line("-", "unauthorized", 401)),
    "other credentials": ("", "", f"GET {CALL}", {"headers": {"Authorization": "Bearer x"}},
                          line("-", "unauthorized", 401)),
    "no base64": ("", "", f"GET {CALL}", {"headers": {"Authorization": "Basic \xe4"}}, line("-", "unauthorized", 401)),
    "without the role": ("x-only", PASSWORD, f"GET {CALL}", {}, line("x-only", "forbidden", 403, KEY)),
    "without a pool": ("no-pools", PASSWORD, f"POST {CALLS}", {"body": BODY},
                       line("no-pools", "forbidden", 403, CALLS, "POST")),
    "nothing there": ("username", PASSWORD, "GET /5551234560/wp-login.php", {},
                      line("username", "no_such_url", 404)),
    "no such method": ("username", PASSWORD, f"PATCH {CALL}", {},
                       line("username", "method_not_allowed", 405, KEY, "PATCH")),
    "no JSON": ("username", PASSWORD, f"POST {CALLS}", {"body": "{"}, line("username", "bad_json", 400, CALLS, "POST")),
    "wrong fields": ("username", PASSWORD, f"POST {CALLS}", {"body": '{"x":1}'},
                     line("username", "invalid_fields", 422, CALLS, "POST")),
    "no body": ("username", PASSWORD, f"POST {CALLS}", {"body": ""}, line("username", "bad_body", 400, CALLS, "POST")),
    "another site's page": ("username", PASSWORD, f"DELETE {CALL}", {"headers": {"Origin": "http://evil.example"}},
                            line("username", "cross_origin", 403, method="DELETE")),
    "another charset": ("username", PASSWORD, f"POST {CALLS}", {"body": BODY, "content_type": "text/plain;charset=x"},
                     line("username", "unsupported_type", 415, CALLS, "POST")),
    "too long": ("username", PASSWORD, f"POST {CALLS}", {"body": b" " * (MAX_BODY + 1)},
                 line("username", "too_large", 413, CALLS, "POST")),
    "explained wrongly": ("username", PASSWORD, "GET /cticache/explain", {},
                          line("username", "invalid_fields", 422, "/cticache/explain")),
    "not ready": ("", "", "GET /readyz", {}, line("-", "not_ready", 503, "/readyz")),
}  # fmt: skip


@pytest.mark.parametrize("audit", [True, False])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_leaves_one_line_and_is_counted(
    service: Service, told: Told, caplog: pytest.LogCaptureFixture, case: str, audit: bool
) -> None:
    name, password, asked, more, expected = REFUSED[case]
    service.keeper.wake()  # not ready
    client = api(service, name, password, enabled=audit)
    answer = ask(client, asked, **more)
    assert [record.levelname for record in caplog.records] == ["WARNING" if answer.status_code >= 500 else "INFO"]
    assert told() == [{"id": answer.headers["x-request-id"]} | expected]
    assert (answer.status_code, answer.json["error"]) == (int(expected["status"]), expected["code"])
    scraped = ask(api(service), "GET /metrics").text
    assert all(f'cticache_refusals_total{{code="{kind.code}"}} 0.0\n' in scraped for kind in refusals())
    assert all(f'cticache_connections_closed_total{{cause="{cause}"}} 0.0\n' in scraped for cause in CAUSES)
    counted = client.app.audit.refused.totals()  # type: ignore[attr-defined]
    assert {code: times for code, times in counted.items() if times} == {expected["code"]: 1}


@pytest.mark.parametrize("audit", [True, False])
@pytest.mark.parametrize("key", ["5551234560:1234567890", "999:1234567890", "5551234560:Bob"])
def test_a_refused_operation_on_a_call_has_its_line_in_the_audit_or_without_one_here(
    service: Service, told: Told, caplog: pytest.LogCaptureFixture, key: str, audit: bool
) -> None:
    client = api(service, enabled=audit)
    answer = ask(client, f"GET {CALLS}/{key}")
    assert answer.status_code >= 400
    audited = [record.getMessage() for record in caplog.records if record.name == AUDIT]
    assert len(audited) == audit
    for said in audited:
        assert said.startswith(f"id={answer.headers['x-request-id']} user=username ")
        told_of = f" outcome={answer.json['error']} status={answer.status_code} ms=\\S+ address={HOST}"
        assert re.search(f"{told_of}$", said)
    assert told() == [
        {"id": answer.headers["x-request-id"]} | line("username", answer.json["error"], answer.status_code, KEY)
    ] * (not audit)
    assert sum(client.app.audit.refused.totals().values()) == 1  # type: ignore[attr-defined]


def test_what_is_not_refused_leaves_no_line_and_is_not_counted(service: Service, told: Told) -> None:
    client = api(service, enabled=False)
    assert ask(client, f"POST {CALLS}", body=BODY).status_code == 201
    for asked in (f"GET {CALL}", "GET /healthz", "HEAD /readyz", "GET /metrics"):
        assert ask(client, asked).status_code == 200
    assert ask(client, "OPTIONS /healthz").status_code == 204
    assert told() == []
    assert not any(client.app.audit.refused.totals().values())  # type: ignore[attr-defined]


def test_every_answer_has_its_requests_id(service: Service) -> None:
    client = api(service)
    asked = [f"GET {CALL}", "GET /healthz", "HEAD /readyz", "GET /metrics", "OPTIONS /healthz", "GET /x", "TRACE /x"]
    ids = {ask(client, each).headers["x-request-id"] for each in asked}
    assert len(ids) == len(asked)
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


def test_behind_a_trusted_proxy_the_address_is_the_clients(service: Service, told: Told) -> None:
    client = api(service, "")
    for peer, said in (("10.0.0.5", "198.51.100.9"), ("10.0.0.6", "10.0.0.6"), ("::ffff:10.0.0.5", "198.51.100.9")):
        client.simulate_get(CALL, remote_addr=peer, headers={"X-Forwarded-For": "9.9.9.9, 198.51.100.9"})
        assert [each["address"] for each in told()] == [said]


def test_that_the_service_is_about_to_stop_is_told_once_and_no_warning(
    service: Service, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refused = Refused()
    for at in range(500):
        refusal = Stopping()
        refused.count(refusal)
        refused.log(refusal, f"id-{at}", address=HOST, method="GET", route="/readyz")
    assert [each.levelname for each in caplog.records] == ["INFO"]
    assert told() == [{"id": "id-0"} | line("-", "not_ready", 503, "/readyz")]
    assert refused.totals()["not_ready"] == 500
    refused.log(NotReady("For another reason."), "id", address=HOST)  # is a warning still, and not held back
    refused.close()
    assert [(each.levelname, each.getMessage()) for each in caplog.records[1:]] == [
        ("INFO", "499 refusals of code not_ready were not logged")
    ]
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_a_method_that_another_server_lets_through_is_not_told(service: Service, told: Told) -> None:
    api(service, refused=Refused()).simulate_request("X15551234567", "/metrics")
    assert [each["method"] for each in told()] == ["-"]


def test_what_is_not_known_here_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refused = Refused()
    for kind in (UnknownMethod, UnsupportedVersion, Internal):
        refused.log(kind(), "id", address=HOST)
    assert [each.levelname for each in caplog.records] == ["INFO", "INFO", "WARNING"]


def test_what_redis_said_is_told_within_limits_beside_each_requests_line_in_the_audit(
    service: Service, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refused = Refused(lines_per_s=1e-6, burst=3)
    user = api(service, refused=refused)
    ask(user, f"POST {CALLS}", body=BODY)
    client.delete("cti:{system-y}:call:5551234560:1234567890")
    client.set("cti:{system-y}:call:5551234560:1234567890", "x", px=60_000)
    caplog.clear()
    for _ in range(10):
        assert ask(user, f"GET {CALL}").status_code == 503
    refused.close()
    assert sum(record.name == AUDIT for record in caplog.records) == 10
    told = [record.getMessage() for record in caplog.records if record.name == "cticache.refused"]
    assert sum("WRONGTYPE" in said for said in told) == 4  # the warning is beside the limit
    left_out = [int(said.partition(" ")[0]) for said in told if "causes of redis_unavailable were not logged" in said]
    assert sum(left_out) == 6
    warned = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert len(warned) == 1, "what repeats it is none"
    assert "WRONGTYPE" in warned[0]


@pytest.mark.parametrize("audit", [True, False])
def test_of_an_outage_a_process_warns_once_and_of_the_next_one_again(
    service: Service, proxy: Proxy, caplog: pytest.LogCaptureFixture, clock: Monotonic, audit: bool
) -> None:
    """The lines that matter stand between these: that Redis is away, and that it came back empty."""
    caplog.set_level(logging.INFO)
    refused = Refused(repeat_s=600, clock=clock)
    with connected(proxy.url, 0.3) as through:
        service.store._scripts._runner = Direct(through)
        client = api(service, enabled=audit, refused=refused)
        for seconds in (1, 1, 300, 298):
            for asked in ("GET /readyz", f"GET {CALL}"):
                proxy.cut()
                assert ask(client, asked).json["error"] == "redis_unavailable"
                proxy.drop_replies()  # in whatever way it is away
                assert ask(client, asked).json["error"] == "redis_unavailable"
            clock.now += seconds
        warned = [record for record in caplog.records if record.levelno > logging.INFO]
        assert [record.getMessage().partition(": ")[0] for record in warned] == ["redis_unavailable"]
        caplog.clear()
        assert ask(client, "GET /readyz").status_code == 503
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_flood_of_one_kind_hides_no_warning_of_another(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refused = Refused(lines_per_s=1e-6, burst=3)
    for code in ("NOPERM", *["NOPERM"] * 10, "OOM", *["OOM"] * 10):
        refused.log(Outage(trouble(ResponseError(code)), 1).refusal(), "id", address=HOST)
    refused.close()
    assert [record.levelname for record in caplog.records].count("WARNING") == 2


def test_each_way_in_which_redis_refuses_is_a_warning_and_each_fault_of_this_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    refused = Refused()
    refusals = []
    for code in ("OOM", "NOPERM", "OOM"):
        refusals.append(Outage(trouble(ResponseError(code)), 1).refusal())
    for refusal in (*refusals, NotReady("Not yet."), NotReady("Not yet."), Internal(), Internal()):
        refused.log(refusal, "id", address=HOST)
    levels = ["WARNING", "WARNING", "INFO", "WARNING", "INFO", "WARNING", "WARNING"]
    assert [record.levelname for record in caplog.records] == levels


@pytest.mark.parametrize("format_", FORMATS)
def test_the_pattern_that_is_documented_for_fail2ban_fits_a_refused_login_and_no_other_line(
    service: Service, caplog: pytest.LogCaptureFixture, format_: str
) -> None:
    caplog.set_level(logging.INFO)
    patterns = re.findall(r"^failregex = (.*)$", (ROOT / "docs" / "log.md").read_text("utf-8"), re.MULTILINE)
    pattern = dict(zip(FORMATS, patterns, strict=True))[format_]
    forged = "x;user=-;address=10.0.0.9;code=unauthorized;status=401"
    for name, password, asked in (("", "", CALL), ("x-only", "wrong", CALL), ("x-only", PASSWORD, CALL)):
        api(service, name, password).simulate_get(asked, remote_addr=HOST, headers={"X-Request-Id": forged})
    lines = [_FORMATTERS[format_]().format(each) for each in caplog.records]
    assert all(forged in each for each in lines)
    found = [re.search(pattern.replace("<HOST>", r"(\S+)"), each) for each in lines]
    assert [match and match[1] for match in found] == [HOST, HOST, None]


OF_WAITRESS: dict[type[Refusal], bytes] = {
    BadRequest: b"hello\r\n\r\n",
    TooLarge: request(f"POST {CALLS}", f"Content-Length: {MAX_BODY + 1}"),
    HeadersTooLarge: b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 17000,
    UnsupportedCoding: request(f"POST {CALLS}", "Transfer-Encoding: gzip"),
    PlainHttp: b"\x16\x03\x01\x02",
    TargetTooLong: b"GET /" + b"a" * 17000,
    UnsupportedVersion: b"GET /healthz HTTP/2.0\r\n\r\n",
    UnknownMethod: request("FOOBAR /healthz"),
}
METHOD = {
    HeadersTooLarge: "GET",
    TargetTooLong: "GET",
    UnsupportedVersion: "GET",
    TooLarge: "POST",
    UnsupportedCoding: "POST",
}


@pytest.mark.parametrize("kind", OF_WAITRESS, ids=lambda kind: kind.__name__)
def test_what_waitress_refuses_leaves_its_line_too(
    service: Service, told: Told, connect: Callable[[], Talk], kind: type[Refusal]
) -> None:
    answer = connect().send(OF_WAITRESS[kind]).answer()
    assert (answer.status, answer.json["error"]) == (kind.status, kind.code)
    (said,) = told()
    assert said.pop("id") == answer.headers["x-request-id"]
    expected = line("-", kind.code, kind.status, method=METHOD.get(kind, "-"))
    assert said == expected | {"address": "127.0.0.1"}
    assert service.app.audit.refused.totals()[kind.code] == 1  # type: ignore[attr-defined]


def test_what_waitress_refuses_is_answered_with_the_clients_id_if_it_was_read(
    told: Told, connect: Callable[[], Talk]
) -> None:
    for sent, back in (("req-1", "req-1"), ("a b", None)):
        data = request(f"POST {CALLS}", f"X-Request-Id: {sent}", "Transfer-Encoding: gzip")
        answer = connect().send(data).answer()
        assert answer.headers["x-request-id"] == told()[0]["id"] == (back or answer.headers["x-request-id"])
        assert re.fullmatch(back or "[0-9a-f]{16}", answer.headers["x-request-id"])


def test_what_waitress_refuses_of_a_trusted_proxy_has_the_clients_address(
    service: Service, told: Told, connect: Callable[[], Talk]
) -> None:
    service.app.proxies = Networks.parse("127.0.0.1")  # type: ignore[attr-defined]
    connect().send(request("GET /healthz", "X-Forwarded-For: 198.51.100.9", "Transfer-Encoding: gzip")).answer()
    assert [each["address"] for each in told()] == ["198.51.100.9"]


def test_a_method_that_nobody_knows_is_not_told(told: Told, connect: Callable[[], Talk]) -> None:
    for line in ("FOOBAR /healthz", f"FOOBAR {CALL}"):
        answer = connect().send(request(line, "X-Request-Id: req-1")).answer()
        assert (answer.status, answer.headers["x-request-id"]) == (501, "req-1")
    assert [(each["id"], each["method"], each["code"]) for each in told()] == [("req-1", "-", "not_implemented")] * 2


def test_a_fault_in_the_application_is_refused_and_told_too(
    service: Service, told: Told, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_env: object) -> str:
        raise RuntimeError

    monkeypatch.setattr("cticache.web.app._escaped_path", fail)
    answer = talk.send(get("/healthz")).answer()
    assert (answer.status, answer.json["error"]) == (500, Internal.code)
    (said,) = told()
    assert (said["id"], said["code"]) == (answer.headers["x-request-id"], Internal.code)


def test_on_the_wire_every_answer_has_its_requests_id(talk: Talk) -> None:
    data = [get("/healthz"), get("/readyz"), get("/x"), posting(BODY), get(CALL), request("HEAD /healthz")]
    ids = [talk.send(each).answer(body=b"HEAD" not in each).headers["x-request-id"] for each in data]
    assert len(set(ids)) == len(ids)
