"""Who is let in, for how long, and who goes when there are too many, under both dispatchers."""

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest

from cticache.access.networks import Networks
from cticache.journal.closed import CAUSES
from cticache.loop import dispatch as dispatch_module
from cticache.loop import door, threads
from cticache.loop.dispatch import Hub
from cticache.loop.door import _MOST_SHOWN_OUT, _PAUSE_S, MOST_ACCEPTS_IN_A_BURST
from kit.running import BIG, Served, until
from kit.talk import Talk, get, request

NEVER = {"header_s": 3600, "body_s": 3600, "idle_s": 3600}
"""Nobody's time is over: whoever goes makes room."""
HALF_A_HEADER = get("/")[:-2]
HALF_A_BODY = request("POST /", "Content-Length: 9", body=b"{")
SLOW = {"silent": b"", "half a header": HALF_A_HEADER, "half a body": HALF_A_BODY}


class House:
    """An application that may keep a client waiting, and the clients that call it."""

    def __init__(self, dispatch: str, **limits: Any) -> None:
        self.hub = Hub(5.0) if dispatch == "batch" else None
        self.waiting = threading.Semaphore(0)
        self.answer: Future[bytes] = Future()
        self.served = Served(self.app, self.hub, **limits)
        self.door = self.served.door
        self._talks = ExitStack()

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        content = path.encode()
        if path == "/wait":
            self.waiting.release()
            content = self.hub.wait(self.answer) if self.hub else self.answer.result(20)
        elif path == "/big":
            content = bytes(BIG)
        status = "401 No" if path == "/no" else "200 OK"
        start_response(status, [("content-type", "text/plain"), ("content-length", str(len(content)))])
        return [content]

    def come(self, sent: bytes = b"", small: bool = False) -> Talk:
        """A client that has been let in, and what it sent been read."""
        before = self.entered
        talk = self.wait_outside(sent, small)
        until(lambda: self.entered > before)
        if sent:
            until(lambda: self.read(talk))
        return talk

    def wait_outside(self, sent: bytes = b"", small: bool = False) -> Talk:
        talk = Talk(self.served.port, 4096 if small else 0)
        self._talks.callback(talk.close)
        return talk.send(sent)

    def ask(self, talk: Talk, path: str = "/") -> Talk:
        """Have the client's request answered."""
        assert talk.send(get(path)).answer().content == path.encode()
        until(lambda: not self.channel(talk).requests)
        return talk

    @property
    def entered(self) -> int:
        return self.door.entered

    def channels(self) -> list[Any]:
        return list(self.served.server.active_channels.values())

    def channel(self, talk: Talk) -> Any:
        """The server's end of a client's connection."""
        return next(each for each in self.channels() if each.addr == talk._socket.getsockname())

    def read(self, talk: Talk) -> bool:
        """Whether something came of it, or it is gone."""
        ends = [each for each in self.channels() if each.addr == talk._socket.getsockname()]
        return not ends or bool(ends[0].request or ends[0].requests or ends[0].answered)

    def look(self) -> None:
        """Have it looked now whose time is over."""
        self.door._look_at = 0.0
        self.wake()
        until(lambda: self.door._look_at)

    def wake(self) -> None:
        """Have the loop make a turn."""
        if self.hub:
            self.hub.call_soon(lambda: None)
        else:
            self.served.server.trigger.pull_trigger()

    def close(self) -> None:
        if not self.answer.done():
            self.answer.set_result(b"at the end")
        self._talks.close()
        self.served.stop()


