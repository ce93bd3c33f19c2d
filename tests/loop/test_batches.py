"""Bursts in one round trip: one write a turn, each reply to its own request, and no request that disturbs another."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import RedisError

from cticache.access.passwords import Verifier
from cticache.link.connection import connect, dial
from cticache.loop.parking import Parking
from kit import servers
from kit.proxy import Impostor, Proxy
from kit.running import Service, Wire, until
from kit.samples import basic, make_pool
from kit.talk import CALLS, Talk, posting, request

MANY = "5551230000-5551230999"


class Counting(socket.socket):
    """A socket that keeps what is sent."""

    sent: list[bytes]

    def send(self, data: Any, *flags: int) -> int:
        self.sent.append(bytes(data))
        return super().send(data, *flags)


class Front:
    """A service with plenty of numbers, its clients, and all that it sends to Redis."""

    def __init__(self, service: Service, stack: ExitStack, **options: Any) -> None:
        self.service = service
        self.wire = Wire(service, **options)
        self.sent: list[bytes] = []
        self._stack = stack

    def dial(self, client: Redis) -> socket.socket:
        made = Counting(fileno=dial(client).detach())
        made.setblocking(False)
        made.sent = self.sent
        return made

    def talks(self, count: int) -> list[Talk]:
        made, before = [], len(self.wire.server.active_channels)
        for _ in range(count):
            made.append(Talk(self.wire.port))
            self._stack.callback(made[-1].close)
        until(lambda: len(self.wire.server.active_channels) >= before + count)
        return made

    def warm(self) -> None:
        """Connect, and remember the password."""
        (talk,) = self.talks(1)
        until(lambda: talk.send(request("GET /readyz")).answer().status == 200)
        assert talk.send(request("GET /cticache/pools")).answer().status == 200
        self.sent.clear()

    def burst(self, requests: list[bytes], turns: int = 2) -> list[Talk]:
        """Have these come in one turn; their clients."""
        talks = self.talks(len(requests))
        with self.wire.hub.held():
            for talk, data in zip(talks, requests, strict=True):
                talk.send(data)
            self.wire.hub.turn(turns, ready=len(requests))
        return talks


@pytest.fixture
def new_front(
    new_service: Callable[..., Service], verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Front]]:
    with ExitStack() as stack:

        def make(client: Redis | None = None, *pools: Any, **options: Any) -> Front:
            service = new_service(*(pools or [make_pool(MANY)]))
            service.client = client or service.client
            front = Front(service, stack, **options)
            # As in the service: nothing on the loop waits for a hash.
            monkeypatch.setattr(verifier, "_wait", Parking(front.wire.hub, 2).wait)
            front.wire.channel._dial = lambda: front.dial(service.client)
            stack.callback(front.wire.stop)
            service.resync()
            front.warm()
            return front

        yield make


@pytest.fixture
def front(new_front: Callable[..., Front]) -> Front:
    return new_front()


def lease(n: int, **more: Any) -> bytes:
    return posting(json.dumps({"value": f"v{n}", "ani": str(10_000 + n), **more}).encode())


def test_a_burst_of_64_is_one_write_and_each_gets_its_own_reply(front: Front) -> None:
    answers = [talk.answer() for talk in front.burst([lease(n) for n in range(64)])]
    assert [answer.json["value"] for answer in answers] == [f"v{n}" for n in range(64)]
    assert len({answer.json["dnis"] for answer in answers}) == 64
    assert len(front.sent) == 1
    assert front.sent[0].count(b"EVALSHA") == 64
    front.sent.clear()
    talks = front.burst([request(f"DELETE {answer.headers['location']}") for answer in reversed(answers)])
    assert [talk.answer().json["value"] for talk in talks] == [f"v{n}" for n in reversed(range(64))]
    assert len(front.sent) == 1


def test_several_batches_are_under_way_at_once(new_front: Callable[..., Front], proxy: Proxy) -> None:
    with connect(proxy.url, 5.0) as through:
        front = new_front(through)
        proxy.hold_replies()
        bursts = [front.burst([lease(10 * batch + n) for n in range(10)]) for batch in range(5)]
        assert [data.count(b"EVALSHA") for data in front.sent] == [10] * 5
        assert front.talks(1)[0].send(request("GET /healthz")).answer().status == 200
        proxy.let_replies_go()
        values = [[talk.answer().json["value"] for talk in burst] for burst in bursts]
        assert values == [[f"v{10 * batch + n}" for n in range(10)] for batch in range(5)]


def test_what_does_not_fit_into_one_write_goes_on_when_redis_reads(
    new_front: Callable[..., Front], proxy: Proxy
) -> None:
    big = "x" * 3900
    with connect(proxy.url, 5.0) as through:
        front = new_front(through)
        sock = front.wire.channel._socket
        assert sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        talks = front.burst([lease(n, value=f"{n}{big}") for n in range(64)])
        assert [talk.answer().json["value"] for talk in talks] == [f"{n}{big}" for n in range(64)]
        assert len(front.sent) > 1


def test_scripts_that_redis_forgets_in_the_middle_go_unnoticed(front: Front, client: Redis) -> None:
    client.script_flush()
    assert [talk.answer().status for talk in front.burst([lease(n) for n in range(64)])] == [201] * 64


def test_a_call_whose_script_is_forgotten_costs_one_more_round_trip_and_brings_no_other(
    front: Front, client: Redis
) -> None:
    client.script_flush()
    client.config_resetstat()
    assert [talk.answer().status for talk in front.burst([lease(n) for n in range(8)])] == [201] * 8
    asked = client.info("commandstats")
    assert (asked["cmdstat_evalsha"]["calls"], asked["cmdstat_eval"]["calls"]) == (8, 8)
    assert "cmdstat_script" not in asked
    assert "cmdstat_script|load" not in asked
    (found,) = front.burst([lease(9)])
    assert found.answer().status == 201
    assert client.info("commandstats")["cmdstat_eval"]["calls"] == 8


def test_an_error_reply_touches_no_other_call_of_its_batch(new_front: Callable[..., Front], client: Redis) -> None:
    front = new_front(None, make_pool(MANY, match="suffix"), make_pool("5559990000", "other"))
    talks = front.burst([posting(b'{"value":"v","ani":"%d"}' % ani) for ani in (12223334444, 4915551234567)])
    urls = [talk.answer().headers["location"] for talk in talks]
    dnis = urls[0].rpartition("/")[2].partition(":")[0]
    client.zadd(f"cti:{{system-y}}:callers:{dnis}", {"32223334444": 9e15})
    client.hset(f"cti:{{system-y}}:call:{dnis}:32223334444", mapping={"value": '"w"', "token": "t"})
    client.expire(f"cti:{{system-y}}:call:{dnis}:32223334444", 60)
    client.expire(f"cti:{{system-y}}:callers:{dnis}", 60)
    client.set("cti:{other}:numbers", "poison", px=60_000)
    client.delete("cti:{other}:stats")
    requests = [lease(n) if n % 4 else request(f"GET {CALLS}/{dnis}:2223334444") for n in range(32)]
    requests[1::4] = [lease(n, pool="other") for n in range(8)]
    answers = [talk.answer() for talk in front.burst(requests)]
    assert [answer.status for answer in answers] == [409, 503, 201, 201] * 8
    assert answers[0].json["error"] == "ambiguous"
    assert answers[1].json["error"] == "redis_unavailable"
    assert [answer.json["value"] for answer in answers if answer.status == 201] == [
        f"v{n}" for n in range(32) if n % 4 > 1
    ]


GONE = -1
BROKEN: dict[str, tuple[bytes, int]] = {
    "not JSON": (posting(b'{"value":'), 400),
    "not HTTP": (b"GET  / HTTP/1.1\r\n\r\n", 400),
    "no credentials": (b"POST " + CALLS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 401),
    "a wrong password": (request("GET /metrics").replace(basic("username").encode(), basic("x", "y").encode()), 401),
    "too long": (request(f"POST {CALLS}", "Content-Length: 100000"), 413),
    "a chunk too long": (request(f"POST {CALLS}", "Transfer-Encoding: chunked", body=b"9999\r\n" + b"x" * 39321), 413),
    "a wrong field": (posting(b'{"value":1,"ani":"1","colour":"red"}'), 422),
    "nowhere": (request("GET /nowhere"), 404),
    "gone in mid-body": (lease(1)[:-3], GONE),
    "gone before its answer": (lease(1), GONE),
}


def test_a_user_without_pools_sees_nothing_and_takes_nobodys_reply(front: Front) -> None:
    (lent,) = front.burst([lease(1)])
    call = lent.answer().headers["location"]
    for path in ("/metrics", "/cticache/pools"):
        watching, reading = front.burst([request(f"GET {path}", user="no-pools"), request(f"GET {call}")])
        assert watching.answer().status == 200
        assert reading.answer().json == {"value": "v1"}


@pytest.mark.parametrize("kind", [*BROKEN, "all"])
def test_a_burst_of_which_every_second_request_is_broken(front: Front, kind: str) -> None:
    kinds = list(BROKEN.values()) if kind == "all" else [BROKEN[kind]]
    broken = [kinds[n % len(kinds)] for n in range(30)]
    requests = [data for n in range(30) for data in (lease(n), broken[n][0])]
    talks = front.talks(60)
    with front.wire.hub.held():
        for talk, data in zip(talks, requests, strict=True):
            talk.send(data)
        front.wire.hub.turn()
        for talk, (_, status) in zip(talks[1::2], broken, strict=True):
            if status == GONE:
                talk.vanish()
    answers = [talk.answer() for talk in talks[::2]]
    assert [(answer.status, answer.json["value"]) for answer in answers] == [(201, f"v{n}") for n in range(30)]
    for talk, (_, status) in zip(talks[1::2], broken, strict=True):
        assert status == GONE or talk.answer().status == status
    took = [talk.send(request(f"DELETE {answer.headers['location']}")) for talk, answer in zip(talks[::2], answers)]  # noqa: B905
    assert [talk.answer().json["value"] for talk in took] == [f"v{n}" for n in range(30)]


@contextmanager
def stopped(client: Redis) -> Iterator[Callable[[], None]]:
    """A server that hangs, until the given function is called."""
    number = int(client.info("server")["process_id"])
    os.kill(number, signal.SIGSTOP)
    try:
        yield lambda: os.kill(number, signal.SIGCONT)
    finally:
        os.kill(number, signal.SIGCONT)


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A server of this test's own, which it may harm."""
    with servers.binary(servers.packaged()) as url, connect(url, 5.0) as client:
        yield client


