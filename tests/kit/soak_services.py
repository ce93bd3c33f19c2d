"""Services of different numbers on one Redis, which come and go, and clients of both that do everything at random."""

import json
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from cticache.access.passwords import hashed
from cticache.numbering.pool import Pool
from kit.samples import PASSWORD, basic, make_pool
from kit.servers import free_port
from kit.serving import Running
from kit.soak import MS, NOBODY, UNKNOWN, Entry, Event
from kit.talk import CALLS

TAIL_DIGITS = 3
ANIS = ["", "", "", "12", *(area + tail for tail in ("123", "456", "789", "321", "654") for area in ("", "7", "15"))]
USERS = "wxyz"
_ALIKE = 20 * MS
"""Within such a time all clients send the same leases under the same keys."""
_AGAIN = 500 * MS
"""Within such a time a request is repeated under its key."""
_LATE = 1_000 * MS
"""For so long after a connection broke a request may still be carried out."""
_RECENT = 30
KNOWN_AFTER = 3_000 * MS
"""Within three looks every service knows which others there are; and what time it is in Redis."""
DEAD_AFTER = 4_000 * MS
"""After three looks and a little more one that was killed is taken for dead."""


def pools(after_loss_s: int, cooldown_s: int, numbers: Mapping[str, str]) -> dict[str, Pool]:
    """The pools of a service that has these numbers: name -> pool."""
    times = {"cooldown_ms": cooldown_s * 1000, "remember_ms": 1000, "careful_ms": after_loss_s * 1000}
    suffix = {"match": "suffix", "match_digits": TAIL_DIGITS}
    return {
        "exact": make_pool(numbers["exact"], "exact", max_callers=3, **times),
        "suffix": make_pool(numbers["suffix"], "suffix", max_callers=3, **suffix, **times),
        "sole": make_pool(numbers["sole"], "sole", exhausted="reject", match="sole", **times),
    }


NUMBERS = {
    "A": {"exact": "1000-1023", "suffix": "2000-2023", "sole": "3000-3059"},
    "B": {
        "exact": "1000-1011, 1100-1105, 2018-2023",
        "suffix": "2000-2011, 3050-3059",
        "sole": "3000-3039, 1018-1023, 3100-3109",
    },
}
"""What each service has: most numbers are in both; some are in one alone, some in other pools."""


