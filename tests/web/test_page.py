"""The operator's page as it comes: complete without a script, and nothing in it but what its reader may see."""

import re
from collections.abc import Callable
from copy import deepcopy
from importlib.resources import files
from typing import Any, get_args

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.operate.attention import Hint, Kind
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.page import pools, sections
from cticache.web.page.markup import element
from kit.pages import text_of
from kit.running import Service
from kit.samples import basic, make_pool, user

PAGE, CALLS = "/cticache/", "/cticache/DNIS-ANI"
NOW = "2026-11-29T12:00:00Z"
EVIL = "<script>alert(1)</script>\"'&"
FRAME = files("cticache.web.page").joinpath("page.html").read_text("utf-8")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
POOL: dict[str, Any] = {
    "pool": EVIL, "size": 5, "free": 0, "leased": 5, "cooling": 0, "shared": 0, "leaving": 0, "next_free_ms": 18_000,
    "used_percent": 100, "word": "FULL", "stale_s": None, "a_minute": None,
}  # fmt: skip
MINUTE = {"at": NOW, "leased": 1, "taken": None, "missed": 0, "refused": 0}
OPENED: dict[str, Any] = {
    "pool": EVIL, "minutes": [MINUTE], "hours": [MINUTE | {"peak": 4}], "peak": {"leased": 4, "at": NOW}, "ttl_s": 300,
    "transit": {"p50_s": 4, "p99_s": 22}, "found": {"exact": 3, "suffix": 1, "sole": 0, "uui": 0, "ambiguous": 0},
    "advice": [EVIL], "nobody_picks_up": [{"dnis": EVIL, "in_a_row": 7}],
    "users": [{"user": EVIL, "live": 3, "max_live": 100}], "leaving": 2, "leaving_until": NOW, "draining": 0,
}  # fmt: skip
STATUS: dict[str, Any] = {
    "at": NOW,
    "age_s": 1.2,
    "service": {
        "version": EVIL, "host": EVIL, "pid": 1, "started_at": NOW, "ready": True, "says": EVIL, "dispatch": "batch",
        "config": {"file": EVIL, "changed_at": NOW, "read_at": NOW, "same_on_all": True},
    },
    "redis": {
        "up": True, "says": "", "name": EVIL, "version": EVIL, "role": EVIL, "uptime_s": 1_300_000, "replicas": 1,
        "used_memory": 41_000_000, "maxmemory": 200_000_000, "answer_ms": 0.4,
    },
    "workers": {"wanted": 2, "serving": 2, "restarts": 0},
    "nodes": [{
        "who": EVIL, "started_at": NOW, "in_force_at": "2026-11-29T12:34:56.789Z", "version": EVIL,
        "workers": 2, "restarts": 0, "config_file": EVIL,
        "config_changed_at": None, "same": True, "rules": False, "ruler": True, "here": True,
    }],
    "nodes_age_s": 1.2,
    "attention": [{"kind": "full", "level": "CRIT", "pool": EVIL, "says": EVIL, "hint": "leases", "about": EVIL}],
    "thresholds": {"warn": 75, "crit": 90},
    "pools": [POOL],
    "requests": [{"status": 200, "count": 1_234, "a_minute": None}],
    "refused_logins": {EVIL: 14},
    "events": [{"at": NOW, "level": "WARNING", "text": EVIL, "node": EVIL}],
    "opened": OPENED,
}  # fmt: skip


def of_status(status: dict[str, Any]) -> str:
    return "".join(
        (
            sections.state(status),
            sections.attention(status),
            pools.pools(status["pools"], status["thresholds"], len(status["pools"])),
            pools.opened(status["opened"], NOW),
            sections.events(status),
            sections.requests(status),
        )
    )


def test_what_is_told_is_text_and_never_html() -> None:
    page = of_status(STATUS)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;") == 19
    assert element("a", EVIL, href=EVIL, hidden=True, id_=None) == (
        '<a href="&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;" hidden>'
        "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;</a>"
    )


