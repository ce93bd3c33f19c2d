"""What may befall one node of a Redis Cluster; the pools of the other nodes must not notice."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import clusters
from kit.clusters import Cluster, Node, seen, slot
from kit.faults.fault import Fault, Form
from kit.faults.history import Course, Window
from kit.faults.on_redis import CROWD
from kit.faults.stage import Service

POOLS = ["p0", "p2", "p3", "p4", "p5"]
"""On all three nodes."""
_BEHIND_S = 1.0


@dataclass
class Spread:
    """The service, and a cluster of three primaries."""

    cluster: Cluster
    service: Service
    stack: ExitStack
    """Ends what a fault has started, with the rest."""

    @classmethod
    @contextmanager
    def made(cls, folder: Path, dispatch: str) -> "Iterator[Spread]":
        """Both, for as long as the context lasts."""
        with ExitStack() as stack:
            cluster = stack.enter_context(clusters.cluster("--cluster-require-full-coverage", "no"))
            service = stack.enter_context(closing(Service(folder, cluster.url, dispatch, POOLS)))
            yield cls(cluster, service, stack)

    def others(self, node: Node) -> list[str]:
        """The pools that are not on this node."""
        return [name for name in POOLS if self.cluster.owner(slot(name)) is not node]


def _slot_moves(scene: Spread, _form: Form) -> Course:
    """Key by key: meanwhile its pool may have to wait, and no other."""
    cluster, moving = scene.cluster, slot(POOLS[0])
    source = cluster.owner(moving)
    target = cluster.other(source)
    begin = time.monotonic()
    cluster.open(moving, source, target)
    for _ in cluster.carry(moving, source, target):
        time.sleep(0.01)
    cluster.shut(moving, target)
    return Course(begin, time.monotonic(), spared=POOLS[1:])


def _node_stopped(scene: Spread, _form: Form) -> Course:
    """For less than the others wait before they declare it dead."""
    node = scene.cluster.owner(slot(POOLS[0]))
    spared = scene.others(node)
    begin = time.monotonic()
    node.signal(signal.SIGSTOP)
    time.sleep(1.5)
    node.signal(signal.SIGCONT)
    return Course(begin, time.monotonic(), spared=spared)


def _promoted(scene: Spread, _form: Form) -> Course:
    node = scene.cluster.owner(slot(POOLS[0]))
    spared = scene.others(node)
    replica = scene.stack.enter_context(clusters.follower(scene.cluster, node))
    clusters.in_step(node, replica)
    begin = time.monotonic()
    node.signal(signal.SIGKILL)
    killed = time.monotonic()
    seen(lambda: replica.role() == "master")
    end = time.monotonic()
    return Course(begin, end, may_lose=[Window(begin - _BEHIND_S, killed)], spared=spared)


CLUSTER: list[Fault[Spread]] = [
    Fault("Cluster: a slot moves key by key", _slot_moves),
    Fault("Cluster: a primary stands still", _node_stopped, CROWD),
    Fault("Cluster: a primary killed, its replica promoted", _promoted, alone=True),
]
