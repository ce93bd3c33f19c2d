"""How long calls take to be set up, with the hand-over and without."""

from collections.abc import Callable, Iterable, Sequence
from statistics import quantiles

from kit.telephony.calls import Call, Outcome

PARTS: dict[str, Callable[[Outcome], int]] = {
    "at X": lambda outcome: outcome.x.took_us,
    "at Y": lambda outcome: outcome.y.took_us,
    "from the caller's INVITE to the answer": lambda outcome: outcome.took_us,
}


def told(calls: Sequence[Call], answered: Iterable[Outcome]) -> list[str]:
    """A line for each part of the way, of the calls with a hand-over and of those without."""
    found = list(answered)
    lines = []
    for part, took_us in PARTS.items():
        for how, is_handed in (("with", True), ("without", False)):
            numbers = {call.number for call in calls if bool(call.variant.numbers) == is_handed}
            times_ms = [took_us(outcome) / 1000 for outcome in found if outcome.number in numbers]
            cuts = quantiles(times_ms, n=100)
            lines.append(
                f"set-up {part}, {how} a hand-over: median {cuts[49]:.2f} ms, 95th percentile {cuts[94]:.2f} ms, "
                f"99th {cuts[98]:.2f} ms, of {len(times_ms)} calls"
            )
    return lines
