"""Clients that lease, renew, read and take with values and ANIs of their own, and write down all that they are told."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from random import Random

from kit.faults.history import CLOSED, HUNG, NOBODY, Entry
from kit.samples import basic
from kit.talk import CALLS

PATIENCE_S = 20.0
"""A client that has waited so long gives up; no answer may take so long."""
USER = "ivr"
_MOST_OPEN = 12
_ANIS = 8
"""So many ANIs each client has; they come again."""
_SETTLED_S = 20.0


@dataclass(frozen=True)
class _Open:
    """A call that is live, as far as its client knows."""

    call: str
    pool: str
    dnis: str
    ani: str
    version: int = 0


@dataclass(frozen=True)
class _Asked:
    """A request that can be sent again."""

    what: str
    of: _Open
    key: str = ""

    def line(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        """Method, URL, body and headers."""
        headers = {"Authorization": basic(USER)} | ({"Idempotency-Key": self.key} if self.key else {})
        body: dict[str, object] | None = None
        if self.what in ("lease", "renew"):
            headers["Content-Type"] = "application/json"
            body = {"value": {"call": self.of.call, "version": self.of.version}}
            if self.what == "lease":
                body |= {"pool": self.of.pool, "ani": self.of.ani}
        method = {"lease": "POST", "read": "GET", "renew": "PUT", "take": "DELETE"}[self.what]
        url = CALLS if self.what == "lease" else f"{CALLS}/{self.of.dnis}:{self.of.ani}"
        return method, url, json.dumps(body).encode() if body else None, headers


class Client:
    """One client, with two connections, so that it can take a call twice at once."""

    def __init__(self, port: int, number: int, pools: Sequence[str], run: str, pause_s: float) -> None:
        self._port = port
        self._number = number
        self._pools = pools
        self._run = run
        self._pause_s = pause_s
        self._random = Random(f"{run} {number}")
        self._connections: list[HTTPConnection | None] = [None, None]
        self._open: deque[_Open] = deque()
        self._begun: dict[int, tuple[_Asked, float, str]] = {}
        """What was sent on each connection, when, and what went wrong with that."""
        self._count = 0
        self.log: list[Entry] = []

    def run(self, ends: threading.Event) -> None:
        """One request after the other until told to end; then find out of each call whether it is still there."""
        try:
            while not ends.is_set():
                self._step()
                time.sleep(self._pause_s)
            self._settle()
        finally:
            for connection in self._connections:
                if connection:
                    connection.close()

    def _step(self) -> None:
        if len(self._open) < _MOST_OPEN and (not self._open or self._random.random() < 0.35):
            self._lease()
            return
        at = self._random.randrange(len(self._open))
        of, chance = self._open[at], self._random.random()
        if chance < 0.55:
            newer = of if chance < 0.35 else replace(of, version=of.version + 1)
            self._open[at] = newer
            if self._done(_Asked("read" if newer is of else "renew", newer)).status in (404, 410):
                del self._open[at]
        else:
            del self._open[at]
            self._take(of)

    def _lease(self) -> None:
        self._count += 1
        call = f"{self._run}-{self._number}-{self._count}"
        ani = f"4930{1000 + self._number}{10 + self._random.randrange(_ANIS)}"
        key = call if self._random.random() < 0.4 else ""
        asked = _Asked("lease", _Open(call, self._random.choice(self._pools), "", ani), key)
        entry = self._insisted(asked) if key else self._done(asked)
        if entry.status == 201:
            self._open.append(replace(asked.of, dnis=entry.dnis))
            if key and self._random.random() < 0.3:
                self._done(asked)

    def _take(self, of: _Open) -> None:
        chance = self._random.random()
        if chance < 0.3:
            asked = _Asked("take", of, f"take-{of.call}")
            if self._insisted(asked).status == 200 and chance < 0.1:
                self._done(asked)
        elif chance < 0.6:
            for at in (0, 1):
                self._send(_Asked("take", of), at)
            for at in (0, 1):
                self._heard(at)
        else:
            self._done(_Asked("take", of))

    def _settle(self) -> None:
        """Each call that is open is there, and can be taken once."""
        while self._open:
            of = self._open.popleft()
            if self._insisted(_Asked("read", of)).status == 200:
                self._insisted(_Asked("take", of, f"take-{of.call}"))
                self._done(_Asked("take", of))

    def _insisted(self, asked: _Asked) -> Entry:
        """Ask until it is carried out or refused for good."""
        gives_up = time.monotonic() + _SETTLED_S
        while (entry := self._done(asked)).status in (0, 429, 503) and time.monotonic() < gives_up:
            time.sleep(0.02)
        return entry

    def _done(self, asked: _Asked) -> Entry:
        self._send(asked, 0)
        return self._heard(0)

    def _send(self, asked: _Asked, at: int) -> None:
        """Send it on this connection; what goes wrong is found out by who listens for the answer."""
        connection = self._connections[at]
        begin = time.monotonic()
        trouble = ""
        if not connection:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
            try:
                connection.connect()
            except OSError:
                trouble = NOBODY
            else:
                self._connections[at] = connection
        if not trouble:
            try:
                connection.request(*asked.line())
            except (OSError, HTTPException):
                trouble = CLOSED
        self._begun[at] = (asked, begin, trouble)

    def _heard(self, at: int) -> Entry:
        asked, begin, trouble = self._begun.pop(at)
        of = asked.of
        told: dict[str, object] = {}
        connection = self._connections[at]
        if not trouble and connection:
            try:
                answer = connection.getresponse()
                told = _read(asked.what, answer, answer.read())
            except TimeoutError:
                trouble = HUNG
            except (OSError, HTTPException):
                trouble = CLOSED
        if trouble:
            told = {"code": trouble}
            if connection:
                connection.close()
            self._connections[at] = None
            if trouble == NOBODY:
                time.sleep(0.02)
        sent = (asked.what, of.pool, told.pop("dnis", of.dnis), of.ani, of.call, asked.key, of.version)
        entry = Entry(begin, time.monotonic(), *sent, **told)  # type: ignore[arg-type]
        self.log.append(entry)
        return entry


def _read(what: str, answer: HTTPResponse, content: bytes) -> dict[str, object]:
    """What there is in an answer."""
    told: dict[str, object] = {"status": answer.status}
    said = json.loads(content)
    if answer.status >= 400:
        return told | {"code": said.get("error", "no code")}
    value = said["value"]
    told["replayed"] = "Idempotent-Replayed" in answer.headers
    if what == "lease":
        return told | {"dnis": said["dnis"], "got": answer.headers["ETag"]}
    return told | {"got": value["call"], "got_version": value["version"]}


class Lateness:
    """How late this machine wakes whoever has slept: what an answer may be late for it."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """The worst, in seconds."""
        self._ends.set()
        self._thread.join()
        return self.worst_s

    def _run(self) -> None:
        while not self._ends.is_set():
            began = time.monotonic()
            time.sleep(0.01)
            self.worst_s = max(self.worst_s, time.monotonic() - began - 0.01)


class Load:
    """Clients in threads, one for each of these pauses between two requests (s), from its making to its end."""

    def __init__(self, port: int, pools: Sequence[str], run: str, pauses: Sequence[float]) -> None:
        self._ends = threading.Event()
        self._clients = [Client(port, number, pools, run, pause_s) for number, pause_s in enumerate(pauses)]
        self._failed: list[BaseException] = []
        self._lateness = Lateness()
        self._threads = [threading.Thread(target=self._run, args=(client.run,)) for client in self._clients]
        for thread in self._threads:
            thread.start()

    def _run(self, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self._ends)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            self._failed.append(error)

    def so_far(self) -> list[Entry]:
        """What they were told so far."""
        return [entry for client in self._clients for entry in list(client.log)]

    def leased_since(self, moment: float) -> list[Entry]:
        """The leases that were answered after this moment, the first first."""
        found = []
        for client in self._clients:
            for entry in reversed(list(client.log)):
                if entry.end < moment:
                    break
                if entry.status == 201:
                    found.append(entry)
        return sorted(found, key=lambda entry: entry.end)

    def end(self) -> tuple[list[Entry], float]:
        """All that they were told, and how late the machine was, in seconds."""
        self._ends.set()
        for thread in self._threads:
            thread.join()
        late_s = self._lateness.end()
        if self._failed:
            raise self._failed[0]
        return self.so_far(), late_s

    def close(self) -> None:
        """End it if it has not ended."""
        with suppress(BaseException):
            self.end()
