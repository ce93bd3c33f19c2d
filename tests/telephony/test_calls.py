"""Every call arrives with the data of its own caller, however the network shows it and however X and Y ask."""

from collections.abc import Callable

from kit.telephony.calls import NONE, PLAIN, UUI, VARIANTS, judged, made
from kit.telephony.stage import Stage

CALLS = 500
SHARE = 40
"""How many calls of each other variant come between those in the short form."""


def test_every_call_arrives_with_its_own_data(stage: Stage, long: bool, tell: Callable[[str], None]) -> None:
    runs = [([(variant, CALLS)], variant.a_second) for variant in (*VARIANTS, NONE)]
    if not long:
        others = [(variant, SHARE) for variant in (*VARIANTS, NONE) if variant not in (PLAIN, UUI)]
        of_all = PLAIN.a_second * (CALLS + SHARE * len(others)) // CALLS
        # By themselves those of the uui come so fast that its few numbers are shared.
        runs = [([(PLAIN, CALLS), *others], of_all), ([(UUI, SHARE)], UUI.a_second)]
    for shares, a_second in runs:
        calls = made(shares)
        verdict = judged(calls, stage.make(calls, a_second))
        assert verdict.faults() + verdict.refused == []
        kinds = ", ".join(f"{count} {variant.name}" for variant, count in shares)
        tell(f"{len(calls)} telephone calls, each with its own data or, where nothing was leased, with none: {kinds}")
    shared, by_uui = (stage.figures(UUI)[name] for name in ("shared_total", "match_uui_total"))
    assert shared >= SHARE // 2
    assert by_uui >= shared
    tell(f"{shared} of the calls with a uui shared their number with another, and {by_uui} were found by it")
