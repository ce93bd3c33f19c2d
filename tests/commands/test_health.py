"""The command ``cticache health``, and what it makes of the answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kit import servers

Run = Callable[..., tuple[int, str, str]]
POOL = "[pool:x]\nnumbers = 1\n"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[int, list[str]]]:
    """A service that answers one request so: its port, and the path that is asked for."""
    asked: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - as there
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port, asked
        thread.join()


@pytest.fixture
def health(run: Run) -> Callable[..., tuple[int, str, str]]:
    return lambda port, *options: run(f"[server]\nport = {port}\n{POOL}", "health", *options)


@pytest.mark.parametrize(
    ("options", "path", "answer", "tells"),
    [
        ([], "/readyz", (200, b'{"status": "ready"}'), (0, "ready\n")),
        (["--live"], "/healthz", (200, b'{"status": "ok"}'), (0, "ok\n")),
        ([], "/readyz", (503, b'{"error": "x", "detail": "Redis is away."}'), (1, "Redis is away.\n")),
        ([], "/readyz", (404, b"<html>"), (1, "it answers 404\n")),
        ([], "/readyz", (500, b"[]"), (1, "it answers 500\n")),
    ],
)
def test_it_says_what_the_service_says_of_itself(
    health: Callable[..., tuple[int, str, str]],
    options: list[str],
    path: str,
    answer: tuple[int, bytes],
    tells: tuple[int, str],
) -> None:
    with answering(*answer) as (port, asked):
        assert health(port, *options) == (*tells, "")
    assert asked == [path]


def test_where_nothing_answers_it_is_not_well(health: Callable[..., tuple[int, str, str]]) -> None:
    port = servers.free_port()
    code, said, _ = health(port)
    assert (code, said.startswith(f"no service answers at 127.0.0.1, port {port}: ")) == (1, True)
    code, said, _ = health(port, "--json")
    told = json.loads(said)
    assert (code, told["well"], told["status"]) == (1, False, None)
    assert told["said"]["detail"].startswith("no service answers")


def test_a_port_that_nobody_can_know_is_a_mistake(health: Callable[..., tuple[int, str, str]]) -> None:
    assert health(0) == (2, "", "cticache: [server] port = 0 is another one at each start\n")
