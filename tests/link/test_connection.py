"""Connecting for the loop: a socket that redis-py has made and lets go of."""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import ConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.connection import Direct, connect, dial
from cticache.link.trouble import NotOurs
from kit.proxy import Impostor
from kit.running import files_open, until
from kit.servers import as_admin


def test_a_socket_can_be_dialled_more_often_than_a_pool_holds_connections(client: Redis) -> None:
    for _ in range(client.connection_pool.max_connections + 1):
        dial(client).close()
    client.ping()


def test_a_server_that_holds_back_what_may_write_is_not_there(redis_url: str, client: Redis) -> None:
    """A replica is made a primary so; PING is answered all the while."""
    with connect(redis_url, 0.2) as impatient:
        client.client_pause(60_000, all=False)
        try:
            assert impatient.ping()
            with pytest.raises(RedisTimeoutError):
                dial(impatient)
        finally:
            client.client_unpause()
        dial(impatient).close()


def test_a_server_that_refuses_a_script_is_there(client: Redis) -> None:
    client.acl_setuser("reader", enabled=True, passwords="+word", commands=["+ping"], keys=["*"])
    pool = client.connection_pool
    who = {"username": "reader", "password": "word"}
    try:
        refused = ConnectionPool(pool.connection_class, **pool.connection_kwargs | who)
        dial(Redis.from_pool(refused)).close()
    finally:
        client.acl_deluser("reader")


_SLOW_TAKE = """
-- Some tenths of a second. By TIME it could not be told: Valkey stops that clock while a script runs.
local turns = 0
repeat turns = turns + 1 until turns == 2e7
return redis.call('GETDEL', KEYS[1])
"""


def test_a_reply_that_is_no_text_stands_in_its_place_and_costs_no_connection(redis_url: str, client: Redis) -> None:
    client.set("odd", b"\xff", px=60_000)
    with connect(as_admin(redis_url), 5.0) as pooled:
        direct = Direct(pooled)
        first, odd, nested, last = direct.run([("ECHO", "1"), ("GET", "odd"), ("MGET", "odd", "none"), ("ECHO", "2")])
        assert (first, last) == ("1", "2")
        assert [type(odd), type(nested)] == [NotOurs, NotOurs]
        assert direct.run([("ECHO", "3")]) == ["3"]
        assert len(pooled.connection_pool._available_connections) == 1


def test_a_connection_that_is_in_use_is_not_dropped_with_the_others(redis_url: str, client: Redis) -> None:
    client.set("key", "a caller's", px=60_000)
    with connect(as_admin(redis_url), 5.0) as pooled, ThreadPoolExecutor(1) as thread:
        direct = Direct(pooled)
        took = thread.submit(direct.run, [("EVAL", _SLOW_TAKE, 1, "key")])
        until(lambda: pooled.connection_pool._in_use_connections)
        while not took.done():
            direct.drop()
        assert took.result() == ["a caller's"]


def test_who_waits_for_a_server_that_is_left_is_told_at_once() -> None:
    asked = threading.Event()

    def answer(_data: bytes) -> bytes:
        asked.set()
        return b""

    impostor = Impostor(answer)
    with connect(impostor.url, 20.0) as pooled, ThreadPoolExecutor(1) as thread:
        direct = Direct(pooled)
        waiting = thread.submit(direct.run, [("EVALSHA", "x", 0)])
        assert asked.wait(20)
        direct.leave()
        with pytest.raises(RedisConnectionError):
            waiting.result()
    impostor.close()


def test_what_is_run_again_is_waited_for_no_longer_than_the_request_has_time() -> None:
    asked: list[bytes] = []
    impostor = Impostor(lambda data: asked.append(data) or b"")
    with connect(impostor.url, 1000.0) as pooled, ThreadPoolExecutor(1) as thread:
        direct = Direct(pooled)
        waiting = thread.submit(direct.again, [("PING",)], time.monotonic() - 999.5)
        try:
            with pytest.raises(RedisTimeoutError):
                waiting.result(10)
            with pytest.raises(RedisTimeoutError):
                direct.again([("PING",)], time.monotonic() - 1000)
        finally:
            until(lambda: asked)
            direct.leave()
        assert len(asked) == 1
        impostor.answer = lambda _: b"+OK\r\n"
        assert direct.again([("PING",)], time.monotonic()) == ["OK"]
    impostor.close()


@pytest.mark.parametrize("moment", ["dialled", "answered"])
def test_the_reply_of_a_server_that_was_left_does_not_count_nor_is_it_asked_again(
    redis_url: str, client: Redis, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with connect(redis_url, 5.0) as pooled:
        direct, pool = Direct(pooled), pooled.connection_pool
        kind, method = pool.connection_class, "_connect" if moment == "dialled" else "read_response"
        if moment == "answered":
            direct.run([("PING",)])  # else who logs in reads the answer to that first, and dials anew
        whole = getattr(kind, method)

        def left(connection: Any, *args: Any, **more: Any) -> Any:
            done = whole(connection, *args, **more)
            monkeypatch.undo()
            direct.leave()
            return done

        monkeypatch.setattr(kind, method, left)
        with pytest.raises(RedisConnectionError):
            direct.run([("PING",)])
        assert not [each for each in pool._available_connections if each._sock]
        assert direct.run([("PING",)]) == ["PONG"]


def test_as_many_threads_as_may_be_configured_ask_at_once(redis_url: str, client: Redis) -> None:
    threads = 256
    together = threading.Barrier(threads)
    client.ping()

    def ask(_number: int) -> bool:
        own = pooled.connection_pool.get_connection()
        together.wait(20)
        pooled.connection_pool.release(own)
        return True

    with connect(redis_url, 5.0) as pooled, ThreadPoolExecutor(threads) as pool:
        assert all(pool.map(ask, range(threads)))


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
