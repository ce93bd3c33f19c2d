"""Who asks a server that is away is told so at once, and served again as soon as it is back."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.breaker import Breaker
from cticache.link.connection import Direct, connect
from kit.proxy import Impostor
from kit.running import until

ASK = [("EVALSHA", "x", 0)]


def silent() -> bytes:
    return b""


def lost() -> bytes:
    raise EOFError


def well() -> bytes:
    return b"+OK\r\n"


class Away:
    """A server behind a breaker whose look finds what the test says, once it may."""

    def __init__(self, probe: float) -> None:
        self.asked = 0
        self.reply: Callable[[], bytes] = silent
        self.looks = 0
        self.taken_to_be_away: list[bool] = []
        self.finds: list[Exception] = []
        self.may_look = threading.Event()
        self._impostor = Impostor(self._answer)
        self._client = connect(self._impostor.url, 0.2)
        self.direct = Direct(self._client)
        self.breaker = Breaker(self.direct, self._look, probe)

    def fails(self, kind: type[Exception] = RedisError) -> bool:
        """Whether the server was asked for it, too."""
        before = self.asked
        with pytest.raises(kind):
            self.breaker.run(ASK)
        return self.asked > before

    def is_back(self) -> None:
        self.reply = well
        until(lambda: self.breaker._down is None)
        assert self.breaker.run(ASK) == ["OK"]

    def close(self) -> None:
        self.breaker.close()
        self.may_look.set()
        until(lambda: not self.breaker._is_looking)
        self._client.close()
        self._impostor.close()

    def _answer(self, _data: bytes) -> bytes:
        self.asked += 1
        return self.reply()

    def _look(self) -> None:
        assert self.may_look.wait(20)
        self.looks += 1
        self.taken_to_be_away.append(bool(self.breaker._down))
        if self.finds:
            raise self.finds.pop()


@pytest.fixture
def new_away() -> Iterator[Callable[[float], Away]]:
    made: list[Away] = []

    def make(probe: float) -> Away:
        made.append(Away(probe))
        return made[-1]

    yield make
    for away in made:
        away.close()


@pytest.fixture
def away(new_away: Callable[[float], Away]) -> Away:
    return new_away(0.0)


def test_after_a_time_out_nobody_waits_until_it_is_back(away: Away) -> None:
    assert away.fails(RedisTimeoutError)
    assert not any(away.fails(RedisTimeoutError) for _ in range(5))
    away.finds = [OSError("unreachable"), ZeroDivisionError(), RedisConnectionError("refused")]
    away.may_look.set()
    away.is_back()
    assert away.looks == 4


def test_a_connection_that_is_lost_is_doubted_and_the_next_one_tried(away: Away) -> None:
    away.reply = lost
    assert away.fails(RedisConnectionError)
    assert away.fails(RedisConnectionError)
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]


def test_a_server_that_is_found_to_be_away_is_away_for_all(new_away: Callable[[float], Away]) -> None:
    away = new_away(1000.0)
    away.finds = [BusyLoadingError("Redis is loading the dataset in memory")]
    away.reply = lost
    away.may_look.set()
    assert away.fails(RedisConnectionError)
    until(lambda: away.breaker._down)
    assert not any(away.fails(BusyLoadingError) for _ in range(5))
    away.breaker.leave()  # another server takes its place
    away.is_back()


def test_a_look_that_fails_is_out_of_date_once_the_server_has_answered(away: Away) -> None:
    away.reply = lost
    away.finds = [RedisConnectionError("reset by peer")]
    assert away.fails(RedisConnectionError)
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]
    away.may_look.set()
    until(lambda: not away.breaker._is_looking)
    assert away.taken_to_be_away == [False, False]


def test_a_look_that_fails_while_an_answer_is_under_way_is_out_of_date_with_it(
    new_away: Callable[[float], Away],
) -> None:
    away = new_away(1000.0)

    def fails_to_look_before_it_answers() -> bytes:
        away.may_look.set()
        until(lambda: away.breaker._down)
        return b"+OK\r\n"

    away.reply = lost
    away.finds = [RedisConnectionError("reset by peer")]
    assert away.fails(RedisConnectionError)
    away.reply = fails_to_look_before_it_answers
    assert away.breaker.run(ASK) == ["OK"]
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]


def test_a_server_that_was_left_tells_nothing_about_the_next(away: Away) -> None:
    def leave() -> bytes:
        away.breaker.leave()
        return b""

    away.reply = leave
    assert away.fails()
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]
    assert not away.breaker._is_looking


def test_a_time_that_was_too_short_does_not_tell_that_the_server_hangs(away: Away) -> None:
    with pytest.raises(RedisTimeoutError):
        away.breaker.again(ASK, time.monotonic() - 0.19)
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]


def test_an_error_is_told_anew_each_time(away: Away) -> None:
    away.fails()
    told = []
    for _ in range(2):
        with pytest.raises(RedisTimeoutError) as caught:
            away.breaker.run(ASK)
        told.append(caught.value)
    assert told[0] is not told[1]


def test_without_a_thread_to_look_the_next_one_tries(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        if thread.name == "redis-probe":
            raise RuntimeError("can't start new thread")
        begin(thread)

    begin = threading.Thread.start
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert away.fails()
    away.reply = well
    assert away.breaker.run(ASK) == ["OK"]
