"""The figures of the service in the text format of Prometheus."""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cticache.access.users import User
from cticache.data.condition import KINDS, Condition
from cticache.data.counters import COUNTERS
from cticache.data.replies import FailedLogins, PoolStats
from cticache.errors import LOGINS
from cticache.journal.closed import CAUSES
from cticache.journal.counts import BOUNDS_S, Sums
from cticache.journal.refused import CODES
from cticache.operate.attention import Attention

CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True)
class Processes:
    """The processes of this service."""

    wanted: int = 1
    """How many are to serve."""
    pids: Mapping[str, int] = field(default_factory=dict)
    """Of those that live: ``parent`` or the number of a worker -> its process."""
    restarts: int = 0
    """How many workers have been replaced."""
    dispatch: str = ""
    """How requests are served: ``batch`` or ``threads``."""


@dataclass(frozen=True)
class Seen:
    """All that one scrape tells."""

    stats: Mapping[str, PoolStats]
    """By the name of the pool."""
    failed_logins: FailedLogins | None
    """None where nobody knows, which is not 0."""
    names_users: bool
    """Whether the names of users may be told whose pools are others."""
    is_up: bool
    """Whether Redis has answered all that was asked."""
    condition: Condition
    sums: Sums
    processes: Processes = field(default_factory=Processes)
    limits: Mapping[str, float] = field(default_factory=dict)
    users: Sequence[User] = ()
    config_read_at: float = 0.0
    """When the configuration was read that holds, in seconds since 1970."""
    attention: Sequence[Attention] = ()
    """What needs attention, as far as whoever asks may see it."""


def exposition(seen: Seen) -> bytes:
    """One scrape."""
    registry = CollectorRegistry(auto_describe=False)
    for families in (_logins, _pools, _attention, _counted, _served, _running):
        registry.register(_Families(families(seen)))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


