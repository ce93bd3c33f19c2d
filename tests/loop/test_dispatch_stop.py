"""The end of the loop: what has come is answered, nothing more is let in, and nothing stays open."""

import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from greenlet import greenlet
from redis import Redis

from cticache.link.connection import connect
from cticache.loop import dispatch, ending
from kit.proxy import Impostor, Proxy
from kit.running import BIG, Service, Site, Wire, files_open, until
from kit.samples import make_pool
from kit.talk import BODY, CALL, Talk, get, posting, request


def test_requests_under_way_are_answered_and_then_everything_is_closed(site: Site) -> None:
    idle, parked, queued = site.talks(3)
    parked.send(get("/park", "/2", "/3"))
    until(lambda: site.seen)
    with site.hub.held():
        queued.send(get("/4"))
        site.hub.stop()
        site.hub.turn(2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.served.port))
    site.answer.set_result(b"1")
    assert [parked.answer().content for _ in range(3)] == [b"1", b"/2", b"/3"]
    assert queued.answer().content == b"/4"
    site.served.thread.join(20)
    assert not site.served.thread.is_alive()
    assert all(client.is_closed() for client in (idle, parked, queued))
    assert not site.channels()


def test_a_request_that_has_come_before_the_stop_is_answered(site: Site) -> None:
    (client,) = site.talks(1)
    with site.hub.held():
        client.send(get("/1"))
        site.hub.stop()
    assert client.answer().content == b"/1"


def test_the_loop_does_not_sleep_over_a_stop(site: Site) -> None:
    (parked,) = site.talks(1)
    parked.send(get("/park"))
    until(lambda: site.hub._parked)
    with site.hub.held():
        site.hub.turn()  # the call that woke it is forgotten
        site.hub.stop_at = 0.0
        site.hub.turn(2)
        assert site.hub.patience[-2:] == [0, 0]
        site.hub.turn()
        assert site.hub.patience[-1] > 0
    site.answer.set_result(b"1")
    assert parked.answer().content == b"1"


def test_clients_that_may_ask_again_do_not_put_off_the_end(site: Site) -> None:
    (eager, parked) = site.talks(2)
    eager.send(get("/1")).answer()
    parked.send(get("/park"))
    until(lambda: site.seen)
    with site.hub.held():
        site.hub.stop()
        site.hub.turn(2)
        assert eager.is_closed()
    site.answer.set_result(b"1")
    assert parked.answer().content == b"1"
    site.served.thread.join(20)
    assert not site.served.thread.is_alive()


def test_what_cannot_be_answered_is_given_up_and_closed_and_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.hub.stop_s = 0.0
    parked = site.talk().send(get("/park", "/after"))
    slow = site.talk(small=True).send(get("/big", "/after"))
    until(lambda: set(site.seen) == {"/park", "/big"})
    until(lambda: site.hub._held_back)
    site.hub.stop()
    site.served.thread.join(20)
    assert not site.served.thread.is_alive()
    assert parked.is_closed()
    assert not site.channels()
    assert not site.hub._parked
    site.answer.set_result(b"")
    assert len(slow.rest()) < BIG
    assert "/after" not in site.seen
    (told,) = caplog.messages
    assert told.startswith("cut off after [server] stop_timeout = 0: 2 connections of clients, with ")


def test_the_port_is_closed_after_the_end(service: Service) -> None:
    wire = Wire(service)
    client = Talk(wire.port)
    client.send(posting(BODY)).answer()
    wire.stop()
    assert client.is_closed()
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", wire.port))


def test_a_redis_that_hangs_does_not_keep_the_service_from_ending(service: Service) -> None:
    impostor = Impostor(lambda data: b"+PONG\r\n" if b"PING" in data else b"")
    with connect(impostor.url, 5.0) as client:
        service.client = client
        wire = Wire(service, timeout=0.3)
        clients = [Talk(wire.port).send(request(f"GET {CALL}")) for _ in range(3)]
        until(lambda: len(wire.hub._parked) == 3)
        wire.hub.stop()
        assert [client.answer().status for client in clients] == [503] * 3
        wire.thread.join(20)
        assert not wire.thread.is_alive()
        wire.stop()
        for talk in clients:
            talk.close()
    impostor.close()


