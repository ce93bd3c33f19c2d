"""What a run has measured so far."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from load import Figures, Load, Newcomers

WITH_IDLE = "idle, with 900 idle"
"""The section whose runs have idle connections beside them."""

Spot = tuple[str, Load]
"""A server, by name, under a load."""


@dataclass
class Record:
    """Every figure, by section; within one, the n-th of each list is of the same round."""

    runs: dict[str, dict[Spot, list[Figures]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    newcomers: dict[tuple[str, str], list[Newcomers]] = field(default_factory=lambda: defaultdict(list))
    """By server, and by how the newcomers come: at once, or one after another."""
    pool_costs: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Redis's CPU for a lease, in microseconds, by the size of the pool."""
    hello_connections: int = 64
    """At how many connections the bare hello is best."""
    notes: list[str] = field(default_factory=list)
    """Sentences that belong under the tables."""

    def of(self, section: str, server: str, load: Load) -> list[Figures]:
        """The rounds of one spot; empty when it was not measured."""
        return self.runs.get(section, {}).get((server, load), [])

    def all_runs(self) -> dict[Spot, list[Figures]]:
        """The rounds of every section together."""
        together: dict[Spot, list[Figures]] = defaultdict(list)
        for section, spots in self.runs.items():
            if section != WITH_IDLE:
                for spot, figures in spots.items():
                    together[spot] += figures
        return together


def middle(values: list[float]) -> float:
    """The median."""
    return float(median(values))
