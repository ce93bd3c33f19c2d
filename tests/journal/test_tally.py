"""The counts that several processes keep together."""

import multiprocessing
import os
import re

import pytest

from cticache.errors import refusals
from cticache.journal.tally import CODES, Tally

SPAWN = multiprocessing.get_context("spawn")


def count(tally: Tally, process: int, codes: list[str]) -> None:
    for code in codes:
        tally.add(code, process)
    os._exit(9)  # as if it had been killed


def counted(tally: Tally, process: int, *codes: str) -> None:
    worker = SPAWN.Process(target=count, args=(tally, process, list(codes)))
    worker.start()
    worker.join()
    assert worker.exitcode == 9


def test_every_code_of_a_refusal_has_its_count_from_the_start() -> None:
    assert Tally().totals() == dict.fromkeys({kind.code for kind in refusals()}, 0)


def test_what_a_process_has_counted_outlives_it_and_whoever_takes_its_place_counts_on() -> None:
    tally = Tally(3)
    counted(tally, 2, "gone", "unauthorized", "unauthorized")
    tally.add("unauthorized", 0)
    counted(tally, 2, "unauthorized", CODES[0], CODES[-1])
    told = {code: times for code, times in tally.totals().items() if times}
    assert told == {"gone": 1, "unauthorized": 4, CODES[0]: 1, CODES[-1]: 1}


def test_where_no_memory_can_be_shared_each_process_counts_for_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("multiprocessing.sharedctypes.RawArray", fail)
    tally = Tally(2)
    assert re.search(r"each process counts for itself: .*temporary", caplog.text)
    counted(tally, 1, "gone")
    tally.add("gone", 0)
    assert tally.totals()["gone"] == 1
