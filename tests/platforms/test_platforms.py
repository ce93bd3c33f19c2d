"""Every platform leases, takes, and tells a miss, a full pool and a fault apart, by its own means."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import pytest
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.access.users import User, token_digest
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.journal.refused import Refused
from cticache.link.connection import connect
from cticache.numbering.country import Country
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import STRICT, Leniency
from kit import servers
from kit.running import MAX_BODY, Service, Wire
from kit.samples import make_pool, user
from kit.talk import CALLS, Answer, asked, request
from platforms.clouds import CLOUDS
from platforms.exchange import TOKEN, USER, WRONG, exchanged
from platforms.integrations import INTEGRATIONS
from platforms.platform import Call, Outcome, Platform
from platforms.programs import PROGRAMS
from platforms.reading import FAULT, FULL, MISS, first_line, hit
from platforms.suites import SUITES
from platforms.switches import SWITCHES
from platforms.voicexml import VOICEXML

PLATFORMS = (*PROGRAMS, *SWITCHES, *VOICEXML, *SUITES, *CLOUDS, *INTEGRATIONS)
NORTH_AMERICA = Country.of("1")
NUMBERS = "5551230000-5551231999"
SOME_NUMBER = "5551230007"
INSTEAD = "5558880000"
"""Where the call goes without its data."""
_CALLERS = itertools.count(2_125_550_000)

every_platform = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)


class Sites(NamedTuple):
    """The ports of the services."""

    strict: int
    lenient: int
    away: int
    """The one whose Redis is away."""

    def of(self, platform: Platform) -> int:
        return self.lenient if platform.needs_leniency else self.strict


@pytest.fixture(scope="module")
def sites(connection: Redis, loaded: Scripts) -> Iterator[Sites]:
    """Services over a pool with numbers to spare and two that are full, for all tests: each has callers of its own."""
    connection.flushall()
    loaded.load()
    pools = Pools(
        [
            make_pool(NUMBERS, country=NORTH_AMERICA, withheld=("+266696687",)),
            make_pool("5559990000", name="full", country=NORTH_AMERICA, exhausted="reject"),
            make_pool("5559990001", name="without", country=NORTH_AMERICA, exhausted="reject", without_data=INSTEAD),
        ]
    )
    who = User(
        USER, user(USER).password, roles=frozenset({"lease", "read", "take"}), token=frozenset({token_digest(TOKEN)})
    )
    verifier = Verifier([who], remember_s=3600, size=1000, many=1_000_000)
    with ExitStack() as stack:

        def serve(client: Redis, reads: Leniency = STRICT) -> int:
            store = Store(copy(loaded), Keys("cti"), retry_after=2)
            keeper = Keeper(store, pools, interval=3600)
            keeper.synced.set()
            refused = Refused()
            stack.callback(refused.close)
            audit = Audit(refused=refused)
            app = create_app(store, pools, verifier, keeper, audit=audit, max_body=MAX_BODY, reads=reads)
            wire = Wire(Service(app, store, pools, keeper, client))
            stack.callback(wire.stop)
            return wire.port

        sync(Store(copy(loaded), Keys("cti"), retry_after=2), pools, take_over=True)
        nowhere = stack.enter_context(connect(f"redis://127.0.0.1:{servers.free_port()}", 1.0))
        lenient = Leniency(get_writes=True, single_quotes=True)
        made = Sites(serve(connection), serve(connection, lenient), serve(nowhere, lenient))
        for full in ("full", "without"):
            filling = f'{{"value":"v","ani":"2015550000","pool":"{full}","ttl":3600}}'.encode()
            assert _reference(made.strict, f"POST {CALLS}", filling).status == 201
        yield made


def _reference(port: int, line: str, body: bytes = b"") -> Answer:
    """What a client gets that does all by the book."""
    return asked(port, request(line, f"Content-Length: {len(body)}", body=body))


def _new_caller() -> str:
    return str(next(_CALLERS))


def _lease(port: int, platform: Platform, call: Call, secret: str = "") -> Outcome:
    """What the platform makes of the answer to its lease."""
    reads = platform.reads_lease or platform.reads
    return reads(exchanged(port, platform, platform.lease(call), secret), "dnis")


def _take(port: int, platform: Platform, call: Call, secret: str = "") -> Outcome:
    """What it makes of the answer to its take."""
    return platform.reads(exchanged(port, platform, platform.take(call), secret), "value")


def _to_lease(platform: Platform, caller: str, value: str = "v", pool: str = "") -> Call:
    """What it knows before the transfer."""
    return Call(platform.ani(caller), value=value, pool=pool, idempotency_key=f"call-{caller}")


def _to_take(platform: Platform, caller: str, dnis: str = SOME_NUMBER) -> Call:
    """What it knows after it."""
    return Call(platform.ani(caller), platform.dnis(dnis))


def _number(outcome: Outcome) -> str:
    """The number that was leased."""
    assert outcome[0] == "hit"
    return outcome[1]


@every_platform
def test_what_it_hands_over_it_gets_back_once(sites: Sites, platform: Platform) -> None:
    port, caller = sites.of(platform), _new_caller()
    dnis = _number(_lease(port, platform, _to_lease(platform, caller, platform.value)))
    assert _reference(port, f"GET {CALLS}/{dnis}:{caller}").json == {"value": platform.value}
    assert _take(port, platform, _to_take(platform, caller, dnis)) == hit(platform.value)
    assert _take(port, platform, _to_take(platform, caller, dnis)) == MISS


@every_platform
def test_it_learns_that_nothing_is_there(sites: Sites, platform: Platform) -> None:
    assert _take(sites.of(platform), platform, _to_take(platform, _new_caller())) == MISS


@every_platform
def test_it_learns_that_no_number_is_free(sites: Sites, platform: Platform) -> None:
    assert _lease(sites.of(platform), platform, _to_lease(platform, _new_caller(), pool="full")) == FULL


@every_platform
def test_it_learns_where_the_call_goes_without_its_data(sites: Sites, platform: Platform) -> None:
    outcome = _lease(sites.of(platform), platform, _to_lease(platform, _new_caller(), pool="without"))
    says_no_more = platform.reads is first_line  # the number alone, which is all that is needed to transfer the call
    assert outcome == (hit(INSTEAD) if says_no_more else ("without", INSTEAD))


@every_platform
def test_a_wrong_password_looks_like_a_fault(sites: Sites, platform: Platform) -> None:
    port, caller = sites.of(platform), _new_caller()
    assert _lease(port, platform, _to_lease(platform, caller), WRONG) == FAULT
    assert _take(port, platform, _to_take(platform, caller), WRONG) == FAULT


@every_platform
def test_a_redis_that_is_away_looks_like_a_fault(sites: Sites, platform: Platform) -> None:
    caller = _new_caller()
    assert _lease(sites.away, platform, _to_lease(platform, caller)) == FAULT
    assert _take(sites.away, platform, _to_take(platform, caller)) == FAULT


@every_platform
def test_a_wrong_address_or_pool_looks_like_a_fault(sites: Sites, platform: Platform) -> None:
    port, caller = sites.of(platform), _new_caller()
    asks = platform.take(_to_take(platform, caller))
    elsewhere = replace(asks, target=asks.target.replace(CALLS, "/cticache/DNIS_ANI"))
    assert platform.reads(exchanged(port, platform, elsewhere), "value") == FAULT
    assert _lease(port, platform, _to_lease(platform, caller, pool="no-such-pool")) == FAULT


@every_platform
def test_a_withheld_caller_is_handed_over_as_it_says_it(sites: Sites, platform: Platform) -> None:
    port = sites.of(platform)
    dnis = _number(_lease(port, platform, Call(platform.withheld, value="v", idempotency_key=f"call-{_new_caller()}")))
    assert _reference(port, f"GET {CALLS}/{dnis}/anonymous").json == {"value": "v"}
    assert _take(port, platform, Call(platform.withheld, platform.dnis(dnis))) == hit("v")


@pytest.mark.parametrize("name", [".NET HttpClient, DataContract", "BizTalk, WCF-WebHttp"])
def test_the_null_of_a_data_contract_is_null(sites: Sites, name: str) -> None:
    (platform,) = (each for each in PLATFORMS if each.name == name)
    caller = _new_caller()
    dnis = _number(_lease(sites.strict, platform, _to_lease(platform, caller, value="")))
    assert _reference(sites.strict, f"GET {CALLS}/{dnis}:{caller}").json == {"value": None}


@pytest.mark.parametrize("platform", [each for each in PLATFORMS if each.repeats], ids=lambda platform: platform.name)
def test_a_lease_that_it_repeats_by_itself_is_one(sites: Sites, platform: Platform) -> None:
    port, call = sites.of(platform), _to_lease(platform, _new_caller())
    assert _number(_lease(port, platform, call)) == _number(_lease(port, platform, call))


@pytest.mark.parametrize(
    ("x", "y"),
    [pytest.param(x, y, id=f"{x.name} to {y.name}") for x, y in itertools.pairwise((*PLATFORMS, PLATFORMS[0]))],
)
def test_what_one_hands_over_the_next_gets(sites: Sites, x: Platform, y: Platform) -> None:
    caller = _new_caller()
    dnis = _number(_lease(sites.of(x), x, _to_lease(x, caller, x.value)))
    assert _take(sites.of(y), y, _to_take(y, caller, dnis)) == hit(x.value)
