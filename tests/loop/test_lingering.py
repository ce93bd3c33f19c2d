"""A client that is refused before it has sent all gets its answer, and is then waited for within limits."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest

from cticache.loop import door, lingering
from cticache.loop.dispatch import Hub
from cticache.loop.lingering import LINGER_BYTES, LINGER_S
from kit.running import MAX_BODY, STOP_S, Served, until
from kit.talk import Talk, get, posting, request

MUCH = b"x" * (8 << 20)
"""More than the buffers of two sockets hold."""
SMUGGLED = get("/smuggled")
TOO_LONG = posting(MUCH)
REFUSED = {
    "a body that is too long": (TOO_LONG, 413),
    "chunks that are too long": (request("POST /", "Transfer-Encoding: chunked", body=b"800000\r\n" + MUCH), 413),
    "a header that is too long": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + MUCH, 431),
    "a target that is too long": (b"GET /" + MUCH, 414),
    "no HTTP": (b"\0" + MUCH, 400),
    "another coding": (request("POST /", "Transfer-Encoding: gzip", body=MUCH), 501),
    "another expectation": (request("POST /", f"Content-Length: {MAX_BODY}", "Expect: x", body=MUCH), 417),
}


class House:
    """An application that says the path, and the clients that call it."""

    def __init__(self, dispatch: str, **settings: Any) -> None:
        self.seen: list[str] = []
        self.served = Served(self.app, Hub(STOP_S) if dispatch == "batch" else None, **settings)
        self._talks = ExitStack()

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.seen.append(path)
        if path == "/fault":
            raise RuntimeError(path)
        start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(path)))])
        return [path.encode()]

    def talk(self) -> Talk:
        talk = Talk(self.served.port)
        self._talks.callback(talk.close)
        return talk

    def refused(self) -> Talk:
        """A client that has been refused, and lingers."""
        before = self.lingering()
        talk = self.talk().send(TOO_LONG)
        assert talk.answer().status == 413
        assert talk.is_closed()
        until(lambda: len(self.lingering()) > len(before))
        return talk

    def channels(self) -> list[Any]:
        return list(self.served.server.active_channels.values())

    def lingering(self) -> list[Any]:
        return [channel for channel in self.channels() if channel.lingers_until]

    def look(self) -> None:
        """Have it looked now whose time is over."""
        self.served.door._look_at = 0.0
        assert self.talk().send(get("/")).answer().status == 200  # a newcomer wakes it
        until(lambda: self.served.door._look_at)

    def close(self) -> None:
        self._talks.close()
        self.served.stop()


@pytest.fixture
def new_house(dispatch: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    """Makes one, where nobody's time is over but by a test."""
    monkeypatch.setattr(lingering, "LINGER_S", 3600.0)
    with ExitStack() as stack:

        def make(**settings: Any) -> House:
            house = House(dispatch, **settings)
            stack.callback(house.close)
            return house

        yield make


@pytest.fixture
def house(new_house: Callable[..., House]) -> House:
    return new_house()


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_who_sends_all_first_and_reads_then_is_told_why_it_is_refused(house: House, sent: tuple[bytes, int]) -> None:
    for _ in range(3):
        talk = house.talk().send(sent[0])
        assert talk.answer().status == sent[1]
        assert talk.is_closed()
        talk.close()
    until(lambda: not house.channels())
    assert house.seen == []


def test_who_begins_to_send_after_it_was_refused_is_told_why(house: House) -> None:
    talk = house.talk().send(TOO_LONG[: -len(MUCH)])
    until(lambda: house.served.door.entered and not [each for each in house.channels() if not each.lingers_until])
    assert talk.send(MUCH).answer().status == 413


def test_what_comes_behind_a_refused_request_is_never_served(house: House) -> None:
    body = SMUGGLED * (len(MUCH) // len(SMUGGLED))
    talk = house.talk().send(posting(body) + SMUGGLED)
    assert talk.answer().status == 413
    (channel,) = house.lingering()
    before = channel._thrown_away
    talk.send(SMUGGLED * 3)
    talk.end()
    assert talk.rest() == b""
    until(lambda: not house.channels())
    assert channel._thrown_away > before
    assert channel.request is None
    assert house.seen == []


def test_who_does_not_close_has_its_time(house: House) -> None:
    stays, other = house.refused(), house.refused()
    house.look()
    one, two = house.lingering()
    assert one.lingers_until > monotonic() + LINGER_S
    one.lingers_until = monotonic() - 1
    house.look()
    until(lambda: house.lingering() == [two])
    assert sum(house.served.door._closed.totals().values()) == 0  # it was answered, and is none of those shown out
    for talk in (stays, other):
        talk.close()
    until(lambda: not house.lingering())


def test_who_never_stops_sending_is_cut_off(house: House) -> None:
    talk = house.refused()
    (channel,) = house.lingering()
    with pytest.raises(OSError, match=r"."):
        talk.send(b"x" * (4 * LINGER_BYTES))
    until(lambda: not house.channels())
    assert LINGER_BYTES < channel._thrown_away <= LINGER_BYTES + len(MUCH)


@pytest.mark.parametrize("first_moments", [0.0, 3600.0])
def test_who_lingers_goes_first_where_somebody_must(
    new_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, first_moments: float
) -> None:
    monkeypatch.setattr(door, "_FIRST_MOMENTS_S", first_moments)
    house = new_house(connections=4)
    known, silent = house.talk().send(get("/known")), house.talk()
    assert known.answer().status == 200
    until(lambda: len(house.channels()) == 2)
    for _ in range(2):
        house.refused()
    for left in (1, 0):
        newcomer = house.talk().send(get("/"))
        assert newcomer.answer().status == 200
        assert len(house.lingering()) == left
    for talk in (known, silent):
        assert talk.send(get("/still")).answer().content == b"/still"


def test_who_lingers_does_not_put_off_the_end(house: House, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        house.refused()
    with caplog.at_level(logging.WARNING):
        house.served.stop()
    assert house.channels() == []
    assert not [message for message in caplog.messages if "cut off" in message]


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/fault", 500)])
def test_a_connection_whose_requests_came_whole_is_closed_at_once(house: House, path: str, status: int) -> None:
    talk = house.talk().send(request(f"GET {path}", "Connection: close"))
    assert talk.answer().status == status
    assert talk.is_closed()
    until(lambda: not house.channels())


def test_what_comes_behind_a_last_request_does_not_take_its_answer_away(house: House) -> None:
    for _ in range(3):
        talk = house.talk().send(request("GET /", "Connection: close") + MUCH)
        assert talk.answer().content == b"/"
        assert talk.rest() == b""
        talk.close()
    until(lambda: not house.channels())


def test_who_is_gone_when_it_is_refused_leaves_nothing_behind(house: House) -> None:
    for _ in range(20):
        talk = house.talk().send(posting(b"x" * MAX_BODY * 2))
        talk.vanish()
    until(lambda: not house.channels())
    house.look()
