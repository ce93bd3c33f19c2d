"""Requests leave nothing behind: neither what it is in which they differ, nor circles that wait for the collector."""

import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest

from cticache.access.passwords import Verifier
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.formats.choice import FORMATS
from cticache.web.front import Leniency
from kit.circles import in_circles
from kit.running import MAX_BODY, Service, Wire, until
from kit.samples import USERS, basic, make_pool
from kit.talk import CALL, CALLS, Talk, asked, posting, request

pytestmark = pytest.mark.usefixtures("nothing_old")

USER = f"Authorization: {basic('username')}"
LONG = 15_000
ROUND = 16
MOST = ROUND * LONG / 4

PLACES = {
    "the path": "GET /{} HTTP/1.1|Host: x|" + USER,
    "a whole URL": "GET http://x/{} HTTP/1.1|Host: x|" + USER,
    "the host of a whole URL": "GET http://{}/healthz HTTP/1.1|Host: x|" + USER,
    "Host": "GET /healthz HTTP/1.1|Host: {}",
    "a query": "GET /healthz?{}={} HTTP/1.1|Host: x",
    "the DNIS": f"GET {CALLS}/{{}}:1 HTTP/1.1|Host: x|" + USER,
    "the DNIS of a take": f"DELETE {CALLS}/{{}}:1 HTTP/1.1|Host: x|" + USER,
    "an escaped DNIS": f"GET {CALLS}/%41{{}}:1 HTTP/1.1|Host: x|" + USER,
    "the DNIS of explain": "GET /cticache/explain?dnis={}&ani=1 HTTP/1.1|Host: x|" + USER,
    "the ANI": f"GET {CALLS}/5551234560:{{}} HTTP/1.1|Host: x|" + USER,
    "the pool of the page": "GET /cticache/?pool={} HTTP/1.1|Host: x|" + USER,
    "what the page is to show": "GET /cticache/?filter={}&user={} HTTP/1.1|Host: x|" + USER,
    "a pool": "GET /cticache/pools/{} HTTP/1.1|Host: x|" + USER,
    "credentials": "GET /metrics HTTP/1.1|Host: x|Authorization: Basic {}!",
    "another scheme": "GET /metrics HTTP/1.1|Host: x|Authorization: {} x",
    "the name of a header": "GET /healthz HTTP/1.1|Host: x|X-{}: x",
    "Accept": f"GET {CALL} HTTP/1.1|Host: x|Accept: a/{{}}|" + USER,
    "Content-Type": f"POST {CALLS} HTTP/1.1|Host: x|Content-Type: a/{{}}|Content-Length: 0|" + USER,
    "the type of a take": f"POST {CALL}/take HTTP/1.1|Host: x|Content-Type: a/{{}};charset={{}}|Content-Length: 0|"
    + USER,
    "Content-Encoding": f"POST {CALLS} HTTP/1.1|Host: x|Content-Encoding: {{}}|Content-Length: 0|" + USER,
    "Idempotency-Key": f"DELETE {CALL} HTTP/1.1|Host: x|Idempotency-Key: {{}}|" + USER,
    "If-Match": f'DELETE {CALL} HTTP/1.1|Host: x|If-Match: "{{}}"|' + USER,
    "X-Request-Id": "GET /healthz HTTP/1.1|Host: x|X-Request-Id: {}",
    "a word of a query": f"DELETE {CALL}?{{}}=1 HTTP/1.1|Host: x|" + USER,
    "the ANI of a query": f"GET {CALLS}?dnis=5551234560&ani={{}} HTTP/1.1|Host: x|" + USER,
    "a uui": f"GET {CALLS}?uui={{}} HTTP/1.1|Host: x|" + USER,
    "a format": f"GET {CALL}?format={{}} HTTP/1.1|Host: x|" + USER,
    "a suffix": f"GET {CALL}.{{}} HTTP/1.1|Host: x|" + USER,
    "X-HTTP-Method-Override": f"POST {CALL} HTTP/1.1|Host: x|X-HTTP-Method-Override: {{}}|Content-Length: 0|" + USER,
    "Origin": f"DELETE {CALL} HTTP/1.1|Host: x|Origin: http://{{}}|" + USER,
    "X-Api-Key": "GET /metrics HTTP/1.1|Host: x|X-Api-Key: {}",
    "X-Forwarded-For": f"DELETE {CALL} HTTP/1.1|Host: x|X-Forwarded-For: {{}}|" + USER,
}


