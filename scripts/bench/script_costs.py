"""Prints what a lease, a read, a renewal and a take cost Redis: ``script_costs.py CONFIG``; a line of JSON for each
line that it reads.

It runs with the cticache of any checkout, on the pool that a service with this configuration has put in place.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from greenlet import getcurrent, greenlet
from redis import Redis

from cticache import config

try:
    from cticache.reach import new_store
except ImportError:  # an older commit
    from cticache.server import new_store  # type: ignore[attr-defined,no-redef,unused-ignore]
try:
    from cticache.numbering.pools import Place  # type: ignore[import-untyped,unused-ignore]
except ModuleNotFoundError:  # an older checkout
    from cticache.pools import Place  # type: ignore[import-untyped,unused-ignore]

_BATCH = 250
_TTL_MS = 60_000
_VALUE = '{"account":"12345678","intent":"billing","language":"en"}'
_LESSEE, _READER = "ivr", "desk"
"""Two users, as in real use: the first read by another user writes."""


class Together:
    """The store's way to Redis, on which all operations of a batch share one round trip."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def run(self, commands: Sequence[tuple[str | int, ...]]) -> Any:
        """The replies; an operation of a batch waits here until all of them have come this far."""
        batch = getcurrent().parent
        return batch.switch(commands) if batch else self._send(commands)

    def again(self, commands: Sequence[tuple[str | int, ...]], began: float) -> Any:
        """The same for what was not run."""
        return self.run(commands)

    def drop(self) -> None:
        """Do nothing: there is one server."""

    def doubt(self) -> None:
        """Do nothing: there is one server."""

    def answers(self, calls: list[Callable[[], Any]]) -> tuple[list[Any], float]:
        """What the operations return, and Redis's CPU for each in microseconds, reading and answering included.

        CPU, and not the time that Redis says its commands took, which would include another program's turn.
        """
        waiting = [greenlet(call) for call in calls]
        commands = [command for each in waiting for command in each.switch()]
        before = self._cpu()
        replies = self._send(commands)
        used = self._cpu() - before
        answers = [each.switch([reply]) for each, reply in zip(waiting, replies, strict=True)]
        if None in answers or not all(each.dead for each in waiting):
            raise RuntimeError("a call found nothing or was repeated: its cost says nothing")
        return answers, used * 1e6 / len(calls)

    def _send(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _cpu(self) -> float:
        cpu = self._client.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def batches(path: Path) -> Iterator[dict[str, float]]:
    """Leases, reads, renews and takes a batch of calls each time: script -> Redis's CPU for one, in microseconds."""
    settings = config.read(path, {})
    together = Together(Redis.from_url(settings.redis.url, decode_responses=True))
    store, scripts = new_store(together, settings)
    scripts.load()
    pool, anis = settings.pools[0], map(str, count(3_000_000_000))
    while True:
        callers = [next(anis) for _ in range(_BATCH)]
        leases, lease_us = together.answers(
            [partial(store.lease, pool, ani, _VALUE, _LESSEE, _TTL_MS) for ani in callers]
        )
        calls = [(Place(pool, lease.dnis, pool.match), ani) for lease, ani in zip(leases, callers, strict=True)]
        _, read_us = together.answers([partial(store.read, *call, _READER) for call in calls])
        _, renew_us = together.answers([partial(store.renew, *call, _TTL_MS) for call in calls])
        _, take_us = together.answers([partial(store.take, *call, _READER) for call in calls])
        yield {"lease": lease_us, "read": read_us, "renew": renew_us, "take": take_us}


if __name__ == "__main__":
    measured = batches(Path(sys.argv[1]))
    for _ in sys.stdin:
        print(json.dumps(next(measured)), flush=True)
