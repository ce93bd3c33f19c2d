"""The service behind a real sentinel: the primary dies in the middle of a burst, stands still, or is replaced."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cticache.access.passwords import Verifier
from kit import clusters, servers
from kit.clusters import Burst, Call, Front, Node, Pair, seen
from kit.samples import make_pool

POOL = "system-y"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with clusters.watched() as made:
        yield made


NewFronts = Callable[..., list[Front]]


@pytest.fixture
def new_fronts(verifier: Verifier) -> Iterator[NewFronts]:
    """Makes one of each dispatcher."""
    with ExitStack() as stack:

        def make(url: str, timeout: float = 1.0) -> list[Front]:
            pools = [make_pool("5550000-5559999", cooldown_ms=0)]
            fronts = [Front(url, dispatch, pools, verifier, timeout=timeout) for dispatch in ("batch", "threads")]
            for front in fronts:
                stack.callback(front.stop)
            return fronts

        yield make


@pytest.fixture
def fronts(pair: Pair, new_fronts: NewFronts) -> list[Front]:
    return new_fronts(pair.url)


def kept(fronts: list[Front], pair: Pair) -> list[Call]:
    """Calls whose values are on the replica, too."""
    talk = fronts[0].talk()
    calls = [Call(POOL, 42 + n) for n in range(10)]
    assert [call.post(talk) for call in calls] == [201] * 10
    talk.close()
    pair.replicated()
    return calls


def check_taken_once(fronts: list[Front], calls: list[Call]) -> None:
    talk = fronts[0].talk()
    for call in calls:
        assert (call.take(talk), call.take(talk)) == (200, 410)
    talk.close()


def test_a_primary_dies_in_the_middle_of_a_burst(fronts: list[Front], pair: Pair) -> None:
    calls = kept(fronts, pair)
    burst = Burst(fronts, [POOL])
    try:
        burst.goes_on(POOL)
        pair.primary.signal(signal.SIGKILL)
        pair.is_replaced()
        burst.goes_on(POOL)
    finally:
        made = burst.end()
    told = {answer for call in made for answer in call.told}
    # 404: what the primary had not passed on is lost with it. 503: it was away.
    assert told <= {(method, status) for method in ("GET", "DELETE") for status in (200, 404, 503)} | {
        ("POST", 201),
        ("POST", 503),
    }
    assert ("POST", 503) in told
    assert all(call.taken <= 1 for call in made)
    check_taken_once(fronts, calls)


def test_a_primary_is_told_to_be_a_replica_in_the_middle_of_a_burst(fronts: list[Front], pair: Pair) -> None:
    calls = kept(fronts, pair)
    burst = Burst(fronts, [POOL])
    try:
        burst.goes_on(POOL)
        pair.sentinel.client.execute_command("SENTINEL", "FAILOVER", "main")
        pair.is_replaced()
        pair.primary.client.replicaof(*pair.replica.address)  # the sentinel would do so, ten seconds later
        clusters.seen(lambda: pair.replica.calls("evalsha"))
        burst.goes_on(POOL)
    finally:
        made = burst.end()
    assert {status for call in made for _, status in call.told} <= {200, 201, 404, 503}
    check_taken_once(fronts, calls)


NEVER = 60.0
"""A time-out, in seconds, that nobody lives to see."""


def is_left(node: Node) -> bool:
    """Whether no connection is left on which a script was run."""
    return not any(client["cmd"] in ("eval", "evalsha") for client in node.client.client_list())


def check_left(burst: Burst, fronts: list[Front], pair: Pair) -> None:
    """What is acknowledged from now on is on the new primary, whoever asks, though the old one answers as before."""
    before = len(burst.calls)
    burst.goes_on(POOL)
    assert {status for call in burst.end()[before:] for _, status in call.told} == {200, 201}
    for front in fronts:
        assert f"tcp_port:{pair.replica.address[1]}" in str(front.runner.run([("INFO", "server")]))
    assert is_left(pair.primary)
    assert pair.primary.role() == "master"  # nobody has told it yet, nor closed its connections


def test_a_primary_that_stands_still_is_left_before_it_goes_on(pair: Pair, new_fronts: NewFronts) -> None:
    fronts = new_fronts(pair.url, NEVER)
    burst = Burst(fronts, [POOL])
    try:
        burst.goes_on(POOL)
        pair.primary.signal(signal.SIGSTOP)
        pair.is_replaced()
        burst.goes_on(POOL)
        pair.primary.signal(signal.SIGCONT)
        check_left(burst, fronts, pair)
    finally:
        burst.end()


def test_a_primary_that_is_replaced_is_left_before_it_is_told(pair: Pair, new_fronts: NewFronts) -> None:
    fronts = new_fronts(pair.url, NEVER)
    burst = Burst(fronts, [POOL])
    try:
        burst.goes_on(POOL)
        pair.sentinel.client.execute_command("SENTINEL", "FAILOVER", "main")
        seen(lambda: is_left(pair.primary), 5.0)  # the sentinel would have its connections closed after ten
        check_left(burst, fronts, pair)
    finally:
        burst.end()


def test_a_sentinel_that_is_cut_off_from_the_others_is_not_believed_nor_one_missed_that_is_heard_again(
    pair: Pair, new_fronts: NewFronts
) -> None:
    with clusters.cut_off(pair) as alone:
        fronts = new_fronts(f"redis+sentinel://{servers.login()}{alone.place},{pair.sentinel.place}/main", NEVER)
        burst = Burst(fronts, [POOL])
        try:
            burst.goes_on(POOL)
            pair.sentinel.client.client_kill_filter(_type="pubsub", skipme=True)
            pair.sentinel.client.execute_command("SENTINEL", "FAILOVER", "main")
            seen(lambda: is_left(pair.primary), 5.0)
            pair.sentinel.signal(signal.SIGKILL)  # now the one that is cut off is the only one to ask
            pair.replica.client.client_kill_filter(_type="normal", skipme=True)
            burst.goes_on(POOL)
            check_left(burst, fronts, pair)
        finally:
            burst.end()
