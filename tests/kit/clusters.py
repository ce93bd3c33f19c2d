"""Several real servers that belong together, a Redis Cluster or a primary that a sentinel watches, and the service on
them.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis.crc import key_slot
from redis.exceptions import RedisError

from cticache.access.passwords import Verifier
from cticache.config.sections import RedisConfig
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import connect
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.reach import new_runner
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.running import MAX_BODY, Served, Watched
from kit.servers import ADMIN, HARDENED, SENTINEL, Program, as_admin, free_port, login, packaged, program
from kit.talk import CALLS, Answer, Talk, request

SLOTS = 16384


def seen(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so; AssertionError if it does not come."""
    gives_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < gives_up, "it never came to be"
        time.sleep(0.005)


def redis_config(url: str, timeout: float, probe: float = 0.05) -> RedisConfig:
    """[redis] of config.ini."""
    return RedisConfig(url, timeout, probe, "cti", sync_interval=3600, retry_after=2, data="")


THREADS = 8
"""Under ``dispatch = threads``."""


class Front:
    """The service on these servers, behind a real waitress, put together as ``cticache serve`` does it."""

    def __init__(
        self,
        url: str,
        dispatch: str,
        pools: Sequence[Pool],
        verifier: Verifier,
        *,
        timeout: float = 1.0,
        probe: float = 0.05,
    ) -> None:
        self._stack = ExitStack()
        self.hub = Watched() if dispatch == "batch" else None
        redis = redis_config(url, timeout, probe)
        self.runner = new_runner(url, redis, self._stack, self.hub, most_at_node=THREADS // 2)
        scripts = Scripts(self.runner, read_scripts())
        scripts.load()
        self.store = Store(scripts, Keys("cti"), redis.retry_after)
        directory = Pools(pools)
        sync(self.store, directory, take_over=True)
        keeper = Keeper(self.store, directory, interval=3600)
        keeper.synced.set()
        app = create_app(self.store, directory, verifier, keeper, audit=Audit(), max_body=MAX_BODY)
        self.served = Served(app, self.hub, threads=THREADS)

    def stop(self) -> None:
        """End it."""
        self.served.stop()
        self._stack.close()

    def talk(self) -> Talk:
        """A client's connection."""
        return Talk(self.served.port)


class Call:
    """One call through the service; ``told`` has what was asked and the status that it got."""

    def __init__(self, pool: str, ani: int, front: int = 0) -> None:
        self.front = front
        self.pool = pool
        self.ani = ani
        self.value = f"the data of {ani} for {pool}"
        self.location = ""
        self.taken = 0
        self.told: list[tuple[str, int]] = []

    def post(self, talk: Talk) -> int:
        body = json.dumps({"pool": self.pool, "ani": str(self.ani), "value": self.value}).encode()
        answer = talk.send(request(f"POST {CALLS}", f"Content-Length: {len(body)}", body=body)).answer()
        if answer.status == 201:
            assert answer.json["value"] == self.value
            self.location = answer.headers["location"]
        return self._told("POST", answer)

    def get(self, talk: Talk) -> int:
        return self._asked("GET", talk)

    def take(self, talk: Talk) -> int:
        status = self._asked("DELETE", talk)
        self.taken += status == 200
        return status

    def _asked(self, method: str, talk: Talk) -> int:
        answer = talk.send(request(f"{method} {self.location}")).answer()
        if answer.status == 200:
            assert answer.json == {"value": self.value}, "wrong data"
        return self._told(method, answer)

    def _told(self, method: str, answer: Answer) -> int:
        assert answer.status != 503 or answer.json["error"] == "redis_unavailable", answer.json
        self.told.append((method, answer.status))
        return answer.status


_PACE_S = 0.005
"""Between two calls of a caller: servers that elect another one, and the service, need the cores, too."""


class Burst:
    """Callers in several threads, each leasing, reading and taking in all pools in turn until it is told to end."""

    def __init__(self, fronts: Sequence[Front], pools: Sequence[str], threads: int = 4) -> None:
        self.calls: list[Call] = []
        self._pools = pools
        self._fronts = len(fronts)
        self._ends = threading.Event()
        self._faults: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(front, at, 1_000_000_000 * (1 + threads * at + n)))
            for at, front in enumerate(fronts)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def answered(self, method: str, status: int, pool: str = "") -> int:
        """How often this was the answer."""
        return sum(call.told.count((method, status)) for call in list(self.calls) if pool in ("", call.pool))

    def goes_on(self, pool: str) -> None:
        """Wait until calls that begin from now on are leased and taken in this pool, at each front."""

        def taken(front: int) -> int:
            return sum(call.taken for call in self.calls[before:] if (call.pool, call.front) == (pool, front))

        before = len(self.calls)
        seen(lambda: self._faults or all(taken(front) >= 3 for front in range(self._fronts)))

    def end(self) -> list[Call]:
        """All calls, once the callers have ended."""
        self._ends.set()
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise self._faults[0]
        return self.calls

    def _run(self, front: Front, at: int, ani: int) -> None:
        talk = front.talk()
        try:
            while not self._ends.wait(_PACE_S):
                ani += 1
                call = Call(self._pools[ani % len(self._pools)], ani, at)
                self.calls.append(call)
                if call.post(talk) == 201:
                    call.get(talk)
                    call.take(talk)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            self._faults.append(error)
        finally:
            talk.close()