@pytest.fixture
def new_house(dispatch: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    """Makes one, where nobody has first moments."""
    monkeypatch.setattr(door, "_FIRST_MOMENTS_S", 0.0)
    with ExitStack() as stack:

        def make(**limits: Any) -> House:
            house = House(dispatch, **NEVER | limits)
            stack.callback(house.close)
            return house

        yield make


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
def test_any_number_of_slow_clients_keep_nobody_out(new_house: Callable[..., House], sent: bytes) -> None:
    house = new_house(connections=20)
    slow = [house.wait_outside(sent) for _ in range(100)]
    for _ in range(20):
        house.wait_outside(sent)
        newcomer = house.wait_outside()
        assert newcomer.send(get("/")).answer().content == b"/"
    assert house.entered == 140
    until(lambda: len(house.channels()) == 20)
    for talk in slow:
        assert talk.rest() == b""  # closed without a word: it has made room


def test_who_has_gone_longest_without_a_whole_request_gives_way_first(new_house: Callable[..., House]) -> None:
    house = new_house(connections=5)
    one, other = house.ask(house.come()), house.ask(house.come())
    silent, refused = house.come(), house.ask(house.come(), "/no")
    half = house.come(HALF_A_BODY)
    house.ask(one)
    for goes in (silent, refused, half):  # in the order in which they came, for what is refused proves nothing
        house.ask(house.come())
        assert goes.is_closed()
    house.ask(house.come())
    assert other.is_closed()
    assert house.ask(one)


def test_who_sends_half_a_request_more_goes_by_the_last_whole_one(new_house: Callable[..., House]) -> None:
    house = new_house(connections=3)
    first, second, third = (house.ask(house.come()) for _ in range(3))
    house.ask(first)
    until(lambda: not house.channel(first).request)
    second.send(HALF_A_HEADER)
    until(lambda: house.channel(second).request)
    house.ask(house.come())
    assert second.is_closed()
    house.ask(house.come())
    assert third.is_closed()
    assert house.ask(first)


def test_nobody_goes_who_is_being_served_and_who_comes_then_waits(new_house: Callable[..., House]) -> None:
    house = new_house(connections=3)
    served = [house.come(get("/wait")) for _ in range(3)]
    for _ in served:
        assert house.waiting.acquire(timeout=20)
    newcomers = [house.wait_outside(get("/")) for _ in range(3)]
    until(lambda: house.door.waits)
    house.look()
    assert house.entered == 3
    house.answer.set_result(b"served")
    assert [talk.answer().content for talk in served] == [b"served"] * 3
    assert [talk.answer().content for talk in newcomers] == [b"/"] * 3


def test_nobody_goes_who_reads_an_answer(new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_STOPPED_S", 3600.0)
    house = new_house(connections=1)
    slow = house.come(get("/big"), small=True)
    until(lambda: house.channel(slow).total_outbufs_len)
    newcomer = house.wait_outside(get("/"))
    until(lambda: house.door.waits)
    assert len(slow.answer().content) == BIG
    assert newcomer.answer().content == b"/"
    assert slow.is_closed()


def test_who_has_stopped_reading_goes_where_somebody_must(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_STOPPED_S", 0.0)
    house = new_house(connections=2)
    stopped = [house.come(get("/big"), small=True) for _ in range(2)]
    until(lambda: all(house.channel(talk).total_outbufs_len for talk in stopped))
    assert house.wait_outside().send(get("/")).answer().content == b"/"
    assert house.door._closed.totals()["gave_way"] == 1


def test_a_newcomer_waits_rather_than_that_another_goes_in_its_first_moments(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_FIRST_MOMENTS_S", 3600.0)
    house = new_house(connections=2)
    served, newcomer = house.come(get("/wait")), house.come()
    assert house.waiting.acquire(timeout=20)
    other = house.wait_outside(get("/"))
    until(lambda: house.door.waits)
    house.answer.set_result(b"served")
    assert served.answer().content == b"served"
    assert other.answer().content == b"/"
    assert newcomer.send(get("/")).answer().content == b"/"


def test_in_its_first_moments_nobody_goes_and_who_comes_waits_for_their_end(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatch_module, threads):
        monkeypatch.setattr(module, "_LONGEST_SLEEP_S", 3600.0)
    monkeypatch.setattr(door, "_FIRST_MOMENTS_S", 0.5)
    house = new_house(connections=2)
    first, second = house.come(), house.come()
    newcomer = house.wait_outside(get("/"))
    until(lambda: house.door.waits)
    assert newcomer.answer().content == b"/"  # nobody has woken the loop
    assert first.is_closed()
    assert house.ask(second)


@pytest.mark.parametrize("answered", [False, True], ids=["a newcomer", "one that has been idle"])
def test_nobody_goes_whose_request_has_come_and_is_not_read_yet(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, *, answered: bool
) -> None:
    house = new_house(connections=2)
    asks, silent = house.come(), house.come()
    if answered:
        house.ask(silent)
        house.ask(asks)
        house.ask(silent)
    channel, may_be_read = house.channel(asks), threading.Event()
    read = channel.handle_read
    monkeypatch.setattr(channel, "handle_read", lambda: read() if may_be_read.is_set() else None)
    asks.send(get("/"))
    house.ask(house.come())
    assert silent.is_closed()
    may_be_read.set()
    assert asks.answer().content == b"/"


def test_an_idle_client_goes_rather_than_a_newcomer_in_its_first_moments(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_FIRST_MOMENTS_S", 3600.0)
    house = new_house(connections=2)
    idle, newcomer = house.ask(house.come()), house.come()
    house.ask(house.come())
    assert idle.is_closed()
    assert house.ask(newcomer)


def test_newcomers_are_no_more_than_half_of_those_in_a_turn(new_house: Callable[..., House]) -> None:
    house = new_house(connections=2)
    for _ in range(MOST_ACCEPTS_IN_A_BURST):
        house.wait_outside()
    for _ in range(10):
        assert house.wait_outside(get("/")).answer().content == b"/"


def test_a_newcomer_wakes_a_loop_that_has_nothing_else_to_do(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatch_module, threads):
        monkeypatch.setattr(module, "_LONGEST_SLEEP_S", 3600.0)
    house = new_house()
    for _ in range(3):
        assert house.wait_outside(get("/")).answer().content == b"/"


def gone(house: House, talk: Talk) -> dict[str, Any]:
    """What a client was told before its connection was closed; nothing is empty."""
    house.look()
    told = talk.answer().json if talk._socket.recv(1, socket.MSG_PEEK) else {}
    assert talk.is_closed()
    return dict(told)


@pytest.mark.parametrize("before", [0, 1], ids=["the first request", "a later one"])
def test_a_header_has_its_time(new_house: Callable[..., House], before: int) -> None:
    house = new_house(header_s=100)
    slow, other = house.come(), house.come()
    for talk in (slow, other)[: 2 * before]:
        house.ask(talk)
    for talk in (slow, other):
        talk.send(HALF_A_HEADER)
        until(lambda talk=talk: house.channel(talk).request)
    if before:
        house.channel(slow).request.began -= 101
    else:
        house.channel(slow).since -= 101
    assert gone(house, slow)["error"] == "request_timeout"
    assert other.send(b"\r\n").answer().content == b"/"


def test_a_body_has_its_time_from_the_end_of_its_header(new_house: Callable[..., House]) -> None:
    house = new_house(header_s=100, body_s=200)
    slow, other = house.come(HALF_A_BODY), house.come(HALF_A_BODY)
    for talk in (slow, other):
        house.channel(talk).since -= 250
    house.channel(slow).request.body_began -= 201
    assert gone(house, slow) == {
        "error": "request_timeout",
        "detail": "The request did not arrive as a whole in time.",
        "status": 408,
    }
    assert other.send(b"........").answer().content == b"/"


def test_who_sends_nothing_has_the_time_of_a_header_at_first_and_later_more(new_house: Callable[..., House]) -> None:
    house = new_house(header_s=100, idle_s=300)
    silent, idle, longer = house.come(), house.ask(house.come()), house.ask(house.come())
    for talk, seconds in ((silent, 101), (idle, 200), (longer, 301)):
        house.channel(talk).since -= seconds
    assert gone(house, silent) == gone(house, longer) == {}
    assert house.ask(idle)


@pytest.mark.parametrize("blank", [b"\r\n\r\n", b"\r\n"], ids=["whole", "half"])
def test_blank_lines_put_nothing_off(new_house: Callable[..., House], blank: bytes) -> None:
    house = new_house(header_s=100, idle_s=300)
    first, later = house.come(), house.ask(house.come())
    for talk, seconds in ((first, 101), (later, 401)):
        channel = house.channel(talk)
        channel.last_activity = 0
        talk.send(blank)
        until(lambda channel=channel: channel.last_activity)
        channel.since -= seconds
        assert gone(house, talk).get("error", "request_timeout") == "request_timeout"


def test_who_does_not_read_an_answer_has_its_time(new_house: Callable[..., House]) -> None:
    house = new_house(idle_s=30)
    slow, other = (house.come(get("/big", "/"), small=True) for _ in range(2))
    for talk in (slow, other):
        until(lambda talk=talk: house.channel(talk).total_outbufs_len)
    channel = house.channel(slow)

    def is_shown_out() -> bool:
        channel.since -= 31  # a thread that begins with the second request sets it anew
        house.look()
        return len(house.channels()) == 1

    until(is_shown_out)
    assert len(slow.rest()) < BIG
    assert len(other.answer().content) == BIG
    assert other.answer().content == b"/"


def test_a_long_answer_may_be_read_slowly_but_not_for_ever(new_house: Callable[..., House]) -> None:
    house = new_house(idle_s=30)
    talk = house.come(get("/big"), small=True)
    until(lambda: house.channel(talk).total_outbufs_len)
    channel = house.channel(talk)
    assert not any(buffer.overflowed for buffer in channel.outbufs)  # it may be a caller's data, which no file gets
    house.look()
    began, whole, left, moved = channel._owed
    assert not channel.reads_slowly(moved + 29, 30, 4096)
    channel._owed = began, whole, left + 1, moved
    assert not channel.reads_slowly(moved + 31, 30, 4096)  # something has been read
    channel._owed = began, whole, left + 1, moved
    assert channel.reads_slowly(began + 31 + whole / 4096, 30, 4096)


def test_the_connections_of_an_address_have_their_limit(new_house: Callable[..., House]) -> None:
    house = new_house(per_address=3)
    within = [house.come() for _ in range(3)]
    for _ in range(2):
        assert house.wait_outside().rest() == b""
    within[0].close()
    until(lambda: len(house.channels()) == 2)
    assert house.wait_outside(get("/")).answer().content == b"/"
    assert house.wait_outside().rest() == b""
    for talk in within:
        talk.close()
    until(lambda: len(house.channels()) == 1)
    house._talks.close()
    until(lambda: not house.channels())
    assert house.door._by_site == {}


def test_the_limit_of_an_address_is_not_for_trusted_proxies(new_house: Callable[..., House]) -> None:
    house = new_house(per_address=1, proxies=Networks.parse("127.0.0.0/30"))
    assert [house.wait_outside(get("/")).answer().content for _ in range(5)] == [b"/"] * 5


def test_where_the_system_has_no_socket_left_somebody_goes_and_nobody_is_asked_in_vain(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        refused.append(1)
        raise OSError(errno.EMFILE, "Too many open files")

    house, refused = new_house(), list[int]()
    known, silent = house.ask(house.come()), house.come()
    with monkeypatch.context() as patch:
        patch.setattr(house.served.server, "accept", refuse)
        newcomer = house.wait_outside(get("/"))
        assert silent.is_closed()
        patch.setattr("cticache.loop.door._PAUSE_S", 3600.0)
        house.ask(known)
    assert len(refused) <= 20  # with the pause of the door, and not one for each turn
    house.door._closed_until = 0.0
    house.wake()
    assert newcomer.answer().content == b"/"
    assert _PAUSE_S > 0


def test_thousands_whose_time_is_over_are_shown_out_a_few_in_a_turn(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cticache.loop.door._MOST_LOOKS", 30)
    house = new_house(header_s=100)
    clients = [house.come(sent) for sent in (b"", HALF_A_HEADER) for _ in range(20)]
    for channel in house.channels():
        channel.since -= 101
    in_a_turn = list[int]()
    look = house.door._look

    def looked(now: float) -> None:
        before = sum(house.door._closed.totals().values())
        look(now)
        in_a_turn.append(sum(house.door._closed.totals().values()) - before)

    monkeypatch.setattr(house.door, "_look", looked)
    house.door._look_at = 0.0
    house.wake()
    for talk in clients:
        talk.rest()
    assert max(in_a_turn) == _MOST_SHOWN_OUT
    assert sum(in_a_turn) == 40
    assert house.door._look_at


def test_who_was_shown_out_is_counted_by_the_cause(new_house: Callable[..., House]) -> None:
    house = new_house(connections=8, header_s=100, body_s=200, idle_s=300, per_address=7)
    idle = house.ask(house.come())
    house.channel(idle).since -= 301
    house.channel(house.come()).since -= 101
    house.channel(house.come(HALF_A_HEADER)).since -= 101
    half = house.come(HALF_A_BODY)
    house.channel(half).request.body_began -= 201
    slow = house.come(get("/big"), small=True)
    until(lambda: house.channel(slow).total_outbufs_len)
    house.look()
    house.channel(slow).since -= 301
    house.look()
    until(lambda: house.door._closed.totals()["unread"])
    house._talks.close()  # who was refused is waited for to close
    until(lambda: not house.channels())
    for _ in range(8):
        house.wait_outside()
    until(lambda: house.door._closed.totals()["per_address"])
    counts = dict.fromkeys(CAUSES, 1) | {"gave_way": 0}
    assert house.door._closed.totals() == counts  # who has been answered, and asks nothing more, is not counted


def test_who_gave_way_is_counted(new_house: Callable[..., House]) -> None:
    house = new_house(connections=2)
    for _ in range(7):
        house.come()
    assert house.door._closed.totals() == dict.fromkeys(CAUSES, 0) | {"gave_way": 5}


def test_the_log_tells_who_went_and_why_now_and_then(
    new_house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    house = new_house(connections=2, header_s=10)
    house.door._closed._told_at = float("inf")
    for _ in range(7):
        house.come()
    house.come(HALF_A_HEADER)
    house.channels()[-1].since -= 11
    house.look()
    until(lambda: house.door._closed.totals()["header"])
    with caplog.at_level(logging.WARNING):
        house.door._closed._told_at = float("-inf")
        house.look()
        until(lambda: len(caplog.messages) > 1)
        house.come()
        house.look()
    assert sorted(message for message in caplog.messages if "waitress" not in message) == [
        "1 connection closed, the header of a request was not whole within [server] header_timeout: 1 from 127.0.0.1",
        "6 connections closed, beyond [server] connections, to make room for newcomers: 6 from 127.0.0.1",
    ]


def test_what_comes_while_a_request_is_worked_on_is_read_after_it(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatch_module, threads):
        monkeypatch.setattr(module, "_LONGEST_SLEEP_S", 3600.0)
    house = new_house()
    talk = house.come(get("/wait"))
    assert house.waiting.acquire(timeout=20)
    talk.send(get("/"))
    until(lambda: house.channel(talk).paused)
    house.answer.set_result(b"served")
    assert [talk.answer().content for _ in range(2)] == [b"served", b"/"]


def test_who_waits_for_a_place_is_let_in_when_one_is_free(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatch_module, threads):
        monkeypatch.setattr(module, "_LONGEST_SLEEP_S", 3600.0)
    house = new_house(connections=1)
    served = house.come(get("/wait"))
    assert house.waiting.acquire(timeout=20)
    newcomer = house.wait_outside(get("/"))
    until(lambda: house.door.waits)
    house.answer.set_result(b"served")
    assert served.answer().content == b"served"
    assert newcomer.answer().content == b"/"


def test_an_answer_does_not_wake_the_loop_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House("threads", **NEVER)
    try:
        talk, woken = house.ask(house.come()), list[int]()
        monkeypatch.setattr(house.served.loop, "wake", lambda: woken.append(1))
        for _ in range(20):
            house.ask(talk)
        assert not woken
    finally:
        monkeypatch.undo()
        house.close()
