from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import factorial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cticache.data.counters import DIFFERENCES
from cticache.data.scripts import read_scripts
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.operate.advice import (
    LOOKED_AT,
    Advice,
    Hour,
    advise,
    erlang_b,
    numbers_needed,
    told_apart,
    transit_quantile,
)
from cticache.operate.remedies import MOST_TAIL, of_kind
from cticache.operate.report import advice_lines
from kit.samples import make_pool

NINE = 498_825  # hours from 1970 to 2026-11-27 09:00 UTC
MOST = 5_000_000  # numbers in a pool
LARGEST = 2**63 - 1  # of Redis's integers

_LOADS = st.floats(0, 100_000)
_COUNTS = st.integers(0, 10**12)
_TRANSITS = st.dictionaries(st.integers(1, 3600), st.integers(0, 30), max_size=6)
_HOURS = st.builds(
    Hour,
    start=st.datetimes(timezones=st.just(UTC)),
    leased=_COUNTS,
    rejected=_COUNTS,
    shared=_COUNTS,
    fallback=_COUNTS,
    taken=_COUNTS,
    withheld=_COUNTS,
    missed=_COUNTS,
    others=st.dictionaries(st.sampled_from([*DIFFERENCES]), _COUNTS),
    unclaimed=_COUNTS,
    held_ms=_COUNTS,
    peak=_COUNTS,
    transits=st.dictionaries(st.integers(0, 100_000), _COUNTS, max_size=6),
)


def _hour(index: int = NINE, /, *, transits: Mapping[int, int] | None = None, **fields: int) -> Hour:
    return Hour.of(index, fields | {f"t{bound}": count for bound, count in (transits or {}).items()})


def _advise(
    *hours: Hour,
    size: int = 40,
    cooldown: int = 5,
    ttl: int = 300,
    max_ttl: int = 3600,
    misses: Mapping[str, int] | None = None,
    running: Hour | None = None,
    **rules: Any,
) -> Advice:
    """``advise`` with times in seconds."""
    pool = _pool(size, cooldown * 1000, ttl * 1000, max_ttl * 1000, **rules)
    return advise(hours, pool, misses or {}, running)


def _pool(size: int, cooldown_ms: int, ttl_ms: int, max_ttl_ms: int, **rules: Any) -> Pool:
    numbers = f"5550000000-{5550000000 + size - 1}" if size else ""
    return make_pool(numbers, cooldown_ms=cooldown_ms, ttl_ms=ttl_ms, max_ttl_ms=max_ttl_ms, **rules)


def _text(advice: Advice) -> str:
    return "\n".join(advice_lines(advice, "system-y"))


def _line(advice: Advice, label: str) -> str:
    return next((line for line in advice_lines(advice, "system-y") if line.startswith(f"  {label}")), "")


# Hours


def test_an_hour_is_read_from_flat_fields() -> None:
    counters = {
        "leased": 1,
        "rejected": 2,
        "shared": 3,
        "fallback": 4,
        "taken": 5,
        "unclaimed": 6,
        "held_ms": 8,
        "peak": 9,
        "withheld": 12,
        "missed": 13,
    }
    others = {"other_more": 14, "other_unlike": 15}
    hour = Hour.of(NINE, counters | others | {"other_live": 29, "t1": 10, "t3600": 11})
    start = datetime(2026, 11, 27, 9, tzinfo=UTC)
    assert hour == Hour(start, **counters, others={"more": 14, "unlike": 15}, transits={1: 10, 3600: 11})


def test_missing_fields_are_0_and_unknown_ones_ignored() -> None:
    fields = dict.fromkeys(["new", "t", "t-1", "t1.5", "t1s", "xt1", "t\u0661", "t1\n", "T1"], 7)
    assert Hour.of(0, fields) == Hour(datetime(1970, 1, 1, tzinfo=UTC))


# Erlang's formula


