"""A call that does not arrive with its own data is seen."""

from pathlib import Path

import pytest
from redis import Redis

from kit.telephony.calls import NONE, PLAIN, UUI, Call, Outcome, Told, Verdict, judged, made
from kit.telephony.stage import staged
from kit.telephony.swapping import swapping

X, Y = Told(300, "201", "5552000000"), Told(400, "200", "")
NO_LEASE = Told(300, "503", "")
MINE, OTHER = Call(0, PLAIN, "2125550100", "mine"), Call(1, PLAIN, "2125550101", "other")
GOOD = Outcome(0, 900, X, Y, "", "mine")


def test_two_answers_that_are_swapped_on_their_way_are_seen(tmp_path: Path, redis_url: str, client: Redis) -> None:
    calls = made([(PLAIN, 20)])
    with staged(tmp_path, redis_url, before_y=swapping) as stage:
        verdict = judged(calls, stage.make(calls, 50))
    assert len(verdict.wrong) == 2
    assert all("the data are those of call" in line for line in verdict.wrong)
    assert verdict.faults() == [f"wrong: {line}" for line in verdict.wrong]


def test_calls_that_share_a_number_and_have_lost_their_ani_do_not_arrive_without_their_uui(
    tmp_path: Path, redis_url: str, client: Redis
) -> None:
    calls = made([(UUI, 20)])
    with staged(tmp_path, redis_url, carrier_loses_uui=True) as stage:
        verdict = judged(calls, stage.make(calls, 50))
        assert stage.figures(UUI)["shared_total"] > 0
    assert len(verdict.lost) == len(calls)
    assert verdict.faults() == [f"lost: {line}" for line in verdict.lost]


def _of(outcome: Outcome) -> Verdict:
    return judged([MINE, OTHER], [outcome, GOOD._replace(number=1, data="other")])


def test_a_call_with_its_own_data_is_right() -> None:
    assert _of(GOOD) == Verdict()


def test_data_of_another_call_and_of_none_are_wrong() -> None:
    assert "those of call 1" in _of(GOOD._replace(data="other")).wrong[0]
    assert "of nobody: 'mine\\n'" in _of(GOOD._replace(data="mine\n")).wrong[0]


def test_a_lease_whose_data_do_not_arrive_is_lost() -> None:
    assert len(_of(GOOD._replace(data="")).lost) == 1


def test_another_number_for_a_repeated_post_is_wrong() -> None:
    assert len(_of(GOOD._replace(x=X._replace(first="5552000001"))).wrong) == 1
    assert _of(GOOD._replace(x=X._replace(first=X.dnis))) == Verdict()


def test_data_without_a_lease_or_from_elsewhere_are_unexpected() -> None:
    assert len(_of(GOOD._replace(x=NO_LEASE)).unexpected) == 1
    assert len(_of(GOOD._replace(leaked="mine")).unexpected) == 1


def test_a_call_that_leased_nothing_is_refused_unless_it_was_not_to_lease() -> None:
    without = GOOD._replace(x=NO_LEASE, data="")
    assert len(_of(without).refused) == 1
    assert judged([MINE._replace(variant=NONE)], [without]) == Verdict()


@pytest.mark.parametrize("times", [0, 2])
def test_a_call_is_answered_once(times: int) -> None:
    verdict = judged([MINE], [GOOD] * times)
    assert verdict.unanswered == [f"call 0 (plain) was answered {times} times"]
    assert verdict.faults()


def test_an_answer_that_nobody_called_for_is_unexpected() -> None:
    assert judged([MINE], [GOOD, GOOD._replace(number=7)]).unexpected == ["nobody made call 7"]
