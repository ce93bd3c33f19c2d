"""The pools' figures and condition in the text format of Prometheus."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cticache.data.condition import KINDS, Condition
from cticache.data.counters import COUNTERS
from cticache.data.replies import NONE_FAILED, FailedLogins, PoolStats

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(
    figures: Mapping[str, PoolStats],
    condition: Condition,
    failed_logins: FailedLogins | None = NONE_FAILED,
    refused: Mapping[str, int] = MappingProxyType({}),
    closed: Mapping[str, int] = MappingProxyType({}),
) -> bytes:
    """One scrape: the figures by pool name, the condition of the pools, failed logins by user, refusals by code,
    connections that were closed on clients by cause.
    """
    registry = CollectorRegistry(auto_describe=False)
    if failed_logins is not None:  # None: nobody knows, which is not 0
        registry.register(_Logins(failed_logins))
    registry.register(_Pools(figures, condition))
    registry.register(_Refusals(refused, closed))
    return generate_latest(registry)


_GAUGES = {
    "shared_numbers": ("Numbers with more than one live caller", "shared"),
    "leaving_numbers": ("Numbers taken out whose last calls may still be asked for", "leaving"),
    "peak_numbers": ("Most numbers leased at once", "peak"),
}
_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds in seconds; each is also a step of those in which take.lua counts."""


class _Pools(Collector):
    def __init__(self, figures: Mapping[str, PoolStats], condition: Condition) -> None:
        self._figures = figures
        self._condition = condition

    def collect(self) -> Iterator[Metric]:
        numbers = GaugeMetricFamily("cticache_numbers", "Numbers of the pool by state", labels=["pool", "state"])
        transits = HistogramMetricFamily("cticache_transit_seconds", "Time from lease to take", labels=["pool"])
        for pool, stats in self._figures.items():
            for state in ("free", "leased", "cooling"):
                numbers.add_metric([pool, state], getattr(stats, state))
            transits.add_metric([pool], _cumulative(stats.transits), None)
        yield numbers
        yield from self._counters(labelled=True)
        yield transits
        for name, (text, attribute) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"cticache_{name}", text, labels=["pool"])
            for pool, stats in self._figures.items():
                gauge.add_metric([pool], getattr(stats, attribute))
            yield gauge
        yield from self._counters(labelled=False)
        conditions = GaugeMetricFamily(
            "cticache_condition", "What /readyz says in its notes or its detail: 1 while it holds", labels=["kind"]
        )
        for kind in KINDS:
            conditions.add_metric([kind], kind in self._condition.notes)
        yield conditions

    def _counters(self, *, labelled: bool) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily] = {}
        for counter in COUNTERS:
            if bool(counter.by) == labelled:
                labels = ["pool", counter.by] if labelled else ["pool"]
                made = CounterMetricFamily(f"cticache_{counter.metric}", counter.says, labels=labels)
                family = families.setdefault(counter.metric, made)
                for pool, stats in self._figures.items():
                    values = [pool, counter.label] if labelled else [pool]
                    family.add_metric(values, stats.counts[counter.figure])
        yield from families.values()


class _Logins(Collector):
    def __init__(self, failed: FailedLogins) -> None:
        self._failed = failed

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily("cticache_failed_logins", "Wrong passwords that were checked", labels=["user"])
        for user, count in sorted(self._failed.by_user.items()):
            family.add_metric([user], count)
        yield family
        yield GaugeMetricFamily(
            "cticache_failed_login_addresses", "Addresses with wrong passwords lately", self._failed.addresses
        )


class _Refusals(Collector):
    def __init__(self, refused: Mapping[str, int], closed: Mapping[str, int]) -> None:
        self._refused = refused
        self._closed = closed

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily("cticache_refusals", "Requests refused, of all pools", labels=["code"])
        for code, count in self._refused.items():
            counter.add_metric([code], count)
        yield counter
        counter = CounterMetricFamily("cticache_connections_closed", "Connections closed on clients", labels=["cause"])
        for cause, count in self._closed.items():
            counter.add_metric([cause], count)
        yield counter


def _cumulative(transits: Mapping[int, int]) -> list[tuple[str, int]]:
    within = [(str(float(bound)), sum(n for seconds, n in transits.items() if seconds <= bound)) for bound in _BUCKETS]
    return [*within, ("+Inf", sum(transits.values()))]