class Node:
    """One server of several."""

    def __init__(self, running: Program, tls_port: int = 0) -> None:
        self.process = running.process
        self.address = running.address
        self.tls_port = tls_port
        self.client = connect(as_admin(running.url), 5.0)

    @property
    def place(self) -> str:
        """host:port."""
        return "{}:{}".format(*self.address)

    def cluster(self, *words: str | int) -> object:
        """A CLUSTER command, its reply as it came."""
        return self.client.execute_command("CLUSTER", *words)

    def id(self) -> str:
        """The name that the cluster has for it."""
        return str(self.cluster("MYID"))

    def errors(self, code: str) -> int:
        """How often it has answered with this error."""
        return int(self.client.info("errorstats").get(f"errorstat_{code}", {}).get("count", 0))

    def calls(self, command: str) -> int:
        """How often it was sent this command."""
        return int(self.client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))

    def role(self) -> str:
        """master or slave; empty while it does not answer."""
        try:
            return str(self.client.info("replication")["role"])
        except RedisError:
            return ""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


def slot(pool: str) -> int:
    """The slot of a pool's keys."""
    return key_slot(f"{{{pool}}}".encode())


class Cluster:
    """Primaries that share the slots."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.url = f"redis+cluster://{login()}{','.join(node.place for node in nodes)}"

    def owner(self, of: int) -> Node:
        """The node that has a slot, by its own word."""
        (found,) = [node for node in self.nodes if self._has(node, of)]
        return found

    def other(self, than: Node) -> Node:
        """Another node."""
        return next(node for node in self.nodes if node is not than)

    def _has(self, node: Node, of: int) -> bool:
        for first, last, primary, *_ in node.cluster("SLOTS"):  # type: ignore[attr-defined]
            if first <= of <= last:
                return bool(primary[1] == node.address[1])
        return False

    def open(self, of: int, source: Node, target: Node) -> None:
        """Begin to move a slot."""
        target.cluster("SETSLOT", of, "IMPORTING", source.id())
        source.cluster("SETSLOT", of, "MIGRATING", target.id())

    def carry(self, of: int, source: Node, target: Node) -> Iterator[str]:
        """Move its keys one by one, as they are come by, until none is left."""
        while keys := source.client.cluster("GETKEYSINSLOT", of, 1):
            who = ("AUTH2", *ADMIN) if HARDENED else ()
            source.client.execute_command("MIGRATE", *target.address, keys[0], 0, 5000, *who)
            yield keys[0]

    def shut(self, of: int, target: Node) -> None:
        """The slot is the target's from now on."""
        for node in [target, *(node for node in self.nodes if node is not target)]:
            node.cluster("SETSLOT", of, "NODE", target.id())

    def flush(self) -> None:
        """Empty it, and forget what was counted."""
        for node in self.nodes:
            node.client.flushall()
            node.client.config_resetstat()


_MEMBER = (
    *("--save", "", "--repl-diskless-sync-delay", "0"),
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
)


