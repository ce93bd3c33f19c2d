"""A night: faults befall a service that runs; the rules of scripts/deploy, the page and the log name each in a minute.

Debian's Prometheus is beside it, on those rules as they are, and asks every second. Somebody has the page open.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from kit.checkout import CHECKOUT

if sys.platform == "win32" or not CHECKOUT:
    pytest.skip("there is no Prometheus here, or no scripts", allow_module_level=True)

from cticache.access.passwords import hashed
from kit.faults.stage import Server
from kit.pages import section
from kit.prometheus import Prometheus, promtool, watching
from kit.samples import PASSWORD
from kit.servers import free_port
from kit.serving import Running, until
from kit.talk import CALLS, asked, request

WITHIN_S = 60.0
BEAT_S = 0.5
NUMBERS = 4
CONFIG = """\
[server]
port = {port}
workers = 1
auth_failures = 1000
[redis]
url = {url}
[pool:sales]
numbers = 5551234560-{last}
ttl = {ttl_s}
cooldown = 0
exhausted = reject
[user:ivr]
password = {hash}
roles = lease, read, take
[user:watcher]
password = {hash}
roles = watch
"""


class Night:
    """The two systems and the network between them, what they do a beat at a time; and what befalls them."""

    def __init__(self, port: int, redis: Server, running: Running) -> None:
        self.port, self.redis, self.running = port, redis, running
        self.misrouted = ""
        """The number whose calls do not reach System Y."""
        self.prefix = ""
        """What the network puts before an ANI."""
        self._calls = 0

    def call(self) -> None:
        """A caller is handed over, if the call arrives."""
        if dnis := self.lease():
            self.arrives(dnis)

    def quiet(self) -> bool:
        """A caller now and then."""
        self.call()
        time.sleep(BEAT_S)
        return True

    def lease(self) -> str:
        """System X leases a number for a caller; empty where it is refused."""
        self._calls += 1
        body = json.dumps({"ani": self._ani(), "value": "v"}).encode()
        answer = asked(self.port, request(f"POST {CALLS}", f"Content-Length: {len(body)}", body=body, user="ivr"))
        return str(answer.json["dnis"]) if answer.status == 201 else ""

    def arrives(self, dnis: str) -> None:
        """System Y takes the data of the call that was leased last."""
        if dnis != self.misrouted:
            asked(self.port, request(f"DELETE {CALLS}/{dnis}:{self.prefix}{self._ani()}", user="ivr"))

    def scan(self) -> None:
        """Somebody asks for numbers of no pool."""
        self._calls += 1
        asked(self.port, request(f"GET {CALLS}/6{self._calls:09}:4930123456", user="ivr"))

    def page(self) -> str:
        """What stands under "Needs attention" on the page."""
        answer = asked(self.port, request("GET /cticache/", user="watcher"))
        return section(answer.content.decode(), "attention")

    def _ani(self) -> str:
        return f"4930{self._calls:06}"


class Fault(NamedTuple):
    """What befalls the service in the night."""

    name: str
    befalls: Callable[[Night], object]
    """Once."""
    goes_on: Callable[[Night], object]
    """A beat of what is done from then on."""
    alarms: frozenset[str]
    """The rules that must tell."""
    shows: str
    """A pattern of what stands on the page then."""
    says: str
    """A pattern of what stands in the log then."""
    detail: str = ""
    """What one of the rules must have found out."""
    ttl_s: int = 300
    beat_s: float = BEAT_S


def nothing(_: Night) -> None:
    """Nothing."""


def misroute(night: Night) -> None:
    night.misrouted = "5551234561"


def rewrite(night: Night) -> None:
    night.prefix = "9"


FAULTS = [
    Fault(
        "Redis emptied",
        lambda night: night.redis.admin.flushall(),
        Night.call,
        frozenset({"CticacheCallsLost"}),
        r"CRIT CALLS LOST Redis lost calls of pool sales: .* arrive without data\. Look at the log of Redis",
        r" ERROR \S+: .*Redis",
    ),
    Fault(
        "Redis killed",
        lambda night: night.redis.kill(),
        Night.call,
        frozenset({"CticacheRedisAway"}),
        r"CRIT REDIS Redis is away: see whether it runs",
        r" (WARNING|ERROR) \S+: .*Redis",
    ),
    Fault(
        "a pool drained by one client",
        nothing,
        Night.lease,
        frozenset({"CticachePoolCrit", "CticacheCallsRefused"}),
        r"CRIT FULL sales FULL: none of 4 numbers is free.* User ivr has the most leases, 4\.",
        r" WARNING cticache\.operate\.watch: pool sales: .*(in use|none of 4 numbers is free).* User ivr has the most",
        detail="User ivr has the most leases, 4;",
    ),
    Fault(
        "Y's ANI rewritten",
        rewrite,
        Night.call,
        frozenset({"CticacheAniChanged"}),
        r"NOT FOUND sales .*System Y sees another ANI than System X posts",
        r" WARNING cticache\.operate\.watch: pool sales: .*System Y sees another ANI",
    ),
    Fault(
        "one DNIS routed elsewhere",
        misroute,
        Night.call,
        frozenset({"CticacheNumberNotPickedUp"}),
        r"NOBODY PICKS UP sales Nobody picks up 5551234561: .*Call it",
        r" WARNING cticache\.operate\.watch: pool sales: Nobody picks up (555123456|…56)1",
        ttl_s=1,
    ),
    Fault(
        "a scanner",
        nothing,
        Night.scan,
        frozenset({"CticacheScanner"}),
        r"UNKNOWN NUMBERS \d+ questions in the last minute for numbers of no pool",
        r" WARNING \S+: .*numbers of no pool",
        beat_s=0.1,
    ),
]
IN_SHORT = "Redis emptied"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The long form has each fault."""
    if "fault" in metafunc.fixturenames:
        chosen = [fault for fault in FAULTS if metafunc.config.getoption("--long") or fault.name == IN_SHORT]
        metafunc.parametrize("fault", chosen, ids=lambda fault: fault.name)


