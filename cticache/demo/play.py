"""Calls as they come: System X leases a number for each, and System Y takes the data where the call arrives."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import quote

from cticache.demo.asking import Answer, Service, Unanswered
from cticache.demo.callers import Caller
from cticache.demo.figures import Figures

CALLS = "/cticache/DNIS-ANI"
TRANSIT_S = 0.5
"""How long a call is on its way through the phone network."""
_TTL_S = 30
"""For how long a number stays leased if this program is killed."""
_MOST_AT_ONCE = 100
_NO_ANSWER = "no_answer"
_OVER = (200, 404, 410, 412)
"""The statuses of a take after which a lease is no more: taken now, ended or taken before, or another's by now."""


class _Lease(NamedTuple):
    dnis: str
    ani: str
    token: str
    """The entity tag, by which nobody else's call is ever taken."""


class Play:
    """One demonstration: ``run`` once, and ``close`` even if that was broken off."""

    def __init__(self, service: Service, pool: str, tell: Callable[[int, int], None], transit_s: float) -> None:
        """``pool``: empty for the user's first; ``tell`` is told how many calls of how many have come."""
        self._service = service
        self._pool = pool
        self._tell = tell
        self._transit_s = transit_s
        self._own: set[_Lease] = set()
        self._figures = Figures()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._id = secrets.token_hex(8)
        """In the idempotency keys, so that no call is taken for the same one of another demonstration."""

    def run(self, callers: Sequence[Caller], rate: float) -> Figures:
        """Have all of them call, so many a second; what came of it."""
        at_once = min(len(callers), int(rate * (self._transit_s + 1)) + 1, _MOST_AT_ONCE)
        began = time.monotonic()
        with ThreadPoolExecutor(at_once) as executor:
            try:
                played = []
                for number, caller in enumerate(callers):
                    self._stopping.wait(began + number / rate - time.monotonic())
                    played.append(executor.submit(self._call, number, caller))
                    self._tell(number + 1, len(callers))
                for call in played:
                    call.result()
            finally:
                self._stopping.set()
                executor.shutdown(wait=False, cancel_futures=True)
        self._figures.seconds = time.monotonic() - began
        if self._figures.pool:
            self._figures.advice = self._advice(self._figures.pool)
        return self._figures

    def close(self) -> int:
        """End the leases that are left, so that their numbers are free for others; how many could not be ended."""
        for lease in [*self._own]:
            try:
                answer = self._take(lease, lease.ani)
            except Unanswered:
                continue
            if answer.status in _OVER:
                self._own.discard(lease)
        return len(self._own)

    def _advice(self, pool: str) -> list[str]:
        """What is advised for this pool; nothing where the user may not know."""
        try:
            opened = self._service.ask("GET", f"/cticache/status?pool={quote(pool, safe='')}").body.get("opened")
        except Unanswered:
            return []
        return [str(line) for line in opened["advice"]] if opened else []

    def _call(self, number: int, caller: Caller) -> None:
        value = f"call {number} of {self._id}"
        try:
            lease = self._leased(number, caller, value)
        except Unanswered as error:
            self._refuse(_NO_ANSWER, f"{error}.")
            return
        if not lease:
            return
        self._stopping.wait(self._transit_s)
        if caller.is_lost or self._stopping.is_set():
            with self._lock:
                self._figures.lost += 1
            return
        try:
            self._arrive(lease, caller, value)
        except Unanswered as error:
            self._miss(caller.way, f"No answer came: {error}.")

    def _leased(self, number: int, caller: Caller, value: str) -> _Lease | None:
        asked = {"value": value, "ani": caller.ani, "ttl": _TTL_S} | ({"pool": self._pool} if self._pool else {})
        answer = self._service.ask("POST", f"{CALLS}?detail=1", asked, {"Idempotency-Key": f"{self._id}-{number}"})
        with self._lock:
            self._figures.lease_ms.append(answer.ms)
        if answer.status != 201 or not {"dnis", "pool"} <= answer.body.keys():
            self._refuse(answer.code, answer.says)
            return None
        lease = _Lease(str(answer.body["dnis"]), caller.ani, answer.token)
        self._own.add(lease)
        self._figures.pool = str(answer.body["pool"])
        return lease

    def _arrive(self, lease: _Lease, caller: Caller, value: str) -> None:
        """System Y sees the call, and takes its data."""
        answer = self._take(lease, caller.seen)
        with self._lock:
            self._figures.take_ms.append(answer.ms)
        if answer.status != 200:
            self._miss(caller.way, self._explained(lease, caller, answer))
            return
        self._own.discard(lease)
        with self._lock:
            self._figures.found[str(answer.body.get("match"))] += 1
            self._figures.wrong += answer.body.get("value") != value

    def _take(self, lease: _Lease, ani: str) -> Answer:
        path = f"{CALLS}/{quote(lease.dnis, safe='')}:{quote(ani, safe='')}?detail=1"
        return self._service.ask("DELETE", path, headers={"If-Match": lease.token})

    def _explained(self, lease: _Lease, caller: Caller, answer: Answer) -> str:
        """Why it is not found; the sentence of the answer where the user may not know more."""
        with self._lock:
            if caller.way in self._figures.explained:
                return ""
        found = self._service.ask("POST", "/cticache/explain", {"dnis": lease.dnis, "ani": caller.seen})
        places = found.body.get("places", [])
        return " ".join(str(place["says"]) for place in places) or answer.says

    def _refuse(self, code: str, says: str) -> None:
        with self._lock:
            self._figures.refused[code] += 1
            self._figures.reasons.setdefault(code, says)

    def _miss(self, way: str, says: str) -> None:
        with self._lock:
            self._figures.missed[way] += 1
            if says:
                self._figures.explained.setdefault(way, says)
