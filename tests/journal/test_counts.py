"""What processes count, and what they have together."""

import threading

import pytest

from cticache.journal.counts import BOUNDS_S, Answers, Counts, Sums, Telling
from kit.running import until

ROUTE = "/cticache/DNIS-ANI/{key}"


def test_what_a_process_has_counted_outlives_it_and_whoever_takes_its_place_counts_on() -> None:
    sums, dead, new, other = Sums(), Counts(), Counts(), Counts()
    dead.add("refusals", "gone")
    dead.answered(ROUTE, "GET", "410 Gone", 0.002)
    other.add("refusals", "gone")
    sums.add(dead.told(1, 100, {("accepted",): 3}, {"connections": 3}))
    sums.add(other.told(2, 101, {}, {"connections": 5}))
    for _ in range(2):
        new.add("refusals", "gone")
        new.answered(ROUTE, "GET", "410 Gone", 0.004)
        sums.add(new.told(1, 102, {("accepted",): 1}, {"connections": 1}))
    assert dict(sums.counts()) == {("refusals", "gone"): 4, ("accepted",): 4}
    ((answers, row),) = sums.answers().items()
    assert answers == Answers(ROUTE, "GET", 410)
    assert (sum(row[:-1]), row[-1]) == (3, pytest.approx(0.01))
    assert sums.gauges() == {1: {"connections": 1}, 2: {"connections": 5}}


def test_what_is_heard_late_is_out_of_date() -> None:
    sums, counts = Sums(), Counts()
    counts.add("refusals", "gone")
    early = counts.told(1, 100, {}, {})
    counts.add("refusals", "gone")
    sums.add(counts.told(1, 100, {}, {}))
    sums.add(early)
    assert sums.counts()["refusals", "gone"] == 2


def test_answers_are_told_apart_by_how_long_they_took() -> None:
    counts = Counts()
    for seconds in (0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, BOUNDS_S[-1], BOUNDS_S[-1] + 1):
        counts.answered(ROUTE, "GET", "200 OK", seconds)
    (row,) = counts.told(1, 1, {}, {}).answers.values()
    assert row[:-1] == (2, 1, *[0] * (len(BOUNDS_S) - 3), 1, 1)


def test_methods_that_clients_make_up_are_counted_together() -> None:
    counts = Counts()
    for number in range(100):
        counts.answered(None, f"METHOD{number}", "405 Method Not Allowed", 0.001)
    assert list(counts.told(1, 1, {}, {}).answers) == [Answers("", "", 405)]


def test_none_is_lost_where_threads_count_at_the_same_time() -> None:
    counts = Counts()

    def count() -> None:
        for _ in range(5_000):
            counts.add("refusals", "gone")
            counts.answered(ROUTE, "GET", "200 OK", 0.001)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = counts.told(1, 1, {}, {}).answers.values()
    assert (counts.of("refusals", ["gone"])["gone"], sum(row[:-1])) == (20_000, 20_000)


def test_it_is_told_at_once_and_once_more_at_the_end() -> None:
    heard: list[int] = []
    telling = Telling(lambda: heard.append(len(heard)))
    telling.start()
    until(lambda: heard)
    before = len(heard)
    telling.close()
    assert len(heard) > before


def test_where_nobody_hears_it_any_more_it_ends_quietly() -> None:
    def gone() -> None:
        raise BrokenPipeError

    telling = Telling(gone)
    telling.start()
    telling.close()


def test_what_has_not_begun_can_be_ended() -> None:
    """As where the service is stopped before anybody is let in."""
    heard: list[int] = []
    Telling(lambda: heard.append(1)).close()
    assert not heard
