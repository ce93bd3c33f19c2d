"""The rows that must be shown: the ratio of each round, its median and spread, against its bars."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from load import Figures, Load
from record import WITH_IDLE, Record, middle
from redis_cost import SIZES
from sections import ACTIVE, AT_ONCE, BESIDE, IN_TURN
from servers import TITLES

GET, POST = Load("get", 64), Load("post", 64)


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    title: str
    bar: float
    aim: float
    at_most: bool
    values: list[float]
    """One a round; empty when it was not measured."""
    errors: int
    """Errors in the runs that the row is made of."""
    faultless: bool
    """Whether a single error means that the bar is missed."""

    @property
    def verdict(self) -> str:
        """In words, by the median."""
        if not self.values:
            return "not measured"
        value = round(middle(self.values), 2)
        if self.errors and self.faultless:
            return f"missed, errors: {self.errors}"
        beside = f"; errors in its runs: {self.errors}" if self.errors else ""
        if value <= self.aim if self.at_most else value >= self.aim:
            return f"met, and the aim{beside}"
        if value <= self.bar if self.at_most else value >= self.bar:
            return f"met{beside}"
        return f"missed{beside}"


def rows(record: Record) -> list[Row]:
    """Every row, in the order of the report."""
    active = Load("get", ACTIVE)
    batch = record.of("get", "batch", GET)
    hello = record.of("get", "hello", Load("get", record.hello_connections))
    floor, node = record.of("get", "floor", GET), record.of("get", "node", GET)
    posts, node_posts = record.of("post", "batch", POST), record.of("post", "node", POST)
    few, many = record.of("connections", "batch", GET), record.of("connections", "batch", Load("get", 1000))
    near, far = record.of("distance", "near", GET), record.of("distance", "far", GET)
    alone, beside_idle = record.of("idle", "batch", active), record.of(WITH_IDLE, "batch", active)
    one, two = record.of("workers", "batch", GET), record.of("workers", "two", GET)
    return [
        _rates("GET, 64 connections / bare hello on stock waitress at its best", 1.5, 2.0, batch, hello),
        _rates("GET, 64 connections / Node design", 1.3, 1.6, batch, node),
        _rates("POST, 64 connections / Node design", 1.2, 1.5, posts, node_posts),
        Row("CPU a GET / CPU of the floor", 1.9, 1.5, True, _ratios(batch, floor, _cpu), _errors(batch, floor), False),
        _rates(
            "1,000 connections / 64 connections, requests a second, no errors", 0.8, 0.95, many, few, faultless=True
        ),
        _waits(record.of("connections", "batch", Load("get", BESIDE))),
        _rates("Redis at a round trip of 2 ms / local, 64 connections", 0.7, 0.85, far, near),
        _rates("900 idle + 16 active / 16 active", 0.9, 0.98, beside_idle, alone),
        _newcomers(record, AT_ONCE),
        _newcomers(record, IN_TURN),
        _rates("two workers / one", 1.5, 1.7, two, one),
        _pools(record.pool_costs),
    ]


def cpu_note(record: Record) -> str:
    """CPU per request beside the others: on a busy machine it says more than the rates; empty without figures."""
    told = []
    for operation, words in (("get", "GET"), ("post", "POST"), ("handoff", "hand-off")):
        load = Load(operation, 64)
        ours = record.of(operation, "batch", load)
        against = {
            TITLES[name]: _ratios(ours, record.of(operation, name, load), _cpu)
            for name in ("threads", "node", "falcon", "fastapi")
        }
        told += [f"{words} / {title} {middle(ratios):.2f}" for title, ratios in against.items() if ratios]
    return f"CPU a request of cticache, batch, at 64 connections: {'; '.join(told)}." if told else ""


def workers_note(record: Record) -> str:
    """What two workers could do at most while the load generator shares the machine; empty without figures."""
    two = record.of("workers", "two", GET)
    if not two:
        return ""
    service, redis, wrk = (
        middle([each(one) for one in two]) for each in (_cpu, lambda one: one.redis_us, lambda one: one.wrk_us)
    )
    cores = len(os.sched_getaffinity(0))
    most = cores * 1e6 / (service + redis + wrk)
    reached = middle([one.rate for one in two]) / most
    return (
        f"Two workers: a GET takes {service:.0f} us of the service, {redis:.0f} of Redis and {wrk:.0f} of the load "
        f"generator, so that {cores} cores have time for {most:,.0f} a second; {reached:.0%} of that is reached."
    )


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of the values is not above."""
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)]


def _rates(
    title: str, bar: float, aim: float, above: list[Figures], below: list[Figures], *, faultless: bool = False
) -> Row:
    return Row(title, bar, aim, False, _ratios(above, below, _rate), _errors(above, below), faultless)


def _waits(rounds: list[Figures]) -> Row:
    values = [one.p99_ms / one.p50_ms for one in rounds if one.p50_ms]
    return Row("p99 / p50 at 256 connections", 4, 2.5, True, values, _errors(rounds), False)


def _newcomers(record: Record, how: str) -> Row:
    came = record.newcomers.get(("batch", how), [])
    title = f"p99 wait of 200 newcomers, {how}, beside 256 keep-alive clients / the latter's median"
    values = [percentile(one.waits_ms, 0.99) / one.beside.p50_ms for one in came if one.waits_ms and one.beside.p50_ms]
    return Row(title, 5, 3, True, values, sum(one.errors + one.beside.errors for one in came), True)


def _pools(costs: dict[int, list[float]]) -> Row:
    pairs = zip(costs.get(SIZES[-1], []), costs.get(SIZES[0], []), strict=True)
    title = "Redis CPU a lease, 1,000,000 numbers / 1,000 numbers"
    return Row(title, 2, 1.5, True, [large / small for large, small in pairs], 0, True)


def _ratios(above: list[Figures], below: list[Figures], what: Callable[[Figures], float]) -> list[float]:
    """The ratio in each round for which both have a figure."""
    if not (above and below):
        return []
    return [what(one) / what(other) for one, other in zip(above, below, strict=True) if what(one) and what(other)]


def _errors(*runs: list[Figures]) -> int:
    return sum(one.errors for rounds in runs for one in rounds)


def _rate(figures: Figures) -> float:
    return figures.rate


def _cpu(figures: Figures) -> float:
    return figures.cpu_us
