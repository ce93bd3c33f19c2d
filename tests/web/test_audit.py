"""The audit: one line for each operation on a call, by which to find hours later where its data went."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.logs import AUDIT, Fields
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age
from kit.running import MAX_BODY, Service
from kit.samples import basic, make_pool, user

NewService = Callable[..., Service]
Lines = Callable[[], list[dict[str, str]]]

CALLS = "/cticache/DNIS-ANI"
NUMBER = "5551234560"
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "2125551234", "12125551234", "3135551234", "4159990000", "8005550000"
FIELDS = ("id", "user", "op", "pool", "dnis", "ani", "digest", "token", "outcome", "status")
LINE = re.compile(
    " ".join(rf"{name}=(?P<{name}>\S+)" for name in FIELDS)
    + r"(?: ttl=(?P<ttl>\d+))? ms=\d+\.\d(?: address=(?P<address>\S+))?"
)
TOKEN = re.compile(r"[A-Za-z0-9_-]{16}")
VERIFIER = Verifier(
    [user("username"), user("y-only", roles=("read", "take")), replace(user("capped"), max_live=1)], 3600, 100
)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The lines written so far, each as its fields; the ones asked for before are not told again."""
    monkeypatch.setattr(logging.getLogger(AUDIT), "propagate", True)
    caplog.set_level(logging.DEBUG)

    def told() -> list[dict[str, str]]:
        found = [LINE.fullmatch(record.getMessage()) for record in caplog.records if record.name == AUDIT]
        caplog.clear()
        assert all(found)
        assert all((match["address"] is None) == (match["status"] < "400") for match in found if match)
        shown = [match.groupdict("") for match in found if match]
        return [{name: text for name, text in each.items() if text and name != "address"} for each in shown]

    return told


def audited(service: Service, name: str = "username", audit: Audit | None = None) -> TestClient:
    app = create_app(
        service.store, service.pools, VERIFIER, service.keeper, audit=audit or Audit("secret"), max_body=MAX_BODY
    )
    return TestClient(app, headers={"Authorization": basic(name)})


def post(api: TestClient, ani: str = A, **more: Any) -> Result:
    return api.simulate_post(CALLS, body=json.dumps({"value": "secret-value", "ani": ani}), **more)


def call(ani: str, dnis: str = NUMBER) -> str:
    return f"{CALLS}/{dnis}:{ani}"


def only(lines: Lines) -> dict[str, str]:
    (line,) = lines()
    return line


def test_a_line_tells_who_did_what_to_which_call(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool()))
    posted = post(api, headers={"X-Request-Id": "req-1"})
    assert only(lines) == {
        "id": "req-1",
        "user": "username",
        "op": "lease",
        "pool": "system-y",
        "dnis": NUMBER,
        "ani": "\u2026234",
        "digest": Audit("secret").digest(A),
        "token": posted.headers["etag"].strip('"'),
        "outcome": "leased",
        "status": "201",
        "ttl": "300",
    }


def test_a_line_of_a_lease_and_of_a_renewal_tells_how_long_it_lasts(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool()))
    api.simulate_post(CALLS, json={"ani": A, "value": "v", "ttl": 3})
    api.simulate_get(call(A))
    api.simulate_put(call(A), json={"ttl": 7})
    api.simulate_delete(call(A))
    assert [line.get("ttl") for line in lines()] == ["3", None, "7", None]


def test_in_full_a_line_has_a_field_for_all_that_is_known_of_the_request(
    new_service: NewService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api = audited(new_service(make_pool()), audit=Audit("secret", in_full=True))
    post(api)
    api.simulate_get(call(OTHER))
    told = []
    for record in (record for record in caplog.records if record.name == AUDIT):
        assert isinstance(record.msg, Fields)
        assert isinstance(record.args, tuple)
        told.append(dict(zip(record.msg.names, record.args, strict=True)))
    leased, missed = told
    assert list(leased) == list(missed) == [*FIELDS, "ttl", "ms", "address", "method", "route"]
    assert (leased["address"], leased["method"], leased["route"], leased["status"]) == ("-", "POST", CALLS, 201)
    assert (leased["ttl"], missed["ttl"]) == (300, "-")
    assert (missed["method"], missed["route"], missed["outcome"]) == ("GET", f"{CALLS}/{{key}}", "not_found")
    assert 0 < leased["ms"] < 60_000


def test_every_operation_of_a_call_can_be_followed_by_its_token(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool(NUMBER, match="suffix")))
    token = post(api).headers["etag"].strip('"')
    api.simulate_get(call(A))
    api.simulate_put(call(A_AS_Y_SEES_IT))
    for _ in range(2):
        api.simulate_post(call(A_AS_Y_SEES_IT) + "/take", params={"idempotency_key": "k"})
    seen = lines()
    assert {line["token"] for line in seen} == {token}
    assert [(line["op"], line["outcome"], line["status"]) for line in seen] == [
        ("lease", "leased", "201"),
        ("read", "exact", "200"),
        ("renew", "suffix", "200"),
        ("take", "suffix", "200"),
        ("take", "replayed", "200"),
    ]
    digests = {ani: Audit("secret").digest(ani) for ani in (A, A_AS_Y_SEES_IT)}
    assert [line["digest"] for line in seen] == [digests[A], digests[A], *[digests[A_AS_Y_SEES_IT]] * 3]