@pytest.mark.parametrize(
    ("offered", "one_percent", "one_in_a_thousand"),
    [(3, 8, 10), (15, 24, 28), (30, 42, 47), (150, 170, 183), (300, 324, 344)],
)
def test_the_numbers_needed_are_those_of_erlangs_tables(
    offered: float, one_percent: int, one_in_a_thousand: int
) -> None:
    assert numbers_needed(offered, 0.01) == one_percent
    assert numbers_needed(offered, 0.001) == one_in_a_thousand


@given(st.floats(0.01, 50), st.integers(0, 60))
def test_blocking_is_what_the_formula_says_term_by_term(offered: float, numbers: int) -> None:
    terms = [offered**busy / factorial(busy) for busy in range(numbers + 1)]
    assert erlang_b(offered, numbers) == pytest.approx(terms[-1] / sum(terms), rel=1e-12)


@pytest.mark.parametrize("numbers", [10, 900, 1000, 1100, 1500, 5000])
def test_blocking_is_what_the_recursion_says_for_many_numbers(numbers: int) -> None:
    blocking = 1.0
    for count in range(1, numbers + 1):
        blocking = 1000 * blocking / (count + 1000 * blocking)
    assert erlang_b(1000, numbers) == pytest.approx(blocking, rel=1e-12)


@given(_LOADS, st.integers(0, MOST))
def test_more_numbers_never_block_more(offered: float, numbers: int) -> None:
    assert 0 <= erlang_b(offered, numbers + 1) <= erlang_b(offered, numbers) * (1 + 1e-12) <= 1 + 1e-12


@given(_LOADS, _LOADS, st.integers(0, 100_000))
def test_more_load_never_blocks_less(one: float, other: float, numbers: int) -> None:
    assert erlang_b(min(one, other), numbers) <= erlang_b(max(one, other), numbers) * (1 + 1e-12)


def test_without_load_only_a_pool_of_nothing_blocks() -> None:
    assert [erlang_b(0, numbers) for numbers in (0, 1, MOST)] == [1, 0, 0]


@given(_LOADS, st.floats(1e-6, 0.999))
def test_the_numbers_needed_are_the_fewest(offered: float, blocking: float) -> None:
    needed = numbers_needed(offered, blocking)
    assert erlang_b(offered, needed) <= blocking < erlang_b(offered, needed - 1)


def test_the_largest_pools_are_reckoned_at_once() -> None:
    assert 0 < erlang_b(4_999_999, MOST) < 0.001
    assert erlang_b(1, MOST) == 0
    assert numbers_needed(1_000_000, 0.01) == 990_099
    assert numbers_needed(1_000_000, 0.001) == 999_697


# The time that calls take


@given(st.lists(st.tuples(_TRANSITS, st.integers(0, 5)), max_size=4), st.floats(0, 1))
def test_the_quantile_is_that_of_all_calls_in_a_row(figures: list[tuple[dict[int, int], int]], share: float) -> None:
    hours = [_hour(transits=transits, unclaimed=unclaimed) for transits, unclaimed in figures]
    row: list[float] = sorted(
        [bound for transits, _ in figures for bound, count in transits.items() for _ in range(count)]
        + [float("inf") for _, unclaimed in figures for _ in range(unclaimed)]
    )
    reached = [bound for place, bound in enumerate(row, start=1) if place >= share * len(row)]
    expected = reached[0] if reached else float("inf")
    assert transit_quantile(hours, share) == (None if expected == float("inf") else expected)


def test_the_quantile_is_none_when_too_many_never_came() -> None:
    assert transit_quantile([_hour(transits={8: 500, 22: 499}, unclaimed=1)], 0.999) == 22
    assert transit_quantile([_hour(transits={8: 500, 22: 498}, unclaimed=2)], 0.999) is None
    assert transit_quantile([_hour(unclaimed=1)], 0.5) is None
    assert transit_quantile([], 0.999) is None


# Advice


def test_the_busy_hour_is_the_one_with_the_most_traffic() -> None:
    many_short = _hour(1, leased=1000, held_ms=1_000_000)  # each 1 s and the cool-down of 5 s
    few_long = _hour(2, leased=100, held_ms=30_000_000)  # each 300 s
    advice = _advise(many_short, few_long)
    assert advice.busy == few_long
    assert advice.holding_s == 305
    assert advice.offered == pytest.approx(100 * 305 / 3600)
    assert advice.blocking == erlang_b(advice.offered, 40)
    assert advice.needed_for_1_percent == numbers_needed(advice.offered, 0.01)
    assert advice.needed_for_01_percent == numbers_needed(advice.offered, 0.001)


