"""The loop: what bites in waitress when its tasks run without threads, and bites here no longer."""

import contextlib
import contextvars
import errno
import gc
import logging
import selectors
import socket
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from greenlet import GreenletExit
from waitress.channel import HTTPChannel

from cticache.loop import dispatch
from cticache.loop.client import READ
from cticache.loop.dispatch import MOST_TASKS, Hub
from cticache.loop.door import MOST_ACCEPTS, MOST_ACCEPTS_IN_A_BURST
from kit.running import BIG, Site, until
from kit.talk import get, request


def test_a_newcomer_beside_200_busy_clients_waits_for_a_round_of_them_and_no_longer(site: Site) -> None:
    busy = site.talks(200)
    with site.hub.held():
        for client in busy:
            client.send(get(*["/busy"] * 40))
        site.hub.turn(2, ready=200)
        site.talk().send(get("/new"))
        before = site.hub.turns
        while "/new" not in site.seen:
            site.hub.turn()
            assert site.hub.started[-1] == MOST_TASKS
        let_in_and_read = 2
        assert site.hub.turns - before <= let_in_and_read + 200 // MOST_TASKS + 1


def test_clients_are_let_in_several_a_turn_and_not_all_at_once(site: Site) -> None:
    with site.hub.held():
        for _ in range(2 * MOST_ACCEPTS + 1):
            site.talk()
        counts = []
        for _ in range(3):
            site.hub.turn()
            counts.append(len(site.channels()))
    assert counts == [MOST_ACCEPTS, 2 * MOST_ACCEPTS, 2 * MOST_ACCEPTS + 1]
    assert 4 <= MOST_ACCEPTS <= 8


def test_more_are_let_in_after_a_turn_as_long_as_turns_get(site: Site) -> None:
    busy = site.talks(MOST_TASKS)
    with site.hub.held():
        for client in busy:
            client.send(get(*["/busy"] * 3))
        site.hub.turn(ready=MOST_TASKS)
        for _ in range(2 * MOST_ACCEPTS_IN_A_BURST):
            site.talk()
        before = len(site.channels())
        site.hub.turn()
        assert site.hub.started[-1] == MOST_TASKS
        assert len(site.channels()) - before == MOST_ACCEPTS_IN_A_BURST
        busy[0].answer()


def test_pipelined_requests_are_answered_without_a_sleep_of_the_loop(site: Site) -> None:
    (client,) = site.talks(1)
    paths = ["/1", "/2", "/3", "/4", "/5"]
    with site.hub.held():
        client.send(get(*paths))
        before = len(site.hub.patience)
        site.hub.turn(5, ready=1)
        assert site.seen == paths
        assert site.hub.patience[before + 1 :] == [0, 0, 0, 0]
    assert [client.answer().content.decode() for _ in paths] == paths


def test_at_most_64_requests_start_in_a_turn(site: Site) -> None:
    clients = site.talks(150)
    with site.hub.held():
        for client in clients:
            client.send(get("/"))
        site.hub.turn(3, ready=150)
        assert site.hub.started[-3:] == [64, 64, 22]
    assert {client.answer().status for client in clients} == {200}


def test_no_request_starts_while_the_result_of_a_poll_is_walked(site: Site) -> None:
    def close_all_others(path: str) -> bytes:
        started.append((path, [len(channel.requests) for channel in site.channels()]))
        for channel in site.channels():
            if channel.requests[0].path != path:
                channel.handle_close()
        return b"closed"

    started: list[tuple[str, list[int]]] = []
    clients = {f"/{number}": client for number, client in enumerate(site.talks(5))}
    with site.hub.held():
        for path, client in clients.items():
            site.pages[path] = partial(close_all_others, path)
            client.send(get(path))
        site.hub.turn(ready=5)
    ((first, waiting),) = started  # which of them is read first is the selector's choice
    assert waiting == [1, 1, 1, 1, 1]
    assert clients.pop(first).answer().content == b"closed"
    assert all(client.is_closed() for client in clients.values())
    assert site.talk().send(get("/on")).answer().content == b"/on"