UNKNOWN = "unknown"
"""For users that are not configured, or no longer."""
_GAUGES = {
    "shared_numbers": ("Numbers with more than one live caller", "shared"),
    "leaving_numbers": ("Numbers taken out whose last calls may still be asked for", "leaving"),
    "peak_numbers": ("Most numbers leased at once", "peak"),
}
_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds in seconds; each is also a step of those in which take.lua counts."""


def _pools(seen: Seen) -> Iterator[Metric]:
    numbers = GaugeMetricFamily("cticache_numbers", "Numbers of the pool by state", labels=["pool", "state"])
    transits = HistogramMetricFamily("cticache_transit_seconds", "Time from lease to take", labels=["pool"])
    for pool, stats in seen.stats.items():
        for state in ("free", "leased", "cooling"):
            numbers.add_metric([pool, state], getattr(stats, state))
        spent_s = sum(seconds * count for seconds, count in stats.transits.items())
        transits.add_metric([pool], _within(stats.transits), spent_s)
    yield numbers
    yield from _counters(seen, labelled=True)
    yield transits
    for name, (text, attribute) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"cticache_{name}", text, labels=["pool"])
        for pool, stats in seen.stats.items():
            gauge.add_metric([pool], getattr(stats, attribute))
        yield gauge
    names = {user.name for user in seen.users}
    leases = GaugeMetricFamily("cticache_live_leases", "Live leases of a user in a pool", labels=["pool", "user"])
    for pool, stats in seen.stats.items():
        live: Counter[str] = Counter()
        for user, count in stats.live.items():
            live[user if user in names else UNKNOWN] += count
        for user, count in sorted(live.items()):
            leases.add_metric([pool, user], count)
    yield leases
    yield from _counters(seen, labelled=False)


def _counters(seen: Seen, *, labelled: bool) -> Iterator[Metric]:
    families: dict[str, CounterMetricFamily] = {}
    for counter in COUNTERS:
        if bool(counter.by) == labelled:
            labels = ["pool", counter.by] if labelled else ["pool"]
            made = CounterMetricFamily(f"cticache_{counter.metric}", counter.says, labels=labels)
            family = families.setdefault(counter.metric, made)
            for pool, stats in seen.stats.items():
                values = [pool, counter.label] if labelled else [pool]
                family.add_metric(values, stats.counts[counter.figure])
    yield from families.values()


def _logins(seen: Seen) -> Iterator[Metric]:
    if seen.failed_logins is None:
        return
    if seen.names_users:
        family = CounterMetricFamily("cticache_failed_logins", "Wrong passwords", labels=["user"])
        for user, count in sorted(seen.failed_logins.by_user.items()):
            family.add_metric([user], count)
        yield family
    yield GaugeMetricFamily(
        "cticache_failed_login_addresses", "Addresses with wrong passwords lately", seen.failed_logins.addresses
    )


def _counted(seen: Seen) -> Iterator[Metric]:
    counts = seen.sums.counts()
    for name, text, label, kind, known in (
        ("refusals", "Requests refused, of all pools", "code", "refusals", CODES),
        ("connections_closed", "Connections closed on clients", "cause", "closed", tuple(CAUSES)),
        ("refused_logins", "Requests refused for their credentials", "reason", "logins", LOGINS),
    ):
        counter = CounterMetricFamily(f"cticache_{name}", text, labels=[label])
        for each in known:
            counter.add_metric([each], counts.get((kind, each), 0))
        yield counter
    yield CounterMetricFamily("cticache_connections_accepted", "Clients let in", counts.get(("accepted",), 0))
    for name, text, kind in (
        ("redis_seconds", "Time that Redis took to answer a request", "redis"),
        ("batch_requests", "Requests that began in one turn of the loop", "batch"),
    ):
        yield SummaryMetricFamily(
            f"cticache_{name}", text, int(counts.get((kind, "count"), 0)), counts.get((kind, "sum"), 0)
        )


def _served(seen: Seen) -> Iterator[Metric]:
    requests = CounterMetricFamily("cticache_http_requests", "Requests answered", labels=["route", "method", "status"])
    durations = HistogramMetricFamily("cticache_http_request_seconds", "Time to answer a request", labels=["route"])
    by_route: dict[str, list[float]] = {}
    for (route, method, status), row in sorted(seen.sums.answers().items()):
        requests.add_metric([route, method, str(status)], sum(row[:-1]))
        known = by_route.setdefault(route, [0.0] * len(row))
        by_route[route] = [one + other for one, other in zip(known, row, strict=True)]
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    for route, row in by_route.items():
        durations.add_metric([route], list(zip(bounds, accumulate(row[:-1]), strict=True)), row[-1])
    yield requests
    yield durations


def _attention(seen: Seen) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "cticache_attention", "Things that need attention, by what it is", labels=["pool", "kind", "level"]
    )
    for (pool, kind, level), count in Counter((each.pool, each.kind, each.level) for each in seen.attention).items():
        family.add_metric([pool, kind, level], count)
    yield family


_OF_WORKERS = {
    "connections": "Clients connected to a worker",
    "redis_servers_away": "Servers of Redis that a worker takes to be away: it refuses at once what needs them",
}


def _running(seen: Seen) -> Iterator[Metric]:
    processes, condition = seen.processes, seen.condition
    build = InfoMetricFamily("cticache_build", "What is running")
    about = {"version": version("cticache"), "python": platform.python_version(), "dispatch": processes.dispatch}
    build.add_metric([], about)
    yield build
    yield GaugeMetricFamily("cticache_redis_up", "1 while Redis answers this service", seen.is_up)
    yield GaugeMetricFamily("cticache_in_place", "1 while the pools are as configured here", condition.in_place)
    yield GaugeMetricFamily(
        "cticache_config_differs",
        "1 while another service on this Redis has other pools, numbers or rules, and rules",
        bool({"overruled", "rules"} & condition.notes.keys()),
    )
    conditions = GaugeMetricFamily(
        "cticache_condition", "What /readyz says in its notes or its detail: 1 while it holds", labels=["kind"]
    )
    for kind in KINDS:
        conditions.add_metric([kind], kind in condition.notes)
    yield conditions
    yield GaugeMetricFamily("cticache_workers_wanted", "Processes that are to serve", processes.wanted)
    yield GaugeMetricFamily("cticache_workers", "Processes that serve", len(processes.pids.keys() - {"parent"}))
    yield CounterMetricFamily("cticache_worker_restarts", "Workers that were replaced", processes.restarts)
    gauges = seen.sums.gauges()
    for name, text in _OF_WORKERS.items():
        family = GaugeMetricFamily(f"cticache_{name}", text, labels=["worker"])
        for number, held in gauges.items():
            if str(number) in processes.pids:
                family.add_metric([str(number)], held.get(name, 0))
        yield family
    yield GaugeMetricFamily(
        "cticache_config_read_timestamp_seconds",
        "When the configuration that holds was read, since 1970",
        seen.config_read_at,
    )
    yield GaugeMetricFamily(
        "cticache_config_refused",
        "1 while the configuration that was read last is refused, and the one before it holds",
        any(each.kind == "config" for each in seen.attention),
    )
    limits = GaugeMetricFamily("cticache_limit", "Limits of the configuration, 0 for none", labels=["name"])
    for name, limit in seen.limits.items():
        limits.add_metric([name], limit)
    yield limits
    if seen.names_users:
        most = GaugeMetricFamily("cticache_max_live", "Most live leases of a user in a pool, 0: any", labels=["user"])
        for user in seen.users:
            most.add_metric([user.name], user.max_live)
        yield most
    yield from _of_processes(processes.pids)


def _of_processes(pids: Mapping[str, int]) -> Iterator[Metric]:
    """What the system tells of each process, where it is one that prometheus_client can ask: Linux."""
    families: dict[str, Metric] = {}
    for process, pid in pids.items():
        for told in ProcessCollector("cticache", partial(int, pid), registry=CollectorRegistry()).collect():
            family = families.setdefault(told.name, Metric(told.name, told.documentation, told.type))
            for sample in told.samples:
                family.add_sample(sample.name, {"process": process}, sample.value)
    yield from families.values()


def _within(transits: Mapping[int, int]) -> list[tuple[str, float]]:
    within = [(str(float(bound)), sum(n for seconds, n in transits.items() if seconds <= bound)) for bound in _BUCKETS]
    return [*within, ("+Inf", sum(transits.values()))]
