"""Every call arrives with the data of its own caller, however the network shows it and however X and Y ask."""

from collections.abc import Callable

from kit.telephony.calls import NONE, PLAIN, VARIANTS, judged, made
from kit.telephony.stage import Stage

CALLS = 500
SHARE = 40
"""How many calls of each other variant come between those in the short form."""


def test_every_call_arrives_with_its_own_data(stage: Stage, long: bool, tell: Callable[[str], None]) -> None:
    runs = [([(variant, CALLS)], variant.a_second) for variant in (*VARIANTS, NONE)]
    if not long:
        others = [(variant, SHARE) for variant in (*VARIANTS, NONE) if variant != PLAIN]
        of_all = PLAIN.a_second * (CALLS + SHARE * len(others)) // CALLS
        runs = [([(PLAIN, CALLS), *others], of_all)]
    for shares, a_second in runs:
        calls = made(shares)
        verdict = judged(calls, stage.make(calls, a_second))
        assert verdict.faults() + verdict.refused == []
        kinds = ", ".join(f"{count} {variant.name}" for variant, count in shares)
        tell(f"{len(calls)} telephone calls, each with its own data or, where nothing was leased, with none: {kinds}")
