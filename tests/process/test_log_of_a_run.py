"""What a whole run of the service tells in its log: who was refused, no line of a client's, and no caller."""

import json
import os
import re
import signal
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from cticache.numbering.ani import MOST_CHARACTERS
from kit.forked import run
from kit.samples import PASSWORD, USERS
from kit.serving import Running, until
from kit.talk import CALLS, Answer, Talk, request

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)

Start = Callable[[str], Running]

NUMBER = "5551234560"
DIGITS = "4930123456789"
"""The caller, in many spellings."""
SPELLINGS = (
    DIGITS,
    f"+{DIGITS}",
    f"00{DIGITS}",
    "+49 (0)30/123.456-789",
    "+49.30.123.456.789",
    "+49\u00a030\u2010123\u202f456\u2212789",
    "\u202d+4930123456789\u202c",
    "49-30-12-34-56-78-9",
    "+49_30_123_456_789",
    "+49 30 12345 6789 ext",
    "sip:+4930123456789@pbx.example;user=phone",
    "sip:%2B4930123456789@10.0.0.1:5060",
    '"Bob Caller" <sip:4930123456789@host>',
    "tel:+49-30-123456789;phone-context=example.com",
    "\u0664\u0669\u0663\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",
    "+49\n30123456789",
    "Bob-Caller",
    "9" * (MOST_CHARACTERS + 1),
)
SHOWN = (
    *("/metrics", "/cticache/pools", "/cticache/status?pool=system-y", "/cticache/leases?pool=system-y&limit=200"),
    *("/cticache/?pool=system-y&leases=1", "/cticache/page.js", "/cticache/page.css"),
)
"""What operators are shown."""
VALUE = "4929-0000-SECRET\n2026-11-28 00:00:00.000Z ERROR cticache.forged: hello"
FORGED = "/x%0A2026-11-28%2000:00:00.000Z%20ERROR%20cticache.forged:%20hello%E2%80%A8%1B[2J"
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ (?:cticache[\w.]*|waitress): .+")
SAYS = re.compile(r"(?:cticache\.audit|cticache\.refused): id=(\S+) .*status=([45]\d\d)\b")


NOT_OF_A_CALL = ("X-Request-Id", "User-Agent", "Referer", "Cookie", "If-Match", "Accept", "Forwarded", "Traceparent")
"""Headers in which a client may say anything."""


@pytest.fixture
def start(tmp_path: Path, redis_url: str, client: Redis) -> Iterator[Start]:
    """Starts a service with these settings of [server], and users of all kinds."""
    started: list[Running] = []

    def run(settings: str) -> Running:
        users = "".join(
            f"[user:{user.name}]\npassword = {user.password}\nroles = {', '.join(sorted(user.roles))}\n"
            for user in USERS[:3]
        )
        pool = f"[pool:system-y]\nnumbers = {NUMBER}-5551234569\nmatch = suffix\n"
        config = tmp_path / "config.ini"
        config.write_text(f"[server]\nport = 0\n{settings}\n[redis]\nurl = {redis_url}\n{pool}{users}", "utf-8")
        started.append(Running(config, tmp_path / "errors"))
        return started[-1]

    yield run
    for running in started:
        running.close()


def port(running: Running) -> int:
    found = re.search(r":(\d+) with", running.line())
    assert found
    return int(found[1])


