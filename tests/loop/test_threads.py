"""Requests in threads, on a loop that sends what they leave."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from cticache.loop.client import ThreadsChannel
from kit.running import BIG, Served, until
from kit.talk import Talk, get, request


class Desk:
    """An application that answers the first request when the test says so, and the others at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer: Future[bytes] = Future()
        self.seen: list[str] = []
        self.served = Served(self.app, None)

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.seen.append(environ["PATH_INFO"])
        content = environ["wsgi.input"].read() or b"nothing"
        if environ["PATH_INFO"] == "/big":
            content = bytes(BIG)
        if environ["PATH_INFO"] == "/wait":
            self.asked.set()
            content = self.answer.result(20)
        start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(content)))])
        return [content]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.served.stop()


def test_what_a_thread_sends_after_its_request_is_sent_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ThreadsChannel.send
    loop_meets_it = threading.Event()

    def send(channel: Any, data: bytes, do_close: bool = True) -> int:
        if b"HTTP/1.1 100" in data and not loop_meets_it.is_set():
            loop_meets_it.set()
            channel.loop.touch_soon(channel)
            time.sleep(0.1)
        sent: int = real(channel, data, do_close)
        return sent

    monkeypatch.setattr(ThreadsChannel, "send", send)
    with closing(Talk(desk.served.port)) as talk:
        talk.send(get("/wait") + request("POST /", "Content-Length: 4", "Expect: 100-continue", body=b""))
        assert desk.asked.wait(20)
        desk.answer.set_result(b"first")
        assert talk.answer().content == b"first"
        assert talk.answer(body=False).status == 100
        talk.send(b"body")
        assert talk.answer().content == b"body"
    assert loop_meets_it.is_set()


def test_a_connection_that_is_closed_just_before_its_answer_is_sent_leaves_nothing_in_the_log(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    real = ThreadsChannel._flush_exception
    met = threading.Event()

    def flush(channel: Any, how: Any, do_close: bool = True) -> Any:
        if not channel.loop.is_inside():
            desk.served.server.trigger.pull_trigger(channel.handle_close)
            until(lambda: channel._fileno is None)
            met.set()
        return real(channel, how, do_close)

    monkeypatch.setattr(ThreadsChannel, "_flush_exception", flush)
    with closing(Talk(desk.served.port)) as talk:
        talk.send(get("/"))
        assert talk.is_closed()
    assert met.wait(20)
    desk.served.stop()
    assert not log.getvalue()


def test_a_client_that_does_not_read_has_one_answer_kept_for_it_and_gets_the_others_when_it_does(desk: Desk) -> None:
    with closing(Talk(desk.served.port, 4096)) as slow:
        slow.send(get("/big", "/big", "/after"))
        until(lambda: desk.seen)
        for _ in range(20):
            with closing(Talk(desk.served.port)) as talk:
                assert talk.send(get("/")).answer().status == 200
        assert [path for path in desk.seen if path != "/"] == ["/big"]
        assert [len(slow.answer().content) for _ in range(3)] == [BIG, BIG, len("nothing")]
        assert slow.send(get("/")).answer().status == 200


def test_a_connection_that_is_closed_in_mid_answer_leaves_no_line(desk: Desk, log: io.StringIO) -> None:
    """Clients could write any number of them, of paths of their own."""
    server = desk.served.server
    with closing(Talk(desk.served.port)) as talk:
        talk.send(get("/wait"))
        assert desk.asked.wait(20)
        (channel,) = server.active_channels.values()
        server.trigger.pull_trigger(channel.handle_close)
        assert talk.is_closed()
    desk.answer.set_result(b"late")
    desk.served.stop()
    assert not log.getvalue()
