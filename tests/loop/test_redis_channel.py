"""The connection of the loop to Redis: each call gets its own reply or an error, whatever happens."""

import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from cticache.link.connection import Command, connect, dial
from cticache.link.trouble import NOT_TEXT
from cticache.loop.redis_channel import RedisChannel
from kit.proxy import Impostor
from kit.running import Served, Watched, until
from kit.talk import Talk, request

Ask = Callable[[str], Sequence[Command]]


class Asker:
    """An application that sends what ``asks`` makes of the path, and answers with the replies."""

    def __init__(self, dial_: Callable[[], socket.socket], timeout: float = 5.0) -> None:
        self.hub = Watched()
        self.channel = RedisChannel(self.hub, dial_, timeout, probe=0.01)
        self.asks: Ask = lambda path: [("ECHO", path)]
        self.served = Served(self.app, self.hub)

    def replies(self, path: str) -> list[Any]:
        if path.startswith("/late"):
            return self.channel.again(self.asks(path), time.monotonic() - 999.5)
        if path.startswith("/over"):
            return self.channel.again(self.asks(path), time.monotonic() - 1000)
        return self.channel.run(self.asks(path))

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        status, path = "200 OK", environ["PATH_INFO"]
        try:
            text = "drop"
            if path == "/drop":
                self.channel.drop()
            else:
                text = " ".join(map(str, self.replies(path)))
        except RedisError as error:
            status, text = "503 Service Unavailable", type(error).__name__
        start_response(status, [("Content-Type", "text/plain")])
        return [text.encode()]

    def burst(self, talks: Sequence[Talk], paths: Sequence[str]) -> None:
        """Have these come in one turn."""
        with self.hub.held():
            for talk, path in zip(talks, paths, strict=True):
                talk.send(request(f"GET {path}"))

    def get(self, path: str) -> tuple[int, str]:
        talk = Talk(self.served.port)
        answer = talk.send(request(f"GET {path}")).answer()
        talk.close()
        return answer.status, answer.content.decode()

    def recovers(self) -> None:
        until(lambda: self.get("/back") == (200, "/back"))


Start = Callable[..., Asker]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def make(dial_: Callable[[], socket.socket], timeout: float = 5.0) -> Asker:
            asker = Asker(dial_, timeout)
            stack.callback(asker.served.stop)
            return asker

        yield make


@pytest.fixture
def talks(start: Start) -> Iterator[Callable[[Asker, int], list[Talk]]]:
    with ExitStack() as stack:

        def make(asker: Asker, count: int) -> list[Talk]:
            made = [Talk(asker.served.port) for _ in range(count)]
            for talk in made:
                stack.callback(talk.close)
            return made

        yield make


Talks = Callable[[Asker, int], list[Talk]]


def contents(talks: Sequence[Talk]) -> list[tuple[int, str]]:
    return [(answer.status, answer.content.decode()) for answer in (talk.answer() for talk in talks)]


def test_a_call_that_cannot_be_sent_takes_nobody_elses_reply(client: Redis, start: Start, talks: Talks) -> None:
    asker = start(lambda: dial(client))
    asker.asks = lambda path: [("ECHO", path), ("ECHO", "\ud800" if path == "/bad" else "2")]
    made = talks(asker, 7)
    asker.burst(made, ["/1", "/bad", "/2", "/3", "/bad", "/4", "/5"])
    answers = contents(made)
    assert [status for status, _ in answers] == [200, 500, 200, 200, 500, 200, 200]
    assert [text for status, text in answers if status == 200] == ["/1 2", "/2 2", "/3 2", "/4 2", "/5 2"]


def test_a_reply_that_is_no_text_costs_its_own_call_alone(client: Redis, start: Start, talks: Talks) -> None:
    client.set("odd", b"\xff\xfe", px=60_000)
    asker = start(lambda: dial(client))
    asker.asks = lambda path: [("ECHO", path), ("GET", "odd") if path == "/bad" else ("ECHO", "2")]
    made = talks(asker, 5)
    asker.burst(made, ["/1", "/bad", "/2", "/bad", "/3"])
    answers = [text for _, text in contents(made)]
    assert answers[::2] == ["/1 2", "/2 2", "/3 2"]
    assert answers[1] == answers[3] == f"/bad {NOT_TEXT}"
    assert asker.channel.is_away is False


