"""The pools' figures in the text format of Prometheus."""

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cticache.store import PoolStats

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(figures: Mapping[str, PoolStats]) -> bytes:
    """The figures, by pool name, as one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Pools(figures))
    return generate_latest(registry)


class _Pools(Collector):
    def __init__(self, figures: Mapping[str, PoolStats]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        numbers = GaugeMetricFamily("cticache_numbers", "Numbers of the pool by state", labels=["pool", "state"])
        shared = GaugeMetricFamily("cticache_shared_numbers", "Numbers with more than one live caller", labels=["pool"])
        leaving = GaugeMetricFamily(
            "cticache_leaving_numbers", "Numbers taken out whose last calls may still be asked for", labels=["pool"]
        )
        leases = CounterMetricFamily("cticache_leases", "Calls leased a number", labels=["pool"])
        shares = CounterMetricFamily("cticache_shares", "Leases of a number already in use", labels=["pool"])
        rejections = CounterMetricFamily("cticache_rejections", "Calls refused for want of a number", labels=["pool"])
        takes = CounterMetricFamily("cticache_takes", "Calls whose data was handed over", labels=["pool"])
        renewals = CounterMetricFamily("cticache_renewals", "Calls whose time was started again", labels=["pool"])
        for pool, stats in self._figures.items():
            for state in ("free", "leased", "cooling"):
                numbers.add_metric([pool, state], getattr(stats, state))
            shared.add_metric([pool], stats.shared)
            leaving.add_metric([pool], stats.leaving)
            leases.add_metric([pool], stats.leased_total)
            shares.add_metric([pool], stats.shared_total)
            rejections.add_metric([pool], stats.rejected_total)
            takes.add_metric([pool], stats.taken_total)
            renewals.add_metric([pool], stats.renewed_total)
        yield from (numbers, shared, leaving, leases, shares, rejections, takes, renewals)
