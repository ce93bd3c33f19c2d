"""How the service stops: first it is not ready, then its port is closed, and what is under way is answered."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from kit import servers
from kit.serving import Running, until
from kit.talk import BODY, CALLS, Talk, asked, request

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)

POST = request(f"POST {CALLS}", f"Content-Length: {len(BODY)}", body=BODY)
WAYS = [("threads", 1), ("batch", 2)]
"""Both dispatchers, in the process that is sent the signal and in its workers."""

Start = Callable[..., Running]


@pytest.fixture
def start(start_on: Start, redis_url: str, client: Redis) -> Start:
    """Starts a service with these lines under [server] and [redis], on the Redis under test or another one."""
    return lambda server, *, url=redis_url, redis="": start_on(url, server, redis)


def port_of(running: Running) -> int:
    return int(running.line().split()[3].rpartition(":")[2])


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.05):
            return False
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(("dispatch", "workers"), WAYS)
def test_at_a_signal_it_is_not_ready_and_serves_on_until_a_second_one(
    start: Start, dispatch: str, workers: int
) -> None:
    running = start(f"drain = 600\ndispatch = {dispatch}\nworkers = {workers}")
    port = port_of(running)
    until(lambda: asked(port, request("GET /readyz")).status == 200)
    running.process.send_signal(signal.SIGTERM)
    # Each of the workers has been told once none says that it is ready, however many are asked.
    until(lambda: {asked(port, request("GET /readyz")).status for _ in range(20)} == {503})
    refused = asked(port, request("GET /readyz"))
    assert refused.json["error"] == "not_ready"
    assert "being stopped" in refused.json["detail"]
    assert asked(port, request("GET /healthz")).status == 200
    answer = asked(port, POST)
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert running.end(signal.SIGINT) == 0
    assert is_refused(port)
    log = running.said().splitlines()
    assert "Traceback" not in running.said()
    of = ("cticache.loop.ending:", "cticache.server:", "cticache.announce:")
    told = [line.split(": ", 1)[1] for line in log if line.split()[3] in of]
    started, listening, *told = told
    kind = "Valkey" if "Valkey" in started else "Redis"
    assert re.fullmatch(
        rf"cticache \S+ has started with \S+\.ini, nothing of it overridden; Redis: \w+://\S+ \({kind} [\d.]+\); "
        rf"{workers} workers?, dispatch = {dispatch}; 1 pool with \d+ numbers",
        started,
    )
    assert listening.startswith(f"listening on http://127.0.0.1:{port} with ")
    assert re.fullmatch(r"stopped by SIGTERM after \d:\d\d:\d\d", told.pop())
    assert told == [
        "SIGTERM was heard: for 600 s /readyz is 503 and all else is served, then it stops",
        "SIGINT was heard: it stops",
        "the port is closed; what is under way has 5 s",
    ]
    # Each process says once that it is not ready, and at its end how often it did not say so.
    refused_lines = [line for line in log if " cticache.refused: " in line and "not_ready" in line]
    assert 1 < len(refused_lines) <= 2 * workers
    assert all(" INFO " in line for line in refused_lines)


SIGNALLED_AT_THE_END = """
import signal, sys
from cticache import __main__
from cticache.data.keeper import Keeper
stop = Keeper.stop
def stop_and_tell(keeper):
    signal.raise_signal(signal.SIGINT)
    stop(keeper)
    print("left in order", flush=True)
Keeper.stop = stop_and_tell
sys.exit(__main__.main())
"""


def test_a_signal_after_the_last_answer_breaks_nothing_off(start_on: Start, redis_url: str, client: Redis) -> None:
    running = start_on(redis_url, "workers = 1", begin=("-c", SIGNALLED_AT_THE_END))
    port_of(running)
    assert running.end(signal.SIGTERM) == 0
    assert running.rest()[-1] == "left in order"
    assert running.said().splitlines()[-1].rpartition(": ")[2].startswith("stopped by SIGTERM after ")


@pytest.mark.parametrize(("dispatch", "workers"), WAYS[1:])
def test_the_drain_ends_by_itself(start: Start, dispatch: str, workers: int) -> None:
    running = start(f"drain = 1\ndispatch = {dispatch}\nworkers = {workers}")
    port = port_of(running)
    until(lambda: asked(port, request("GET /healthz")).status == 200)
    began = time.monotonic()
    assert running.end(signal.SIGTERM) == 0
    assert time.monotonic() - began >= 1
    assert "has ended with" not in running.said()


@pytest.mark.parametrize(("dispatch", "workers"), WAYS)
def test_what_is_under_way_is_answered_after_the_port_is_closed(start: Start, dispatch: str, workers: int) -> None:
    with servers.program(servers.packaged(), "--save", "") as redis:
        running = start(
            f"stop_timeout = 60\ndispatch = {dispatch}\nworkers = {workers}", url=redis.url, redis="timeout = 60"
        )
        port = port_of(running)
        until(lambda: asked(port, POST).status == 201)
        redis.process.send_signal(signal.SIGSTOP)
        with closing(Talk(port)) as talk:
            talk.send(POST)
            until(lambda: bytes_read(port))
            running.process.send_signal(signal.SIGTERM)
            until(lambda: is_refused(port))
            redis.process.send_signal(signal.SIGCONT)
            assert talk.answer().status == 201
        assert running.ended() == 0


@pytest.mark.parametrize(("dispatch", "workers"), WAYS[:1])
def test_what_is_not_answered_in_time_is_given_up(start: Start, dispatch: str, workers: int) -> None:
    """It ends with the time-out of a request that is long under way, and not with that of Redis."""
    with servers.program(servers.packaged(), "--save", "") as redis:
        running = start(
            f"stop_timeout = 1\ndispatch = {dispatch}\nworkers = {workers}",
            url=redis.url,
            redis="timeout = 60\nsync_interval = 3600",
        )
        port = port_of(running)
        until(lambda: asked(port, POST).status == 201)
        redis.process.send_signal(signal.SIGSTOP)
        with closing(Talk(port)) as talk:
            talk.send(POST)
            until(lambda: bytes_read(port))
            running.process.send_signal(signal.SIGTERM)
            assert talk.rest() == b""  # within the 20 s that a test's client waits
        redis.process.send_signal(signal.SIGCONT)
        assert running.ended() == 0
    cut_off = "cut off after [server] stop_timeout = 1: 1 connection of clients, with 1 request that had come whole"
    assert running.said().count(cut_off) == 1


def workers_of(running: Running) -> list[int]:
    return [int(pid) for pid in re.findall(r"worker \d is process (\d+)", running.said())]


def ignores_hangups(pid: int) -> bool:
    """As the kernel tells; a worker does so once it has been imported."""
    (mask,) = re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (signal.SIGHUP - 1) & 1)


def bytes_read(port: int) -> bool:
    """Whether the service has read all that was sent to it, as the kernel tells."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if local.endswith(f":{port:04X}") and state == "01" and queues.endswith("00000000"):
            return True
    return False


def test_a_hangup_ends_nothing(start: Start) -> None:
    """A terminal that goes sends it to all processes."""
    running = start("workers = 2")
    port = port_of(running)
    until(lambda: asked(port, request("GET /readyz")).status == 200)
    until(lambda: len(workers_of(running)) == 2)
    until(lambda: all(map(ignores_hangups, workers_of(running))))
    for pid in [running.process.pid, *workers_of(running)]:
        os.kill(pid, signal.SIGHUP)
    until(lambda: "the configuration was read again" in running.said())
    assert asked(port, POST).status == 201
    assert running.end(signal.SIGTERM) == 0
    assert "has ended with" not in running.said()
