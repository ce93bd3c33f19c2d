"""The pools' figures in the text format of Prometheus."""

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cticache.data.store import PoolStats

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(figures: Mapping[str, PoolStats]) -> bytes:
    """The figures, by pool name, as one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Pools(figures))
    return generate_latest(registry)


_GAUGES = {
    "shared_numbers": ("Numbers with more than one live caller", "shared"),
    "leaving_numbers": ("Numbers taken out whose last calls may still be asked for", "leaving"),
    "peak_numbers": ("Most numbers leased at once", "peak"),
}
_COUNTERS = {
    "leases": ("Calls leased a number", "leased_total"),
    "shares": ("Leases of a number already in use", "shared_total"),
    "fallbacks": ("Leases of the fallback number", "fallback_total"),
    "rejections": ("Calls refused for want of a number", "rejected_total"),
    "over_max_live": ("Calls refused because their user has max_live leases", "over_max_live_total"),
    "takes": ("Calls whose data was handed over", "taken_total"),
    "renewals": ("Calls whose time was started again", "renewed_total"),
    "replays": ("Answers given again under an idempotency key", "replayed_total"),
    "ambiguous": ("Questions that more than one live caller fitted", "ambiguous_total"),
    "unclaimed": ("Calls that ended before anybody asked for them", "unclaimed_total"),
}
_GRADES = ("exact", "suffix", "sole")
_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds in seconds, each one of the steps in which take.lua counts."""


class _Pools(Collector):
    def __init__(self, figures: Mapping[str, PoolStats]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        numbers = GaugeMetricFamily("cticache_numbers", "Numbers of the pool by state", labels=["pool", "state"])
        claims = CounterMetricFamily("cticache_claims", "Calls asked for, by how found", labels=["pool", "match"])
        transits = HistogramMetricFamily("cticache_transit_seconds", "Time from lease to take", labels=["pool"])
        for pool, stats in self._figures.items():
            for state in ("free", "leased", "cooling"):
                numbers.add_metric([pool, state], getattr(stats, state))
            for grade in _GRADES:
                claims.add_metric([pool, grade], getattr(stats, f"match_{grade}_total"))
            transits.add_metric([pool], _cumulative(stats.transits), None)
        yield from (numbers, claims, transits)
        for name, (text, attribute) in _GAUGES.items():
            yield self._filled(GaugeMetricFamily(f"cticache_{name}", text, labels=["pool"]), attribute)
        for name, (text, attribute) in _COUNTERS.items():
            yield self._filled(CounterMetricFamily(f"cticache_{name}", text, labels=["pool"]), attribute)

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, attribute: str) -> Metric:
        for pool, stats in self._figures.items():
            family.add_metric([pool], getattr(stats, attribute))
        return family


def _cumulative(transits: Mapping[int, int]) -> list[tuple[str, int]]:
    within = [(str(float(bound)), sum(n for seconds, n in transits.items() if seconds <= bound)) for bound in _BUCKETS]
    return [*within, ("+Inf", sum(transits.values()))]