LEASES: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]], tuple[str, str, str]]] = {
    "leased": ({}, [], (A, "", "201")),
    "shared": ({"exhausted": "share"}, [(OTHER, "", "username")], (A, "", "201")),
    "fallback": ({"exhausted": "fallback", "fallback": "900"}, [(OTHER, "", "username")], (A, "", "201")),
    "replayed": ({}, [(A, "k", "capped")], (A, "k", "201")),
    "pool_exhausted": ({}, [(OTHER, "", "username")], (A, "", "503")),
    "max_live": ({}, [(OTHER, "", "capped")], (A, "", "429")),
    "key_reused": ({}, [(OTHER, "k", "capped")], (A, "k", "422")),
}


@pytest.mark.parametrize("outcome", LEASES)
def test_the_outcome_of_every_lease_is_told(new_service: NewService, lines: Lines, outcome: str) -> None:
    changes, before, (ani, key, status) = LEASES[outcome]
    service = new_service(make_pool(NUMBER, **{"exhausted": "reject"} | changes))

    def leased(ani: str, key: str, name: str) -> Result:
        return post(audited(service, name), ani, headers={"Idempotency-Key": key} if key else {})

    for one in before:
        assert leased(*one).status_code == 201
    lines()
    answer = leased(ani, key, "capped")
    line = only(lines)
    assert (line["user"], line["op"], line["outcome"], line["status"]) == ("capped", "lease", outcome, status)
    assert (line["ani"], line["digest"]) == ("\u2026234", Audit("secret").digest(A))
    if status == "201":
        assert (line["dnis"], line["token"]) == (answer.json["dnis"], answer.headers["etag"].strip('"'))
    else:
        assert (line["dnis"], line["token"]) == ("-", "-")


OPERATIONS = {"read": ("GET", ""), "renew": ("PUT", ""), "take": ("DELETE", ""), "take by POST": ("POST", "/take")}
FINDS = {
    "exact": ("sole", [A], A, "200"),
    "suffix": ("sole", [A], A_AS_Y_SEES_IT, "200"),
    "sole": ("sole", [A], PBX, "200"),
    "ambiguous": ("sole", [A, OTHER], PBX, "409"),
    "not_found": ("exact", [A], A_AS_Y_SEES_IT, "404"),
    "gone": ("exact", [], A, "410"),
}


@pytest.mark.parametrize("outcome", FINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_outcome_of_every_operation_on_a_call_is_told(
    new_service: NewService, lines: Lines, operation: str, outcome: str
) -> None:
    (method, suffix), (match, callers, presented, status) = OPERATIONS[operation], FINDS[outcome]
    api = audited(new_service(make_pool(NUMBER)))
    tokens = {ani: post(api, ani).headers["etag"].strip('"') for ani in (callers or [A])}
    if not callers:
        api.simulate_delete(call(A))
    api = audited(new_service(make_pool(NUMBER, match=match, exhausted="reject")))
    lines()
    api.simulate_request(method, call(presented) + suffix)
    line = only(lines)
    assert line["op"] == operation.partition(" ")[0]
    assert (line["outcome"], line["status"]) == (outcome, status)
    assert (line["pool"], line["dnis"], line["digest"]) == ("system-y", NUMBER, Audit("secret").digest(presented))
    assert line["token"] == (tokens[A] if status == "200" else "-")


@pytest.mark.parametrize("operation", ["renew", "take", "take by POST"])
def test_a_late_writer_is_told_of(new_service: NewService, lines: Lines, operation: str) -> None:
    api = audited(new_service(make_pool()))
    post(api)
    lines()
    method, suffix = OPERATIONS[operation]
    api.simulate_request(method, call(A) + suffix, headers={"If-Match": '"another"'})
    line = only(lines)
    assert (line["op"], line["outcome"], line["status"]) == (operation.partition(" ")[0], "stale", "412")


def test_a_takes_key_used_for_another_call_is_told_of(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool()))
    for ani in (A, OTHER):
        post(api, ani)
    api.simulate_delete(call(A), params={"idempotency_key": "k"})
    lines()
    api.simulate_delete(call(OTHER, "5551234561"), params={"idempotency_key": "k"})
    line = only(lines)
    assert (line["op"], line["dnis"], line["outcome"], line["status"]) == ("take", "5551234561", "key_reused", "422")