def test_the_cool_down_counts_as_holding() -> None:
    many_short, few_long = _hour(1, leased=1000, held_ms=1_000_000), _hour(2, leased=100, held_ms=1_500_000)
    assert _advise(many_short, few_long, cooldown=0).busy == few_long
    assert _advise(many_short, few_long, cooldown=5).busy == many_short


def test_rejected_calls_are_offered_too() -> None:
    advice = _advise(_hour(1, leased=100, held_ms=1_000_000), _hour(2, leased=60, rejected=60, held_ms=600_000))
    assert advice.busy is not None
    assert advice.busy.calls == 120
    assert advice.offered == pytest.approx(120 * 15 / 3600)


def test_an_hour_of_nothing_but_rejections_has_the_holding_of_all_hours() -> None:
    leasing = _hour(1, leased=10, held_ms=200_000), _hour(2, leased=30, held_ms=200_000)
    assert _advise(*leasing, _hour(3, rejected=1000)).holding_s == 15  # 10 s and the cool-down


def test_where_nothing_was_ever_leased_the_ttl_is_the_holding() -> None:
    assert _advise(_hour(rejected=1)).holding_s == 305


def test_where_no_time_was_counted_the_hour_with_the_most_calls_is_the_busy_one() -> None:
    advice = _advise(_hour(1, leased=1), _hour(2, leased=3), _hour(3, leased=2), cooldown=0)
    assert advice.busy == _hour(2, leased=3)
    assert (advice.offered, advice.blocking, advice.needed_for_1_percent) == (0, 0, 1)


def test_no_fewer_numbers_are_needed_than_were_leased_at_once() -> None:
    """A burst of a minute hardly shows in an hour's mean, and leased all the same."""
    advice = _advise(_hour(leased=60, held_ms=60_000, peak=31, rejected=29))
    assert numbers_needed(advice.offered, 0.001) < 31
    assert (advice.needed_for_1_percent, advice.needed_for_01_percent) == (31, 31)


def test_what_was_seen_comes_first_with_its_sample() -> None:
    seen = _advise(_hour(1, leased=5, rejected=3), _hour(2), _hour(3, leased=12))
    assert (
        advice_lines(seen, "p")[0]
        == "p: 3 of 20 calls were refused for want of a number, in 2 hours with calls of the last eight days"
    )


@pytest.mark.parametrize(("takes", "told"), [(2_999, None), (3_000, 22)])
def test_no_ttl_is_told_by_too_few_takes(takes: int, told: int | None) -> None:
    advice = _advise(_hour(leased=takes, taken=takes, transits={22: takes}))
    assert advice.transit_s == told
    few = f"too few calls were taken to tell whether ttl = 300 suits them: {takes:,} of 3,000"
    assert (few in _line(advice, "ttl")) == (told is None)


def test_the_peak_is_that_of_all_hours() -> None:
    assert _advise(_hour(1, leased=9, peak=2), _hour(2, leased=1, peak=7)).peak == 7


@pytest.mark.parametrize(
    ("leased", "unclaimed", "share"),
    [
        pytest.param(200, 5, 0.025, id="some"),
        pytest.param(200, 0, 0, id="none"),
        pytest.param(0, 3, 1, id="leased before the first hour"),
        pytest.param(0, 0, 0, id="nothing"),
    ],
)
def test_the_share_of_the_unclaimed_is_of_all_leases(leased: int, unclaimed: int, share: float) -> None:
    assert _advise(_hour(1, leased=leased), _hour(2, unclaimed=unclaimed)).unclaimed == share