@contextmanager
def fallen(folder: Path, ttl_s: int) -> Iterator[tuple[Night, Prometheus]]:
    """A service in whose night calls are handed over, and Prometheus that has looked at it for a while."""
    port, config = free_port(), folder / "config.ini"
    with (
        watching(folder, port, "watcher") as prometheus,  # first: it takes its time to look at all
        closing(Server(folder / "redis")) as redis,
    ):
        last = 5551234560 + NUMBERS - 1
        config.write_text(
            CONFIG.format(port=port, url=redis.url, last=last, ttl_s=ttl_s, hash=hashed(PASSWORD)), "utf-8"
        )
        with closing(Running(config, folder / "log")) as running:
            running.line()
            night = Night(port, redis, running)
            until(lambda: asked(port, request("GET /readyz")).status == 200)
            until(lambda: night.quiet() and (prometheus.value("cticache_claims_total") or 0) > 0)
            yield night, prometheus


@pytest.fixture(scope="module")
def heading() -> list[str]:
    """What stands above the first row, and is told once."""
    return ["| fault | rule, and after how many seconds | the page after | the log after |", "|---|---|---|---|"]


def test_a_fault_is_named_within_a_minute(
    fault: Fault, tmp_path: Path, heading: list[str], tell: Callable[[str], None]
) -> None:
    with fallen(tmp_path, fault.ttl_s) as (night, prometheus):
        assert prometheus.value("up") == 1
        for expression, value in (("cticache_redis_up", 1), ("sum(cticache_numbers)", NUMBERS)):
            assert f"=> {value} @" in promtool("query", "instant", prometheus.url, expression)
        assert prometheus.alerts() == {}
        assert night.page() == "Needs attention Nothing."
        before, began = len(night.running.said()), time.monotonic()
        told: dict[str, float] = {}
        details, page, shown_s, said_s = "", "", 0.0, 0.0
        fault.befalls(night)
        while (fault.alarms - told.keys() or not (shown_s and said_s)) and (
            now_s := time.monotonic() - began
        ) < WITHIN_S:
            fault.goes_on(night)
            for name, alert in prometheus.alerts().items():
                told.setdefault(name, now_s)
                details += " ".join(alert.annotations.values())
            if not shown_s and re.search(fault.shows, page := night.page()):
                shown_s = now_s
            if not said_s and re.search(fault.says, night.running.said()[before:]):
                said_s = now_s
            time.sleep(fault.beat_s)
        while heading:
            tell(heading.pop(0))
        rules = ", ".join(f"`{name}` {s:.1f}" for name, s in told.items())
        tell(f"| {fault.name} | {rules} | {shown_s:.1f} | {said_s:.1f} |")
        assert fault.alarms <= told.keys(), told
        assert shown_s, page
        assert said_s, night.running.said()[before:]
        assert fault.detail in details
        assert not re.search("<error|<no value", details)