@pytest.mark.parametrize("dispatch", ["batch"], indirect=True)
def test_what_requests_differ_in_is_not_kept(talk: Talk, subtests: pytest.Subtests) -> None:
    def ask(place: str) -> None:
        length = LONG // place.count("{}")
        for _ in range(ROUND):
            text = place.replace("{}", f"{next(count):x}".rjust(length, "a")).replace("|", "\r\n")
            answer = talk.send(f"{text}\r\n\r\n".encode()).answer()
            assert answer.status in (200, 400, 401, 403, 404, 415, 422)

    def kept(place: str) -> int:
        """Bytes that are there after a round and were not before it."""
        before = tracemalloc.get_traced_memory()[0]
        ask(place)
        if tracemalloc.get_traced_memory()[0] - before > MOST:  # there may be circles
            gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    count = itertools.count()
    for place in PLACES.values():
        ask(place)
    gc.collect()
    tracemalloc.start()
    try:
        for what, place in PLACES.items():
            with subtests.test(what):
                # What is kept of requests is kept of each round; another thread's work is in one of them at most.
                rounds = (kept(place) for _ in range(3))
                assert any(left < MOST for left in rounds), f"more than {MOST} bytes of each {ROUND} requests"
    finally:
        tracemalloc.stop()


REQUESTS = {
    "posted": (201, posting(b'{"value":"v","ani":"1234567890"}')),
    "posted for another": (201, posting(b'{"value":"v","ani":"@@@"}')),
    "read": (200, request(f"GET {CALL}")),
    "taken": (200, request(f"DELETE {CALL}")),
    "gone": (410, request(f"DELETE {CALL}")),
    "never there": (404, request(f"GET {CALLS}/5559990000:1234567890")),
    "no number": (422, request(f"GET {CALLS}/5551234560:x1")),
    "no number to explain": (422, request("GET /cticache/explain?dnis=5551234560&ani=x1")),
    "explained": (200, request("POST /cticache/explain", "Content-Length: 23", body=b"dnis=5551234560&ani=@@@")),
    "the page": (200, request("GET /cticache/?pool=system-y&leases=1")),
    "the page of another pool": (404, request("GET /cticache/?pool=x")),
    "the page, and a call of no pool": (200, request("POST /cticache/", "Content-Length: 14", body=b"dnis=5&ani=123")),
    "listed": (200, request("GET /cticache/leases?pool=system-y")),
    "listed from nowhere": (422, request("GET /cticache/leases?pool=system-y&after=x")),
    "released": (
        200,
        request(
            "POST /cticache/release",
            "Content-Length: 37",
            body=b'{"pool":"system-y","user":"username"}',
        ),
    ),
    "no call to release": (
        404,
        request(
            "POST /cticache/release", "Content-Length: 47", body=b'{"pool":"system-y","dnis":"555","token":"none"}'
        ),
    ),
    "chunked": (
        201,
        request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b'19\r\n{"value":"v","ani":"@@@"}\r\n0\r\n\r\n'),
    ),
    "no such method": (405, request(f"PATCH {CALL}")),
    "no such pool": (404, request("GET /cticache/pools/x")),
    "no JSON": (400, posting(b"{")),
    "no XML": (400, posting(b"<")),
    "no ANI": (422, posting(b"{}")),
    "too large": (413, posting(b" " * (MAX_BODY + 1))),
    "multipart": (422, posting(b"--b--", "Content-Type: multipart/form-data; boundary=b")),
    "a header that is none": (400, b"GET / HTTP/1.1\r\nHost: x\r\nx\r\n\r\n"),
    "nobody": (401, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    "may not": (403, request("GET /metrics", user="x-only")),
}
"""Each with its status the first time; ``@@@`` is another number each time."""


@pytest.mark.parametrize("what", REQUESTS)
def test_no_request_leaves_a_circle(what: str, wire: Wire) -> None:
    numbers = itertools.count(100)

    def ask(sent: bytes) -> int:
        return asked(wire.port, sent.replace(b"@@@", b"%d" % next(numbers))).status

    for name, (status, sent) in REQUESTS.items():
        assert ask(sent) == status
        if name == what:
            break
    assert not in_circles(lambda: ask(sent))