@pytest.fixture
def own_front(own_redis: Redis, new_front: Callable[..., Front]) -> Front:
    """A service on it that waits 0.3 s for an answer."""
    return new_front(own_redis, timeout=0.3, probe=0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP there")
def test_a_redis_that_hangs_costs_each_waiting_request_its_time_and_the_next_ones_nothing(
    own_front: Front, own_redis: Redis
) -> None:
    with stopped(own_redis) as go_on:
        waiting = own_front.burst([lease(n) for n in range(10)])
        (probe, late) = own_front.talks(2)
        assert probe.send(request("GET /healthz")).answer().status == 200
        assert own_front.wire.hub._parked  # it did not wait for them
        assert [talk.answer().json["error"] for talk in waiting] == ["redis_unavailable"] * 10
        writes = len(own_front.sent)
        for n in range(20):
            with own_front.wire.hub.held():
                late.send(lease(n))
                own_front.wire.hub.turn(2)  # it neither parks nor asks
                assert not own_front.wire.hub._parked
            assert late.answer().status == 503
        assert probe.send(request("GET /healthz")).answer().status == 200
        assert len(own_front.sent) == writes
        go_on()
        until(lambda: probe.send(request("GET /readyz")).answer().status == 200)
    assert late.send(lease(99)).answer().status == 201


def test_a_connect_that_hangs_costs_each_waiting_request_its_time(new_service: Callable[..., Service]) -> None:
    """A server that is there and answers nothing, not even while connecting, and answers in the end."""
    service, answers = new_service(make_pool(MANY)), b""
    real, impostor = service.client, Impostor(lambda _: answers)
    with connect(impostor.url, 0.3) as silent, ExitStack() as stack:
        service.client = silent
        front = Front(service, stack, timeout=0.3, probe=0.02)
        waiting = front.burst([request("GET /readyz")] * 5)
        (probe,) = front.talks(1)
        assert probe.send(request("GET /healthz")).answer().status == 200
        assert len(front.wire.hub._parked) == 5
        assert [talk.answer().status for talk in waiting] == [503] * 5
        for _ in range(5):
            with front.wire.hub.held():
                probe.send(request("GET /readyz"))
                front.wire.hub.turn(2)
                assert not front.wire.hub._parked
            assert probe.answer().status == 503
        front.wire.channel._dial = lambda: dial(real)
        until(lambda: probe.send(request("GET /readyz")).answer().status == 200)
        front.wire.stop()
    impostor.close()


def test_a_redis_that_is_started_anew_is_found_again(new_front: Callable[..., Front]) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(servers.binary(servers.packaged()))
        client = stack.enter_context(connect(servers.as_admin(url), 5.0))
        front = new_front(client, timeout=5.0, probe=0.02)
        (talk,) = front.talks(1)
        for _ in range(3):
            with suppress(RedisError):
                client.shutdown(nosave=True)
            assert talk.send(lease(1)).answer().status == 503
            stack.enter_context(servers.binary(servers.packaged(), port=urlsplit(url).port))
            assert talk.send(lease(1)).answer().status == 503  # it is not back before a probe, and has no numbers then
            client.connection_pool.disconnect()
            front.service.resync()
            until(lambda: talk.send(lease(1)).answer().status == 201)


def test_a_connection_that_redis_closes_between_requests_is_made_anew(front: Front, client: Redis) -> None:
    (talk,) = front.talks(1)
    for n in range(5):
        client.client_kill_filter(_type="normal", skipme=True)
        assert talk.send(lease(n)).answer().status in (201, 503)
        until(lambda: talk.send(request("GET /readyz")).answer().status == 200)
        assert talk.send(lease(100 + n)).answer().status == 201


def test_a_demoted_primary_is_left_and_the_next_request_asks_a_new_connection(front: Front, client: Redis) -> None:
    client.replicaof("127.0.0.1", "1")
    try:
        before = front.wire.channel._socket
        assert [talk.answer().status for talk in front.burst([lease(n) for n in range(10)])] == [503] * 10
    finally:
        client.replicaof("NO", "ONE")
    assert front.wire.channel._socket is not before
    assert [talk.answer().status for talk in front.burst([lease(n) for n in range(10)])] == [201] * 10