@pytest.mark.parametrize(
    ("bound", "suggested"),
    [
        pytest.param(22, 30, id="a third more, rounded up"),
        pytest.param(3, 4, id="a third more"),
        pytest.param(1, 2, id="shortest bucket"),
        pytest.param(0, 1, id="at least 1"),
        pytest.param(2800, 3600, id="at most max_ttl"),
    ],
)
def test_the_suggested_ttl_has_a_margin(bound: int, suggested: int) -> None:
    assert _advise(_hour(leased=3_000, taken=3_000, transits={bound: 3_000})).suggested_ttl_s == suggested


def test_no_ttl_is_suggested_for_calls_that_never_come() -> None:
    advice = _advise(_hour(leased=100, taken=97, unclaimed=3, transits={8: 97}))
    assert (advice.transit_s, advice.suggested_ttl_s) == (None, None)


def test_a_number_that_nobody_picks_up_is_suspected_the_worst_first() -> None:
    hour = _hour(leased=1000, taken=970, unclaimed=30)
    misses = {"5551": 0, "5552": 2, "5553": 3, "5554": 7, "5555": 3}  # 40 x 0.03^3 is about 0.001
    assert list(_advise(hour, misses=misses).suspects.items()) == [("5554", 7), ("5553", 3), ("5555", 3)]


@pytest.mark.parametrize(
    ("size", "misses", "suspected"),
    [
        pytest.param(40, 9, False, id="40 x 0.5^9 = 0.078"),
        pytest.param(40, 10, True, id="40 x 0.5^10 = 0.039"),
        pytest.param(1000, 14, False, id="1000 x 0.5^14 = 0.061"),
        pytest.param(1000, 15, True, id="1000 x 0.5^15 = 0.031"),
        pytest.param(MOST, LARGEST, True, id="misses without end"),
    ],
)
def test_misses_that_chance_explains_make_no_suspect(size: int, misses: int, suspected: bool) -> None:
    hour = _hour(leased=100, taken=50, unclaimed=50)
    assert bool(_advise(hour, size=size, misses={"5551": misses}).suspects) is suspected


def test_where_nothing_was_picked_up_no_number_is_suspected() -> None:
    hour = _hour(leased=1000, unclaimed=30)
    assert not _advise(hour, misses={"5551": 30}).suspects
    assert _advise(hour, _hour(taken=1), misses={"5551": 30}).suspects


def test_any_figures_give_advice_and_sentences(long: bool) -> None:
    @settings(max_examples=100 if long else 30)
    @given(
        hours=st.lists(_HOURS, max_size=5),
        size=st.integers(0, MOST),
        cooldown_ms=st.integers(0, 86_400_000),
        ttl_ms=st.integers(1, 86_400_000),
        max_ttl_ms=st.integers(1, 86_400_000),
        misses=st.dictionaries(st.from_regex(r"[0-9]{1,4}", fullmatch=True), _COUNTS, max_size=5),
    )
    def check(
        *, hours: list[Hour], size: int, cooldown_ms: int, ttl_ms: int, max_ttl_ms: int, misses: dict[str, int]
    ) -> None:
        advice = advise(iter(hours), _pool(size, cooldown_ms, ttl_ms, max_ttl_ms), misses)
        assert advice.offered >= 0
        assert 0 <= advice.blocking <= 1
        assert 0 <= advice.unclaimed <= 1
        assert 1 <= advice.needed_for_1_percent <= advice.needed_for_01_percent
        assert (advice.busy is None) == (not any(hour.calls for hour in hours))
        assert (advice.suggested_ttl_s is None) == (advice.transit_s is None)
        assert (advice.withheld is None) == (not any(hour.withheld for hour in hours))
        assert all(advice_lines(advice, "system-y"))

    check()


def test_the_largest_figures_that_redis_can_hold_give_advice() -> None:
    names = ["leased", "rejected", "taken", "unclaimed", "held_ms", "peak", "withheld", "missed", "other_constant"]
    hour = _hour(**dict.fromkeys(names, LARGEST), transits={10**9 - 1: LARGEST})
    assert _text(_advise(hour, replace(hour, held_ms=0), replace(hour, leased=1), cooldown=0))


# Sentences


