"""Restarts behind a real nginx, configured as docs/operate.md says: no request is lost."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from kit import servers
from kit.checkout import ROOT
from kit.serving import Running, until
from kit.talk import BODY, CALLS, Answer, Talk, asked, request

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
if sys.platform == "win32" or not NGINX:
    pytest.skip("there is no nginx here (Debian's package nginx-light)", allow_module_level=True)

POST = request(f"POST {CALLS}", f"Content-Length: {len(BODY)}", body=BODY)
READY = request("GET /readyz")
CLIENTS = 4
PACE_S = 0.02
"""Between two exchanges of one client: the two services' share of the machine is not all of it."""
FRAME = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{told}
}}
"""


def documented(ports: list[int], own: int) -> str:
    """The lines for nginx that the docs have, with these ports in them."""
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "operate.md").read_text("utf-8"), re.DOTALL)
    for there, here in zip(["8080", "8081", "8000"], [*ports, own], strict=True):
        assert block.count(f":{there}") == 1
        block = block.replace(f":{there}", f":{here}")
    return block


Start = Callable[..., Running]
Proxy = Callable[[list[int]], int]


@pytest.fixture
def start(start_on: Start, redis_url: str, client: Redis) -> Start:
    """Starts a service on this port; it is ready then."""

    def run(port: int, workers: int) -> Running:
        running = start_on(redis_url, f"port = {port}\nworkers = {workers}", pool="cooldown = 0\nremember = 1")
        running.line()
        until(lambda: asked(port, READY).status == 200)
        return running

    return run


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """Starts nginx in front of services on these ports; its own port."""
    with ExitStack() as stack:

        def run(ports: list[int]) -> int:
            file, own = tmp_path / "nginx.conf", servers.free_port()
            file.write_text(FRAME.format(folder=tmp_path, told=documented(ports, own)), "utf-8")
            command = [str(NGINX), "-p", str(tmp_path), "-c", str(file)]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
            until(lambda: listens(own))
            return own

        yield run


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Load:
    """Clients that post and take through the proxy, each on a connection of its own that is kept."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[str] = Counter()
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        with Client(self._port) as client:
            while not self._ended.wait(PACE_S):
                posted = client.answer(POST)
                if posted and posted.status == 201:
                    client.answer(request(f"DELETE {posted.headers['location']}"))
        self.statuses.update(client.answers)


class Client:
    """Keeps its connection for as long as nginx does, which is for a thousand requests."""

    def __init__(self, port: int) -> None:
        self.answers: list[str] = []
        self._port = port
        self._talk: Talk | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._talk:
            self._talk.close()

    def answer(self, sent: bytes) -> Answer | None:
        self._talk = self._talk or Talk(self._port)
        method = sent.split(b" ", 1)[0].decode()
        try:
            answer = self._talk.send(sent).answer()
        except (OSError, ValueError) as error:  # cut off
            self.answers.append(f"{method} {type(error).__name__}")
            self._talk.close()
            self._talk = None
            return None
        self.answers.append(f"{method} {answer.status}")
        if answer.headers.get("connection") == "close":
            self._talk.close()
            self._talk = None
        return answer


def test_no_request_is_lost_while_two_services_are_restarted_in_turn(
    start: Start, proxy: Proxy, long: bool, tell: Callable[[str], None]
) -> None:
    ports = [servers.free_port(), servers.free_port()]
    services = [start(ports[0], 1), start(ports[1], 2)]
    load = Load(proxy(ports))
    restarts = 10 if long else 2
    try:
        for turn in range(restarts):
            at = turn % 2
            assert services[at].end(signal.SIGTERM) == 0
            services[at] = start(ports[at], at + 1)
    finally:
        load.end()
    tell(f"{restarts} restarts behind nginx: {dict(load.statuses)}")
    assert set(load.statuses) == {"POST 201", "DELETE 200"}


def test_a_request_that_meets_a_closed_port_goes_to_the_other_service(start: Start, proxy: Proxy) -> None:
    ports = [servers.free_port(), servers.free_port()]
    start(ports[0], 1)
    own = proxy(ports)
    assert [asked(own, POST).status for _ in range(6)] == [201] * 6


def test_a_post_that_was_sent_is_not_repeated(proxy: Proxy) -> None:
    """Both services take it and cut the connection: nobody knows what was done, and the client is told so."""
    heard: list[bytes] = []

    def cut(listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with accepted:
                heard.append(accepted.recv(65536))

    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        threads = [threading.Thread(target=cut, args=(listener,)) for listener in listeners]
        for thread in threads:
            thread.start()
        assert asked(proxy([listener.getsockname()[1] for listener in listeners]), POST).status == 502
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(20)
    assert len([sent for sent in heard if sent.startswith(b"POST")]) == 1  # who looks for a Redis that had this port?
