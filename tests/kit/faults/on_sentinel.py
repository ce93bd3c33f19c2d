"""What may befall a primary that a sentinel watches, and what is lost with it.

Replication is asynchronous: what was acknowledged before the replica took over may not have reached it. From the moment
at which the sentinel names the new primary nothing may be lost any more, but for the time that its word takes to the
service.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import clusters
from kit.clusters import Pair, seen
from kit.faults.fault import Fault, Form
from kit.faults.history import Course, Window
from kit.faults.on_redis import CROWD
from kit.faults.stage import Service

HEARD_S = 0.3
"""For so long after the sentinel's word an answer of the old primary may still be on its way."""
_BEHIND_S = 1.0
"""So far a replica may be behind on this machine."""
_DEMOTED_S = 12.0
_RECOVERS_S = 2.5
Befall = Callable[["Replicated", Form], Course]


@dataclass
class Replicated:
    """The service, a primary, its replica and the sentinel that watches them."""

    pair: Pair
    service: Service

    @classmethod
    @contextmanager
    def made(cls, folder: Path, dispatch: str) -> "Iterator[Replicated]":
        """All of them, for as long as the context lasts."""
        with clusters.watched() as pair, closing(Service(folder, pair.url, dispatch, ["one"])) as service:
            yield cls(pair, service)


def _until_switched(pair: Pair) -> float:
    """The moment at which the sentinel names the replica as the primary."""
    named = [pair.replica.address[0], str(pair.replica.address[1])]
    seen(lambda: pair.sentinel.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main") == named)
    return time.monotonic()


def _epoch(pair: Pair) -> int:
    """Of the sentinel's configuration: each failover has one of its own."""
    told = pair.sentinel.client.execute_command("SENTINEL", "MASTER", "main")
    known = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
    return int(known["config-epoch"])


def _switched(do: Callable[[Pair], None], then: Callable[[Pair], None], stall_s: float = 0.0) -> Befall:
    """``do`` has the sentinel replace the primary; ``then`` comes after that, and after so long at least."""

    def befall(scene: Replicated, form: Form) -> Course:
        epoch, begin = _epoch(scene.pair), time.monotonic()
        do(scene.pair)
        switched = _until_switched(scene.pair)
        time.sleep(max(begin + stall_s - time.monotonic(), 0))
        then(scene.pair)
        # For longer than a sentinel takes to make a replica of an old primary that is back: what that has kept is lost.
        time.sleep(_DEMOTED_S)
        assert _epoch(scene.pair) == epoch + 1, (
            "this machine is so busy that the sentinel replaced the new primary, too"
        )
        loses = Window(begin - _BEHIND_S, switched + HEARD_S)

        def is_all() -> bool:
            return _epoch(scene.pair) == epoch + 1

        return Course(begin, switched, may_lose=[loses], recovers_s=_RECOVERS_S, is_all=is_all)

    return befall


def _nothing(_pair: Pair) -> None:
    pass


def _stop(pair: Pair) -> None:
    pair.primary.signal(signal.SIGSTOP)


def _go_on(pair: Pair) -> None:
    pair.primary.signal(signal.SIGCONT)


def _fail_over(pair: Pair) -> None:
    pair.sentinel.client.execute_command("SENTINEL", "FAILOVER", "main")


SENTINEL: list[Fault[Replicated]] = [
    Fault("Sentinel: the primary stands still until replaced", _switched(_stop, _go_on), CROWD, alone=True),
    Fault("Sentinel: the primary stands still for longer", _switched(_stop, _go_on, 2.0), CROWD, alone=True),
    Fault("SENTINEL FAILOVER", _switched(_fail_over, _nothing), alone=True),
]