def test_the_advice_reads_as_sentences() -> None:
    hour = _hour(
        leased=3600,
        rejected=4,
        taken=3599,
        unclaimed=1,
        held_ms=31_320_000,
        peak=29,
        transits={8: 3000, 22: 599},
    )
    assert advice_lines(_advise(hour, misses={"5551234567": 7}), "system-y") == [
        "system-y: 4 of 3,604 calls were refused for want of a number, in 1 hour with calls of the last eight days",
        "  busy hour: 2026-11-27 09:00 UTC, 3,604 calls offered, each holding a number for 13.7 s on average: "
        "13.7 Erlang (numbers busy on average)",
        "  numbers: has 40; 29 are needed for 1 % blocking (calls that find none free), 29 for 0.1 %",
        "  load: at most 29 were leased at once; with 40 numbers the busy hour has less than 0.01 % blocking",
        "  ttl: 99.9 % of calls arrive within 22 s; ttl = 300 holds numbers of lost calls for long, 30 would do",
        "  look at 5551234567: its last 7 leases were not picked up while others were: is its routing broken?",
    ]


def test_one_of_anything_is_singular() -> None:
    advice = _advise(_hour(leased=1, peak=1), size=1, cooldown=0)
    assert advice_lines(advice, "system-y")[:4] == [
        "system-y: none of 1 call was refused for want of a number, in 1 hour with calls of the last eight days",
        "  busy hour: 2026-11-27 09:00 UTC, 1 call offered, holding a number for less than 0.1 s: "
        "less than 0.1 Erlang (numbers busy on average)",
        "  numbers: has 1; 1 is needed for 1 % blocking (calls that find none free), 1 for 0.1 %",
        "  load: at most 1 was leased at once; with 1 number the busy hour has 0 % blocking",
    ]


def test_large_figures_have_separators_and_options_are_as_config_ini_has_them() -> None:
    hour = _hour(
        leased=2_000_000, taken=2_000_000, held_ms=2_000_000 * 3_600_000, peak=1_999_999, transits={1000: 2_000_000}
    )
    advice = _advise(hour, size=MOST, cooldown=0, ttl=3600, max_ttl=3600, misses={"5551": 1})
    assert advice_lines(advice, "system-y") == [
        "system-y: none of 2,000,000 calls was refused for want of a number, in 1 hour with calls of the last eight "
        "days",
        "  busy hour: 2026-11-27 09:00 UTC, 2,000,000 calls offered, each holding a number for 3,600.0 s on "
        "average: 2,000,000.0 Erlang (numbers busy on average)",
        "  numbers: has 5,000,000; 1,999,999 are needed for 1 % blocking (calls that find none free), "
        "1,999,999 for 0.1 %",
        "  load: at most 1,999,999 were leased at once; with 5,000,000 numbers the busy hour has 0 % blocking",
        "  ttl: 99.9 % of calls arrive within 1,000 s; ttl = 3600 holds numbers of lost calls for long, 1334 would do",
    ]


@pytest.mark.parametrize(
    ("ttl", "max_ttl", "ending"),
    [
        pytest.param(29, 3600, "ttl = 29 leaves little room, 30 would be safer", id="too short"),
        pytest.param(30, 3600, "ttl = 30 suits that", id="as suggested"),
        pytest.param(60, 3600, "ttl = 60 suits that", id="twice"),
        pytest.param(61, 3600, "ttl = 61 holds numbers of lost calls for long, 30 would do", id="too long"),
        pytest.param(25, 25, "ttl = 25 suits that", id="max_ttl just above"),
        pytest.param(
            20, 20, "max_ttl = 20 is too short for that, unless leases are renewed on the way", id="max_ttl too short"
        ),
    ],
)
def test_the_ttl_is_held_against_the_time_that_calls_take(ttl: int, max_ttl: int, ending: str) -> None:
    advice = _advise(_hour(leased=3_000, taken=3_000, transits={22: 3_000}), ttl=ttl, max_ttl=max_ttl)
    assert _line(advice, "ttl") == f"  ttl: 99.9 % of calls arrive within 22 s; {ending}"