class Client:
    """Sends requests one by one, and keeps the id of each that is refused."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._ids = count(1)
        self.refused: list[str] = []

    def ask(self, data: bytes) -> Answer:
        talk = Talk(self._number)
        answer = talk.send(data).answer()
        talk.close()
        if answer.status >= 400:
            self.refused.append(answer.headers["x-request-id"])
        return answer

    def send(self, line: str, body: object = None, *headers: str, user: str = "username") -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        data = b"" if body is None else text.encode()
        return self.ask(request(line, f"Content-Length: {len(data)}", *headers, body=data, user=user))


def exchange(client: Client, ani: str) -> None:
    """All that may be asked with this ANI, rightly and wrongly; it may be in headers that are of no call, too."""
    escaped, key = quote(ani, safe=""), f"Idempotency-Key: {quote(ani)[:64]}"
    client.send(f"POST {CALLS}", {"value": VALUE, "ani": ani}, key)
    client.send(f"POST {CALLS}", {"value": VALUE, "ani": ani + "1"}, key)
    form = f"value={quote(VALUE)}&ani={escaped}"
    client.send(f"POST {CALLS}", form, "Content-Type: application/x-www-form-urlencoded")
    for path in (f"{NUMBER}:{escaped}", f"{escaped}:{NUMBER}", f"{escaped}:{escaped}", escaped):
        for method in ("GET", "PUT", "DELETE"):
            client.send(f"{method} {CALLS}/{path}", {"value": VALUE} if method == "PUT" else None, key)
        client.send(f"POST {CALLS}/{path}/take?idempotency_key={escaped[:64]}")
        client.send(f"GET {CALLS}/{path}", None, user="x-only")
    for before, after in (("", ""), ("tel:", ""), ("call-", "abc"), ("", "@host")):
        said = f"{before}{escaped[:50]}{after}"
        headers = (f"{name}: {said}" for name in NOT_OF_A_CALL)
        client.send(f"DELETE {CALLS}/{NUMBER}:{escaped}?ani={said}", None, *headers)
        client.send(f"POST {CALLS}", {"value": VALUE, "ani": ani, "pool": said}, f"X-Request-Id: {said}")
        client.send("POST /cticache/release", {"user": said}, f"X-Request-Id: {said}")
    for name in ("X-Api-Key", "Authorization", "Origin", "X-HTTP-Method-Override", "Expect", "Content-Encoding"):
        client.ask(f"POST {CALLS} HTTP/1.1\r\nHost: x\r\n{name}: {escaped}\r\nContent-Length: 0\r\n\r\n".encode())
    client.send(f"GET /cticache/explain?dnis={escaped}&ani={escaped}")
    client.send(f"GET /cticache/pools/{escaped}")
    client.send(f"GET /{escaped}/{quote(VALUE, safe='')}?ani={escaped}")
    client.send(f"POST {CALLS}", {"value": VALUE, "ani": ani, escaped: VALUE})
    client.send(f"POST {CALLS}", f'{{"value":"{quote(VALUE)}","ani":"{escaped}"')


def login(client: Client, credentials: str) -> None:
    encoded = b64encode(credentials.encode()).decode()
    client.ask(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {encoded}\r\n\r\n".encode())


def disturb(client: Client, number: int) -> None:
    """What is no login, no HTTP, and no farewell."""
    for data in (
        f"GET {CALLS}/{NUMBER}:{DIGITS} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /{DIGITS} HTTP/9\r\nHost: {DIGITS}\r\n\r\n",
        f"G{DIGITS} / HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST {CALLS}/{DIGITS} HTTP/1.1\r\nContent-Length: {DIGITS}\r\n\r\n",
        f"POST {CALLS} HTTP/1.1\r\nTransfer-Encoding: {DIGITS}\r\n\r\n",
        f"GET /{'x' * 17000} HTTP/1.1\r\n\r\n",
        f"GET {FORGED} HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n".join(["GET / HTTP/1.1", f"X-Request-Id: {FORGED} x", f"X-Forwarded-For: {FORGED}", "Host: x", "\r\n"]),
    ):
        client.ask(data.encode())
    login(client, f"{DIGITS}:{PASSWORD}")
    login(client, f"{PASSWORD[:7]}:{VALUE}")
    login(client, "username:hunter2")
    for _ in range(10):
        talk = Talk(number)
        talk.send(request(f"GET {FORGED}") * 20 + request(f"GET {CALLS}/{NUMBER}:%2B49%20(0)30.123.456.789") * 20)
        talk.vanish()


def bundle(folder: Path) -> dict[str, str]:
    """What `cticache support` writes: the name of each file and its text."""
    path = folder / "support.zip"
    assert run("support", "--config", str(folder / "config.ini"), "--output", str(path)).returncode == 0
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_the_log_of_a_run_has_a_line_for_each_refusal_none_of_a_clients_and_no_caller(
    start: Start, dispatch: str, client: Redis, tmp_path: Path, long: bool
) -> None:
    running = start(f"workers = 1\ndispatch = {dispatch}\nrefusal_burst = 100000")
    number = port(running)
    talks = Client(number)
    for ani in SPELLINGS if long else SPELLINGS[3::3]:
        exchange(talks, ani)
    disturb(talks, number)
    shown = {path: talks.send(f"GET {path}") for path in SHOWN}
    assert {path: answer.status for path, answer in shown.items()} == dict.fromkeys(SHOWN, 200)
    told_to_helpers = bundle(tmp_path)
    client.set("cti:{system-y}:numbers", "no longer what it was")
    exchange(talks, DIGITS)
    assert running.end(signal.SIGTERM) == 0
    log = running.errors.read_text("utf-8")
    lines = log.removesuffix("\n").split("\n")
    assert [line for line in lines if not RECORD.fullmatch(line) or not line.isprintable()] == []
    told = [found[1] for line in lines if (found := SAYS.search(line))]
    assert len(talks.refused) > 100
    assert set(talks.refused) <= set(told)
    assert all(told.count(each) == 1 for each in talks.refused)
    for secret in (*SPELLINGS, *map(quote, SPELLINGS), DIGITS[2:], "Bob", "SECRET", "hunter2", "correct"):
        assert secret not in log
        assert [path for path, answer in shown.items() if secret in answer.content.decode()] == []
        assert [name for name, text in told_to_helpers.items() if secret in text] == []
    joined = [re.sub(r"\b(?:digest|token)=\S+|\D", "", line) for line in lines]
    assert not [line for line in joined if DIGITS[2:] in line or DIGITS[-9:] in line]


def test_every_worker_tells_the_same_count_of_refusals_also_after_one_has_died(start: Start) -> None:
    def told() -> int:
        found: list[str] = []

        def scraped() -> list[str]:  # a busy machine may have it refused, under another code
            text = Client(number).ask(request("GET /metrics")).content.decode()
            found[:] = re.findall(r'^cticache_refusals_total\{code="unauthorized"\} (\d+)\.0$', text, re.MULTILINE)
            return found

        until(scraped)
        return int(found[0])

    def pids() -> list[int]:
        return [int(pid) for pid in re.findall(r"worker \d is process (\d+)", running.said())]

    running = start("workers = 2\nrefusal_lines = 1\nrefusal_burst = 1\nfigures_age = 0.001")
    number = port(running)
    client = Client(number)
    until(lambda: len(pids()) == 2)
    for total in (20, 40):
        for _ in range(20):
            login(client, "no colon, so that nothing is hashed")
        until(lambda total=total: [told() for _ in range(10)] == [total] * 10)
        if total == 20:
            os.kill(pids()[-1], signal.SIGKILL)
            until(lambda: len(pids()) == 3)
    until(lambda: "refusals of code unauthorized were not logged" in running.said())


def test_with_a_file_all_of_the_log_is_in_it_and_nothing_on_standard_error(start: Start, tmp_path: Path) -> None:
    running = start("workers = 1\n[log]\nfile = log/cticache.log")
    assert Client(port(running)).send(f"POST {CALLS}", {"value": VALUE, "ani": DIGITS}).status == 201
    assert running.end(signal.SIGTERM) == 0
    written = (tmp_path / "log" / "cticache.log").read_text("utf-8").splitlines()
    assert [line for line in written if not RECORD.fullmatch(line)] == []
    said = ("listening on", "op=lease", "stopped by SIGTERM")
    assert [sum(word in line for line in written) for word in said] == [1, 1, 1]
    assert running.said() == ""


def test_a_log_that_cannot_be_written_stops_the_start_with_one_line(start: Start, tmp_path: Path) -> None:
    running = start("workers = 1\n[log]\nfile = .")
    assert running.ended() == 2
    (line,) = running.said().splitlines()
    assert line.startswith(f"cticache: [log] file = {tmp_path}: cannot be written: Is a directory; give this user ")