def test_each_state_is_a_word() -> None:
    text = text_of(of_status(STATUS))
    for words in (
        "OK at", "UP", "memory 39 MiB of 191 MiB", "up 15 d", "CRIT CALLS REFUSED", "100 % FULL", "18 s", "OTHER RULES",
        "1 NOT THE SAME", "half within 4 s, 99 % within 22 s", "exact 3 (75 %)", "(7 in a row)", "3 of 100 at most",
        "leaving 2 until 12:00:00Z", "1,234",
    ):  # fmt: skip
        assert words in text, words


def test_what_is_not_known_is_a_dash_and_what_is_away_is_said() -> None:
    status = deepcopy(STATUS) | {"pools": [], "opened": None, "attention": [], "events": [], "nodes": []}
    status["service"] |= {"ready": False, "says": "Why.", "started_at": None}
    status["service"]["config"] = {"file": None, "changed_at": None, "read_at": NOW, "same_on_all": False}
    status["redis"] |= {"up": False, "says": "Redis is away", "version": None}
    text = text_of(of_status(status))
    for words in (
        "NOT READY",
        "AWAY Redis is away",
        "NOT THE SAME in all",
        "Nothing is known of the pools",
        "Nothing.",
    ):
        assert words in text, words
    opened = deepcopy(OPENED) | {"transit": None, "peak": None, "advice": [], "hours": [], "users": []}
    opened["minutes"] = [dict.fromkeys(MINUTE) | {"at": NOW}]
    text = text_of(pools.opened(opened, NOW))
    assert "Leases, last hour by minute: not known yet" in text
    assert "Lease to take not known yet; a lease lasts 5 min" in text


@pytest.mark.parametrize(
    ("kind", "says", "words"),
    [
        ("used", "FULL: 5 of 5 numbers in use, 100 %.", "CRIT FULL"),
        ("used", "CRIT: 38 of 40 numbers in use, 95 %.", "CRIT IN USE"),
        ("full", "FULL: none of 5 numbers is free", "CRIT FULL"),
        ("full", "1 call refused in 10 minutes for want of a number, and 2 numbers free now.", "CRIT CALLS REFUSED"),
    ],
)
def test_a_pool_is_called_full_where_no_number_is_free_as_in_the_list(kind: str, says: str, words: str) -> None:
    status = STATUS | {"attention": [STATUS["attention"][0] | {"kind": kind, "says": says}]}
    assert f">{words}<" in sections.attention(status)


def test_what_is_known_of_before_is_marked_with_its_age() -> None:
    stale = POOL | {"pool": "support", "stale_s": 75.4}
    text = text_of(pools.pools([stale, POOL | {"pool": "sales"}], STATUS["thresholds"], 2))
    assert "2 pools; 1 of them as last known, 75 s ago: Redis does not tell now" in text
    assert text.count("100 % FULL 75 s ago") == 1
    assert text.count(" 18 s ") == 1, "when a number falls free is over by now"
    assert "as last known" not in pools.pools([POOL], STATUS["thresholds"], 1)
    assert "Nothing more is known of the pool support while" in pools.opened(None, NOW, "support")
    assert "Choose a pool" in pools.opened(None, NOW)


def test_it_is_said_which_of_several_services_rules() -> None:
    (node,) = STATUS["nodes"]
    nodes = [node | {"who": "one", "here": False}, node | {"who": "two", "ruler": False}]
    text = text_of(of_status(STATUS | {"nodes": nodes}))
    assert "one (rules)" in text
    assert "two (this one)" in text
    assert "(this one, rules)" in text_of(of_status(STATUS | {"nodes": [node, nodes[1] | {"here": False}]}))
    assert "rules)" not in text_of(of_status(STATUS))


def test_the_services_are_marked_with_their_age_while_nobody_tells_of_them_now() -> None:
    assert "1 on this Redis, 1 NOT THE SAME; as last known, 13 s ago" in text_of(
        of_status(STATUS | {"nodes_age_s": 13.2})
    )
    assert "as last known" not in of_status(STATUS)


