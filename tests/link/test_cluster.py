"""What is done with a cluster's refusals, and never with what may have run."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.cluster import Cluster, Topology, wait_in_thread
from cticache.link.connection import Command, Direct, connect
from cticache.link.trouble import REFUSALS, trouble
from cticache.loop.redis_reader import error_of
from kit import servers
from kit.proxy import Impostor
from kit.running import until

LEASE: Command = ("EVALSHA", "x" * 40, 1, "cti:{p}:numbers")
TIMEOUT = 0.6


class Member:
    """A node of a cluster that answers a script as the test says, and CLUSTER SLOTS with what it believes."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.reply: Callable[[], bytes] = lambda: b"+OK\r\n"
        self.believes: list[Member] = [self]
        self.looks = 0
        self._impostor = Impostor(self._answer)
        self.port = int(urlsplit(self._impostor.url).port or 0)
        self.close = self._impostor.close

    def _answer(self, data: bytes) -> bytes:
        if b"CLUSTER" in data:
            self.looks += 1
            share = 16384 // len(self.believes)
            ranges = "".join(
                f"*3\r\n:{at * share}\r\n:{at * share + share - 1}\r\n*2\r\n$9\r\n127.0.0.1\r\n:{member.port}\r\n"
                for at, member in enumerate(self.believes)
            )
            return f"*{len(self.believes)}\r\n{ranges}".encode()
        self.asked.append(data)
        if b"ASKING" in data:
            return b"+OK\r\n" + self.reply()
        return self.reply()

    def moved(self, to: "Member", host: str = "127.0.0.1", code: str = "MOVED") -> None:
        self.reply = f"-{code} 1 {host}:{to.port}\r\n".encode


@pytest.fixture
def members() -> Iterator[list[Member]]:
    """Two, of which the first has all slots."""
    made = [Member(), Member()]
    made[1].believes = [made[0]]
    yield made
    for member in made:
        member.close()


def reached(*members: Member, probe: float = 1000.0, timeout: float = TIMEOUT) -> Cluster:
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{member.port}" for member in members)
    topology = Topology(url, timeout, probe)
    return Cluster(topology, lambda node: Direct(connect(node, timeout)), wait_in_thread, timeout)


def lost() -> bytes:
    raise EOFError


@pytest.mark.parametrize("answer", [lost, lambda: b""], ids=["lost", "silent"])
def test_a_command_whose_fate_is_unknown_is_not_repeated(members: list[Member], answer: Callable[[], bytes]) -> None:
    cluster = reached(*members)
    members[0].reply = answer
    with pytest.raises((RedisConnectionError, RedisTimeoutError)):
        cluster.run([LEASE])
    assert [len(member.asked) for member in members] == [1, 0]
    cluster.close()


def test_a_slot_that_has_moved_is_asked_for_where_it_is_at_once_from_then_on(members: list[Member]) -> None:
    cluster = reached(members[0])
    members[0].moved(members[1])
    assert cluster.run([LEASE]) == cluster.run([LEASE]) == ["OK"]
    assert [len(member.asked) for member in members] == [1, 2]
    cluster.close()


@pytest.mark.parametrize("host", ["", "?"])
def test_a_redirection_without_a_host_is_to_the_host_that_was_asked(members: list[Member], host: str) -> None:
    cluster = reached(members[0])
    members[0].moved(members[1], host=host)
    assert cluster.run([LEASE]) == ["OK"]
    cluster.close()


def test_a_slot_that_is_on_its_way_is_asked_for_at_the_other_end_with_asking_and_that_once(
    members: list[Member],
) -> None:
    cluster = reached(members[0])
    members[0].moved(members[1], code="ASK")
    assert cluster.run([LEASE]) == cluster.run([LEASE]) == ["OK"]
    assert [len(member.asked) for member in members] == [2, 2]
    assert all(b"ASKING" in data and data.index(b"ASKING") < data.index(b"EVALSHA") for data in members[1].asked)
    cluster.close()


@pytest.mark.parametrize("refusal", ["TRYAGAIN wait", "CLUSTERDOWN The cluster is down", "MOVED", "ASK"])
def test_a_refusal_that_does_not_end_is_the_reply_when_the_time_is_used_up(members: list[Member], refusal: str) -> None:
    cluster = reached(members[0])
    if " " in refusal:
        members[0].reply = f"-{refusal}\r\n".encode
    else:
        members[0].moved(members[1], code=refusal)
        members[1].moved(members[0], code=refusal)
    began = time.monotonic()
    (reply,) = cluster.run([LEASE])
    assert TIMEOUT <= time.monotonic() - began < 10 * TIMEOUT
    assert isinstance(reply, (TryAgainError, ClusterDownError, AskError))
    assert 3 < sum(len(member.asked) for member in members) < 20  # tried again and again, and not without a pause
    cluster.close()