def test_for_calls_that_never_come_it_says_where_to_look_before_the_ttl_is_raised() -> None:
    advice = _advise(_hour(leased=1000, taken=969, unclaimed=31, transits={8: 969}))
    assert _line(advice, "ttl") == (
        "  ttl: fewer than 99.9 % of calls arrive within the TTL of 300 s: 3.1 % were not picked up; look at routing, "
        "or at the caller's number (ANI) that the receiving system sees, before raising it"
    )


@pytest.mark.parametrize(
    "hour",
    [
        pytest.param(_hour(leased=9), id="none has ended"),
        pytest.param(_hour(leased=10_000, unclaimed=1), id="read but not taken"),
    ],
)
def test_without_takes_nothing_is_said_about_the_ttl(hour: Hour) -> None:
    assert (
        _line(_advise(hour), "ttl")
        == "  ttl: too few calls were taken to tell whether ttl = 300 suits them: 0 of 3,000"
    )


@pytest.mark.parametrize(
    ("size", "blocking"),
    [(0, "100 %"), (1, "50 %"), (2, "20 %"), (4, "1.54 %"), (6, "0.05 %"), (7, "less than 0.01 %")],
)
def test_blocking_is_a_share_that_tells_something(size: int, blocking: str) -> None:
    one_erlang = _hour(leased=3600, held_ms=3_600_000)
    assert _line(_advise(one_erlang, size=size, cooldown=0), "load").endswith(f" has {blocking} blocking")


@pytest.mark.parametrize("hours", [[], [_hour()], [_hour(taken=3, unclaimed=1, transits={8: 3})]])
def test_where_nothing_was_offered_one_line_says_so(hours: list[Hour]) -> None:
    advice = _advise(*hours, misses={"5551": 9})
    assert advice_lines(advice, "system-y") == [
        "system-y: nothing has been leased in the last eight days; numbers are advised once an hour with calls is "
        "over, a ttl from 3,000 takes on"
    ]


def test_in_the_first_hour_it_says_what_is_known_and_from_when_on_more_is() -> None:
    running = Hour.of(NINE, {"leased": 12, "rejected": 2, "taken": 9, "missed": 1, "peak": 7, "other_more": 5}, 600_000)
    advice = _advise(running=running, misses={"5551": 9})
    assert advice_lines(advice, "system-y") == [
        "system-y: how many numbers it needs is said from 10:00 UTC on, when its first hour with calls is over",
        "  so far: 14 calls since 09:00 UTC, 2 refused for want of a number; 9 taken, 0 ended without being asked for; "
        "1 question found nothing",
        "  load: at most 7 of 40 numbers were leased at once",
        "  ttl: too few calls were taken to tell whether ttl = 300 suits them: 9 of 3,000",
        "  other ANI: of 12 calls 5 were asked for under another ANI than was posted, more than chance explains: 5 "
        "with a prefix more, which match = suffix, or country_code where that prefix is a calling code or a trunk "
        "prefix, would find",
        "  look at 5551: its last 9 leases were not picked up while others were: is its routing broken?",
    ]
    figures = advice.figures()
    assert (figures["busy"], figures["calls"], figures["differences"]) == (None, 0, {"more": 5})
    assert figures["so_far"] == {
        "start": running.start, "calls": 14, "rejected": 2, "taken": 9, "unclaimed": 0, "missed": 1, "peak": 7,
    }  # fmt: skip


def test_once_an_hour_with_calls_is_over_the_one_that_runs_does_not_count() -> None:
    whole = _hour(leased=5)
    assert _advise(whole, running=Hour.of(NINE + 1, {"leased": 50, "other_more": 5}, 60_000)) == _advise(whole)
    assert _advise(_hour(), running=Hour.of(NINE + 1, {}, 60_000)).so_far is None


def test_in_a_part_of_an_hour_chance_finds_as_many_in_use_as_there_are() -> None:
    fields = {"leased": 40, "missed": 20, "other_unlike": 5, "held_ms": 40 * 120_000}
    assert _advise(_hour(**fields)).differences == {"unlike": 5}
    assert not _advise(running=Hour.of(NINE, fields, 300_000)).differences


