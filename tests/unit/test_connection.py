"""Connecting for the loop: a socket that redis-py has made and lets go of."""

import socket
import sys

import pytest
from proxy import Impostor
from redis import Redis
from redis.exceptions import ResponseError
from running import files_open, until

from cticache.connection import connect, dial


def test_a_socket_can_be_dialled_more_often_than_a_pool_holds_connections(client: Redis) -> None:
    for _ in range(client.connection_pool.max_connections + 1):
        dial(client).close()
    client.ping()


def test_a_connection_that_a_firewall_has_forgotten_is_found_out_by_itself(client: Redis) -> None:
    with dial(client) as dialled:
        own = client.connection_pool.get_connection()
        for sock in (dialled, own._sock):
            if sock.family not in {socket.AF_INET, socket.AF_INET6}:
                continue
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if sys.platform == "linux":
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        client.connection_pool.release(own)


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/fd there")
def test_a_server_that_answers_with_an_error_leaves_no_connection_behind() -> None:
    impostor = Impostor(lambda _: b"-BUSY Redis is busy running a script.\r\n")
    errors = []
    with connect(impostor.url, 5.0) as client:
        before = files_open()
        for _ in range(3):
            with pytest.raises(ResponseError) as caught:
                dial(client)
            errors.append(caught.value)  # as the loop keeps the last one
        until(lambda: files_open() == before)  # the impostor closes its own ends
    impostor.close()