@contextmanager
def cluster(*options: str, size: int = 3, path: Path | None = None, tls: bool = False) -> Iterator[Cluster]:
    """A cluster of so many primaries; with ``tls`` its nodes speak it among themselves, and to whoever wants to."""
    with ExitStack() as stack:

        def node() -> Node:
            tls_port = free_port() if tls else 0
            own = ("--tls-port", str(tls_port), "--tls-cluster", "yes") if tls else ()
            return Node(stack.enter_context(program(path or packaged(), *_MEMBER, *own, *options)), tls_port)

        nodes = [node() for _ in range(size)]
        for node in nodes:
            stack.callback(node.client.close)
        for at, node in enumerate(nodes):
            node.cluster("SET-CONFIG-EPOCH", at + 1)
            node.cluster("ADDSLOTS", *range(SLOTS * at // size, SLOTS * (at + 1) // size))
        for node in nodes:
            for other in nodes:
                bus = (other.tls_port + 10_000,) if tls else ()
                node.cluster("MEET", *other.address, *bus)
        seen(
            lambda: all(
                "cluster_state:ok" in str(node.cluster("INFO")) and len(node.cluster("SLOTS")) == size for node in nodes
            )
        )  # type: ignore[arg-type]
        yield Cluster(nodes)


@contextmanager
def follower(cluster: Cluster, primary: Node) -> Iterator[Node]:
    """A replica of one of the cluster's primaries, in step with it."""
    with program(packaged(), *_MEMBER) as running:
        node = Node(running)
        node.cluster("MEET", *primary.address)
        for other in cluster.nodes:
            other.cluster("MEET", *node.address)
        seen(lambda: primary.id() in str(node.cluster("NODES")))
        node.cluster("REPLICATE", primary.id())
        seen(lambda: node.client.info("replication").get("master_link_status") == "up")
        # To take the slots over it must know them, and all others know whose replica it is.
        seen(lambda: all(node.address[1] in _replicas(other) for other in (node, *cluster.nodes)))
        yield node
        node.client.close()


class Pair:
    """A primary, its replica, and the sentinel that watches them."""

    def __init__(self, primary: Node, replica: Node, sentinel: Node) -> None:
        self.primary = primary
        self.replica = replica
        self.sentinel = sentinel
        self.url = f"redis+sentinel://{login()}{sentinel.place}/main"

    def replicated(self) -> None:
        """Wait until the replica has what the primary has now."""
        in_step(self.primary, self.replica)

    def is_replaced(self) -> None:
        """Wait until the replica is the primary, and the sentinel says so."""
        named = [str(self.replica.address[0]), str(self.replica.address[1])]
        seen(lambda: self.replica.role() == "master")
        seen(lambda: self.sentinel.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main") == named)


def _replicas(node: Node) -> list[int]:
    """The ports of the replicas of all slots, as this node knows them."""
    return [place[1] for _, _, _, *others in node.cluster("SLOTS") for place in others]  # type: ignore[attr-defined]


def in_step(primary: Node, replica: Node) -> None:
    """Wait until the replica has what the primary has now. WAIT would wait for what its own connection has written."""
    offset = primary.client.info("replication")["master_repl_offset"]
    seen(lambda: replica.client.info("replication")["slave_repl_offset"] >= offset)


_SENTINEL = """\
sentinel monitor main {} {} 1
sentinel down-after-milliseconds main 300
sentinel failover-timeout main 3000
"""
if HARDENED:
    _SENTINEL += "sentinel auth-user main {}\nsentinel auth-pass main {}\n".format(*SENTINEL)


@contextmanager
def watched() -> Iterator[Pair]:
    """Both in step, and known to the sentinel."""
    with ExitStack() as stack:

        def start(*options: str, file: str = "") -> Node:
            node = Node(stack.enter_context(program(packaged(), *options, file=file)))
            stack.callback(node.client.close)
            stack.callback(node.process.kill)  # asked to end, a primary would wait for its replica first
            return node

        keep_nothing = ("--save", "", "--repl-diskless-sync-delay", "0")
        primary = start(*keep_nothing)
        replica = start(*keep_nothing, "--replicaof", *map(str, primary.address))
        seen(lambda: replica.client.info("replication")["master_link_status"] == "up")
        sentinel = start("--sentinel", file=_SENTINEL.format(*primary.address))
        seen(
            lambda: (
                [_linked(known) for known in sentinel.client.execute_command("SENTINEL", "REPLICAS", "main")] == ["ok"]
            )
        )
        yield Pair(primary, replica, sentinel)


@contextmanager
def cut_off(pair: Pair) -> Iterator[Node]:
    """A second sentinel, which hears nothing of the first: it names the same primary for ever."""
    for node in (pair.primary, pair.replica):
        node.client.execute_command("ACL", "SETUSER", "alone", "on", ">alone", "resetchannels", "+ping", "+info")
    known = "sentinel monitor main {} {} 2\nsentinel auth-user main alone\nsentinel auth-pass main alone\n"
    with program(packaged(), "--sentinel", file=known.format(*pair.primary.address)) as running:
        node = Node(running)
        yield node
        node.client.close()


def _linked(known: list[str]) -> str:
    """What a sentinel knows of a replica's link to its primary."""
    return known[known.index("master-link-status") + 1]