DNIS = "5551234560"
LEASED = posting(b'{"value":"v","ani":"@@@@@"}')
MINE = f"{CALLS}/{DNIS}:@@@@@"
MULTIPART = "Content-Type: multipart/form-data; boundary=b"
LAST = "--b--\r\n"


def _posted(body: str | bytes, content_type: str = "Content-Type: text/plain") -> bytes:
    return posting(body.encode() if isinstance(body, str) else body, content_type)


def _meant(text: str = "", *headers: str, path: str = MINE, code: str = "utf-8") -> bytes:
    """A POST that may stand for another verb."""
    body = text.encode(code)
    return request(f"POST {path}", f"Content-Length: {len(body)}", *headers, body=body)


def _written(query: str, user: str = "x-only") -> bytes:
    """A lease by GET."""
    return request(f"GET {CALLS}?value=v&{query}", user=user)


def _part(text: str, name: str = "ani", more: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n'


DIALECTS: dict[str, tuple[int, *tuple[bytes, ...]]] = {
    **{f"read as {name}": (200, LEASED, request(f"GET {MINE}?format={name}")) for name in FORMATS},
    **{f"missed as {name}": (404, request(f"GET {CALLS}/{DNIS}/1.{name}")) for name in FORMATS},
    **{f"missed as {name}, and 200": (200, request(f"GET {CALL}.{name}?status=200")) for name in FORMATS},
    **{f"leased as {name}": (201, _written(f"ani=@@@@@&format={name}")) for name in FORMATS},
    **{f"full, as {name}": (503, _written(f"ani=1&pool=full&format={name}")) for name in FORMATS},
    "read by Accept": (200, LEASED, request(f"GET {MINE}", "Accept: text/xml")),
    "no such format": (422, request(f"GET {CALL}?format=pdf")),
    "two formats": (422, request(f"GET {CALL}.xml?format=txt")),
    "a format of what is no call": (422, request("GET /cticache/pools?format=xml")),
    "another status": (422, request(f"GET {CALL}?status=201")),
    "another detail": (422, request(f"GET {CALL}?detail=2")),
    "a HEAD": (200, LEASED, request(f"HEAD {MINE}")),
    "a HEAD of none": (404, request(f"HEAD {CALL}")),
    "a HEAD that would lease": (405, request(f"HEAD {CALLS}?value=1&ani=1")),
    "OPTIONS": (204, request(f"OPTIONS {CALL}")),
    "a lease by GET of a browser": (403, _written("ani=1", user="username")),
    "a take by GET": (200, LEASED, request(f"GET {MINE}/take", user="y-only")),
    "a take that is a prefetch": (403, request(f"GET {CALL}/take", "Sec-Purpose: prefetch", user="y-only")),
    "a DELETE": (200, LEASED, request(f"DELETE {MINE}")),
    "a DELETE that comes again": (200, LEASED, *[request(f"DELETE {MINE}?idempotency_key=@@@@@")] * 2),
    "a key of another call": (422, LEASED, *[_meant(path=f"{ani}/take?idempotency_key=@@@@@") for ani in (MINE, CALL)]),
    "another lease": (412, LEASED, request(f"DELETE {MINE}", 'If-Match: "x"')),
    "a PUT": (200, LEASED, request(f"PUT {MINE}")),
    "a PUT of a wrong field": (422, LEASED, request(f"PUT {MINE}", "Content-Length: 7", body=b'{"x":1}')),
    "a verb in a header": (200, LEASED, _meant("", "X-HTTP-Method-Override: DELETE")),
    "a verb in a query": (200, LEASED, _meant(path=MINE + "?_method=PUT")),
    "a verb in a body": (200, LEASED, _meant("_method=DELETE")),
    "a verb in UTF-16": (200, LEASED, _meant('{"_method":"PUT"}', "Content-Type: x; charset=utf-16", code="utf-16-le")),
    "no such verb": (422, LEASED, _meant("_method=GET")),
    "two verbs": (422, LEASED, _meant("_method=PUT", "X-HTTP-Method-Override: DELETE")),
    "a verb and a body that cannot be read": (400, LEASED, _meant("{", "X-HTTP-Method-Override: DELETE")),
    "another site": (403, request(f"DELETE {CALL}", "Sec-Fetch-Site: cross-site")),
    "another origin": (403, request(f"DELETE {CALL}", "Origin: http://y")),
    "an origin that is none": (403, request(f"DELETE {CALL}", "Origin: http://[y")),
    "read by uui": (200, LEASED, request(f"GET {CALLS}?uui=@uui@")),
    "a HEAD by uui": (200, LEASED, request(f"HEAD {CALLS}?uui=@uui@")),
    "taken by uui": (200, LEASED, request(f"POST {CALLS}/take?uui=@uui@", "Content-Length: 2", body=b"{}")),
    "taken again by uui": (410, LEASED, *[request(f"DELETE {CALLS}?uui=@uui@")] * 2),
    "taken by uui under one key": (200, LEASED, *[request(f"DELETE {CALLS}?uui=@uui@&idempotency_key=@@@@@")] * 2),
    "a uui of nobody": (404, request(f"GET {CALLS}?uui={'0' * 24}{DNIS}")),
    "a wrong uui": (422, request(f"GET {CALLS}?uui=x")),
    "a uui in another encoding": (422, request(f"GET {CALLS}?uui=00%3Bencoding%3Dascii")),
    "a uui with a wrong parameter": (422, request(f"GET {CALLS}?uui=00%3B%3D")),
    "a uui of another number": (422, LEASED, request(f"DELETE {CALLS}?uui=@uui@&dnis=5559990000")),
    "no key": (422, request(f"GET {CALLS}/{DNIS}")),
    "half a key": (422, request(f"GET {CALLS}?dnis={DNIS}")),
    "a key that is not UTF-8": (422, request(f"GET {CALLS}/%ff:1")),
    "a query that is not UTF-8": (422, request(f"GET {CALLS}?dnis={DNIS}&ani=%ff")),
    "two callers": (422, request(f"GET {CALLS}/{DNIS}:12?ani=34")),
    "no ANI in a query": (422, request(f"GET {CALLS}?dnis={DNIS}&ani=x1")),
    "no such word": (422, request(f"DELETE {CALL}?x=1")),
    "no bearer": (401, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"),
    "nobody's token": (401, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Api-Key: abc\r\n\r\n"),
    "no base64": (401, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic !\r\n\r\n"),
    "a form": (201, _posted("value=v&ani=@@@@@")),
    "a form with another escape": (400, _posted("value=%FC&ani=1")),
    "a form of too many fields": (400, _posted("&".join(f"f{at}=1" for at in range(33)))),
    "a form that says something twice": (422, _posted("value=1&ani=1&ani=1")),
    "a form without an ANI": (422, _posted("value=1")),
    "XML": (201, _posted("<a><value>v</value><ani>@@@@@</ani></a>")),
    "XML that does not end": (400, _posted("<a><value>v</value>")),
    "XML of a document type": (400, _posted("<!DOCTYPE a><a/>")),
    "XML with an entity": (400, _posted('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')),
    "XML with an entity that is none": (400, _posted("<a>&b;</a>")),
    "XML in another encoding than it says": (400, _posted('<?xml version="1.0" encoding="ascii"?><a>ü</a>')),
    "XML with an attribute": (422, _posted('<a b="1"/>')),
    "XML in XML": (422, _posted("<a><value><b/></value></a>")),
    "XML with text beside its elements": (422, _posted("<a>b<value/></a>")),
    "XML that says something twice": (422, _posted("<a><ani>1</ani><ani>1</ani></a>")),
    "XML without an ANI": (422, _posted("<a><value/></a>")),
    "multipart": (201, _posted(_part("v", "value") + _part("@@@@@") + LAST, MULTIPART)),
    "multipart that does not end": (400, _posted(_part("v", "value") + "--b", MULTIPART)),
    "multipart without a boundary": (400, _posted(_part("1"), "Content-Type: multipart/form-data")),
    "multipart with another boundary": (400, _posted(_part("1").replace("--b", "--c"), MULTIPART)),
    "multipart with a file": (422, _posted(_part("1", more='; filename="x"') + LAST, MULTIPART)),
    "multipart of too many parts": (400, _posted(_part("1") * 33 + LAST, MULTIPART)),
    "multipart with a wrong header": (400, _posted(_part("1", "\xff").encode("latin-1") + LAST.encode(), MULTIPART)),
    "multipart that is not UTF-8": (400, _posted(_part("\xff").encode("latin-1") + LAST.encode(), MULTIPART)),
    "multipart that says something twice": (422, _posted(_part("1") * 2 + LAST, MULTIPART)),
    "multipart without an ANI": (422, _posted(_part("1", "value") + LAST, MULTIPART)),
    "single quotes": (201, _posted("{'value':'v','ani':'@@@@@'}")),
    "single quotes that are wrong": (400, _posted("{'value':'it's','ani':'1'}")),
    "JSON that is nested too deeply": (400, _posted('{"value":' + "[" * 4000)),
    "JSON with half a character": (400, _posted('{"value":"\\ud800","ani":"1"}')),
    "JSON with NaN": (400, _posted('{"value":NaN,"ani":"1"}')),
    "JSON and more": (400, _posted('{"value":1,"ani":"1"}1')),
    "JSON with a wrong time": (422, _posted('{"value":1,"ani":"1","ttl":0}')),
    "not UTF-8": (400, _posted(b'{"value":"\xff"}')),
    "not in its charset": (400, _posted("ü=1", "Content-Type: text/plain; charset=ascii")),
    "no such charset": (415, _posted("a=1", "Content-Type: text/plain; charset=x")),
    "neither of them": (400, _posted("value")),
    "a lease on a number": (422, posting(b'{"value":1,"ani":"1","dnis":"1"}')),
}  # fmt: skip
"""What telephone systems of each kind send, and what is wrong with some of it: the status of the last of the steps.

``@@@@@`` is another number each time, and ``@uui@`` that of the lease before. The service allows all that may be asked
for; its only number is shared by all who call, and one pool is full.
"""


@pytest.fixture
def lenient(new_service: Callable[..., Service], verifier: Verifier, dispatch: str) -> Iterator[Wire]:
    """The service with all that must be asked for."""
    one = make_pool(DNIS, uui=True, cooldown_ms=0, max_callers=1000)
    full = make_pool("5559990000", name="full", exhausted="reject", without_data="5550001111")
    made = new_service(one, full)
    reads = Leniency(get_writes=True, single_quotes=True)
    app = create_app(made.store, made.pools, verifier, made.keeper, audit=Audit(), max_body=MAX_BODY, reads=reads)
    wire = Wire(replace(made, app=app), dispatch)
    assert asked(wire.port, posting(b'{"value":1,"ani":"1","pool":"full"}')).status == 201
    yield wire
    wire.stop()


def test_nothing_that_a_telephone_system_may_send_leaves_a_circle(lenient: Wire) -> None:
    numbers = itertools.count(10_000)

    def ask(what: str) -> None:
        status, *steps = DIALECTS[what]
        number, uui = b"%d" % next(numbers), b""
        for step in steps:
            answer = asked(lenient.port, step.replace(b"@@@@@", number).replace(b"@uui@", uui))
            if answer.status == 201:
                uui = answer.content.rpartition(b'"uui":"')[2].rstrip(b'"}')
        assert (answer.status, what) == (status, what), answer.content

    def ask_all() -> None:
        for what in DIALECTS:
            ask(what)

    assert not in_circles(ask_all), [what for what in DIALECTS if in_circles(partial(ask, what))]


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 1000"])
def test_a_request_that_is_cut_off_leaves_no_circle(framing: str, wire: Wire) -> None:
    def ask() -> None:
        with closing(Talk(wire.port)) as talk:
            talk.send(f"POST {CALLS} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n100\r\n{{".encode())
            talk.end()
            talk.rest()
        until(lambda: not wire.server.active_channels)

    assert not in_circles(ask)


@pytest.fixture
def impatient(service: Service, dispatch: str) -> Iterator[Wire]:
    """The service where nobody may wait for as long as a hash takes."""
    verifier = Verifier(USERS, remember_s=3600, size=1000, wait_s=0.001)
    app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY)
    wire = Wire(replace(service, app=app), dispatch)
    yield wire
    wire.stop()


def test_a_login_that_waits_in_vain_leaves_no_circle(impatient: Wire) -> None:
    names = itertools.count()

    def ask() -> None:
        assert asked(impatient.port, request("GET /metrics", user=f"nobody-{next(names)}")).status == 429

    assert not in_circles(ask)
