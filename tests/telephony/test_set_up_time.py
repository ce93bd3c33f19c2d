"""What the hand-over adds to the time in which a call is set up. scripts/telephony_chart.py draws it."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from redis import Redis

from kit.telephony.calls import NONE, PLAIN, judged, made
from kit.telephony.programs import version
from kit.telephony.stage import staged
from kit.telephony.times import told

A_SECOND = 50
"""Calls of each kind."""
T1_US = 500_000
"""RFC 3261: after that a caller who has heard nothing sends the INVITE again."""


def test_a_hand_over_takes_less_time_than_a_caller_waits_for_a_word(
    tmp_path: Path, redis_url: str, client: Redis, long: bool, tell: Callable[[str], None]
) -> None:
    count = 500 if long else 25
    calls = made([(PLAIN, count), (NONE, count)])
    with staged(tmp_path, redis_url, spread_ms=1) as stage:
        outcomes = stage.make(calls, 2 * A_SECOND)
    verdict = judged(calls, outcomes)
    assert verdict.faults() + verdict.refused == []
    assert median(outcome.took_us for outcome in outcomes if outcome.x.dnis) < T1_US
    tell(f"set-up times with Kamailio {version('kamailio', '-v', 'kamailio ')} and SIPp {version('sipp', '-v', ' v')}")
    for line in told(calls, outcomes):
        tell(line)