GARBAGE = {
    "no RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length out of range": b"$-9\r\n",
    "one reply too many": b"+a\r\n" * 4,
    "a reply with half a reply behind it": b"+a\r\n+b\r\n+c\r\n$9\r\nhalf",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_reply_costs_the_connection_and_not_the_loop(
    redis_url: str, start: Start, talks: Talks, garbage: bytes
) -> None:
    def answer(data: bytes) -> bytes:
        if b"PING" in data:
            return b"+PONG\r\n:1\r\n"  # to who dials
        if not first:
            first.append(data)
            return garbage
        if b"/back" in data:
            return b"$5\r\n/back\r\n" * data.count(b"/back")
        raise EOFError

    first: list[bytes] = []
    impostor = Impostor(answer)
    with connect(impostor.url, 5.0) as client:
        asker = start(lambda: dial(client))
        made = talks(asker, 3)
        asker.burst(made, ["/1", "/2", "/3"])
        for status, text in contents(made):
            assert (status, text) in {(503, "ConnectionError"), (200, "a"), (200, "b"), (200, "c")}
        asker.recovers()
        assert asker.served.thread.is_alive()
    impostor.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """The end that the loop has of a connection, and the far one."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(20)
    return ours, theirs


def pairs(count: int) -> tuple[list[socket.socket], Callable[[], socket.socket]]:
    """What dials so often, and the far ends of the connections that it has made."""

    def dial_() -> socket.socket:
        if len(far) == count:
            raise OSError
        ours, theirs = pair()
        far.append(theirs)
        return ours

    far: list[socket.socket] = []
    return far, dial_


def test_a_reply_that_nobody_asked_for_costs_the_connection_and_not_the_loop(start: Start) -> None:
    far, dial_ = pairs(2)
    asker = start(dial_)
    threading.Thread(target=asker.get, args=("/1",)).start()
    until(lambda: far)
    far[0].recv(1000)
    far[0].sendall(b"+1\r\n+2\r\n")
    assert far[0].recv(1000) == b""  # it is closed
    until(lambda: len(far) == 2)  # and dialled anew
    assert asker.served.thread.is_alive()
    for side in far:
        side.close()


@pytest.mark.parametrize("fault", [ValueError("odd"), RedisError("odd"), OSError("odd"), RuntimeError("odd")], ids=repr)
def test_a_dial_may_fail_in_any_way_and_is_tried_again(client: Redis, start: Start, fault: Exception) -> None:
    def dial_() -> socket.socket:
        if tries.pop():
            raise fault
        return dial(client)

    tries = [False, True, True]
    asker = start(dial_)
    assert asker.get("/1")[0] == 503
    asker.recovers()
    assert not tries


def test_a_thread_that_cannot_be_started_is_a_dial_that_failed(
    client: Redis, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        if thread.name == "redis-dial" and tries.pop():
            raise RuntimeError("can't start new thread")
        begin(thread)

    tries, begin = [False, True, True], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", refuse)
    asker = start(lambda: dial(client))
    assert asker.get("/1") == (503, "ConnectionError")
    asker.recovers()


def test_a_drop_while_connecting_leaves_the_calls_that_wait_for_it(client: Redis, start: Start, talks: Talks) -> None:
    def dial_() -> socket.socket:
        go.wait(20)
        return dial(client)

    go = threading.Event()
    asker = start(dial_)
    made = talks(asker, 3)
    asker.burst(made, ["/1", "/drop", "/2"])
    assert made[1].answer().content == b"drop"
    go.set()
    assert contents([made[0], made[2]]) == [(200, "/1"), (200, "/2")]


def test_what_is_asked_again_is_waited_for_no_longer_than_the_request_has_time(start: Start, talks: Talks) -> None:
    far, dial_ = pairs(1)
    asker = start(dial_, timeout=1000.0)
    made = talks(asker, 4)
    asker.burst(made[:3], ["/1", "/late", "/2"])
    assert made[1].answer().content == b"TimeoutError"
    sent = far[0].recv(1000)
    made[3].send(request("GET /over"))
    assert made[3].answer().content == b"TimeoutError"
    replies = {b"/1": b"+one\r\n", b"/late": b"+late\r\n", b"/2": b"+two\r\n"}
    order = re.findall(rb"(/1|/late|/2)\r\n", sent)
    far[0].sendall(b"".join(replies[asked] for asked in order))  # its reply is still told apart from others
    assert contents([made[0], made[2]]) == [(200, "one"), (200, "two")]
    assert sent.count(b"ECHO") == 3
    far[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        far[0].recv(1000)
    far[0].close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_server_that_is_left_while_it_is_dialled_is_not_used(client: Redis, start: Start, fails: bool) -> None:
    def dial_() -> socket.socket:
        dialled.append(len(dialled))
        if len(dialled) > 1:
            return dial(client)
        go.wait(20)
        if fails:
            raise OSError
        ours, theirs = pair()
        far.append(theirs)
        return ours

    go, dialled, far = threading.Event(), list[int](), list[socket.socket]()
    asker = start(dial_)
    asker.channel._probe = 1000.0
    talk = Talk(asker.served.port).send(request("GET /1"))
    until(lambda: dialled and asker.channel._asked)
    asker.hub.call_soon(asker.channel.leave)
    asker.hub.call_soon(go.set)
    assert talk.answer().content == b"/1"
    assert len(dialled) == 2
    for side in far:
        assert side.recv(1) == b""
        side.close()
    talk.close()


def test_a_server_that_is_left_while_it_is_away_is_dialled_at_once(client: Redis, start: Start) -> None:
    def dial_() -> socket.socket:
        if tries.pop():
            raise OSError
        return dial(client)

    tries = [False, True]
    asker = start(dial_)
    asker.channel._probe = 1000.0
    assert asker.get("/1")[0] == 503
    asker.hub.call_soon(asker.channel.leave)
    asker.recovers()


def test_a_connection_that_comes_too_late_is_closed() -> None:
    def dial_() -> socket.socket:
        ours, theirs = pair()
        ends.append(theirs)
        go.wait(20)
        return ours

    for late in (False, True):
        ends: list[socket.socket] = []
        go = threading.Event()
        hub = Watched()
        RedisChannel(hub, dial_, 5.0, 5.0)._connect()
        if not late:
            go.set()
            until(lambda: hub._calls)  # what the loop would have done in its next turn  # noqa: B023
        hub.close()
        go.set()
        until(lambda: ends)  # noqa: B023
        assert ends[0].recv(1) == b""
        ends[0].close()


def test_who_asks_nothing_takes_nobodys_reply(client: Redis, start: Start, talks: Talks) -> None:
    asker = start(lambda: dial(client))
    asker.asks = lambda path: [] if path == "/none" else [("ECHO", path)]
    made = talks(asker, 4)
    asker.burst(made, ["/1", "/none", "/2", "/3"])
    assert contents(made) == [(200, "/1"), (200, ""), (200, "/2"), (200, "/3")]


def test_the_error_of_a_call_that_was_given_up_reaches_nobody(start: Start, talks: Talks) -> None:
    far, dial_ = pairs(2)
    asker = start(dial_)
    (client,) = talks(asker, 1)
    client.send(request("GET /1"))
    until(lambda: far and far[0].recv(1000))
    (parked,) = asker.hub._parked
    asker.hub.call_soon(parked.owner.throw)
    assert client.is_closed()
    far[0].close()
    until(lambda: len(far) == 2)
    assert asker.served.thread.is_alive()
    far[1].close()


def test_a_reply_that_came_while_the_loop_was_late_is_not_given_up(start: Start, talks: Talks) -> None:
    far, dial_ = pairs(1)
    asker = start(dial_)
    (client,) = talks(asker, 1)
    client.send(request("GET /1"))
    until(lambda: far and far[0].recv(1000))

    def be_late() -> None:
        """After the sockets were looked at, and before the deadlines are."""
        far[0].sendall(b"+late\r\n")
        asker.channel._asked[0].deadline = 0

    asker.hub.call_soon(be_late)
    assert contents([client]) == [(200, "late")]
    far[0].close()


def test_a_server_that_closes_each_connection_at_once_is_not_dialled_without_end(client: Redis, start: Start) -> None:
    def dial_() -> socket.socket:
        if len(dialled) >= 4:
            return dial(client)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.close()
        dialled.append(ours)
        return ours

    dialled: list[socket.socket] = []
    asker = start(dial_, timeout=0.2)
    asker.channel._probe = 1000.0
    assert asker.get("/1") == (503, "ConnectionError")
    until(lambda: asker.channel._dial_at < float("inf"))
    assert asker.get("/2") == (503, "TimeoutError")  # it has waited for a connection
    assert len(dialled) == 2  # the second at once, and none since
    asker.channel._probe = 0.01
    asker.channel._dial_at = 0.0
    asker.hub._wake()
    asker.recovers()
    assert len(dialled) == 4


def test_a_connection_that_has_answered_is_dialled_anew_at_once(client: Redis, start: Start) -> None:
    asker = start(lambda: dial(client))
    asker.channel._probe = 1000.0
    for n in range(3):
        assert asker.get(f"/{n}") == (200, f"/{n}")
        lost = asker.channel._socket
        client.client_kill_filter(_type="normal", skipme=True)
        until(lambda: asker.channel._socket not in {None, lost})  # noqa: B023


def test_calls_that_fail_at_once_do_not_lengthen_the_traceback_of_their_cause(start: Start) -> None:
    def dial_() -> socket.socket:
        raise OSError

    def length() -> int:
        down = asker.channel._down
        return len(traceback.extract_tb(down.__traceback__ if down else None))

    asker = start(dial_)
    asker.channel._probe = 1000.0
    asker.get("/1")
    before = length()
    for _ in range(10):
        assert asker.get("/1")[0] == 503
    assert length() == before
