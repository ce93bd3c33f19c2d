"""The loop on a connection to Redis that is encrypted: what is read and written is not what the socket shows."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from redis import Redis

from cticache.link.connection import connect
from kit import certificates, servers
from kit.running import Service, Wire, until
from kit.samples import make_pool
from kit.talk import Talk, posting, request


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks TLS; few packages have one."""
    server, port = certificates.program(), servers.free_port()
    if not server:
        pytest.skip("no redis-server on PATH")
    made = certificates.Certificates(tmp_path_factory.mktemp("tls"))
    with ExitStack() as stack:
        try:
            stack.enter_context(servers.binary(server, "--tls-port", str(port), *made.options(client=False)))
        except servers.Ended:
            pytest.skip("the server on PATH speaks no TLS")
        yield f"rediss://{servers.login()}{certificates.HOST}:{port}/0{made.query()}"


@pytest.fixture
def tls_redis(tls_url: str) -> Iterator[Redis]:
    with connect(servers.as_admin(tls_url), 5.0) as client:
        yield client


def test_every_new_connection_can_be_used_at_once(tls_url: str, long: bool) -> None:
    for _ in range(50 if long else 12):
        with connect(tls_url, 5.0) as client:
            assert client.ping()


def test_a_burst_of_64_large_values_goes_there_and_back(tls_redis: Redis, new_service: Callable[..., Service]) -> None:
    service = new_service(make_pool("5551230000-5551239999"))
    service.client = tls_redis
    wire = Wire(service)
    service.resync()
    with ExitStack() as stack:
        stack.callback(wire.stop)
        talks = [stack.enter_context(closing(Talk(wire.port))) for _ in range(64)]
        for _ in range(3):
            with wire.hub.held():
                for n, talk in enumerate(talks):
                    talk.send(posting(json.dumps({"value": f"{n}" * 1800, "ani": str(10_000 + n)}).encode()))
            answers = [talk.answer() for talk in talks]
            assert [answer.json["value"] for answer in answers] == [f"{n}" * 1800 for n in range(64)]
            assert isinstance(wire.channel._socket, ssl.SSLSocket)
            with wire.hub.held():
                for talk, answer in zip(talks, answers, strict=True):
                    talk.send(request(f"DELETE {answer.headers['location']}"))
            assert [talk.answer().json["value"] for talk in talks] == [f"{n}" * 1800 for n in range(64)]
            tls_redis.client_kill_filter(_type="normal", skipme=True)
            until(lambda: talks[0].send(request("GET /readyz")).answer().status == 200)
