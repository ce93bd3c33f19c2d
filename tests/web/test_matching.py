"""Whose call is meant, over HTTP: by which number, by which ANI, and by which lease."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.access.users import ROLES
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.aging import age, on_the_second
from kit.older import withhold
from kit.running import MAX_BODY, Service
from kit.samples import basic, make_pool, user

NewService = Callable[..., Service]

CALLS = "/cticache/DNIS-ANI"
EXPLAIN = "/cticache/explain"
NUMBER = "5551234560"
A, A_AS_Y_SEES_IT, SAME_TAIL, OTHER, PBX = "2125551234", "12125551234", "3135551234", "4159990000", "8005550000"
STAND_IN = "0"  # of a withheld caller
VERBS = [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/take")]
EVERY_VERB = pytest.mark.parametrize(("method", "suffix"), VERBS, ids=["GET", "PUT", "DELETE", "take"])
EVERY_WRITER = pytest.mark.parametrize(("method", "suffix"), VERBS[1:], ids=["PUT", "DELETE", "take"])
PRESENTED = {"exact": A, "suffix": A_AS_Y_SEES_IT, "sole": PBX}


def api_of(service: Service, name: str = "username") -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic(name)})


def post(api: TestClient, ani: str, value: str | None = None, **more: Any) -> Result:
    posted = api.simulate_post(CALLS, body=json.dumps({"value": value or f"of {ani}", "ani": ani, **more}))
    assert posted.status_code == 201, posted.text
    return posted


def call(ani: str, dnis: str = NUMBER) -> str:
    return f"{CALLS}/{dnis}:{ani}"


def refused(answer: Result, status: int, code: str) -> bool:
    told = {"status": answer.status_code, **answer.json}
    return (answer.status_code, told["status"], told.get("error")) == (status, status, code)


def one_number(match: str, **changes: Any) -> Pool:
    return make_pool(NUMBER, match=match, exhausted="reject", **changes)


def as_callers_found_it(new_service: NewService, match: str, *callers: str) -> TestClient:
    """The service on a pool of one number that these callers share, since the pool was exact when they called.

    One who is withheld called when such a caller still shared a number.
    """
    service = new_service(make_pool(NUMBER))
    for ani in callers:
        post(api_of(service), ani or STAND_IN, f"of {ani}")
    if "" in callers:
        withhold(service.client, NUMBER, STAND_IN)
    return api_of(new_service(one_number(match)))


# By the ANI


@EVERY_VERB
@pytest.mark.parametrize("match", PRESENTED)
def test_a_call_is_found_by_its_pools_rule(new_service: NewService, match: str, method: str, suffix: str) -> None:
    api = api_of(new_service(one_number(match)))
    posted = post(api, A)
    answer = api.simulate_request(method, call(PRESENTED[match]) + suffix, params={"detail": "1"})
    assert answer.status == "200 OK"
    assert answer.json["value"] == f"of {A}"
    assert answer.json["match"] == match
    assert answer.headers["etag"] == posted.headers["etag"]
    plain = api.simulate_request(method, call(PRESENTED[match]) + suffix)
    if method in ("GET", "PUT"):
        assert plain.text == f'{{"value":"of {A}"}}'
    else:
        assert refused(plain, 410, "gone")


@EVERY_VERB
@pytest.mark.parametrize(
    ("match", "ani"),
    [("exact", A_AS_Y_SEES_IT), ("exact", ""), ("suffix", PBX), ("suffix", ""), ("suffix", A[-6:]), ("suffix", OTHER)],
)
def test_what_the_rule_does_not_find_is_404_and_stays(
    new_service: NewService, match: str, ani: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number(match)))
    post(api, A)
    assert refused(api.simulate_request(method, call(ani) + suffix), 404, "not_found")
    assert api.simulate_delete(call(A)).json == {"value": f"of {A}"}


@EVERY_VERB
def test_a_caller_from_abroad_is_found_in_each_spelling_and_no_other_is(
    new_service: NewService, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool("5551234560-5551234569", country=Country.of("234"))))
    for asked in ("%2B15551234567", "00915551234567", "009 1 555 123 4567"):  # each of these is American
        posted = post(api, "00915551234567")
        dnis = posted.json["dnis"]
        assert refused(api.simulate_request(method, call("%2B915551234567", dnis) + suffix), 404, "not_found")
        assert refused(api.simulate_request(method, call("15551234567"[1:], dnis) + suffix), 404, "not_found")
        assert api.simulate_request(method, call(asked, dnis) + suffix).json == {"value": "of 00915551234567"}
        api.simulate_delete(call(asked, dnis))


@EVERY_VERB
@pytest.mark.parametrize(
    ("match", "callers", "ani"),
    [
        ("suffix", (A, SAME_TAIL), A_AS_Y_SEES_IT),
        ("suffix", (A, SAME_TAIL), A),
        ("sole", (A, OTHER), PBX),
        ("sole", (A, OTHER), ""),
        ("sole", (A, ""), PBX),
    ],
)
def test_two_that_fit_are_409_and_both_stay(
    new_service: NewService, *, match: str, callers: tuple[str, ...], ani: str, method: str, suffix: str
) -> None:
    api = as_callers_found_it(new_service, match, *callers)
    answer = api.simulate_request(method, call(ani) + suffix, body='{"value":"new"}' if method == "PUT" else "")
    assert refused(answer, 409, "ambiguous")
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    api = api_of(new_service(make_pool(NUMBER)))
    for caller in callers:
        assert api.simulate_delete(call(caller)).json == {"value": f"of {caller}"}


@EVERY_VERB
@pytest.mark.parametrize("match", PRESENTED)
@pytest.mark.parametrize("under", ["presented", "kept"])
def test_what_was_taken_is_410_for_a_minute_and_says_when(
    client: Redis, new_service: NewService, *, match: str, under: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number(match)))
    post(api, A)
    assert api.simulate_delete(call(PRESENTED[match])).status_code == 200
    path = call(PRESENTED[match] if under == "presented" else A) + suffix
    answer = api.simulate_request(method, path)
    assert refused(answer, 410, "gone")
    assert re.search(r"taken, at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\.$", answer.json["detail"])
    age(client, 58_000)
    assert refused(api.simulate_request(method, path), 410, "gone")
    age(client, 2_000)
    assert refused(api.simulate_request(method, path), 404, "not_found")


def test_the_sender_sees_that_its_call_has_arrived(new_service: NewService) -> None:
    service = new_service(one_number("sole"))
    x, y = api_of(service), api_of(service, "y-only")
    location = post(x, A).headers["location"]
    assert x.simulate_get(location).status_code == 200
    assert y.simulate_post(call(PBX) + "/take").status_code == 200
    assert refused(x.simulate_get(location), 410, "gone")


@pytest.mark.parametrize("match", ["suffix", "sole"])
def test_a_repeated_take_is_410_until_the_number_may_be_leased_again(
    client: Redis, new_service: NewService, match: str
) -> None:
    api = api_of(new_service(one_number(match)))
    post(api, A)
    assert api.simulate_delete(call(PRESENTED[match])).status_code == 200
    age(client, 58_000)
    on_the_second(client)
    full = api.simulate_post(CALLS, body=json.dumps({"value": "next", "ani": SAME_TAIL}))
    assert refused(full, 503, "pool_exhausted")
    assert full.headers["retry-after"] == "2"
    assert refused(api.simulate_delete(call(PRESENTED[match])), 410, "gone")
    age(client, 2_000)
    post(api, SAME_TAIL, "next")
    assert api.simulate_delete(call(SAME_TAIL)).json == {"value": "next"}


# What ?detail=1 adds


def test_detail_adds_to_the_byte(client: Redis, new_service: NewService) -> None:
    api = api_of(new_service(one_number("suffix")))
    body = '{"value": {"a": [1]}, "ani": "+1 (212) 555-1234", "ttl": 120}'
    posted = api.simulate_post(CALLS, body=body, params={"detail": "1"})
    leased_ms = int(client.hget(f"cti:{{system-y}}:call:{NUMBER}:{A_AS_Y_SEES_IT}", "leased_ms"))
    leased_at = posted.json["leased_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", leased_at)
    assert leased_at.endswith(f"{leased_ms % 1000:03d}Z")
    assert posted.text == (
        f'{{"dnis":"{NUMBER}","ani":"+1 (212) 555-1234","value":{{"a": [1]}},'
        f'"pool":"system-y","match":null,"leased_at":"{leased_at}","expires_in":120,"uui":"{posted.json["uui"]}"}}'
    )
    assert posted.headers["content-length"] == str(len(posted.text))
    for method, suffix, expires_in in (("GET", "", "119|120"), ("PUT", "", "300"), ("POST", "/take", "299|300")):
        answer = api.simulate_request(method, call(A) + suffix, params={"detail": "1"})
        start = f'{{"value":{{"a": [1]}},"pool":"system-y","match":"suffix","leased_at":"{leased_at}","expires_in":'
        assert re.fullmatch(re.escape(start) + f"(?:{expires_in})}}", answer.text)


@pytest.mark.parametrize("query", ["", "detail=0", "format=json"])
def test_without_detail_an_answer_is_as_ever(new_service: NewService, query: str) -> None:
    api = api_of(new_service(one_number("exact")))
    posted = api.simulate_post(CALLS, body=json.dumps({"value": 1, "ani": A}), query_string=query)
    assert posted.text == f'{{"dnis":"{NUMBER}","ani":"{A}","value":1}}'
    for method, suffix in VERBS[:3]:
        assert api.simulate_request(method, call(A) + suffix, query_string=query).text == '{"value":1}'


@pytest.mark.parametrize(("query", "name"), [*((f"detail{more}", "detail") for more in ("", "=", "=true", "=2")),
                                             ("details=1", "details")])  # fmt: skip
def test_detail_is_1_or_0_and_is_not_misspelt_where_something_changes(
    client: Redis, new_service: NewService, query: str, name: str
) -> None:
    api = api_of(new_service(one_number("exact")))
    body = json.dumps({"value": 1, "ani": A})
    assert api.simulate_post(CALLS, body=body, query_string=query).json["fields"].keys() == {name}
    assert client.keys("cti:*:call:*") == []
    api.simulate_post(CALLS, body=body)
    for method, suffix in VERBS[:3]:
        answer = api.simulate_request(method, call(A) + suffix, query_string=query)
        if (method, name) == ("GET", "details"):
            assert answer.text == '{"value":1}'
        else:
            assert (answer.status_code, answer.json["fields"].keys()) == (422, {name})
    assert api.simulate_delete(call(A)).text == '{"value":1}'


# By the lease: If-Match


def tags(etag: str) -> dict[str, str]:
    bare = etag.strip('"')
    return {
        "the tag": etag,
        "any": "*",
        "any, with spaces": " * ",
        "the last of a list": f'"x", "y", {etag}',
        "the first of a list": f'{etag}, "x"',
        "a list without spaces": f'"x",{etag},"y"',
        "a list with empty elements": f', "x" ,, {etag} ,',
        "behind a weak one": f'W/"x", {etag}',
        "behind a weak one, without spaces": f'W/"x",{etag}',
        "before a weak one": f'{etag},W/"{bare}"',
        "behind an empty one": f'"", {etag}',
    }


def other_tags(etag: str) -> dict[str, str]:
    bare = etag.strip('"')
    return {
        "another": '"AAAAAAAAAAAAAAAA"',
        "an empty one": '""',
        "a list of others": '"x", "y"',
        "weak": f"W/{etag}",
        "weak, without spaces": f'"x",W/{etag}',
        "weak ones": f"W/{etag},W/{etag}",
        "unquoted": bare,
        "half quoted": f'"{bare}',
        "half quoted behind": f'{bare}"',
        "in single quotes": f"'{bare}'",
        "with more before": f'"x{bare}"',
        "with more behind": f'"{bare}x"',
        "with a space": f'"{bare} "',
        "cut": f'"{bare[:-1]}"',
        "in other letters": f'"{bare.swapcase()}"',
        "two in one": f'"{bare}{bare}"',
        "empty": "",
        "a comma": ",",
        "two stars": "**",
        "a quoted star": '"*"',
        "a pattern": '".*"',
        "escaped": f'"%22{bare}%22"',
    }


@EVERY_WRITER
@pytest.mark.parametrize("name", tags('""'))
def test_if_match_that_names_the_lease_lets_the_request_through(
    new_service: NewService, name: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number("exact")))
    etag = post(api, A).headers["etag"]
    answer = api.simulate_request(method, call(A) + suffix, headers={"If-Match": tags(etag)[name]})
    assert (answer.status_code, answer.text) == (200, f'{{"value":"of {A}"}}')
    assert answer.headers["etag"] == etag


@EVERY_WRITER
@pytest.mark.parametrize("name", other_tags('"AAAAAAAAAAAAAAAA"'))
def test_if_match_that_does_not_name_the_lease_is_412_and_changes_nothing(
    client: Redis, new_service: NewService, name: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number("exact")))
    etag = post(api, A).headers["etag"]
    age(client, 100_000)
    body = '{"value":"late"}' if method == "PUT" else ""
    answer = api.simulate_request(method, call(A) + suffix, body=body, headers={"If-Match": other_tags(etag)[name]})
    assert refused(answer, 412, "stale")
    assert client.pttl(f"cti:{{system-y}}:call:{NUMBER}:{A}") <= 200_000
    got = api.simulate_get(call(A))
    assert (got.text, got.headers["etag"]) == (f'{{"value":"of {A}"}}', etag)


@EVERY_WRITER
@pytest.mark.parametrize("header", ["*", '"AAAAAAAAAAAAAAAA"'])
def test_if_match_where_nothing_is_live_is_404_and_after_the_take_410(
    new_service: NewService, header: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number("exact")))
    headers = {"If-Match": header}
    assert refused(api.simulate_request(method, call(A) + suffix, headers=headers), 404, "not_found")
    post(api, A)
    api.simulate_delete(call(A))
    assert refused(api.simulate_request(method, call(A) + suffix, headers=headers), 410, "gone")


@EVERY_WRITER
@pytest.mark.parametrize("match", PRESENTED)
def test_a_late_writer_cannot_hurt_the_next_call(
    client: Redis, new_service: NewService, match: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(one_number(match, cooldown_ms=0)))
    old = post(api, A, "first").headers["etag"]
    assert api.simulate_delete(call(A)).json == {"value": "first"}
    age(client, 60_000)
    new = post(api, A, "second").headers["etag"]
    body = '{"value":"late"}' if method == "PUT" else ""
    late = api.simulate_request(method, call(PRESENTED[match]) + suffix, body=body, headers={"If-Match": old})
    assert refused(late, 412, "stale")
    taken = api.simulate_delete(call(A), headers={"If-Match": new})
    assert taken.json == {"value": "second"}


def test_a_renewal_keeps_the_etag_also_with_a_new_value(new_service: NewService) -> None:
    api = api_of(new_service(one_number("exact")))
    etag = post(api, A).headers["etag"]
    for body in ("", '{"value":"new"}'):
        renewed = api.simulate_put(call(A), body=body, headers={"If-Match": etag})
        assert renewed.headers["etag"] == etag
    assert api.simulate_delete(call(A), headers={"If-Match": etag}).json == {"value": "new"}


# By the number: what System Y sees of it

WHOLE = {
    "as the pool writes it": NUMBER,
    "with a plus": f"+1{NUMBER}",
    "with an escaped plus": f"%2B1{NUMBER}",
    "with a plus escaped in small letters": f"%2b1{NUMBER}",
    "with the country code": f"1{NUMBER}",
    "with an exit code": f"0111{NUMBER}",
    "at a host": f"{NUMBER}@10.0.0.1",
    "at an escaped host": f"{NUMBER}%4010.0.0.1",
    "with separators": "(555)%20123-4560",
}
SIP = [
    f"sip:{NUMBER}@pbx.example",
    f"sip:+1{NUMBER}@pbx.example",
    f"tel:+1{NUMBER}",
    f"sip%3A%2B1{NUMBER}%40pbx.example",
]


@EVERY_VERB
@pytest.mark.parametrize("digits", [4, 10])
@pytest.mark.parametrize("dnis", WHOLE.values(), ids=WHOLE.keys())
def test_a_number_is_known_by_its_last_digits_however_it_is_written(
    new_service: NewService, dnis: str, digits: int, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool(dnis_digits=digits)))
    post(api, A)
    assert api.simulate_request(method, call(A, dnis) + suffix).text == f'{{"value":"of {A}"}}'


@EVERY_VERB
@pytest.mark.parametrize(
    "asked", ["%2B15554000000", "15554000000", "0015554000000", "5559990000", "990000", "20000000"]
)
def test_another_number_that_ends_alike_is_not_this_one_however_it_is_written(
    new_service: NewService, asked: str, method: str, suffix: str
) -> None:
    """Only the last four digits were compared: a question for one pool's number met a caller on the other's."""
    pools = make_pool("5554000000-5554000009", name="p"), make_pool("5552000000-5552000009", name="u", dnis_digits=4)
    api = api_of(new_service(*pools))
    answer = api.simulate_post(CALLS, body=f'{{"value":"u","ani":"{A}","pool":"u"}}')
    assert answer.json["dnis"] == "5552000000"
    assert refused(api.simulate_request(method, call(A, asked) + suffix), 404, "not_found")
    for spelling in ("%2B15552000000", "0015552000000", "05552000000", "2000000"):
        assert api.simulate_get(call(A, spelling)).json == {"value": "u"}
    assert api.simulate_request(method, call(A, "0000") + suffix).json == {"value": "u"}


@EVERY_VERB
@pytest.mark.parametrize("country", ["1", None])
def test_a_number_is_not_its_neighbours_where_the_pool_goes_by_last_digits(
    new_service: NewService, country: str | None, method: str, suffix: str
) -> None:
    """A question for +15554000000 was answered with the caller on 5552000000."""
    p = make_pool("5554000000-5554000009", name="p", country=Country.of(country) if country else None)
    u = make_pool("5552000000-5552000009", name="u", dnis_digits=4, match="sole", exhausted="reject")
    api = api_of(new_service(p, u))
    post(api, A, "of u", pool="u")
    assert refused(api.simulate_request(method, call(A, "+15554000000") + suffix), 404, "not_found")
    post(api, A, "of p", pool="p")
    answer = api.simulate_request(method, call(A, "+15554000000") + suffix)
    assert refused(answer, 404, "not_found") if country is None else answer.json == {"value": "of p"}
    assert api.simulate_get(call(A, "5552000000")).json == {"value": "of u"}


@EVERY_VERB
@pytest.mark.parametrize("written", [NUMBER, f"1{NUMBER}", f"+1{NUMBER}"])
@pytest.mark.parametrize("asked", [NUMBER, f"1{NUMBER}", f"%2B1{NUMBER}", f"0111{NUMBER}", f"001{NUMBER}"])
def test_by_the_pools_country_the_spellings_of_a_number_are_one(
    new_service: NewService, written: str, asked: str, method: str, suffix: str
) -> None:
    api = api_of(new_service(make_pool(written, country=Country.of("1"))))
    assert post(api, A).json["dnis"] == written
    assert api.simulate_request(method, call(A, asked) + suffix).json == {"value": f"of {A}"}


def lent_at_once(service: Service) -> Service:
    """The same, its number lent as older releases did: beside the calls on another spelling of it."""
    service.client.zadd("cti:{system-y}:numbers", {f"+1{NUMBER}": 0}, xx=True)
    return service


def test_a_call_on_a_number_that_the_file_has_in_another_spelling_by_now_is_found_and_nobody_elses(
    new_service: NewService,
) -> None:
    rules = {"match": "sole", "exhausted": "reject", "country": Country.of("1")}
    post(api_of(new_service(make_pool(NUMBER, **rules))), A)
    api = api_of(lent_at_once(new_service(make_pool(f"+1{NUMBER}", **rules))))
    post(api, OTHER)
    for dnis in (NUMBER, f"+1{NUMBER}"):
        assert api.simulate_get(call(A, dnis)).json == {"value": f"of {A}"}
        assert api.simulate_get(call(OTHER, dnis)).json == {"value": f"of {OTHER}"}
        assert refused(api.simulate_get(call(PBX, dnis)), 404, "not_found")


def test_two_withheld_callers_on_two_spellings_of_a_number_are_never_taken_for_each_other(
    new_service: NewService,
) -> None:
    post(api_of(new_service(make_pool(NUMBER, country=Country.of("1")))), "", "first")
    api = api_of(lent_at_once(new_service(make_pool(f"+1{NUMBER}", country=Country.of("1")))))
    post(api, "", "second")
    for dnis in (NUMBER, f"+1{NUMBER}"):
        assert refused(api.simulate_delete(call("", dnis)), 409, "ambiguous")


@pytest.mark.parametrize("dnis", SIP)
def test_a_number_written_as_a_sip_address_is_known_too(new_service: NewService, dnis: str) -> None:
    api = api_of(new_service(make_pool(dnis_digits=4)))
    post(api, A)
    assert api.simulate_get(call(A, dnis)).text == f'{{"value":"of {A}"}}'


@EVERY_VERB
def test_a_number_is_known_by_its_last_four_digits(new_service: NewService, method: str, suffix: str) -> None:
    api = api_of(new_service(make_pool(dnis_digits=4)))
    for ani in (A, OTHER):
        post(api, ani)
    assert api.simulate_request(method, call(OTHER, "4561") + suffix).text == f'{{"value":"of {OTHER}"}}'
    assert api.simulate_request(method, call(A, "4560") + suffix).text == f'{{"value":"of {A}"}}'
    assert refused(api.simulate_request(method, call(A, "4562") + suffix), 404, "not_found")


@pytest.mark.parametrize(
    ("digits", "dnis"),
    [(4, "560"), (4, "45600"), (4, "9999"), (10, "4560"), (10, f"9{NUMBER[1:]}"), (0, "4560"), (0, f"1{NUMBER}")],
)
def test_fewer_digits_or_others_are_no_number_of_the_pool(new_service: NewService, digits: int, dnis: str) -> None:
    api = api_of(new_service(make_pool(dnis_digits=digits)))
    post(api, A)
    assert refused(api.simulate_delete(call(A, dnis)), 404, "not_found")


@pytest.mark.parametrize("dnis", ["", "abc", "+", "@host", "4560x", "%D9%A4%D9%A5%D9%A6%D9%A0", "*4560", "anonymous"])
def test_what_is_no_number_is_in_no_pool(new_service: NewService, dnis: str) -> None:
    api = api_of(new_service(make_pool(dnis_digits=4)))
    post(api, A)
    assert refused(api.simulate_get(call(A, dnis)), 404, "not_found")


def test_a_text_longer_than_an_ani_may_be_is_in_no_pool(new_service: NewService) -> None:
    api = api_of(new_service(make_pool()))
    post(api, A)
    for host, status in (("h" * 245, 200), ("h" * 246, 404)):
        assert api.simulate_get(call(A, f"{NUMBER}@{host}")).status_code == status


def test_the_last_digits_lead_to_draining_and_fallback_numbers_too(new_service: NewService) -> None:
    api = api_of(new_service(make_pool()))
    post(api, A)
    changes = {"draining": NUMBER, "dnis_digits": 4, "exhausted": "fallback", "fallback": "5559990000"}
    api = api_of(new_service(make_pool("5551234560-5551234561", **changes)))
    for ani, dnis in ((OTHER, "5551234561"), (PBX, "5559990000")):
        assert post(api, ani).json["dnis"] == dnis
    for ani, dnis in ((A, "4560"), (OTHER, "4561"), (PBX, "0000")):
        assert api.simulate_delete(call(ani, dnis)).json == {"value": f"of {ani}"}


# An ending that two numbers share


@pytest.fixture
def alike(new_service: NewService) -> Service:
    """Two pools whose numbers end alike."""
    pools = (
        make_pool(number, name=name, match="sole", exhausted="reject", dnis_digits=4)
        for name, number in (("one", "5551114560"), ("two", "5552224560"))
    )
    return new_service(*pools)


@EVERY_VERB
@pytest.mark.parametrize("pool", ["one", "two"])
def test_where_the_ending_means_two_numbers_only_the_whole_ani_tells_which(
    alike: Service, pool: str, method: str, suffix: str
) -> None:
    api = api_of(alike)
    dnis = post(api, A, pool=pool).json["dnis"]
    for ani in (PBX, A_AS_Y_SEES_IT, ""):
        assert refused(api.simulate_request(method, call(ani, "4560") + suffix), 404, "not_found")
    assert api.simulate_request(method, call(PBX, dnis) + suffix).status_code == 200
    answer = api.simulate_request(method, call(A, "4560") + suffix)
    assert answer.status_code == (200 if method in ("GET", "PUT") else 410)


def test_an_ending_that_means_one_of_the_users_numbers_means_that_one(alike: Service, verifier: Verifier) -> None:
    users = [user("username"), user("of-two", {"two"}, ROLES)]
    app = create_app(alike.store, alike.pools, Verifier(users, 60, 10), alike.keeper, audit=Audit(), max_body=MAX_BODY)
    post(api_of(alike), A, pool="two")
    api = TestClient(app, headers={"Authorization": basic("of-two")})
    assert api.simulate_delete(call(PBX, "4560")).json == {"value": f"of {A}"}


@EVERY_VERB
@pytest.mark.parametrize("ani", [A, ""], ids=["one caller", "withheld"])
def test_an_ending_and_an_ani_that_two_calls_have_are_409_and_both_stay(
    alike: Service, ani: str, method: str, suffix: str
) -> None:
    api = api_of(alike)
    dnises = [post(api, ani, pool, pool=pool).json["dnis"] for pool in ("one", "two")]
    assert refused(api.simulate_request(method, call(ani, "4560") + suffix), 409, "ambiguous")
    for dnis, pool in zip(dnises, ("one", "two"), strict=True):
        assert api.simulate_delete(call(ani, dnis)).json == {"value": pool}


@pytest.mark.parametrize("ani", [A, ""], ids=["one caller", "withheld"])
def test_a_repeated_take_by_an_ending_never_meets_the_call_on_the_other_number(alike: Service, ani: str) -> None:
    api = api_of(alike)
    post(api, ani, "one", pool="one")
    assert api.simulate_delete(call(ani, "4560")).json == {"value": "one"}
    other = post(api, ani, "two", pool="two").json["dnis"]
    assert api.simulate_delete(call(ani, "4560")).status_code in (409, 410)
    assert api.simulate_delete(call(ani, other)).json == {"value": "two"}


def test_a_take_by_an_ending_is_replayed_also_beside_a_number_that_is_leaving(new_service: NewService) -> None:
    old = api_of(new_service(make_pool(NUMBER, dnis_digits=4)))
    post(old, OTHER)
    api = api_of(new_service(make_pool("5557774560", dnis_digits=4)))
    assert post(api, A).json["dnis"] == "5557774560"
    headers = {"Idempotency-Key": "k"}
    first = api.simulate_delete(call(A, "4560"), headers=headers)
    assert first.text == f'{{"value":"of {A}"}}'
    again = api.simulate_delete(call(A, "4560"), headers=headers)
    assert (again.status_code, again.text) == (200, first.text)
    assert api.simulate_delete(call(OTHER, "4560")).json == {"value": f"of {OTHER}"}


def test_a_number_that_moves_to_a_pool_with_a_looser_rule_rests_as_long_as_that_rule_needs(
    client: Redis, new_service: NewService
) -> None:
    other = make_pool("5559990000", name="two", match="sole", exhausted="reject")
    api = api_of(new_service(make_pool(NUMBER, name="one"), other))
    post(api, A, ttl=10)
    moved = make_pool(NUMBER, name="two", match="sole", exhausted="reject")
    api = api_of(new_service(make_pool("5550000000", name="one"), moved))
    age(client, 9_000)
    assert api.simulate_delete(call(A)).json == {"value": f"of {A}"}
    age(client, 10_000)
    next_call = api.simulate_post(CALLS, body=json.dumps({"value": "of the next", "ani": OTHER, "pool": "two"}))
    retried = api.simulate_delete(call(A))
    assert "of the next" not in retried.text
    assert next_call.status_code == 503


# Where did my data go?


def explain(api: TestClient, dnis: str, ani: str) -> dict[str, Any]:
    answer = api.simulate_get(f"{EXPLAIN}?dnis={quote(dnis, safe='')}&ani={quote(ani, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json
    return body


@pytest.mark.parametrize("match", PRESENTED)
def test_explain_tells_the_grade_by_which_a_call_would_be_found(new_service: NewService, match: str) -> None:
    api = api_of(new_service(one_number(match)))
    posted = post(api, A, "secret-value", ttl=100)
    told = explain(api, NUMBER, f"+{PRESENTED[match]}")
    assert (told["dnis"], told["ani"]) == (NUMBER, f"+{PRESENTED[match]}")
    (place,) = told["places"]
    assert (place["pool"], place["dnis"], place["rule"]) == ("system-y", NUMBER, match)
    assert (place["canonical"], place["grade"]) == (PRESENTED[match], match)
    assert place["steps"][-1]["gives"] == PRESENTED[match]
    assert all(step.keys() == {"step", "gives"} for step in place["steps"])
    assert place["says"].endswith(".")
    (live,) = place["live"]
    assert live.keys() == {"ani", "digits", "digest", "token", "lessee", "leased_at", "expires_in"}
    assert (live["ani"], live["digits"], live["lessee"]) == ("\u2026234", 10, "username")
    assert live["token"] == posted.headers["etag"].strip('"')
    assert live["expires_in"] in (99, 100)
    assert (live["digest"] == place["digest"]) == (match == "exact")


def test_explain_hides_values_and_the_ani_of_other_callers(new_service: NewService) -> None:
    service = new_service(make_pool(NUMBER))
    api = api_of(service)
    for ani in (A, OTHER, "12345", STAND_IN):
        post(api, ani, "secret-value")
    withhold(service.client, NUMBER, STAND_IN)
    answer = api.simulate_get(EXPLAIN, params={"dnis": NUMBER, "ani": PBX})
    assert "secret" not in answer.text
    assert A not in answer.text
    assert OTHER not in answer.text
    (place,) = answer.json["places"]
    assert place["grade"] == ""
    assert sorted(call["ani"] for call in place["live"]) == sorted(["\u2026234", "\u2026000", "\u2026", "withheld"])
    assert {call["digest"] for call in place["live"] if call["ani"] == "withheld"} == {"withheld"}


def test_explain_does_not_count_the_plus_of_a_caller_from_abroad(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(NUMBER, country=Country.of("1"))))
    post(api, "011 44 20 7946 0000")
    (place,) = explain(api, NUMBER, "+442079460000")["places"]
    assert (place["canonical"], place["steps"], place["grade"]) == ("+442079460000", [], "exact")
    (live,) = place["live"]
    assert (live["ani"], live["digits"]) == ("\u2026000", 12)
    (place,) = explain(api, NUMBER, "442079460000")["places"]
    assert place["steps"] == [{"step": "a number of another country, after a plus", "gives": "+442079460000"}]


def test_explain_tells_what_was_taken_what_is_ambiguous_and_what_is_not_there(new_service: NewService) -> None:
    api = as_callers_found_it(new_service, "sole", A, OTHER)
    for ani, grade, status in ((PBX, "ambiguous", "409"), (A, "exact", ""), (SAME_TAIL, "suffix", "")):
        (place,) = explain(api, NUMBER, ani)["places"]
        assert place["grade"] == grade
        assert status in place["says"]
    api.simulate_delete(call(A))
    gone = explain(api, NUMBER, A)["places"][0]
    assert gone["grade"] == "gone"
    assert re.search(r"410.*\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", gone["says"])
    api.simulate_delete(call(OTHER))
    nothing = explain(api, NUMBER, PBX)["places"][0]
    assert (nothing["grade"], nothing["live"]) == ("", [])
    assert "404" in nothing["says"]


@pytest.mark.parametrize("dnis", [f"+1{NUMBER}", "4560", f"sip:{NUMBER}@pbx.example", f"tel:+1{NUMBER}"])
def test_explain_reads_the_number_as_system_y_sees_it(new_service: NewService, dnis: str) -> None:
    api = api_of(new_service(make_pool(dnis_digits=4)))
    post(api, A)
    told = explain(api, dnis, A)
    assert told["dnis"] == dnis
    assert [(place["dnis"], place["grade"]) for place in told["places"]] == [(NUMBER, "exact")]


def test_explain_tells_of_every_number_that_an_ending_means(alike: Service) -> None:
    api = api_of(alike)
    post(api, A, pool="two")
    places = explain(api, "4560", PBX)["places"]
    assert [(place["pool"], place["dnis"], place["rule"], place["grade"]) for place in places] == [
        ("one", "5551114560", "exact", ""),
        ("two", "5552224560", "exact", ""),
    ]
    assert [len(place["live"]) for place in places] == [0, 1]


def test_explain_changes_nothing_and_claims_nothing(client: Redis, new_service: NewService) -> None:
    service = new_service(one_number("sole"))
    api = api_of(service)
    post(api, A, ttl=10)
    for ani in (A, PBX):
        explain(api, NUMBER, ani)
    age(client, 10_000)
    assert service.store.pool_stats(list(service.pools))[0].unclaimed_total == 1


@pytest.mark.parametrize("name", ["x-only", "y-only"])
def test_explain_needs_the_role_watch(service: Service, name: str) -> None:
    answer = api_of(service, name).simulate_get(EXPLAIN, params={"dnis": NUMBER, "ani": A})
    assert refused(answer, 403, "forbidden")


def test_explain_tells_nothing_of_anothers_pool(service: Service) -> None:
    post(api_of(service), A)
    answer = api_of(service, "other-pool").simulate_get(EXPLAIN, params={"dnis": NUMBER, "ani": A})
    assert refused(answer, 403, "forbidden")
    assert A not in answer.text


@pytest.mark.parametrize(
    ("query", "status", "code", "fields"),
    [
        ("", 422, "invalid_fields", {"dnis", "ani"}),
        (f"dnis={NUMBER}", 422, "invalid_fields", {"ani"}),
        (f"ani={A}", 422, "invalid_fields", {"dnis"}),
        (f"dnis={NUMBER}&ani=alice", 422, "invalid_fields", {"ani"}),
        (f"dnis={NUMBER}&ani={'1' * 33}", 422, "invalid_fields", {"ani"}),
        (f"dnis=9999999999&ani={A}", 404, "not_found", None),
        (f"dnis=&ani={A}", 404, "not_found", None),
        (f"dnis=abc&ani={A}", 404, "not_found", None),
    ],
)
def test_explain_says_what_is_wrong(
    api: TestClient, query: str, status: int, code: str, fields: set[str] | None
) -> None:
    answer = api.simulate_get(EXPLAIN, query_string=query)
    assert refused(answer, status, code)
    assert (answer.json["fields"].keys() if fields else None) == fields


def test_explain_takes_an_empty_ani_for_the_withheld_one(new_service: NewService) -> None:
    api = api_of(new_service(make_pool(NUMBER)))
    post(api, "anonymous")
    for query in (f"dnis={NUMBER}&ani=", f"dnis={NUMBER}&ani=anonymous"):
        (place,) = api.simulate_get(EXPLAIN, query_string=query).json["places"]
        assert (place["grade"], place["digest"]) == ("exact", "withheld")


def test_what_explain_shows_an_ani_by_is_what_the_audit_shows_it_by(service: Service) -> None:
    audit = Audit("a key that two processes have")
    app = create_app(
        service.store, service.pools, Verifier([user("username")], 60, 10), service.keeper, audit=audit, max_body=99
    )
    api = TestClient(app, headers={"Authorization": basic("username")})
    assert explain(api, NUMBER, f"+{A}")["places"][0]["digest"] == audit.digest(A)