def test_the_hour_that_runs_is_told_from_those_that_are_over() -> None:
    counted = [(NINE - 1, {"leased": 1}), (NINE, {"leased": 2})]
    hours, running = told_apart(counted, NINE * 3_600_000 + 5)
    assert ([hour.leased for hour in hours], running and (running.leased, running.ms)) == ([1], (2, 5))
    hours, running = told_apart(counted, (NINE + 1) * 3_600_000)
    assert ([hour.leased for hour in hours], running) == ([1, 2], None)


def test_a_pool_that_only_rejected_has_something_to_say() -> None:
    text = _text(_advise(_hour(rejected=5), size=0))
    assert "5 calls offered" in text
    assert "numbers: has 0; 3 are needed" in text


# Calls that were asked for under another ANI


def _asked(missed: int = 0, *, index: int = NINE, leased: int = 3_600, held_s: int = 10, **others: int) -> Hour:
    """An hour of calls, some of which were asked for under another ANI; by default 10 numbers are leased on average."""
    counters = {f"other_{kind}": count for kind, count in others.items()}
    return _hour(index, leased=leased, held_ms=leased * held_s * 1000, missed=missed, **counters)


OWN_PREFIX = "where that prefix is a calling code or a trunk prefix"
TOO = f", or country_code {OWN_PREFIX}, would find"
SOLE = "match = sole with exhausted = reject would find"
US = Country.of("1")


def test_it_names_the_option_that_would_have_found_them() -> None:
    hour = _asked(90, more=60, constant=20, unlike=3)
    assert _line(_advise(hour), "other ANI") == (
        "  other ANI: of 3,600 calls 83 were asked for under another ANI than was posted, more than chance explains: "
        f"60 with a prefix more, which match = suffix{TOO}"
    )
    sole = "match = sole with exhausted = reject"
    assert _line(_advise(_asked(90, more=60, constant=70)), "other ANI").endswith(
        f": 70 with one constant, which {sole} would find; 60 with a prefix more, which match = suffix{TOO}"
    )


def test_what_no_option_would_find_is_told_without_one() -> None:
    assert _line(_advise(_asked(9, unlike=9)), "other ANI").endswith(": 9 with nothing alike")


def test_the_hours_are_taken_together() -> None:
    advice = _advise(_asked(2, index=1, tail=2), _asked(1, index=2, tail=1))
    assert (advice.other_live, advice.differences) == (3, {"tail": 3})


@pytest.mark.parametrize(
    ("others", "missed", "rules", "beyond"),
    [
        pytest.param({"more": 2}, 2, {}, False, id="two say nothing"),
        pytest.param({"more": 3}, 3, {}, True, id="three"),
        pytest.param({"tail": 3}, 1_000_000, {}, True, id="0.4 by chance in a million questions"),
        pytest.param({"tail": 3}, 1_000, {"match_digits": 3}, False, id="4 by chance, three digits"),
        pytest.param({"less": 12}, 1_000, {"match_digits": 3}, True, id="three times what chance makes"),
        pytest.param({"more": 3}, 3, {"match_digits": 10}, True, id="no more than seven digits need to agree"),
        pytest.param({"constant": 25}, 100, {}, True, id="25 where chance makes 10"),
        pytest.param({"constant": 25}, 200, {}, False, id="25 where chance makes 20"),
        pytest.param({"withheld": 25}, 200, {}, False, id="one withheld"),
        pytest.param({"unlike": 25}, 200, {}, False, id="nothing alike"),
    ],
)
def test_only_what_chance_does_not_explain_counts(
    others: dict[str, int], missed: int, rules: dict[str, Any], *, beyond: bool
) -> None:
    """A tenth of the numbers is leased: as many of the questions that mean nobody meet a call."""
    advice = _advise(_asked(missed, **others), size=100, **rules)
    assert bool(advice.differences) is beyond
    assert bool(_line(advice, "other ANI")) is beyond


def test_where_every_number_is_leased_what_no_digits_show_says_nothing() -> None:
    everything = _asked(30, leased=40, held_s=3_600, constant=30)
    assert not _advise(everything).differences
    assert _advise(everything, size=0).differences == {}
    assert _advise(_asked(30, leased=40, held_s=360, constant=30)).differences == {"constant": 30}