@pytest.mark.skipif(sys.platform == "win32", reason="the number of a closed socket is not the next one's there")
def test_an_event_is_not_told_to_whoever_got_the_number_of_a_closed_socket() -> None:
    def first_come(mine: socket.socket) -> Callable[[int], None]:
        def ready(_mask: int) -> None:
            told.append(mine)
            other = pairs[0][0] if mine is pairs[1][0] else pairs[1][0]
            number = other.fileno()
            hub.watch(number, 0, ready)
            other.close()
            newcomer = socket.socket()
            stack.callback(newcomer.close)
            assert newcomer.fileno() == number
            hub.watch(number, READ, lambda _: told.append(newcomer))

        return ready

    hub, told = Hub(5.0), list[socket.socket]()
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(2)]
        for near, far in pairs:
            stack.callback(near.close)
            stack.callback(far.close)
            far.send(b"x")
            hub.watch(near.fileno(), READ, first_come(near))
        hub._turn()
    assert len(told) == 1
    hub.close()


def test_a_client_that_does_not_read_holds_up_nobody_and_gets_nothing_more_until_it_does(site: Site) -> None:
    slow = site.talk(small=True).send(get("/big", "/big", "/after"))
    until(lambda: site.seen)
    for _ in range(20):
        assert site.talk().send(get("/")).answer().status == 200
    assert [path for path in site.seen if path != "/"] == ["/big"]
    assert [len(slow.answer().content) for _ in range(3)] == [BIG, BIG, len("/after")]


