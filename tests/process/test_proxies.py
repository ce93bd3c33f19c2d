"""docs/proxies.md: the files for nginx, Caddy and HAProxy as they are copied, and the programs running with them."""

import http.client
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

if sys.platform == "win32":
    pytest.skip("the proxies run on another system than Windows", allow_module_level=True)

from redis import Redis

from kit import servers
from kit.backends import backends
from kit.documents import DOCS
from kit.fronts import HOST, PROGRAMS, Certificate, Connection, Front
from kit.samples import basic
from kit.serving import Running, until
from kit.talk import CALLS, Talk, asked, request

READY = request("GET /readyz")
HEADERS = {"Authorization": basic("username"), "Content-Type": "application/json"}
MORE = 500
"""So many requests each proxy has carried between one restart and the next: 5,000 in ten of them."""
PACE_S = 0.005
"""Between two requests of one client: the services' share of the machine is not all of it."""
ALL = [*PROGRAMS]
URL = f"https://{HOST}{CALLS}"

Behind = Callable[..., Front]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def front(certificate: Certificate, tmp_path: Path) -> Iterator[Behind]:
    """Starts the proxy of this name before two ports."""
    with ExitStack() as stack:

        def run(name: str, ports: list[int], changes: Mapping[str, str] | None = None) -> Front:
            made = Front(name, tmp_path / f"{name}{'-changed' if changes else ''}", certificate, ports, changes)
            stack.enter_context(made.running())
            return made

        yield run


Start = Callable[..., Running]


@pytest.fixture
def start(start_on: Start, redis_url: str, client: Redis) -> Start:
    """Starts a service on this port, with more lines under [server]; it is ready then."""

    def run(port: int, more: str = "") -> Running:
        server = f"port = {port}\nworkers = 1\ntrusted_proxy = 127.0.0.1\n{more}"
        running = start_on(redis_url, server, pool="cooldown = 0\nremember = 1")
        running.line()
        until(lambda: asked(port, READY).status == 200)
        return running

    return run


def sent(front: Front, data: bytes) -> bytes:
    """All that comes back for these bytes."""
    connection = Connection(front)
    connection.connect()
    with connection.sock as sock:
        sock.sendall(data)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return b"%d " % answer.status + answer.read()