def test_the_dnis_is_told_as_the_pool_writes_it(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool(dnis_digits=4)))
    post(api)
    for dnis in ("4560", f"+1{NUMBER}", f"{NUMBER}@host"):
        assert api.simulate_get(call(A, dnis)).status_code == 200
    assert [line["dnis"] for line in lines()] == [NUMBER] * 4


@pytest.mark.parametrize("ani", ["", "anonymous", "sip:anonymous@anonymous.invalid"])
def test_a_withheld_ani_is_told_as_such(new_service: NewService, lines: Lines, ani: str) -> None:
    post(audited(new_service(make_pool())), ani)
    line = only(lines)
    assert (line["ani"], line["digest"]) == ("withheld", "withheld")


@pytest.mark.parametrize(("dnis", "status"), [(NUMBER, "422"), ("9999", "404")])
def test_an_ani_that_is_no_number_is_told_without_its_characters(
    new_service: NewService, lines: Lines, dnis: str, status: str
) -> None:
    api = audited(new_service(make_pool()))
    assert api.simulate_get(call("Bob%0A2026%20INFO%20x", dnis)).status_code == int(status)
    line = only(lines)
    assert (line["dnis"], line["ani"], line["status"]) == (dnis, "\u2026???", status)


@pytest.mark.parametrize(
    ("dnis", "shown"),
    [(A, "\u2026234"), (f"+{A}", "\u2026234"), ("(212)%20555-1234", "\u2026234"), ("9999", "9999"), (NUMBER, NUMBER)],
)
def test_of_a_number_of_no_pool_only_the_last_digits_are_told_for_it_may_be_the_ani(
    new_service: NewService, lines: Lines, dnis: str, shown: str
) -> None:
    audited(new_service(make_pool())).simulate_get(call(NUMBER, dnis))
    assert only(lines)["dnis"] == shown


def test_no_field_is_forged_by_a_key(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool()))
    forged = "9999%20op=take%22%0Apool=system-y%E2%80%AE"
    for key in (f"{forged}:{A}", f"{NUMBER}:{forged}", f"{forged}:{forged}"):
        api.simulate_get(f"{CALLS}/{key}")
        line = only(lines)
        assert (line["op"], line["outcome"]) == ("read", "not_found" if key.startswith("9999") else "invalid_fields")
        assert all(text.isprintable() and not set(text) & set("=\"'") for text in line.values())


@pytest.mark.parametrize("ani", ["5", "123", "12345"])
def test_a_short_ani_shows_no_digit(new_service: NewService, lines: Lines, ani: str) -> None:
    post(audited(new_service(make_pool())), ani)
    assert only(lines)["ani"] == "\u2026"


def test_one_caller_has_one_digest_however_the_ani_is_written(new_service: NewService, lines: Lines) -> None:
    api = audited(new_service(make_pool("5551234560-5551234569")))
    for ani in (A, f"+{A}", "(212) 555-1234", f"sip:{A}@host", f"tel:{A}"):
        post(api, ani)
    post(api, OTHER)
    digests = [line["digest"] for line in lines()]
    assert len(set(digests[:5])) == 1
    assert digests[5] != digests[0]
    assert all(re.fullmatch(r"[0-9a-f]{16}", digest) for digest in digests)


def test_a_digest_is_the_same_under_one_key_and_another_under_another(new_service: NewService, lines: Lines) -> None:
    service = new_service(make_pool("5551234560-5551234569"))
    for audit in (Audit("one key"), Audit("one key"), Audit("another key"), Audit(), Audit()):
        post(audited(service, audit=audit))
    first, again, *others = (line["digest"] for line in lines())
    assert again == first
    assert len({first, *others}) == 4


def test_nothing_that_is_logged_has_a_whole_ani_or_a_value(
    client: Redis, new_service: NewService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(AUDIT), "propagate", True)
    caplog.set_level(logging.DEBUG)
    api = audited(new_service(make_pool(NUMBER, match="sole", exhausted="reject")))
    for written in (A, f"+{A}", "(212) 555-1234", f"sip:{A}@host"):
        post(api, written, headers={"Idempotency-Key": "k"})
        post(api, written)
        for ani in (A_AS_Y_SEES_IT, PBX, A):
            api.simulate_get(call(ani))
            api.simulate_put(call(ani), body='{"value":"secret-too"}')
            api.simulate_delete(call(ani), headers={"If-Match": '"another"'})
            api.simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": ani})
        api.simulate_delete(call(A))
        api.simulate_delete(call(A))
        age(client, 60_000)
        api.simulate_delete(call(A))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert text.count("op=take") > 8
    for secret in ("secret", A, A_AS_Y_SEES_IT, PBX, "555-1234", "5551234 ", "Basic", "correct:horse"):
        assert secret not in text