def slots(*wanted: int) -> list[Command]:
    """A script for a slot of each half."""
    keys = [next(str(n) for n in range(99) if key_slot(b"%d" % n) // 8192 == half) for half in wanted]
    return [("EVALSHA", "x" * 40, 1, key) for key in keys]


@pytest.mark.parametrize("text", ["The cluster is down", "Hash slot not served"])
def test_a_cluster_that_stays_down_is_told_to_be_at_once_until_it_is_over(members: list[Member], text: str) -> None:
    def asked() -> int:
        before = len(members[0].asked)
        (last,) = cluster.run(one)
        assert last == "OK" or isinstance(last, ClusterDownError)
        return len(members[0].asked) - before

    cluster = reached(members[0])
    one, other = [[command] for command in slots(0, 1)]
    members[0].reply = f"-CLUSTERDOWN {text}\r\n".encode
    assert asked() > 3  # a failover may be over in a moment
    assert [asked() for _ in range(5)] == [1] * 5
    if "slot" in text:  # of the others nothing is known by that
        members[0].reply = lambda: b"+OK\r\n"
        assert cluster.run(other) == ["OK"]
        members[0].reply = f"-CLUSTERDOWN {text}\r\n".encode
    else:
        one, other = other, one
    assert asked() == 1
    members[0].reply = lambda: b"+OK\r\n"
    assert asked() == 1
    assert cluster.run(one) == ["OK"]
    members[0].reply = f"-CLUSTERDOWN {text}\r\n".encode
    assert asked() > 3
    cluster.close()


@pytest.mark.parametrize("code", ["MOVED", "ASK", "TRYAGAIN"])
def test_what_is_asked_again_is_waited_for_no_longer_than_the_request_has_time(
    members: list[Member], code: str
) -> None:
    def held() -> bytes:
        go.wait(20)
        return b"+late\r\n"

    go = threading.Event()
    cluster = reached(members[0], timeout=1000.0)
    assert cluster.run([LEASE]) == ["OK"]
    refusal = f"-{code} 1 127.0.0.1:{members[1].port}\r\n".encode()
    members[0].reply = lambda: refusal if len(members[0].asked) == 2 else held()
    members[1].reply = held
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(cluster.again, [LEASE], time.monotonic() - 999.5)
        try:
            with pytest.raises(RedisTimeoutError):
                waiting.result(10)
            assert sum(len(member.asked) for member in members) == 3
            with pytest.raises(RedisTimeoutError):
                cluster.again([LEASE], time.monotonic() - 1000)
            assert sum(len(member.asked) for member in members) == 3
        finally:
            go.set()
    cluster.close()


def test_a_refusal_of_one_command_repeats_that_one_alone(members: list[Member]) -> None:
    replies = [b"-TRYAGAIN wait\r\n+b\r\n", b"+a\r\n"]
    members[0].reply = lambda: replies.pop(0)
    cluster = reached(members[0])
    assert cluster.run([LEASE, (*LEASE, "2")]) == ["a", "b"]
    assert not replies
    cluster.close()


def test_commands_are_grouped_by_node_and_their_replies_are_in_order(members: list[Member]) -> None:
    members[0].believes = [members[0], members[1]]
    members[0].reply = lambda: b"+a\r\n+b\r\n"
    members[1].reply = lambda: b"+1\r\n+2\r\n"
    cluster = reached(members[0])
    replies = cluster.run(slots(1, 0, 1, 0))
    assert replies == ["1", "a", "2", "b"]
    assert [len(member.asked) for member in members] == [1, 1]
    cluster.close()


def test_the_nodes_are_asked_once_in_a_while_whatever_fails(members: list[Member]) -> None:
    cluster = reached(members[0])
    members[0].reply = lost
    for _ in range(20):
        with pytest.raises(RedisConnectionError):
            cluster.run([LEASE])
    assert members[0].looks == 1
    cluster.close()


def test_after_a_failure_the_nodes_are_asked_who_has_the_slot_by_now(members: list[Member]) -> None:
    cluster = reached(*members, probe=0.0)
    assert cluster.run([LEASE]) == ["OK"]
    for member in members:
        member.believes = [members[1]]
    members[0].reply = lost
    with pytest.raises(RedisConnectionError):
        cluster.run([LEASE])
    until(lambda: cluster._topology.owner(0) == ("127.0.0.1", members[1].port))
    assert cluster.run([LEASE]) == ["OK"]
    cluster.close()


def test_what_has_no_key_goes_to_every_primary_and_the_one_that_is_away_is_passed_over(members: list[Member]) -> None:
    members[0].believes = [members[0], members[1]]
    cluster = reached(members[0])
    load = [("SCRIPT", "LOAD", "return 1")]
    assert cluster.run(load) == ["OK"]
    members[1].reply = lost
    assert cluster.run(load) == ["OK"]
    members[1].reply = lambda: b"-ERR Error compiling script\r\n"
    (reply,) = cluster.run(load)
    assert isinstance(reply, ResponseError)
    assert [len(member.asked) for member in members] == [3, 3]
    members[0].reply = members[1].reply = lost
    with pytest.raises(RedisConnectionError):
        cluster.run(load)
    cluster.close()


def test_a_cluster_that_is_away_is_told_and_found_when_it_is_back(members: list[Member]) -> None:
    free = servers.free_port()
    topology = Topology(f"redis+cluster://:secret-word@127.0.0.1:{free}", TIMEOUT, 0.0)
    cluster = Cluster(topology, lambda node: Direct(connect(node, TIMEOUT)), wait_in_thread, TIMEOUT)
    with pytest.raises(RedisConnectionError, match="no node of the cluster answers") as caught:
        cluster.run([LEASE])
    assert "secret-word" not in str(caught.value)
    topology._url = f"redis+cluster://127.0.0.1:{members[0].port}"
    assert cluster.run([LEASE]) == ["OK"]
    cluster.close()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("WRONGPASS", "WRONGPASS invalid username-password pair or user is disabled."),
        ("LOADING", "LOADING Redis is loading the dataset in memory"),
    ],
)
def test_a_cluster_whose_nodes_refuse_is_not_said_to_be_away(code: str, text: str) -> None:
    node = Impostor(lambda _: f"-{text}\r\n".encode())
    topology = Topology(f"redis+cluster://user:a-word@{node.url.partition('://')[2]}", TIMEOUT, 0.0)
    with pytest.raises(RedisConnectionError) as caught:
        topology.refresh().result()
    node.close()
    assert trouble(caught.value).says == REFUSALS[code]