def curl(front: Front, path: str, *arguments: str) -> tuple[int, str]:
    """The status and the body."""
    command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "20", "--cacert", str(front.certificate.authority)]
    command += ["--connect-to", f"{HOST}:443:127.0.0.1:{front.port}", "--write-out", "\n%{http_code}"]
    done = subprocess.run([*command, *arguments, f"https://{HOST}{path}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), body


def test_a_call_is_handed_over_by_tls_with_curl_and_no_proxy_writes_down_whose(front: Behind, start: Start) -> None:
    ports = [servers.free_port(), servers.free_port()]
    start(ports[0])  # of the other one the port is closed: who is refused there is served here
    login = ("--user", "username:correct:horse", "-H", "Content-Type:application/json")
    for at, name in enumerate(ALL):
        proxy, ani, value = front(name, ports), f"234567890{at}", f"secret-{at}"
        body = f'{{"value" : "{value}", "ani" : "{ani}"}}'
        for _ in range(2):  # each of the two is asked
            status, said = curl(proxy, CALLS, *login, "-X", "POST", "-d", body)
            assert (status, json.loads(said)["value"]) == (201, value), name
            call = f"{CALLS}/{json.loads(said)['dnis']}:{ani}"
            assert curl(proxy, call, *login) == (200, f'{{"value":"{value}"}}'), name
            assert curl(proxy, call, *login, "-X", "DELETE") == (200, f'{{"value":"{value}"}}'), name
            assert curl(proxy, f"{call}?value={value}", *login)[0] == 410, name
        origin = ("-H", f"Origin: https://{HOST}")
        assert curl(proxy, CALLS, *login, *origin, "-d", body)[0] == 201, (
            "a page of the service is none of another site"
        )
        long = json.dumps({"ani": ani, "value": "x" * 100_000})
        status, said = curl(proxy, CALLS, *login, "-d", long)
        assert (status, json.loads(said)["error"]) == (413, "too_large"), name
        assert curl(proxy, "/metrics", *login)[0] == 404
        until(lambda proxy=proxy: " 410 " in proxy.logs() or '"status":410' in proxy.logs())
        until(lambda proxy=proxy: " 413 " in proxy.logs() or '"status":413' in proxy.logs())
        assert not [line for line in proxy.logs().splitlines() if ani in line or value in line], name
        assert not proxy.temporary(), name


def test_a_client_that_was_idle_for_longer_than_a_service_waits_is_served(front: Behind, start: Start) -> None:
    """It keeps its connection; the proxy has kept none to the service, where it would be closed while it is used."""
    ports = [servers.free_port(), servers.free_port()]
    for port in ports:
        start(port, "idle_timeout = 1")
    clients = [Connection(front(name, ports)) for name in ALL]
    body = json.dumps({"ani": "1234567890", "value": "v"})
    for client in clients:
        client.request("POST", CALLS, body, HEADERS)
        assert client.getresponse().read()
    kept = [client.sock for client in clients]
    for port in ports:  # who has come to the services after all of them is closed for having been idle
        witness = Talk(port)
        assert witness.send(READY).answer().status == 200
        assert witness.is_closed()
        witness.close()
    for client in clients:
        client.request("POST", CALLS, body, HEADERS)
        with client.getresponse() as answer:
            assert answer.status == 201
    assert [client.sock for client in clients] == kept
    for client in clients:
        client.close()


@pytest.mark.parametrize("name", ALL)
def test_what_no_service_has_answered_is_logged_without_its_url(name: str, front: Behind) -> None:
    proxy = front(name, [servers.free_port(), servers.free_port()])
    for host in ("127.0.0.1", HOST):
        ask = f"DELETE {CALLS}/5551234560:2345678901?value=secret HTTP/1.1\r\nHost: {host}\r\nX-Secret: secret\r\n\r\n"
        status = sent(proxy, ask.encode())[:3].decode()
    assert status in {"502", "503"}
    until(lambda: f" {status} " in proxy.logs() or f'"status":{status}' in proxy.logs())
    assert not [line for line in proxy.logs().splitlines() if "2345678901" in line or "secret" in line]


PATHS = [
    "5551234560:+1%20(234)%20567-8901",
    "5551234560%3A%2B1234567890",
    "%35551234560%3a%2b1234567890",
    "5551234560:sip:123%40host;user=phone?ani=%2B1+2&value=a%26b%3D%2f&x",
    "5551234560:123%2F456/take?format=xml",
    "5551234560:%22J%C3%B6rg%22%20%3Csip:1@host%3E",
    "a//b/~!$&'(),;=@%7e%41",
    "a%2E%2E%2fb%252F",
    "a?x=//../%00",
]


@pytest.mark.parametrize("name", ALL)
def test_a_request_is_passed_on_as_it_came(name: str, front: Behind) -> None:
    with backends() as both:
        proxy = front(name, [each.port for each in both])
        key = "k" * 8000
        for path in PATHS:
            head = [
                f"PUT {CALLS}/{path} HTTP/1.1",
                f"Host: {HOST}",
                "X-Forwarded-For: 192.0.2.1",
                f"Authorization: Bearer {key}",
                "Content-Length: 1",
            ]
            assert sent(proxy, ("\r\n".join(head) + "\r\n\r\nx").encode()) == b"200 backend", path
        asked = both[0].asked + both[1].asked
    assert {head.split(b"\r\n")[0].decode() for head in asked} == {f"PUT {CALLS}/{path} HTTP/1.1" for path in PATHS}
    for head in asked:
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:] if line]
        headers = [(header.lower(), text) for header, _, text in lines]
        assert [text for header, text in headers if header == "x-forwarded-for"] == ["127.0.0.1"]
        told = dict(headers)
        assert told["authorization"] == f"Bearer {key}"
        assert told["host"] == HOST
        assert told["connection"].lower() == "close", (
            "a connection that is kept may be closed while a POST is sent on it"
        )


