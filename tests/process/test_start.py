"""How the service starts: clients are let in once somebody serves them, whatever Redis does."""

import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

import pytest

from cticache.errors import UserError
from cticache.link.connection import connect
from cticache.link.trouble import REFUSALS
from cticache.loop.listen import open_port, reserve
from kit import servers
from kit.proxy import Impostor
from kit.serving import Running, until
from kit.talk import BODY, CALLS, asked, request

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)

POST = request(f"POST {CALLS}", f"Content-Length: {len(BODY)}", body=BODY)


StartOn = Callable[..., Running]


WAYS = [("threads", 1), ("batch", 2)]
UNHEARD = "Redis is away: it has not answered since the start of this service."
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+: ")


@pytest.mark.parametrize(("dispatch", "workers"), WAYS)
def test_beside_a_redis_that_hangs_it_lets_clients_in_and_answers_them(
    start_on: StartOn, dispatch: str, workers: int
) -> None:
    with servers.program(servers.packaged(), "--save", "") as redis:
        redis.process.send_signal(signal.SIGSTOP)
        running = start_on(redis.url, f"dispatch = {dispatch}\nworkers = {workers}", "timeout = 60")
        port = int(running.line().split()[3].rpartition(":")[2])
        assert running.line() == f"The pools are not in place yet. {UNHEARD} /readyz tells when they are."
        assert asked(port, request("GET /healthz")).status == 200
        refused = asked(port, POST)
        assert (refused.status, refused.json["error"]) == (503, "redis_unavailable")
        assert refused.headers["retry-after"] == "2"
        redis.process.send_signal(signal.SIGCONT)
        until(lambda: asked(port, POST).status == 201)
        assert running.end(signal.SIGTERM) == 0


@contextmanager
def refusing(code: str) -> Iterator[str]:
    """The URL of a Redis that refuses everything so."""
    if code == "WRONGPASS":
        with servers.program(servers.packaged(), "--save", "") as redis:
            with connect(servers.as_admin(redis.url), 5.0) as admin:
                admin.config_set("requirepass", "a-word")
            yield f"redis://:another-word@127.0.0.1:{redis.address[1]}/0"
    else:
        impostor = Impostor(lambda data: b"-LOADING Redis is loading the dataset in memory\r\n" * data.count(b"*"))
        yield impostor.url
        impostor.close()


@pytest.mark.parametrize(
    ("code", "dispatch", "workers"),
    [("WRONGPASS", "threads", 1), ("WRONGPASS", "batch", 2), ("LOADING", "threads", 1), ("LOADING", "batch", 1)],
)
def test_beside_a_redis_that_refuses_that_is_said_and_logged_once(
    start_on: StartOn, code: str, dispatch: str, workers: int
) -> None:
    says = REFUSALS[code]
    with refusing(code) as url:
        running = start_on(url, f"dispatch = {dispatch}\nworkers = {workers}", "sync_interval = 0.1")
        port = int(running.line().split()[3].rpartition(":")[2])
        assert running.line() == f"The pools are not in place yet. {says}. /readyz tells when they are."
        refused = asked(port, POST)
        assert refused.json["error"] == "redis_unavailable"
        assert "refuses to work" in refused.json["detail"]
        assert asked(port, request("GET /readyz")).json["detail"] == f"{says}."
        assert running.end(signal.SIGTERM) == 0
    log = running.said().splitlines()
    # Once for the service, and once for the request to which Redis said it.
    assert [line.split()[3] for line in log if says in line] == ["cticache.data.outage:", "cticache.refused:"]
    assert all(map(LINE.match, log))


IN_AN_IMPORT = """
import signal, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == "falcon":
        signal.raise_signal(signal.{signal})
sys.addaudithook(hook)
from {module} import {function}
sys.exit({function}())
"""
"""The installed command, with a signal in the middle of its imports."""


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_a_signal_to_end_while_it_is_imported_ends_it_quietly(start_on: StartOn, sent: str) -> None:
    (installed,) = entry_points(group="console_scripts", name="cticache")
    begin = IN_AN_IMPORT.format(signal=sent, module=installed.module, function=installed.attr)
    running = start_on("", "", begin=("-c", begin))
    assert (running.ended(), running.said()) == (0, "")


def test_a_signal_to_end_while_its_configuration_is_read_ends_it_quietly(start_on: StartOn) -> None:
    begin = """
import signal, sys
from cticache import __main__, config
def find(*_):
    signal.raise_signal(signal.SIGTERM)
config.find = find
sys.exit(__main__.main())
"""
    running = start_on("", "", begin=("-c", begin))
    assert (running.ended(), running.said()) == (0, "")


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
