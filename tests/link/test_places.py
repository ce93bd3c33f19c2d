"""Who may wait for a node of a Cluster, and who waits no longer."""

import threading
from contextlib import ExitStack

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.places import Places

FOR_EVER_S = 1000.0


def test_one_more_than_may_wait_gives_up_once_nobody_has_been_answered_for_long() -> None:
    places = Places(2, 0.01)
    with places.one(), places.one(), pytest.raises(RedisTimeoutError, match="as many wait for it as may"), places.one():
        pass
    with places.one(), places.one():
        pass


def test_one_more_than_may_wait_has_the_place_of_the_first_who_is_answered() -> None:
    places = Places(2, FOR_EVER_S)
    has_it, may_leave = threading.Event(), threading.Event()

    def wait() -> None:
        with places.one():
            has_it.set()
            assert may_leave.wait(20)

    with ExitStack() as first, ExitStack() as second:
        first.enter_context(places.one())
        second.enter_context(places.one())
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not has_it.wait(0.05)
        first.close()
        assert has_it.wait(20)
        may_leave.set()
        waiting.join()


def test_a_place_is_given_back_after_an_error() -> None:
    places = Places(1, 0.01)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.one():
            raise ZeroDivisionError