@pytest.mark.parametrize("name", ALL)
def test_a_post_that_was_sent_is_not_repeated(name: str, front: Behind) -> None:
    """Whoever takes it cuts the connection: nobody knows what was done, and the client is told so."""
    with backends() as both:
        for each in both:
            each.answers = False
        proxy = front(name, [each.port for each in both])
        post = f"POST {CALLS}/5551234560:1/take HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        assert sent(proxy, post.encode())[:4] == b"502 "
        assert len(both[0].asked + both[1].asked) == 1


@pytest.mark.parametrize("name", ALL)
def test_a_post_that_meets_a_closed_port_goes_to_the_other_service(name: str, front: Behind) -> None:
    with backends() as both:
        proxy = front(name, [each.port for each in both])
        until(lambda: name == "nginx" or all(each.probes for each in both))  # both are known to be ready
        both[0].close()
        post = f"POST {CALLS} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\n\r\nx"
        for _ in range(6):
            assert sent(proxy, post.encode()) == b"200 backend"


def test_with_none_ready_the_services_say_themselves_why(front: Behind) -> None:
    """What they say has the number to transfer the call to, which a proxy's own 503 has not."""
    with ExitStack() as stack:
        behind = [stack.enter_context(backends(ready=False)) for _ in ALL]
        proxies = [front(name, [each.port for each in both]) for name, both in zip(ALL, behind, strict=True)]
        looked = [each for name, both in zip(ALL, behind, strict=True) if name != "nginx" for each in both]
        until(lambda: all(each.probes > 2 for each in looked))  # two are believed
        post = f"POST {CALLS} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\n\r\nx"
        for proxy in proxies:
            assert sent(proxy, post.encode()) == b"200 backend", proxy.name
        for closed, _ in behind:
            closed.close()
        for proxy in proxies * 2:
            assert sent(proxy, post.encode()) == b"200 backend", f"{proxy.name}, one service alone"


@pytest.mark.parametrize("name", ALL)
def test_a_wrong_certificate_is_one_line_of_the_check(name: str, certificate: Certificate, tmp_path: Path) -> None:
    right = Front(name, tmp_path / "right", certificate, [1, 2]).check()
    assert right.returncode == 0, right.stdout
    other = Certificate(tmp_path)
    wrong = Front(name, tmp_path / "wrong", other, [1, 2])
    other.has_key_of(certificate)
    fits_not = wrong.check()
    assert fits_not.returncode != 0
    said = re.findall(
        r"^.*(?:key values mismatch|private key does not match|inconsistencies between).*$", fits_not.stdout, re.M
    )
    assert len(said) == 1, fits_not.stdout
    other.remove()
    missing = wrong.check()
    assert missing.returncode != 0
    assert len(re.findall(rf"^.*{tmp_path}/\w+\.pem.*$", missing.stdout, re.M)) == 1, missing.stdout


@pytest.mark.parametrize("name", ALL)
def test_tls_before_1_2_is_refused(name: str, front: Behind) -> None:
    with backends() as both:
        proxy = front(name, [each.port for each in both])
        ask = ["curl", "-q", "-sS", "--noproxy", "*", "--cacert", str(proxy.certificate.authority), "--tlsv1.0"]
        ask += ["--ciphers", "DEFAULT@SECLEVEL=0", "--connect-to", f"{HOST}:443:127.0.0.1:{proxy.port}"]
        said = {
            latest: subprocess.run([*ask, "--tls-max", latest, URL], capture_output=True, text=True, check=False)
            for latest in ("1.1", "1.2", "1.3")
        }
    assert (said["1.2"].returncode, said["1.3"].returncode) == (0, 0)
    assert "alert protocol version" in said["1.1"].stderr, "it is the proxy that refuses"


