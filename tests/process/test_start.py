"""How the service starts: clients are let in once somebody serves them, whatever Redis does."""

import signal
import socket
import sys
from collections.abc import Callable

import pytest

from cticache.errors import UserError
from cticache.loop.listen import open_port, reserve
from kit import servers
from kit.running import until
from kit.serving import Running
from kit.talk import BODY, CALLS, asked, request

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)

POST = request(f"POST {CALLS}", f"Content-Length: {len(BODY)}", body=BODY)


StartOn = Callable[..., Running]


@pytest.mark.parametrize(("dispatch", "workers"), [("threads", 1), ("batch", 2)])
def test_beside_a_redis_that_hangs_it_lets_clients_in_and_answers_them(
    start_on: StartOn, dispatch: str, workers: int
) -> None:
    with servers.program(servers.packaged(), "--save", "") as redis:
        redis.process.send_signal(signal.SIGSTOP)
        running = start_on(redis.url, f"dispatch = {dispatch}\nworkers = {workers}", "timeout = 60")
        port = int(running.line().split()[3].rpartition(":")[2])
        assert "not in place yet" in running.line()
        assert asked(port, request("GET /healthz")).status == 200
        refused = asked(port, POST)
        assert (refused.status, refused.json["error"]) == (503, "not_ready")
        assert refused.headers["retry-after"] == "1"
        redis.process.send_signal(signal.SIGCONT)
        until(lambda: asked(port, POST).status == 201)
        assert running.end(signal.SIGTERM) == 0


def test_a_second_copy_is_refused_for_its_port_in_one_sentence(start_on: StartOn) -> None:
    """It has the same port and the same data folder: the port is said, which is looked at first."""
    port = servers.free_port()
    first = start_on("", f"port = {port}\nworkers = 2")
    first.line()
    second = start_on("", f"port = {port}\nworkers = 2")
    assert second.ended() == 2
    (line,) = second.said().splitlines()
    assert line.startswith(f"cticache: [server] host = 127.0.0.1, port = {port}: cannot listen there: ")
    assert asked(port, POST).status == 201  # the first is undisturbed


def test_two_that_start_at_the_same_moment_do_not_both_have_the_port() -> None:
    """On Linux both may bind to it: the second one to listen is refused."""
    with reserve("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with reserve("127.0.0.1", port) as second:
            open_port(first)
            with pytest.raises(UserError, match=f"port = {port}: cannot listen there"):
                open_port(second)


def test_nobody_is_let_in_before_the_port_is_opened() -> None:
    with reserve("127.0.0.1", 0) as listener:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=20)
        open_port(listener)
        socket.create_connection(listener.getsockname(), timeout=20).close()