def test_a_server_that_stands_alone_is_told_to_be_one(redis_url: str) -> None:
    place = redis_url.partition("://")[2].partition("/")[0]
    topology = Topology(f"redis+cluster://{place}", TIMEOUT, 0.0)
    with pytest.raises(RedisConnectionError, match="is no member of a cluster, write redis:// in the URL"):
        topology.refresh().result()


class Recorder:
    """A node that notes when it is closed."""

    def __init__(self) -> None:
        self.closed = self.busy = False

    def run(self, commands: Sequence[Command]) -> list[Any]:
        return ["OK"] * len(commands)

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        raise AssertionError

    def drop(self) -> None:
        raise AssertionError

    def doubt(self) -> None:
        raise AssertionError

    def idle(self) -> bool:
        return not self.busy

    def close(self) -> None:
        self.closed = True


def test_a_node_that_has_left_is_closed_once_nothing_is_under_way_there(members: list[Member]) -> None:
    def open_node(url: str) -> Recorder:
        opened[int(urlsplit(url).port or 0)] = recorder = Recorder()
        return recorder

    opened: dict[int, Recorder] = {}
    topology = Topology(f"redis+cluster://127.0.0.1:{members[0].port}", TIMEOUT, 0.0)
    cluster = Cluster(topology, open_node, wait_in_thread, TIMEOUT)
    cluster.run([LEASE])
    left = opened[members[0].port]
    for member in members:
        member.believes = [members[1]]
    left.busy = True
    topology.refresh().result()
    cluster.run([LEASE])
    assert not left.closed
    left.busy = False
    topology.refresh().result()
    cluster.run([LEASE])
    assert left.closed
    assert not opened[members[1].port].closed


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MOVED 1 h:1", MovedError),
        ("ASK 1 h:1", AskError),
        ("TRYAGAIN x", TryAgainError),
        ("CLUSTERDOWN x", ClusterDownError),
    ],
)
def test_the_loop_and_redis_py_tell_a_refusal_alike(text: str, kind: type[ResponseError]) -> None:
    impostor = Impostor(lambda _: f"-{text}\r\n".encode())
    with connect(impostor.url, 5.0) as client:
        (theirs,) = Direct(client).run([LEASE])
    ours = error_of(text)
    assert type(ours) is type(theirs) is kind
    assert str(ours) == str(theirs)
    impostor.close()