@pytest.mark.parametrize(
    ("kind", "rules", "options"),
    [
        ("more", {}, f"match = suffix{TOO}"),
        ("less", {}, f"match = suffix{TOO}"),
        ("less", {"country": US}, "match = suffix would find"),
        ("more", {"match": "suffix"}, f"country_code, {OWN_PREFIX}, would find"),
        ("more", {"match": "suffix", "country": US}, ""),
        ("more", {"match": "suffix", "country": US, "match_digits": 10}, "match_digits = 7 would find"),
        ("more", {"match_digits": 10}, f"match = suffix with match_digits = 7{TOO}"),
        ("more", {"match_digits": 4}, f"match = suffix{TOO}"),
        ("tail", {}, "match = suffix would find"),
        ("tail", {"match_digits": 10}, "match = suffix with match_digits = 7 would find"),
        ("tail", {"match": "suffix"}, ""),
        ("tail", {"match": "suffix", "match_digits": 8}, "match_digits = 7 would find"),
        ("withheld", {}, SOLE),
        ("constant", {"match": "suffix", "exhausted": "reject"}, "match = sole would find"),
        ("unlike", {}, ""),
        *((kind, {"match": "sole", "exhausted": "reject"}, "") for kind in DIFFERENCES),
    ],
)
def test_no_option_is_advised_that_is_set(kind: str, rules: dict[str, Any], options: str) -> None:
    assert of_kind(kind, make_pool(**rules)) == options
    told = _line(_advise(_asked(9, **{kind: 9}), **rules), "other ANI")
    assert told.endswith(f": 9 {DIFFERENCES[kind]}" + (options and f", which {options}"))


def test_the_script_compares_as_the_advice_says() -> None:
    script = read_scripts()["explain"]
    assert f"math.min(match_digits, {MOST_TAIL})" in script
    assert f"callers, 0, {LOOKED_AT - 1}, 'REV'" in script


# Withheld callers


def test_withheld_callers_need_numbers_that_rest_as_long_as_one_may_ask_for_their_calls() -> None:
    """120 an hour, each 10 s and 60 s more: 2.3 numbers on average."""
    advice = _advise(_hour(leased=400, rejected=20, held_ms=4_000_000, withheld=120))
    assert (advice.withheld_s, advice.needed_for_withheld) == (70, numbers_needed(120 * 70 / 3600, 0.01))
    assert _line(advice, "withheld") == (
        "  withheld: 120 withheld callers in the hour from 2026-11-27 09:00 UTC, each keeping a number from the next "
        "one for 70.0 s: for these alone 7 are needed for 1 % blocking, and the pool has 40"
    )


def test_where_they_need_more_than_the_pool_has_it_says_so() -> None:
    hour = _hour(leased=1, held_ms=10_000, withheld=1)
    assert _line(_advise(hour, size=1), "withheld") == (
        "  withheld: 1 withheld caller in the hour from 2026-11-27 09:00 UTC, keeping a number from the next one for "
        "70.0 s: for these alone 2 are needed for 1 % blocking, but the pool has 1"
    )


def test_without_withheld_callers_nothing_is_said_of_them() -> None:
    advice = _advise(_hour(leased=9))
    assert (advice.withheld, advice.needed_for_withheld, _line(advice, "withheld")) == (None, 0, "")


def test_their_busy_hour_is_their_own() -> None:
    busy, theirs = (
        _hour(1, leased=900, held_ms=9_000_000, withheld=9),
        _hour(2, leased=90, held_ms=900_000, withheld=80),
    )
    advice = _advise(busy, theirs, _hour(3, leased=90, held_ms=90_000, withheld=81))
    assert (advice.busy, advice.withheld) == (busy, theirs)


@pytest.mark.parametrize(("rules", "seconds"), [({}, 61), ({"remember_ms": 90_000}, 91), ({"cooldown": 120}, 121)])
def test_a_number_rests_for_the_next_of_them_as_a_pair_does(rules: dict[str, Any], seconds: int) -> None:
    assert _advise(_hour(leased=1, held_ms=1_000, withheld=1), **rules).withheld_s == seconds
