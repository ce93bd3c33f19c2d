"""What needs attention, from figures alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cticache.data.condition import KINDS, Condition
from cticache.data.replies import PoolStats
from cticache.operate.attention import Attention, Key, Level, Strangers, Watched, WatchRules, attention
from cticache.operate.history import Done
from kit.samples import make_pool, user

RULES = WatchRules()
ALL_WELL = Condition(in_place=True)
NOBODY = Strangers()


def stats(
    used: int = 0,
    size: int = 100,
    missed: Mapping[str, int] | None = None,
    live: Mapping[str, int] | None = None,
    **counts: int,
) -> PoolStats:
    counters = [str(each) for pair in counts.items() for each in pair]
    in_a_row = [str(each) for pair in (missed or {}).items() for each in pair]
    lessees = [each for pair in (live or {}).items() for each in pair]
    figures = [size, size - used, used, 0, 0, 0, 18_000 if used == size else 0, 0]
    return PoolStats.of(figures, counters, in_a_row, lessees)


def found(
    figures: PoolStats | None = None,
    *,
    before: Mapping[Key, Level] | None = None,
    condition: Condition = ALL_WELL,
    strangers: Strangers = NOBODY,
    users: tuple[Any, ...] = (),
    pool: Mapping[str, Any] | None = None,
    **done: int,
) -> list[Attention]:
    """What is found of one pool in which this was done in the last ten minutes."""
    watched = Watched(make_pool(**(pool or {})), figures or stats(), Done(done, 600_000))
    return attention([watched], condition, strangers, users=users, rules=RULES, before=before or {})


def levels(*args: Any, **named: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.level) for each in found(*args, **named)]


def test_nothing_needs_attention_where_nothing_is_wrong() -> None:
    assert found(stats(74), leased=30, taken=29, match_exact=29, missed=2, unclaimed=1, gone=9) == []


@pytest.mark.parametrize(
    ("used", "before", "level"),
    [
        (74, "", ""), (75, "", "WARN"), (89, "", "WARN"), (90, "", "CRIT"), (100, "", "CRIT"),
        (69, "WARN", ""), (70, "WARN", "WARN"), (89, "WARN", "WARN"), (90, "WARN", "CRIT"),
        (85, "CRIT", "CRIT"), (84, "CRIT", "WARN"), (69, "CRIT", ""),
    ],
)  # fmt: skip
def test_a_pool_needs_attention_from_75_and_90_percent_until_it_is_5_below(
    used: int, before: Level, level: Level
) -> None:
    known: dict[Key, Level] = {("used", "system-y", ""): before} if before else {}
    assert levels(stats(used), before=known) == ([("used", level)] if level else [])


def test_a_pool_without_numbers_is_not_used_up() -> None:
    assert found(stats(0, 0)) == []


def test_a_full_pool_that_refused_is_told_when_a_number_falls_free() -> None:
    (full,) = found(stats(5, 5), rejected=3)
    assert full.says.startswith(
        "FULL: none of 5 numbers is free, 3 calls refused in 10 minutes, next free in 18 s. Give the pool more numbers"
    )
    assert (full.level, full.hint) == ("CRIT", "leases")


@pytest.mark.parametrize(("used", "rejected"), [(80, 0), (100, 3)])
def test_who_has_leased_most_is_told_of_a_pool_that_is_full_or_nearly_so(used: int, rejected: int) -> None:
    (seen,) = found(stats(used, live={"bot": 9, "ivr": 61, "x": 10}), rejected=rejected)
    assert " User ivr has the most leases, 61. " in seen.says
    (seen,) = found(stats(used), rejected=rejected)
    assert "the most leases" not in seen.says


@pytest.mark.parametrize("live", [{"x": 30}, {"x": 4, "y": 2}])
def test_leases_are_not_called_numbers_where_callers_share_them(live: dict[str, int]) -> None:
    (seen,) = found(stats(5, 5, live=live))
    assert seen.says.startswith(
        f"FULL: 5 of 5 numbers in use, 100 %. User x has the most leases, {live['x']}. `cticache advise` tells"
    )


@pytest.mark.parametrize(("used", "rejected"), [(80, 0), (100, 3)])
def test_of_numbers_that_mostly_cool_down_it_is_not_said_that_they_are_leased(used: int, rejected: int) -> None:
    figures = stats(used, live={"ivr": 17})
    (seen,) = found(replace(figures, leased=used - 60, cooling=60), rejected=rejected)
    assert " Most cool down after a call, 60 of them. " in seen.says
    assert "the most leases" not in seen.says


def test_one_that_refused_with_numbers_free_is_told_otherwise() -> None:
    (full,) = found(stats(80), rejected=1)
    assert full.says.startswith("1 call refused in 10 minutes for want of a number, and 20 numbers free now.")
    assert (full.kind, full.hint) == ("full", "advise")


def test_sharing_and_the_fallback_number_are_told() -> None:
    assert levels(shared=1, fallback=2) == [("sharing", "WARN"), ("fallback", "WARN")]


@pytest.mark.parametrize(
    ("missed", "matched", "level"),
    [(2, 0, ""), (3, 28, ""), (3, 27, "WARN"), (12, 12, "WARN"), (12, 11, "CRIT"), (3, 0, "CRIT")],
)
def test_questions_that_find_nothing_are_told_from_a_share_on(missed: int, matched: int, level: str) -> None:
    assert levels(missed=missed, match_suffix=matched) == ([("not_found", level)] if level else [])


def test_another_ani_is_told_with_how_it_differs_and_what_helps() -> None:
    (miss,) = found(missed=12, match_exact=28, other_live=11, other_tail=2, other_withheld=9, pool={"match": "suffix"})
    assert miss.says == (
        "12 of 40 questions in 10 minutes found no call; 11 calls of another ANI were live on the number: System Y "
        "sees another ANI than System X posts, most of them with one withheld. In the pool match = sole with exhausted "
        "= reject would find them."
    )
    (miss,) = found(missed=12, other_live=9, other_more=9)
    assert miss.says.endswith(
        " In the pool match = suffix, or country_code where that prefix is a calling code or a trunk prefix, would "
        "find them."
    )
    (miss,) = found(missed=12, other_live=1, other_unlike=1)
    assert miss.says.endswith(
        "1 call of another ANI was live on the number: System Y sees another ANI than System X posts, most of them "
        "with nothing alike. `cticache explain` shows such a call."
    )


def test_questions_beside_no_live_call_are_told_as_such() -> None:
    (miss,) = found(missed=12)
    assert "and none was live there" in miss.says


@pytest.mark.parametrize(
    ("unclaimed", "matched", "level"), [(4, 0, ""), (5, 0, "CRIT"), (5, 5, ""), (6, 5, "WARN"), (50, 500, "")]
)
def test_leases_that_nobody_asks_for_are_told_where_they_are_most(unclaimed: int, matched: int, level: str) -> None:
    assert levels(unclaimed=unclaimed, match_exact=matched) == ([("nobody_asks", level)] if level else [])


@pytest.mark.parametrize(
    ("in_a_row", "counts", "done", "named"),
    [
        pytest.param(5, {"leased": 100, "match_exact": 90, "unclaimed": 10}, {}, True, id="others are taken"),
        pytest.param(4, {"leased": 100, "match_exact": 90, "unclaimed": 10}, {}, False, id="too few"),
        pytest.param(9, {"leased": 100, "unclaimed": 9}, {}, False, id="none ever was"),
        pytest.param(5, {"leased": 100, "match_exact": 30, "unclaimed": 70}, {}, False, id="chance"),
        pytest.param(
            5, {"leased": 10_000, "match_exact": 9_900, "unclaimed": 100}, {"unclaimed": 9}, False, id="none now"
        ),
        pytest.param(
            5,
            {"leased": 10_000, "match_exact": 9_900, "unclaimed": 100},
            {"unclaimed": 7, "match_exact": 8},
            False,
            id="chance of late",
        ),
    ],
)
def test_a_number_is_suspected_where_chance_does_not_explain_it(
    in_a_row: int, counts: dict[str, int], done: dict[str, int], named: bool
) -> None:
    seen = found(stats(missed={"5551234561": in_a_row}, **counts), **done)
    assert [each.about for each in seen if each.kind == "number"] == (["5551234561"] if named else [])


def test_of_many_suspects_the_worst_five_are_named() -> None:
    missed = {f"{dnis}": dnis for dnis in range(10, 30)}
    seen = found(stats(missed=missed, leased=100, match_exact=99, unclaimed=1))
    assert [each.about for each in seen] == ["29", "28", "27", "26", "25"]


def test_max_live_is_told_with_who_it_may_be() -> None:
    limited = [replace(user(name, pools), max_live=5) for name, pools in (("ivr", None), ("bot", {"system-y"}))]
    elsewhere = replace(user("else", {"other"}), max_live=5)
    assert "because one of users bot, ivr has" in found(over_max_live=2, users=(*limited, user("free")))[0].says
    assert "because user ivr has" in found(over_max_live=2, users=(limited[0], elsewhere))[0].says
    assert "because a user has" in found(over_max_live=2)[0].says


def test_where_one_user_alone_may_have_met_max_live_it_is_said_how_to_see_its_leases() -> None:
    (one,) = found(over_max_live=2, users=(replace(user("ivr", None), max_live=5),))
    assert one.says == (
        "2 calls refused in 10 minutes because user ivr has max_live leases. `cticache leases --user ivr` shows them: "
        "does its client run wild, or lease without its calls being taken?"
    )
    (some,) = found(over_max_live=2)
    assert some.says.endswith(
        "because a user has max_live leases. The log has the user, at max_live, and `cticache leases --user USER` "
        "shows them: does a client run wild, or lease without its calls being taken?"
    )
    assert (one.hint, some.hint) == ("leases", "log")


def test_each_note_of_the_condition_is_told_but_that_numbers_are_put_in_place() -> None:
    notes = dict.fromkeys(KINDS, "It is so.")
    seen = found(condition=Condition(notes=notes), losses=1)
    assert sorted((each.kind, each.level) for each in seen) == [
        ("clock", "WARN"), ("loss", "CRIT"), ("overruled", "CRIT"), ("redis", "CRIT"), ("rules", "WARN")
    ]  # fmt: skip
    assert {each.says for each in seen if each.kind != "loss"} == {"It is so."}


def test_of_lost_calls_it_is_told_what_becomes_of_them_and_where_to_look() -> None:
    for seen in (found(condition=Condition(notes={"loss": "It is so."})), found(losses=1)):
        (lost,) = seen
        assert " Callers who were on their way arrive without data. Look at the log of Redis" in lost.says


@pytest.mark.parametrize(
    ("count", "is_on", "told"), [(29, False, False), (30, False, True), (25, True, True), (24, True, False)]
)
def test_wrong_passwords_and_numbers_of_no_pool_are_told_from_thirty_a_minute(
    count: int, is_on: bool, told: bool
) -> None:
    before: dict[Key, Level] = {("logins", "", ""): "WARN", ("strangers", "", ""): "WARN"} if is_on else {}
    seen = found(strangers=Strangers({"@unknown": count - 1, "ivr": 1}, 3, count), before=before)
    assert [each.kind for each in seen] == (["logins", "strangers"] if told else [])
    if told:
        assert (
            f"{count} wrong passwords in the last minute, most for names that are no user's, from 3 a" in seen[0].says
        )


def test_the_worst_comes_first() -> None:
    first, second = found(stats(95), shared=1, strangers=Strangers(elsewhere=99))[:2]
    assert (first.kind, second.kind) == ("used", "strangers")


def test_every_sentence_ends_and_none_says_a_whole_ani() -> None:
    seen = found(
        stats(100, missed={"5551234561": 9}, leased=1000, match_exact=990, unclaimed=9),
        strangers=Strangers({"ivr": 99}, 1, 99),
        **dict.fromkeys(("rejected", "shared", "fallback", "over_max_live", "losses"), 1),
        missed=9,
        match_exact=9,
        unclaimed=10,
    )
    assert len(seen) == 9
    for each in seen:
        assert each.says[-1] in ".?"
        assert each.says[0].isupper() or each.says[0].isdigit()