def config(service: Mapping[str, Pool], port: int, redis_url: str, workers: int) -> str:
    """config.ini for this service."""
    password = hashed(PASSWORD)
    sections = [
        f"[server]\nport = {port}\nworkers = {workers}\naudit = no\nauth_cache = 3600\nauth_wait = 30",
        f"[redis]\nurl = {redis_url}\nsync_interval = 1",
        *(f"[user:{user}]\npassword = {password}" for user in USERS),
    ]
    for pool in service.values():
        seconds = {"cooldown": pool.cooldown_ms, "remember": pool.remember_ms, "after_loss": pool.careful_ms}
        options = {
            "numbers": pool.numbers,
            "exhausted": pool.exhausted,
            "max_callers": pool.max_callers,
            "match": pool.match,
            "match_digits": pool.match_digits,
            **{name: ms // 1000 for name, ms in seconds.items()},
        }
        sections.append("\n".join([f"[pool:{pool.name}]", *(f"{name} = {value}" for name, value in options.items())]))
    return "\n".join(sections) + "\n"


@dataclass(frozen=True)
class Plan:
    """What each client does."""

    ports: Mapping[str, int]
    """Of each service."""
    numbers: Sequence[str]
    ttls_s: Sequence[int]
    operations: int
    """At least."""
    seconds: float
    """Over which they are spread."""
    over: Path
    """It goes on until this file is there: what befalls may take long on a busy machine."""


def work(plan: Plan, seed: int) -> list[Entry]:
    """What one client does."""
    with closing(_Client(plan, seed)) as client:
        return list(client.run())


@dataclass(frozen=True)
class _Request:
    what: str
    pool: str
    dnis: str
    ani: str
    user: str
    key: str = ""
    ttl_s: int = 0
    written: str = ""
    again_at: int = field(default=0, compare=False)

    def line(self) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, URL, body and headers."""
        headers = {"Authorization": basic(self.user)} | ({"Idempotency-Key": self.key} if self.key else {})
        body: dict[str, Any] = {}
        if self.ttl_s:
            headers["Content-Type"] = "application/json"
            body = {"ttl": self.ttl_s} | ({"value": json.loads(self.written)} if self.written else {})
        if self.what == "lease":
            return "POST", CALLS, json.dumps(body | {"pool": self.pool, "ani": self.ani}).encode(), headers
        method = {"take": "DELETE", "read": "GET", "renew": "PUT"}[self.what]
        return method, f"{CALLS}/{self.dnis}:{self.ani}?detail=1", json.dumps(body).encode() if body else b"", headers

    def entry(self, begin: int, end: int, answer: str, service: str) -> Entry:
        """What is taken down of it when there is no call in the answer."""
        sent = (self.what, self.pool, self.dnis, self.ani, self.user, self.key, self.ttl_s * 1000, self.written)
        return Entry(begin, end, *sent, answer, service=service)


class _Client:
    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._seed = seed
        self._random = Random(seed)
        self._count = 0
        self._recent: deque[tuple[str, str]] = deque(maxlen=_RECENT)
        """Number and ANI of what was leased last."""
        self._again: deque[_Request] = deque()
        self._open: dict[str, HTTPConnection] = {}
        self._leased_last = ""

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def run(self) -> Iterator[Entry]:
        """One operation after the other, each at its time, or at once when that has passed."""
        began, pause = time.monotonic(), self._plan.seconds / self._plan.operations
        for number in count():
            if number >= self._plan.operations and self._plan.over.exists():
                return
            time.sleep(max(began + number * pause - time.monotonic(), 0))
            if self._again and self._again[0].again_at <= time.monotonic_ns():
                request = self._again.popleft()
            else:
                request = self._new()
            entry = self._done(request)
            if entry.what == "lease" and entry.token:
                self._recent.append((entry.dnis, entry.ani))
                self._leased_last = entry.service
            if request.key and (entry.answer == UNKNOWN or self._random.random() < 0.3):
                at = time.monotonic_ns() + self._random.choice((0, self._random.randrange(_AGAIN)))
                self._again.append(replace(request, again_at=at))
            yield entry

    def _new(self) -> _Request:
        self._count += 1
        what = self._random.choices(["lease", "take", "read", "renew"], [25, 30, 25, 20])[0]
        user = self._random.choice(USERS)
        own = f"{self._seed}-{self._count}"
        if what == "lease":
            alike = time.monotonic_ns() // _ALIKE
            together = self._random.random() < 0.2  # with the other clients
            random = Random(alike) if together else self._random
            key = f"all-{alike}" if together else own if random.random() < 0.2 else ""
            value, ttl_s = json.dumps(key or own), random.choice(self._plan.ttls_s)
            pool = random.choice(list(NUMBERS["A"]))
            return _Request(what, pool, "", random.choice(ANIS), user, key, ttl_s, value)
        dnis, ani = self._random.choice(self._plan.numbers), self._random.choice(ANIS)
        if self._recent and self._random.random() < 0.8:
            dnis, theirs = self._random.choice(self._recent)
            ani = theirs if self._random.random() < 0.8 else ani
        presented = self._random.choice([ani] * 6 + ["1" + ani, ani[1:], "888"])
        if what == "renew":
            value = json.dumps(own) if self._random.random() < 0.5 else ""
            return _Request(what, "", dnis, presented, user, "", self._random.choice(self._plan.ttls_s), value)
        key = own if what == "take" and self._random.random() < 0.3 else ""
        return _Request(what, "", dnis, presented, user, key)

    def _done(self, request: _Request) -> Entry:
        """Ask one of the services, mostly the one that leased last, or the other where nobody listens."""
        services = self._random.sample(sorted(self._plan.ports), len(self._plan.ports))
        if self._random.random() < 0.6:
            services.sort(key=self._leased_last.__ne__)
        for service in services:
            connection = self._open.get(service)
            begin = time.monotonic_ns()
            try:
                if not connection:
                    connection = HTTPConnection("127.0.0.1", self._plan.ports[service], timeout=20)
                    connection.connect()
                    self._open[service] = connection
            except OSError:
                continue
            begin = time.monotonic_ns()
            method, url, body, headers = request.line()
            try:
                connection.request(method, url, body or None, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, HTTPException):
                connection.close()
                del self._open[service]
                return request.entry(begin, time.monotonic_ns() + _LATE, UNKNOWN, service)
            end = time.monotonic_ns()
            return _told(request, request.entry(begin, end, "", service), answer, json.loads(content))
        time.sleep(0.01)
        return request.entry(begin, time.monotonic_ns(), NOBODY, "")


class Stage:
    """The services, and what befalls them."""

    def __init__(self, folder: Path, redis_url: str, services: Mapping[str, Mapping[str, Pool]], workers: int) -> None:
        self._folder = folder
        self.events: list[Event] = []
        self.ports = {name: free_port() for name in services}
        self._running: dict[str, Running] = {}
        self._said: list[Path] = []
        for name, own in services.items():
            self._config(name).write_text(config(own, self.ports[name], redis_url, workers), "utf-8")

    def _config(self, name: str) -> Path:
        return self._folder / f"{name}.ini"

    def start(self, name: str) -> None:
        """Start this one, and wait until it serves."""
        with self.noting("services", KNOWN_AFTER):
            self._said.append(self._folder / f"{name}-{len(self._said)}")
            self._running[name] = Running(self._config(name), self._said[-1])
            self._running[name].line()

    def stop(self, name: str, how: str = "terminate") -> None:
        """Have this one end, or kill it, and wait until nobody listens in its place."""
        running = self._running.pop(name)
        is_killed = how == "kill" or sys.platform == "win32"  # where nothing else ends a process from without
        with self.noting("services", KNOWN_AFTER + (DEAD_AFTER if is_killed else 0)):
            getattr(running.process, how)()
            running.close()
            while _listens(self.ports[name]):
                time.sleep(0.05)

    @contextmanager
    def noting(self, what: str, lasting: int) -> Iterator[None]:
        """What befalls within it is taken down as an event."""
        begin = time.monotonic_ns()
        yield
        self.events.append(Event(begin, time.monotonic_ns(), what, lasting))

    def said(self) -> str:
        """What all of them have written."""
        return "".join(f"{path.name}: {line}\n" for path in self._said for line in path.read_text("utf-8").splitlines())

    def close(self) -> None:
        for running in self._running.values():
            running.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _told(request: _Request, entry: Entry, answer: Any, said: dict[str, Any]) -> Entry:
    if "error" in said:
        code = {"not_found": "none", "redis_unavailable": UNKNOWN}.get(said["error"], said["error"])
        return entry._replace(answer=code, end=entry.end + (_LATE if code == UNKNOWN else 0))
    token = answer.headers["ETag"].strip('"')
    held = {"value": json.dumps(said["value"]), "token": token, "replayed": "Idempotent-Replayed" in answer.headers}
    if request.what == "lease":
        return entry._replace(dnis=said["dnis"], answer="leased", **held)
    left_ms = said["expires_in"] * 1000 if request.what == "renew" else None
    return entry._replace(pool=said["pool"], answer=said["match"], left_ms=left_ms, **held)
