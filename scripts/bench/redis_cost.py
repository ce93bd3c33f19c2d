"""What leases cost Redis: CPU for each, by the size of the pool, and memory for a live one; and a proxy's ceiling."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count

from baselines.calls import Calls
from redis import Redis
from servers import PREFIX, VALUE

from cticache.data.keys import Keys
from cticache.data.scripts import read_scripts

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_BATCH = 250
_LIVE = 10_000
_PAYLOAD = b"x" * 300
"""About as many bytes as one lease's command and reply."""
_DEEP, _AT_ONCE = 16, 64


class PoolCosts:
    """Leases from pools of several sizes, laid out in Redis as pool_sync.lua lays them out."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._shas = {name: str(client.script_load(source)) for name, source in read_scripts().items()}
        self._anis = count(3_000_000_000)
        self._pools = {size: self._laid(size) for size in SIZES}

    def measure(self, size: int, batches: int) -> float:
        """Redis's CPU time for a lease, in microseconds, reading and answering the command included."""
        calls, used = self._pools[size], 0.0
        for _ in range(batches):
            anis = [str(next(self._anis)) for _ in range(_BATCH)]
            before = _cpu(self._client)
            replies = self._run([calls.lease(ani, VALUE, 60_000) for ani in anis])
            used += _cpu(self._client) - before
            self._run([calls.take(reply[1], ani) for reply, ani in zip(replies, anis, strict=True)])
        return used * 1e6 / (batches * _BATCH)

    def bytes_a_lease(self) -> float:
        """Redis's memory for a live lease with its value, over 10,000 of them; the pool's own is not counted."""
        calls = self._pools[SIZES[2]]
        before = self._client.info("memory")["used_memory"]
        for anis in _chunks(range(4_000_000_000, 4_000_000_000 + _LIVE), _BATCH):
            self._run([calls.lease(str(ani), VALUE, 3_600_000) for ani in anis])
        return float(self._client.info("memory")["used_memory"] - before) / _LIVE

    def _laid(self, size: int) -> Calls:
        pool = f"size-{size}"
        numbers = Keys(PREFIX).pool_stats(pool)[0]
        for dnises in _chunks(range(7_000_000_000, 7_000_000_000 + size), 10_000):
            self._client.zadd(numbers, dict.fromkeys(map(str, dnises), 0))
        return Calls(PREFIX, pool, self._shas)

    def _run(self, commands: list[tuple[str | int, ...]]) -> list[list[str]]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        replies: list[list[str]] = pipeline.execute()
        return replies


def round_trip_ms(port: int) -> float:
    """The median time of a PING."""
    times = []
    with Redis(port=port) as client:
        client.ping()
        for _ in range(100):
            began = time.perf_counter()
            client.ping()
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[len(times) // 2]


def ceiling(port: int, seconds: float) -> float:
    """Commands a second that get through to Redis and back on one connection, in batches of 64, sixteen under way."""
    command = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(_PAYLOAD), _PAYLOAD)
    reply = len(b"$%d\r\n%s\r\n" % (len(_PAYLOAD), _PAYLOAD))
    batch, batch_reply = command * _AT_ONCE, reply * _AT_ONCE
    received = sent = 0
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as sock:
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            while sent - received // batch_reply < _DEEP:
                sock.sendall(batch)
                sent += 1
            received += len(sock.recv(1 << 20))
        return received / reply / (time.perf_counter() - began)


def _cpu(client: Redis) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def _chunks(numbers: range, size: int) -> Iterator[range]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]