class Load:
    """Clients that come through a proxy: they lease, read and take, half of them with a connection for each request."""

    _callers = itertools.count(2_000_000_000)

    def __init__(self, name: str, front: Front, clients: int = 4) -> None:
        self.name = name
        self.came_to: Counter[str] = Counter()
        """What came of the requests; of those that went well their method and status."""
        self._front = front
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(at % 2 == 0,)) for at in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def more(self) -> Callable[[], bool]:
        """Whether it has carried enough since now."""
        enough = self.came_to.total() + MORE
        return lambda: self.came_to.total() >= enough

    def _run(self, keeps: bool) -> None:
        connection = Connection(self._front)
        for ani in map(str, self._callers):
            value = f"of {ani}"
            posted = self._asked(connection, keeps, "POST", CALLS, {"ani": ani, "value": value})
            if posted:
                call = f"{CALLS}/{posted['dnis']}:{ani}"
                self._asked(connection, keeps, "GET", call, value=value)
                take = ("DELETE", call) if int(ani) % 4 < 2 else ("POST", f"{call}/take")
                self._asked(connection, keeps, *take, value=value)
            if self._ended.is_set():
                break
        connection.close()

    def _asked(
        self,
        connection: Connection,
        keeps: bool,
        method: str,
        path: str,
        body: dict[str, str] | None = None,
        *,
        value: str = "",
    ) -> dict[str, str]:
        headers = HEADERS if keeps else HEADERS | {"Connection": "close"}
        what = "take" if path.endswith("/take") else method
        found: dict[str, str] = {}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            with connection.getresponse() as answer:
                found = json.loads(answer.read())
            told = f"{what} {answer.status}"
            if value and found.get("value") != value:
                told += " without its value"
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = f"{what} {type(error).__name__}"
            connection.close()
        with _COUNTING:
            self.came_to[told] += 1
        self._ended.wait(PACE_S)
        return found if told == "POST 201" else {}


_COUNTING = threading.Lock()


def keeping(front: Behind, ports: list[int]) -> Front:
    """nginx with the lines of docs/proxies.md by which it keeps connections to the services."""
    (text,) = [text for path, text in DOCS.items() if path.name == "proxies.md"]
    kept, header = re.search(
        r"`(keepalive 16; keepalive_timeout 1s;)`.*?`(proxy_set_header Connection \"\";)`", text, re.DOTALL
    ).groups()
    kept = kept.replace("1s", "500ms")  # less than the drain here, which is shorter than anybody's
    return front(
        "nginx",
        ports,
        {"upstream cticache {": f"upstream cticache {{ {kept}", "proxy_set_header Connection close;": header},
    )


def test_no_request_is_lost_while_two_services_are_restarted_in_turn(
    front: Behind, start: Start, client: Redis, long: bool, tell: Callable[[str], None]
) -> None:
    """All at once before the same services; ten restarts in the long form."""
    ports = [servers.free_port(), servers.free_port()]
    services = [start(port, "drain = 1") for port in ports]
    restarts = 10 if long else 2
    with ExitStack() as stack:
        proxies = {name: front(name, ports) for name in ALL} | {"nginx that keeps connections": keeping(front, ports)}
        loads = [stack.enter_context(Load(name, proxy)) for name, proxy in proxies.items()]
        for turn in range(restarts):
            enough = [load.more() for load in loads]
            assert services[turn % 2].end(signal.SIGTERM) == 0
            services[turn % 2] = start(ports[turn % 2], "drain = 1")
            if long:
                until(lambda enough=enough: all(each() for each in enough))
    for load in loads:
        tell(f"{restarts} restarts behind {load.name}: {load.came_to.total():,} requests, {dict(load.came_to)}")
        assert set(load.came_to) == {"POST 201", "GET 200", "take 200", "DELETE 200"}, load.name
    leased = sum(load.came_to["POST 201"] for load in loads)
    assert int(client.hget("cti:{system-y}:stats", "leased")) == leased, "a POST was carried out twice"