@pytest.mark.skipif(sys.platform == "win32", reason="no module resource there")
def test_hundreds_of_idle_clients_cost_a_turn_nothing(
    new_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    def counted(channel: Any) -> Any:
        asked.append(channel)
        return readable(channel)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2200:
        pytest.skip("the system allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2200), hard))
    idle = 900 if selectors.DefaultSelector is not selectors.SelectSelector else 400  # select() knows 1,024 files
    asked, readable = list[Any](), HTTPChannel.readable
    monkeypatch.setattr(HTTPChannel, "readable", counted)
    try:
        site = new_site(connections=1000)
        active = site.talks(idle)[idle // 2]
        assert active.send(get("/")).answer().status == 200
        until(lambda: site.hub.asked["register"] == idle + 1)  # they and the listener
        asked.clear()
        before = site.hub.asked.copy()
        for _ in range(100):
            active.send(get("/", "/later")).answer()
            active.answer()
        cost = site.hub.asked - before
        assert set(cost) == {"select"}
        assert len(set(asked)) == 1
        site.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def age(site: Site) -> None:
    """Let the clients have been silent for a long time, and have the loop look for such."""
    with site.hub.held():
        for channel in site.channels():
            channel.since -= 1000
        site.served.door._look_at = 0
        site.hub.turn(2)


def test_idle_clients_are_closed_and_those_that_wait_for_an_answer_are_not(site: Site) -> None:
    idle, parked = site.talks(2)
    parked.send(get("/park"))
    until(lambda: site.seen)
    age(site)
    assert idle.is_closed()
    site.answer.set_result(b"late")
    assert parked.answer().content == b"late"


def test_a_client_that_never_reads_is_closed_in_the_end_whatever_it_has_asked_for(site: Site) -> None:
    slow = site.talk(small=True).send(get("/big", "/big"))
    until(lambda: site.hub._held_back)
    age(site)
    until(lambda: not site.channels())
    assert not site.hub._held_back
    assert site.seen == ["/big"]
    slow.close()


@pytest.mark.parametrize("fault", [SystemExit, KeyboardInterrupt, GreenletExit, BaseException])
def test_whatever_a_request_raises_ends_its_connection_alone(site: Site, fault: type[BaseException]) -> None:
    def fail() -> bytes:
        raise fault

    site.pages["/fail"] = fail
    clients = site.talks(3)
    with site.hub.held():
        for client, path in zip(clients, ["/1", "/fail", "/2"], strict=True):
            client.send(get(path, "/next"))
    assert clients[1].is_closed()
    for client in (clients[0], clients[2]):
        client.answer()
        assert client.answer().content == b"/next"
    assert "/next" in site.seen
    assert len(site.seen) == 5


def test_an_exception_is_500_as_json_and_ends_the_connection(site: Site) -> None:
    site.pages["/fail"] = lambda: b"%d" % (1 // 0)
    client = site.talk().send(get("/fail"))
    assert client.answer().json["error"] == "internal"
    assert client.is_closed()


def test_a_request_that_is_given_up_while_it_waits_closes_its_connection(site: Site) -> None:
    client, other = site.talks(2)
    client.send(get("/park", "/after"))
    until(lambda: site.hub._parked)
    (parked,) = site.hub._parked
    site.hub.call_soon(parked.owner.throw)
    assert client.is_closed()
    site.answer.set_result(b"")  # whoever wakes it finds nobody
    assert other.send(get("/on")).answer().content == b"/on"
    assert site.seen == ["/park", "/on"]
    assert not site.hub._parked


def test_who_ends_a_wait_late_does_not_end_another_one_of_the_same_greenlet(site: Site) -> None:
    site.pages["/next"] = lambda: bytes(site.hub.wait(other))
    other: Future[bytes] = Future()
    clients = site.talks(2)
    clients[0].send(get("/park"))
    until(lambda: site.hub._parked)
    (first,) = site.hub._parked
    worker = first.owner
    assert worker
    site.hub.call_soon(worker.throw)
    assert clients[0].is_closed()
    clients[1].send(get("/next"))
    until(lambda: site.hub._parked)
    (second,) = site.hub._parked
    assert second.owner is worker
    with site.hub.held():
        site.answer.set_result(b"of the first")
        site.hub.resume(first, b"of the first", GreenletExit())
        site.hub.turn(3)
        assert second.owner is worker
        assert site.hub._parked == {second}
    other.set_result(b"of the second")
    assert clients[1].answer().content == b"of the second"


def test_a_request_finds_no_context_of_the_one_before_it(site: Site) -> None:
    def told() -> bytes:
        before = told_by.get()
        told_by.set(b"told")
        return before

    told_by = contextvars.ContextVar("told_by", default=b"nobody")
    site.pages["/told"] = told
    client = site.talk()
    assert [client.send(get("/told")).answer().content for _ in range(3)] == [b"nobody"] * 3
    assert len(site.hub._idle) == 1


def test_an_idle_greenlet_keeps_nothing_of_the_client_it_served(site: Site) -> None:
    client = site.talk()
    client.send(get("/on")).answer()
    channel = weakref.ref(site.channels()[0])
    client.close()
    until(lambda: gc.collect() >= 0 and channel() is None)  # the turn in which it left may still hold it
    assert len(site.hub._idle) == 1


def test_many_requests_that_wait_leave_no_more_than_some_greenlets(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_MOST_IDLE", 3)
    clients = site.talks(8)
    for client in clients:
        client.send(get("/park"))
    until(lambda: len(site.hub._parked) == 8)
    site.answer.set_result(b"1")
    assert [client.answer().content for client in clients] == [b"1"] * 8
    assert len(site.hub._idle) == 3
    assert clients[0].send(get("/on")).answer().content == b"/on"


def test_a_client_that_is_gone_before_an_answer_that_closes_is_no_error(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    client = site.talk().send(request("GET /park", "Connection: close"))
    until(lambda: site.hub._parked)
    client.vanish()
    site.answer.set_result(b"1")
    until(lambda: not site.channels())
    assert site.talk().send(get("/on")).answer().content == b"/on"
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_client_that_cannot_be_watched_disturbs_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        refused.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    refused = list[int]()
    (other,) = site.talks(1)
    with monkeypatch.context() as patch:
        patch.setattr(site.hub._selector, "register", refuse)
        unlucky = site.talk()
        until(lambda: refused)
        assert unlucky.is_closed()
        assert other.send(get("/on")).answer().content == b"/on"
    assert len(site.channels()) == 1
    assert site.talk().send(get("/next")).answer().content == b"/next"


@pytest.mark.parametrize("more", ["Accept: x", "Connection: close"])
@pytest.mark.parametrize("value", ["a\r\nX-Sent: b", "a\nb", "a\r\n", "a\rb"])
def test_a_header_with_a_lines_end_in_it_is_not_sent(site: Site, value: str, more: str) -> None:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("content-type", "text/plain"), ("content-length", "5"), ("x-text", value)])
        return [b"hello"]

    site.served.server.application = app
    client = site.talk().send(request("GET /", more))
    assert client.answer().json["error"] == "internal"
    assert client.is_closed()


def test_head_and_body_of_an_answer_go_out_in_one_send(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(channel: Any, data: bytes, do_close: bool = True) -> Any:
        sent.append(data)
        return send(channel, data, do_close)

    sent, send = list[bytes](), HTTPChannel.send
    monkeypatch.setattr(HTTPChannel, "send", counted)
    client = site.talk()
    for path in ("/1", "/2"):
        client.send(get(path)).answer()
    assert [data.partition(b"\r\n\r\n")[2] for data in sent] == [b"/1", b"/2"]


def test_no_request_wakes_a_loop_that_is_awake(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = list[Any]()
    monkeypatch.setattr(site.served.server.trigger, "_physical_pull", lambda: pulled.append(1))
    client = site.talk()
    for _ in range(3):
        client.send(get("/1", "/later")).answer()
        client.answer()
    assert not pulled


def test_a_client_that_closes_its_sending_side_gets_its_answers(site: Site) -> None:
    client = site.talk().send(get("/park", "/2"))
    client.end()
    until(lambda: site.seen)
    site.answer.set_result(b"1")
    assert [client.answer().content for _ in range(2)] == [b"1", b"/2"]
    assert client.is_closed()


@pytest.mark.parametrize("what", [get("/2"), b"", None], ids=["sends more", "ends", "vanishes"])
def test_what_a_client_does_while_it_waits_keeps_the_loop_from_no_sleep(site: Site, what: bytes | None) -> None:
    client = site.talk().send(get("/park"))
    until(lambda: site.hub._parked)
    with site.hub.held():
        if what:
            client.send(what)
        elif what is None:
            client.vanish()
        else:
            client.end()
        site.hub.turn(2)
        assert not site.hub._selector.select(0)
    site.answer.set_result(b"1")
    if what is None:
        until(lambda: not site.channels())
        return
    assert client.answer().content == b"1"
    if what:
        assert client.answer().content == b"/2"
    else:
        assert client.is_closed()


@pytest.mark.parametrize("when", ["in its request", "before its turn", "before its answer", "after its answer"])
def test_a_client_that_vanishes_disturbs_nobody(site: Site, when: str) -> None:
    clients = site.talks(9)
    with site.hub.held():
        for client in clients[::2]:
            client.send(get("/park"))
        for client in clients[1::2]:
            client.send(get("/park", "/after") if when != "in its request" else get("/park")[:-7])
        if when == "before its turn":
            for client in clients[1::2]:
                client.vanish()
    if when in ("in its request", "before its answer"):
        until(lambda: len(site.hub._parked) == (5 if when == "in its request" else 9))
        for client in clients[1::2]:
            client.vanish()
    site.answer.set_result(b"1")
    if when == "after its answer":
        for client in clients[1::2]:
            client.answer()
            client.vanish()
    assert [client.answer().content for client in clients[::2]] == [b"1"] * 5
    until(lambda: len(site.channels()) == 5)
    assert not site.hub._parked
    with contextlib.suppress(OSError):
        assert site.talk().send(get("/on")).answer().content == b"/on"