def exchange(talk: Talk) -> None:
    posted = talk.send(posting(BODY)).answer()
    assert posted.status == 201
    assert talk.send(request(f"DELETE {posted.headers['location']}")).answer().json == {"value": "v"}


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/fd there")
def test_starts_and_stops_leave_no_file_open(
    service: Service, client: Redis, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_TO_ASK_S", 0)  # nobody waits for what the idle client may ask

    def start_and_stop() -> None:
        wire = Wire(service)
        idle, talk = Talk(wire.port), Talk(wire.port)
        exchange(talk)
        wire.stop()
        for each in (idle, talk):
            assert each.is_closed()
            each.close()

    start_and_stop()
    before = files_open()
    for _ in range(50 if long else 12):
        client.flushall()
        service.resync()
        start_and_stop()
    until(lambda: files_open() == before)


@pytest.fixture
def silence() -> Iterator[None]:
    """pytest keeps what is logged, exceptions and all."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


BROKEN: list[Callable[[Talk], object]] = [
    lambda talk: talk.send(b"hello\r\n\r\n").answer(),
    lambda talk: talk.send(posting(b"{")).answer(),
    lambda talk: talk.send(posting(b"{}")).answer(),
    lambda talk: talk.send(request("POST /cticache/DNIS-ANI", "Content-Length: 99999")).answer(),
    lambda talk: talk.send(posting(BODY)[:-5]),
    lambda talk: talk.send(request(f"GET {CALL}")),
    lambda talk: talk.send(request("GET /nowhere") * 3).answer(),
    lambda talk: talk.send(b""),
]


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/fd there")
def test_thousands_of_requests_leave_nothing_behind(
    new_service: Callable[..., Service], redis_url: str, silence: None
) -> None:
    def work(rounds: int) -> None:
        for n in range(rounds):
            with closing(Talk(wire.port)) as talk:
                exchange(talk)
                for _ in range(10):
                    talk.send(request("GET /cticache/pools")).answer()
            for break_ in BROKEN:
                broken = Talk(wire.port)
                break_(broken)
                if n % 2:
                    broken.vanish()
                broken.close()
            if n % 10 == 0:
                with closing(Talk(wire.port)) as talk:
                    proxy.cut()
                    assert talk.send(request(f"GET {CALL}")).answer().status == 503
                    proxy.restore()
                    until(lambda: talk.send(request("GET /readyz")).answer().status == 200)
        until(lambda: not wire.server.active_channels)

    def quiet() -> bool:
        """No thread ends or begins for a moment: those of connections that were cut end when they are let to."""
        before = set(threading.enumerate())
        time.sleep(0.3)
        return before == set(threading.enumerate())

    def left() -> tuple[int, ...]:
        gc.collect()
        until(quiet)
        kinds = (greenlet, dispatch.HubChannel, BaseException)
        files, greenlets, *others = (
            files_open(),
            *(sum(isinstance(one, kind) for one in gc.get_objects()) for kind in kinds),
        )
        counts = files, greenlets - len(wire.hub._idle), *others  # those kept for the next requests have their limit
        print("files, greenlets, channels, exceptions:", counts)
        return counts

    proxy, service = Proxy(redis_url), new_service(make_pool("5551230000-5551239999"))
    with connect(proxy.url, 5.0) as through:
        service.client = through
        wire = Wire(service, timeout=5.0)
        work(11)
        before = left()
        work(60)
        # What the proxy closes, it closes a moment later; a leak would stay.
        until(lambda: all(now <= was for now, was in zip(left(), before, strict=True)))
        wire.stop()
    proxy.close()