def test_a_request_about_no_call_has_no_line(service: Service, lines: Lines) -> None:
    api = audited(service)
    for path in ("/healthz", "/readyz", "/metrics", "/cticache/pools", "/nowhere"):
        api.simulate_get(path)
    api.simulate_get("/cticache/explain", params={"dnis": NUMBER, "ani": A})
    TestClient(audited(service).app).simulate_get(call(A))
    api.simulate_post(CALLS, body="{")
    assert lines() == []


def test_where_the_audit_is_off_there_is_no_line_and_a_requests_id_is_still_told(
    service: Service, lines: Lines
) -> None:
    answer = post(audited(service, audit=Audit(enabled=False)), headers={"X-Request-Id": "req-1"})
    assert answer.headers["x-request-id"] == "req-1"
    assert lines() == []


# Warnings


@pytest.mark.parametrize("enabled", [True, False])
def test_a_user_who_meets_max_live_is_warned_of_once(
    new_service: NewService, caplog: pytest.LogCaptureFixture, *, enabled: bool
) -> None:
    api = audited(new_service(make_pool()), "capped", Audit(enabled=enabled))
    assert [post(api, ani).status_code for ani in (A, OTHER, OTHER)] == [201, 429, 429]
    (told,) = [each.getMessage() for each in caplog.records if each.name == "cticache.journal.notices"]
    assert told.startswith("user capped has met [user:capped] max_live in pool system-y: ")


def test_who_asks_for_numbers_of_no_pool_is_warned_of_once_and_for_nothing_else_that_is_not_found(
    new_service: NewService, caplog: pytest.LogCaptureFixture
) -> None:
    api = audited(new_service(make_pool()), "y-only")
    for key in (f"{NUMBER}:{A}", f"{NUMBER}:Bob", "9"):
        assert api.simulate_get(f"{CALLS}/{key}").status_code in (404, 422)
    assert [each for each in caplog.records if each.name == "cticache.journal.notices"] == []
    for dnis in (OTHER, PBX):
        assert api.simulate_get(call(A, dnis)).status_code == 404
    (told,) = [each.getMessage() for each in caplog.records if each.name == "cticache.journal.notices"]
    assert told.startswith("user y-only asks for numbers that are in no pool, such as \u2026000: ")
    assert OTHER not in told


# The request's id


@pytest.mark.parametrize("sent", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", "x" * 64, "a=b;c/d%20", "12345"])
def test_a_requests_id_is_told_back_and_stands_in_the_line(service: Service, lines: Lines, sent: str) -> None:
    api = audited(service)
    headers = {"X-Request-Id": sent}
    answers = [post(api, headers=headers), *(api.simulate_request(method, call(A) + suffix, headers=headers)
               for method, suffix in OPERATIONS.values())]  # fmt: skip
    assert {answer.headers["x-request-id"] for answer in answers} == {sent}
    assert {line["id"] for line in lines()} == {sent}


def test_a_requests_id_is_told_back_whatever_the_answer(service: Service) -> None:
    api, headers = audited(service), {"X-Request-Id": "req-1"}
    for answer in (
        api.simulate_get("/healthz", headers=headers),
        api.simulate_get("/nowhere", headers=headers),
        api.simulate_get(CALLS, headers=headers),
        api.simulate_post(CALLS, body="{", headers=headers),
        api.simulate_get(call(A), headers=headers),
        TestClient(api.app).simulate_get(call(A), headers=headers),
    ):
        assert answer.headers["x-request-id"] == "req-1"


@pytest.mark.parametrize(
    "sent", ["", "a b", "x" * 65, "k\u00e4", "a\tb", "12345678901", "tel:12345678901", "call-555%2D123%2D4567"]
)
def test_an_id_that_cannot_stand_in_a_line_is_replaced(service: Service, lines: Lines, sent: str) -> None:
    answer = post(audited(service), headers={"X-Request-Id": sent})
    assert answer.status_code == 201
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
    assert only(lines)["id"] == answer.headers["x-request-id"]


def test_without_an_id_each_request_gets_one_of_its_own(service: Service, lines: Lines) -> None:
    api = audited(service)
    answers = [post(api), *(api.simulate_get(call(A)) for _ in range(3))]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [line["id"] for line in lines()] == ids
    assert len(set(ids)) == 4
