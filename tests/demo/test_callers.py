"""Callers that do not exist."""

import random
import re
from collections import Counter

import pytest

from cticache.demo.callers import MOST, WAYS, Caller, callers


def test_everybody_has_a_number_that_is_nobodys() -> None:
    made = callers(1_000, 0, 0, random.Random(1))
    assert len({caller.ani for caller in made}) == 1_000
    for caller in made:
        assert re.fullmatch("[2-9][0-8][0-9]55501[0-9]{2}", caller.ani)
        assert caller.ani[1:3] != "11"


def test_there_are_as_many_as_there_are_numbers() -> None:
    assert len({caller.ani for caller in callers(MOST, 0, 0, random.Random(2))}) == MOST


@pytest.mark.parametrize("seed", range(5))
def test_of_all_callers_so_many_are_rewritten_in_each_way_and_so_many_lost(seed: int) -> None:
    made = callers(90, 20, 10, random.Random(seed))
    assert Counter(caller.way for caller in made) == {"": 72, "plus": 6, "zero": 6, "withheld": 6}
    assert sum(caller.is_lost for caller in made) == 9
    assert not [caller for caller in made if caller.is_lost and caller.way]


@pytest.mark.parametrize(("rewritten", "lost"), [(0, 0), (100, 0), (0, 100), (50, 50), (33, 67)])
@pytest.mark.parametrize("number", [1, 3, 7])
def test_there_are_always_so_many_callers(number: int, rewritten: int, lost: int) -> None:
    assert len(callers(number, rewritten, lost, random.Random(3))) == number


def test_a_carrier_rewrites_a_number_as_it_is_said() -> None:
    seen = {way: Caller("2015550123", way, is_lost=False).seen for way in ("", *WAYS)}
    assert seen == {"": "2015550123", "plus": "+12015550123", "zero": "02015550123", "withheld": "anonymous"}