def test_of_a_service_its_start_and_since_when_its_pools_are_in_force_are_told() -> None:
    assert "Started Pools in force since Version" in text_of(of_status(STATUS))
    assert "12:00:00Z 12:34:56Z" in text_of(of_status(STATUS))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_what_needs_attention_has_words_of_its_own(kind: str) -> None:
    status = STATUS | {"attention": [STATUS["attention"][0] | {"kind": kind, "pool": "support"}]}
    words = re.search(r"CRIT ([A-Za-z_ ]+)</strong>", sections.attention(status))
    assert words
    assert words[1] != kind.replace("_", " ").upper() or kind in ("full", "redis", "clock", "not_found")
    assert sections.gist(status) == f"Needs attention: {words[1]} support."
    assert sections.title(status) == "(1!) cticache"


@pytest.mark.parametrize("hint", [hint for hint in get_args(Hint) if hint])
def test_each_hint_leads_somewhere(hint: str) -> None:
    status = STATUS | {"attention": [STATUS["attention"][0] | {"hint": hint, "pool": "a b", "about": "49301"}]}
    (target,) = re.findall('href="([^"]*)">See', sections.attention(status))
    assert target == "/readyz" or f'id="{target.partition("#")[2]}"' in FRAME
    if hint == "leases":
        assert target == "?pool=a+b&amp;leases=1&amp;dnis=49301#leases"


def ask(service: Service, query: str = "", name: str = "username", **more: Any) -> Result:
    api = TestClient(service.app, headers={"Authorization": basic(name)})
    method = "POST" if "body" in more else "GET"
    return api.simulate_request(method, PAGE, query_string=query, **more)


def rows_of(page: str) -> list[str]:
    """The pools of the list, in its order."""
    return re.findall(r'<tr><th scope="row"><a href="\?pool=[^"]*">([^<]*)</a>', page)


@pytest.fixture
def three(new_service: Callable[..., Service]) -> Service:
    pools = [make_pool("100-103", name="north"), make_pool("200", name="south"), make_pool("300-309", name="west")]
    service = new_service(*pools)
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    for pool in ("south", "west"):
        answer = api.simulate_post(CALLS, body=f'{{"value":"SECRET","ani":"12345678901","pool":"{pool}"}}')
        assert answer.status_code == 201
    return service


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", ["south", "west", "north"]),
        ("sort=name", ["north", "south", "west"]),
        ("sort=name&filter=TH", ["north", "south"]),
        ("show=attention", ["south"]),
        ("sort=x&show=x", ["south", "west", "north"]),
    ],
)
def test_the_list_is_sorted_and_narrowed_down(three: Service, query: str, rows: list[str]) -> None:
    assert rows_of(ask(three, query).text) == rows


def test_with_and_without_the_slash_it_is_one_page(three: Service) -> None:
    api = TestClient(three.app, headers={"Authorization": basic("username")})
    assert rows_of(api.simulate_get("/cticache").text) == rows_of(api.simulate_get("/cticache/").text)


def test_it_may_be_shown_in_no_frame_and_loads_nothing_from_elsewhere(three: Service) -> None:
    answer = ask(three)
    policy = answer.headers["content-security-policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"(?:src|href)=\"(?!/cticache/|\?|#|data:,|/readyz)", answer.text)
    assert not re.search(r"<script[^>]*>[^<]|style=| on[a-z]+=", answer.text)


def test_a_pool_that_is_not_the_users_is_not_opened_and_not_named(three: Service, service: Service) -> None:
    answer = ask(service, "pool=system-y", "other-pool")
    assert (answer.status_code, answer.json["error"]) == (403, "forbidden")
    assert "system-y" not in ask(service, "", "other-pool").text
    assert ask(service, "pool=nowhere").status_code == 404


