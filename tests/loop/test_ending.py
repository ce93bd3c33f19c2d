"""The end under both dispatchers: whoever was let in is answered, and everybody is told to go elsewhere."""

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from cticache.loop import ending
from kit.running import Service, Wire, until
from kit.samples import make_pool
from kit.talk import BODY, CALLS, Talk, request

POST = request(f"POST {CALLS}", f"Content-Length: {len(BODY)}", body=BODY)


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    return new_service(make_pool("5551230000-5551230999", match="exact"))


@pytest.fixture
def new_talk() -> Iterator[Callable[[Wire], Talk]]:
    """Opens connections, and closes them after the test."""
    with ExitStack() as stack:

        def make(wire: Wire) -> Talk:
            talk = Talk(wire.port)
            stack.callback(talk.close)
            return talk

        yield make


NewTalk = Callable[[Wire], Talk]


def is_refused(wire: Wire) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", wire.port), timeout=0.05):
            return False
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False


def test_who_has_connected_and_was_not_yet_accepted_is_answered(
    service: Service, dispatch: str, new_talk: NewTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has let them in: closing the port would cut them off."""
    monkeypatch.setattr(ending, "_TO_ASK_S", 20.0)
    wire = Wire(service, dispatch, begins=False)
    asking, yet_to_ask = [new_talk(wire).send(POST) for _ in range(40)], new_talk(wire)
    wire.loop.stop()
    wire.begin()
    answers = [talk.answer() for talk in asking]
    assert [answer.status for answer in answers] == [201] * 40
    assert {answer.headers["connection"] for answer in answers} == {"close"}
    assert yet_to_ask.send(POST).answer().status == 201
    wire.thread.join(20)
    assert not wire.thread.is_alive()
    wire.stop()


def test_a_request_that_has_begun_to_come_is_read_to_its_end_and_answered(
    service: Service, dispatch: str, new_talk: NewTalk
) -> None:
    wire = Wire(service, dispatch)
    idle, slow = new_talk(wire), new_talk(wire)
    idle.send(POST).answer()
    slow.send(POST[:-5])
    until(lambda: any(channel.request for channel in list(wire.server.active_channels.values())))
    wire.loop.stop()
    until(lambda: is_refused(wire))
    assert idle.is_closed()
    answer = slow.send(POST[-5:]).answer()
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert slow.is_closed()
    wire.stop()


def test_a_drain_serves_newcomers_and_closes_each_connection_with_its_answer(
    service: Service, dispatch: str, new_talk: NewTalk
) -> None:
    wire = Wire(service, dispatch)
    kept = new_talk(wire)
    assert "connection" not in kept.send(POST).answer().headers
    wire.loop.drain(3600)
    for talk in (kept, new_talk(wire)):
        answer = talk.send(POST).answer()
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert talk.is_closed()
    wire.loop.drain(7200)  # told again, it does not begin anew
    assert wire.loop.stop_at < time.monotonic() + 3600
    wire.loop.stop()
    wire.thread.join(20)
    assert not wire.thread.is_alive()
    wire.stop()


def test_requests_that_have_come_together_are_all_answered_before_the_connection_is_closed(
    service: Service, dispatch: str, new_talk: NewTalk
) -> None:
    wire = Wire(service, dispatch)
    wire.loop.drain(3600)
    talk = new_talk(wire).send(POST * 3)
    answers = [talk.answer() for _ in range(3)]
    assert [(answer.status, answer.headers.get("connection")) for answer in answers] == [
        (201, None),
        (201, None),
        (201, "close"),
    ]
    assert talk.is_closed()
    wire.stop()


def test_a_request_that_never_comes_to_its_end_is_given_up_after_the_time_for_it(
    service: Service, dispatch: str, new_talk: NewTalk, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(service, dispatch)
    wire.loop.stop_s = 0.0
    slow = new_talk(wire).send(POST[:-5])
    until(lambda: any(channel.request for channel in list(wire.server.active_channels.values())))
    wire.loop.stop()
    wire.thread.join(20)
    assert not wire.thread.is_alive()
    assert slow.rest() == b""
    wire.stop()
    assert caplog.messages == [
        "cut off after [server] stop_timeout = 0: 1 connection of clients, with 0 requests that had come whole"
    ]


def test_a_stop_that_has_nothing_to_cut_off_tells_of_no_such_thing(
    service: Service, dispatch: str, new_talk: NewTalk, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor of the rest: this one was ended by its parent, as no signal's name was given."""
    caplog.set_level(logging.INFO, "cticache.loop")
    wire = Wire(service, dispatch)
    idle = new_talk(wire)
    assert idle.send(POST).answer().status == 201
    wire.stop()
    assert not [each for each in caplog.records if each.name.startswith("cticache.loop")]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel cannot be told elsewhere")
def test_between_the_last_accept_and_the_close_nobody_is_let_in() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        before = stack.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
        ending._keep_out(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.2)
        accepted = stack.enter_context(closing(listener.accept()[0]))
        before.sendall(b"asked")  # who was in before is heard
        assert accepted.recv(5) == b"asked"
