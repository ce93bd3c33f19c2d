"""What is measured, section by section; within one, every round measures each spot in turn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

from load import Figures, Load, idle, measure, newcomers
from processes import cpu_seconds, resident_mib
from record import WITH_IDLE, Record, Spot, middle
from redis_cost import SIZES, PoolCosts, ceiling, round_trip_ms
from servers import BARE, TITLES, Missing, Servers, Tuning

CONNECTIONS = (1, 8, 64, 256, 1000)
FULL = ("batch", "threads", "node", "falcon", "fastapi")
"""Servers with all three operations."""
EVERYBODY = (*FULL, "hello", "floor")
IDLE, ACTIVE = 900, 16
BESIDE, ARRIVING = 256, 200
_COMPILING_S = 2.0
"""The time in which Node compiles what runs often."""
AT_ONCE, IN_TURN = "at once", "one every 10 ms"


@dataclass(frozen=True)
class Pace:
    """How long and how often."""

    seconds: float
    rounds: int
    steady_seconds: float
    """For 256 connections and more: their start, all at once, must not affect the figures."""
    short_seconds: float
    """For what has no bar to meet."""
    few_rounds: int
    crowd: tuple[int, ...]
    """Numbers of connections at which the others are measured beside 64."""
    tries: int
    try_seconds: float
    try_connections: tuple[int, ...]
    """For finding the best settings of a server."""
    lease_batches: int


FULL_PACE = Pace(1.8, 7, 5.0, 1.0, 2, (1, 8, 256, 1000), 2, 0.6, (4, 16, 64), 8)
QUICK = Pace(0.7, 3, 2.5, 0.4, 1, (256,), 1, 0.3, (8, 64), 3)


class Bench:
    """One run."""

    def __init__(self, servers: Servers, pace: Pace) -> None:
        self._servers = servers
        self._pace = pace
        self._warm: set[tuple[str, str]] = set()
        self._tuned: set[str] = set()
        self.record = Record()

    def sections(self) -> dict[str, Callable[[], None]]:
        """The sections, by the names that --only takes."""
        return {
            "get": self._get,
            "post": lambda: self._alike("post"),
            "handoff": lambda: self._alike("handoff"),
            "connections": self._connections,
            "crowd": self._crowd,
            "close": self._close,
            "idle": self._idle,
            "newcomers": self._newcomers,
            "distance": self._distance,
            "workers": self._workers,
            "pools": self._pools,
            "memory": self._memory,
        }

    def _get(self) -> None:
        self._tune("hello")
        self._tune("falcon")
        others = [
            (name, Load("get", 64)) for name in ("batch", "audited", "threads", "floor", "node", "falcon", "fastapi")
        ]
        self._rounds("get", [*others, ("hello", Load("get", self.record.hello_connections))])

    def _alike(self, operation: str) -> None:
        self._tune("falcon")
        self._rounds(operation, [(name, Load(operation, 64)) for name in FULL])

    def _connections(self) -> None:
        self._rounds("connections", [("batch", Load("get", connections)) for connections in CONNECTIONS])

    def _crowd(self) -> None:
        self._tune("hello")
        self._tune("falcon")
        spots = [
            (name, Load(operation, connections))
            for operation, connections, name in product(("get", "post", "handoff"), self._pace.crowd, EVERYBODY)
            if not (name in BARE and operation != "get") and not (name == "batch" and operation == "get")
        ]
        self._rounds("crowd", [*spots, ("hello", Load("get", 64))], short=True)

    def _close(self) -> None:
        spots = product(EVERYBODY, sorted({64, *self._pace.crowd}))
        self._rounds("close", [(name, Load("get", connections, close=True)) for name, connections in spots], short=True)

    def _idle(self) -> None:
        spot = ("batch", Load("get", ACTIVE))
        for _ in range(self._pace.rounds):
            self._run("idle", spot)
            with idle(self._servers.get("batch"), IDLE):
                self._run(WITH_IDLE, spot)

    def _newcomers(self) -> None:
        load, seconds = Load("get", BESIDE), self._pace.short_seconds
        for at in range(self._pace.rounds):
            for name, (how, every_s) in product(("batch", "threads"), ((AT_ONCE, 0.0), (IN_TURN, 0.01))):
                if name == "threads" and at >= self._pace.few_rounds:
                    continue
                server = self._servers.get(name)
                came = newcomers(server, load, seconds, self._servers.redis_pid, count=ARRIVING, every_s=every_s)
                self.record.newcomers[name, how].append(came)
                _tell(f"{server.title}, newcomers {how}", came.beside)

    def _distance(self) -> None:
        load = Load("get", 64)
        used: dict[str, list[float]] = {"near": [], "far": []}
        for _ in range(self._pace.rounds):
            for name, shares in used.items():
                self._servers.get(name)
                proxy = self._servers.proxies[name][0]
                before = cpu_seconds(proxy)
                self._run("distance", (name, load))
                shares.append((cpu_seconds(proxy) - before) / self._pace.seconds)
        for name, shares in used.items():
            port = self._servers.proxies[name][1]
            rate, trip = ceiling(port, self._pace.seconds), round_trip_ms(port)
            self.record.notes.append(
                f'The proxy of "{TITLES[name]}": a PING takes {trip:.2f} ms through it; it used '
                f"{max(shares):.0%} of a core at the most during the runs, and lets {rate:,.0f} commands a second "
                f"through on one connection (64 at a time, sixteen such batches under way)."
            )

    def _workers(self) -> None:
        self._rounds("workers", [("batch", Load("get", 64)), ("two", Load("get", 64))])

    def _pools(self) -> None:
        with self._servers.redis() as client:
            costs = PoolCosts(client)
            for _ in range(self._pace.rounds):
                for size in SIZES:
                    self.record.pool_costs[size].append(costs.measure(size, self._pace.lease_batches))
            self.record.notes.append(
                f"A live lease costs {costs.bytes_a_lease():,.0f} bytes in Redis "
                "(used_memory over 10,000 leases, the value of 57 bytes included)."
            )
        for size, costs_us in self.record.pool_costs.items():
            print(f"  lease from {size:,} numbers: {min(costs_us):.1f} to {max(costs_us):.1f} us of Redis", flush=True)

    def _memory(self) -> None:
        told = []
        for name in ("batch", "threads", "node", "falcon", "fastapi"):
            try:
                told.append(f"{TITLES[name]} {resident_mib(self._servers.get(name).pid):.0f} MiB")
            except Missing:
                continue
        self.record.notes.append("Memory (RSS) of a process after all this: " + "; ".join(told) + ".")

    def _tune(self, name: str) -> None:
        """Find the best settings of a server on stock waitress at 64 connections; the bare hello may have its own."""
        if name in self._tuned:
            return
        self._tuned.add(name)
        tunings = [Tuning(threads, switch_ms) for threads, switch_ms in product((4, 8, 16, 32), (5.0, 0.5))]
        tried = [(self._servers.tuned(name, tuning), tuning) for tuning in tunings]
        rates: dict[tuple[Tuning, int], list[float]] = {}
        counts = self._pace.try_connections if name == "hello" else (64,)
        for _, connections, (server, tuning) in product(range(self._pace.tries), counts, tried):
            load = Load("get", connections)
            figures = measure(server, load, self._pace.try_seconds, self._servers.redis_pid)
            rates.setdefault((tuning, connections), []).append(0 if figures.errors else figures.rate)
        for server, _ in tried:
            self._servers.stop(server)
        best, best_connections = max(rates, key=lambda key: middle(rates[key]))
        self._servers.tunings[name] = best
        if name == "hello":
            self.record.hello_connections = best_connections
        at = f" at {best_connections} connections"
        self.record.notes.append(f"{TITLES[name]} does best with {best}{at}, as a run before found; so it is measured.")
        print(f"  {self.record.notes[-1]}", flush=True)

    def _rounds(self, section: str, spots: Iterable[Spot], *, short: bool = False) -> None:
        there = []
        for spot in spots:
            try:
                self._servers.get(spot[0])
                there.append(spot)
            except Missing as why:
                note = f"{TITLES[spot[0]]} is not measured: {why}."
                if note not in self.record.notes:
                    self.record.notes.append(note)
                    print(f"  {note}", flush=True)
        for at in range(self._pace.few_rounds if short else self._pace.rounds):
            for spot in there if at % 2 == 0 else reversed(there):
                self._run(section, spot, short=short)

    def _run(self, section: str, spot: Spot, *, short: bool = False) -> None:
        name, load = spot
        server = self._servers.get(name)
        if (name, load.operation) not in self._warm:
            self._warm.add((name, load.operation))
            seconds = _COMPILING_S if name == "node" else self._pace.try_seconds
            measure(server, Load(load.operation, 16), seconds, self._servers.redis_pid)
        seconds = self._pace.short_seconds if short else self._pace.seconds
        if section == "connections" and load.connections >= BESIDE:
            seconds = self._pace.steady_seconds
        figures = measure(server, load, seconds, self._servers.redis_pid)
        self.record.runs[section][spot].append(figures)
        _tell(f"{server.title}: {described(load)}", figures)


def described(load: Load) -> str:
    """A load in words."""
    words = {"get": "GET", "post": "POST", "handoff": "hand-off"}
    return f"{words[load.operation]}, {load.connections:,}{', Connection: close' if load.close else ''}"


def _tell(what: str, figures: Figures) -> None:
    errors = f"  ERRORS: {figures.what}" if figures.errors else ""
    print(
        f"  {what:58} {figures.rate:8,.0f}/s  p50 {figures.p50_ms:7.1f}  p99 {figures.p99_ms:7.1f} ms"
        f"  {figures.cpu_us:5.0f} us{errors}",
        flush=True,
    )