def test_leases_are_listed_on_request_and_page_by_page(new_service: Callable[..., Service]) -> None:
    service = new_service(make_pool("1000-1099"))
    api = TestClient(service.app, headers={"Authorization": basic("username")})
    for ani in range(60):
        api.simulate_post(CALLS, body=f'{{"value":"SECRET","ani":"123456{ani:05}"}}')
    assert 'class="release"' not in ask(service).text
    first = ask(service, "leases=1&pool=system-y&user=username").text
    (more,) = re.findall(r'href="\?([^"]*)#leases">Next page', first)
    assert "pool=system-y" in more
    assert "user=username" in more
    second = ask(service, more.replace("&amp;", "&")).text
    listed = [set(re.findall('data-token="([^"]*)"', page)) for page in (first, second)]
    assert (len(listed[0]), len(listed[1]), listed[0] & listed[1]) == (50, 10, set())
    assert "SECRET" not in first + second
    assert not re.search("123456[0-9]{5}", first + second)


def test_leases_that_cannot_be_listed_leave_the_rest_of_the_page(three: Service) -> None:
    answer = ask(three, "leases=1&pool=south&after=x")
    assert answer.status_code == 200
    assert "after: Not what a page before this was answered with." in answer.text
    assert "south" in rows_of(answer.text)


def test_only_who_may_release_is_offered_it(three: Service) -> None:
    users = [user("admin", roles=("watch", "admin")), user("watcher", roles=("watch",))]
    verifier = Verifier(users, remember_s=3600, size=100)
    three.app = create_app(three.store, three.pools, verifier, three.keeper, audit=Audit(), max_body=4096)
    offered = {each.name: 'class="release"' in ask(three, "leases=1&pool=south", each.name).text for each in users}
    assert offered == {"admin": True, "watcher": False}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("dnis=200&ani=12345678901", "It is found: a call under this very ANI is live."),
        ("dnis=200&ani=%2B999", "It is not found (404)"),
        ("dnis=77&ani=1", "The DNIS is in no pool."),
        ("dnis=200&ani=x1", "ani: It "),
    ],
)
def test_where_a_call_went_is_told_in_the_page(three: Service, body: str, says: str) -> None:
    answer = ask(three, body=body, headers=FORM)
    assert answer.status_code == 200
    found = answer.text[answer.text.index('id="found"') : answer.text.index('id="leases"')]
    assert says in found
    assert "SECRET" not in answer.text


def test_another_site_cannot_have_a_browser_ask(three: Service) -> None:
    for headers in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(three, body="dnis=200&ani=1", headers=FORM | headers)
        assert (answer.status_code, answer.json["error"]) == (403, "cross_origin")


def test_an_explanation_by_post_is_that_by_get(three: Service) -> None:
    api = TestClient(three.app, headers={"Authorization": basic("username")})
    by_get = api.simulate_get("/cticache/explain", params={"dnis": "200", "ani": "12345678901"}).json
    by_post = api.simulate_post("/cticache/explain", json={"dnis": "200", "ani": "12345678901"}).json
    for each in (by_get, by_post):
        each["places"][0]["live"][0].pop("expires_in")
    assert by_get == by_post
    assert by_post["places"][0]["grade"] == "exact"
    withheld = api.simulate_post("/cticache/explain", json={"dnis": "200", "ani": None})
    assert withheld.json["places"][0]["says"].startswith("It is not found")
    assert api.simulate_post("/cticache/explain", json={"dnis": "200"}).json["fields"] == {"ani": ["Missing."]}


def test_it_is_there_while_the_pools_are_not_in_place(service: Service) -> None:
    service.keeper.synced.clear()
    answer = ask(service)
    assert answer.status_code == 200
    assert "NOT READY" in answer.text


@pytest.mark.parametrize("sort", ["used", "name"])
def test_a_pool_without_numbers_in_redis_has_its_row_and_the_others_theirs(
    service: Service, client: Redis, sort: str
) -> None:
    client.flushall()  # nobody has put them there again yet
    told = ask(service, f"sort={sort}")
    assert told.status_code == 200
    assert rows_of(told.text) == ["other", "system-y"]
    assert told.text.count(">none</span>") == 2
    assert "<meter" not in told.text
