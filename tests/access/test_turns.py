"""Whose turn it is to have a password checked."""

import threading
from collections.abc import Iterator

import pytest

from cticache.access import order, turns
from cticache.access.order import Job, Order
from cticache.access.turns import ASKED_BEFORE, CALM, FROM_BUSY_SITE, HASHERS, WARY, Turns
from kit.running import until


class Desk:
    """Turns in which a job is noted when it begins, and ends when it may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.rest = 0.0
        self.turns = Turns(lambda _job: self.rest)
        self._held: list[threading.Event] = []

    def add(self, name: str, site: str = "", rank: int = CALM, *, most: int = 100) -> Job:
        """A job that ends at once."""
        job = Job(rank, name, site, lambda: not self.begun.append(name + site))
        self.added = self.turns.add(job, most) is not job
        return job

    def hold(self, name: str, rank: int = CALM) -> threading.Event:
        """A job that has begun and ends when the event is set."""
        begun, end = threading.Event(), threading.Event()
        self._held.append(end)
        assert self.turns.add(Job(rank, name, "", lambda: not begun.set() and end.wait(20)), 100) is None
        assert begun.wait(20)
        return end

    def close(self) -> None:
        for end in self._held:
            end.set()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def done(*jobs: Job) -> None:
    assert all(job.future.result(20) for job in jobs)


def test_turns_go_round_the_names_and_for_each_name_round_the_sites(desk: Desk) -> None:
    desk.hold("x")
    free = desk.hold("y")  # from then on one thread does all the rest
    jobs = [desk.add("a", "1") for _ in range(3)]
    jobs += [desk.add("a", "2"), desk.add("b", "1"), desk.add("a", "3"), desk.add("b", "1"), desk.add("a", "2")]
    free.set()
    done(*jobs)
    assert desk.begun == ["a1", "b1", "a2", "b1", "a3", "a1", "a2", "a1"]


def test_the_calm_go_first_and_who_was_put_off_before_those_who_are_new(desk: Desk) -> None:
    desk.hold("x")
    free = desk.hold("y")
    jobs = [desk.add(str(rank), rank=rank) for rank in (WARY, ASKED_BEFORE, FROM_BUSY_SITE, CALM)]
    free.set()
    done(*jobs)
    assert desk.begun == [str(rank) for rank in (CALM, FROM_BUSY_SITE, ASKED_BEFORE, WARY)]


def test_one_of_a_name_is_under_way(desk: Desk) -> None:
    first = desk.hold("a")
    second, other = desk.add("a"), desk.add("b")
    done(other)
    assert desk.begun == ["b"]
    first.set()
    done(second)


@pytest.mark.parametrize("rank", [FROM_BUSY_SITE, ASKED_BEFORE, WARY])
def test_one_that_is_not_calm_is_under_way(desk: Desk, rank: int) -> None:
    first = desk.hold("a", rank)
    wary, calm = desk.add("b", rank=WARY), desk.add("c")
    done(calm)
    assert desk.begun == ["c"]
    first.set()
    done(wary)


@pytest.mark.parametrize("rank", [ASKED_BEFORE, WARY])
def test_names_with_many_failures_rest_after_one_and_others_do_not(desk: Desk, rank: int) -> None:
    """A name without is not kept waiting by its address, which may be a proxy's that nobody has named."""
    desk.rest = 3600
    done(desk.add("a", rank=WARY))
    wary = desk.add("b", rank=rank)
    done(*[desk.add("c", rank=other) for other in (CALM, FROM_BUSY_SITE) * 3])
    assert not wary.future.done()
    assert "b" not in desk.begun


def test_after_the_rest_they_go_on(desk: Desk) -> None:
    desk.rest = 0.01
    done(*[desk.add("a", rank=WARY) for _ in range(5)])


def test_so_many_of_a_name_and_site_wait_and_others_all_the_same(desk: Desk) -> None:
    free = [desk.hold("x"), desk.hold("y")]
    jobs = [desk.add("a", "1", most=2) for _ in range(2)]
    desk.add("a", "1", most=2)
    assert not desk.added
    for name, site in (("a", "2"), ("b", "1")):
        jobs.append(desk.add(name, site, most=2))
        assert desk.added
    free[0].set()
    done(*jobs)
    assert sorted(desk.begun) == ["a1", "a1", "a2", "b1"]


def test_what_is_taken_out_is_not_done(desk: Desk) -> None:
    desk.hold("x")
    free = desk.hold("y")
    out, stays = desk.add("a"), desk.add("b")
    assert desk.turns.remove(out)
    assert not desk.turns.remove(out)
    free.set()
    done(stays)
    assert desk.begun == ["b"]
    assert not desk.turns.remove(stays)


def test_a_job_that_fails_tells_so_and_others_go_on(desk: Desk) -> None:
    for _ in range(HASHERS + 1):
        job = Job(WARY, "a", "", lambda: bool(1 / 0))
        assert desk.turns.add(job, 100) is None
        assert isinstance(job.future.exception(20), ZeroDivisionError)
    done(desk.add("a", rank=WARY))


def test_threads_with_nothing_to_do_end_and_others_are_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_IDLE_S", 0.01)
    for _ in range(2):
        done(desk.add("a"), desk.add("b"))
        until(lambda: not desk.turns._threads)


def test_of_so_many_addresses_it_is_known_when_their_turn_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait have their turns all the same."""
    monkeypatch.setattr(order, "_KEPT", 10)
    waiting = Order()
    jobs = [Job(WARY, "a", str(at), bool) for at in range(30)]
    assert not any(waiting.add(job, 1) for job in jobs)
    assert len(waiting._sites._had) == 10
    assert {waiting.next(set()) for _ in jobs} == set(jobs)
    assert waiting.next(set()) is None
    assert len(waiting._sites._had) == 10


def test_of_more_than_may_wait_who_came_last_is_out() -> None:
    waiting = Order()
    early, middle, late = (Job(WARY, "a", "1", bool, since=at) for at in range(3))
    assert waiting.add(late, 2) is waiting.add(early, 2) is None
    assert waiting.add(middle, 2) is late
    assert waiting.add(late, 2) is late
    assert [waiting.next(set()) for _ in range(3)] == [early, middle, None]
