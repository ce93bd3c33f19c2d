"""Services as processes on the Redis under test, and clients that keep calling them."""

import http.client
import itertools
import json
import re
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cticache.access.passwords import hashed
from kit import patience
from kit.processes import lives
from kit.samples import PASSWORD, basic
from kit.serving import WAIT_S, Running
from kit.talk import CALLS

USER = "bob"
_NUMBERS = range(5_551_234_000, 5_551_234_500)
_PAUSE_S = 0.2
"""Between two calls of a client: what is tried is not how many there can be, and they share the service's cores."""
until = partial(patience.until, looks_s=0.1)
"""Waits for what a service is about to do; each look costs time that it needs to start."""
_PATIENCE_S = 10.0
"""How long such a client waits for its answer."""


class Site:
    """Starts services on one Redis; of each is known where it listens and which its workers are."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._user = f"[user:{USER}]\npassword = {hashed(PASSWORD)}\n"
        self._pool = f"[pool:system-y]\nnumbers = {_NUMBERS[0]}-{_NUMBERS[-1]}\ncooldown = 1\nremember = 1\n"
        self._started: list[Running] = []

    def start(self, workers: int, dispatch: str, *begin: str) -> Running:
        """A service; ``begin``: what Python runs in place of ``-m cticache``."""
        path = self.written(workers, dispatch)
        self._started.append(Running(path, self._folder / f"errors-{len(self._started)}", *begin))
        return self._started[-1]

    def written(self, workers: int, dispatch: str, port: int = 0) -> Path:
        """The configuration of one."""
        server = f"[server]\nport = {port}\nworkers = {workers}\ndispatch = {dispatch}\n"
        path = self._folder / "config.ini"
        path.write_text(f"{server}[redis]\nurl = {self._url}\n{self._user}{self._pool}", "utf-8")
        return path

    def close(self) -> None:
        """End what runs yet; AssertionError if a worker process is left behind."""
        for running in self._started:
            running.close()
            until(lambda running=running: not any(map(lives, workers_of(running))))


def workers_of(running: Running) -> list[int]:
    """The numbers of the worker processes that it has started, the oldest first."""
    return [int(pid) for pid in re.findall(r"worker \d+ is process (\d+)", running.said())]


def serving(running: Running) -> int:
    """How many of its worker processes have told, by now, that they serve."""
    return len(re.findall(r"worker \d+ serves", running.said()))


def port_of(running: Running) -> int:
    """Where it listens; to be asked once, when it says so."""
    return int(running.line().split()[3].rpartition(":")[2])


class Answer(NamedTuple):
    """What a request came to."""

    status: int
    body: dict[str, object]


def ask(port: int, method: str, path: str, body: str | None = None, patience_s: float = WAIT_S) -> Answer:
    """A request on a connection of its own; OSError or HTTPException if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
    try:
        headers = {"Authorization": basic(USER), "Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, body, headers)
        with connection.getresponse() as answer:
            content = answer.read()
            return Answer(answer.status, json.loads(content or b"{}"))
    finally:
        connection.close()


class Request(NamedTuple):
    """A request as its client saw it: when it began, by time.monotonic, how many seconds it took, what came of it."""

    began_s: float
    took_s: float
    answered: bool
    told: str
    """Method and status; without an answer the kind of error."""


class Load:
    """Clients that lease a number and take its call, again and again; as a context, for as long as that lasts."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.requests: list[Request] = []
        self.wrong: list[str] = []
        """Callers who were given the data of another."""
        self._port = port
        self._callers = itertools.count(2_000_000_000)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def more_answers(self, count: int = 20) -> None:
        """Wait until so many more requests are answered."""
        so_far = len(self.answered())
        until(lambda: len(self.answered()) >= so_far + count)

    def answered(self) -> list[Request]:
        """Those with an answer, so far."""
        return [request for request in list(self.requests) if request.answered]

    def said(self) -> str:
        """What came of how many."""
        told = Counter(request.told for request in self.requests)
        return ", ".join(f"{count:,} {what}" for what, count in sorted(told.items()))

    def _call(self) -> None:
        while not self._ended.wait(_PAUSE_S):
            ani = str(next(self._callers))
            leased = self._asked("POST", CALLS, json.dumps({"value": f"of {ani}", "ani": ani}))
            if leased and leased.status == 201:
                taken = self._asked("DELETE", f"{CALLS}/{leased.body['dnis']}:{ani}")
                if taken and taken.status == 200 and taken.body["value"] != f"of {ani}":
                    self.wrong.append(ani)

    def _asked(self, method: str, path: str, body: str | None = None) -> Answer | None:
        began_s = time.monotonic()
        answer: Answer | None = None
        try:
            answer = ask(self._port, method, path, body, _PATIENCE_S)
            told = f"{method} {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            told = type(error).__name__
        self.requests.append(Request(began_s, time.monotonic() - began_s, answer is not None, told))
        return answer
