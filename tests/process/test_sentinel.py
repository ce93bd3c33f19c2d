"""The service behind a real sentinel: the primary dies in the middle of a burst, or is told to be a replica."""

import signal
from collections.abc import Iterator

import pytest

from cticache.access.passwords import Verifier
from kit import clusters
from kit.clusters import Burst, Call, Front, Pair
from kit.samples import make_pool

POOL = "system-y"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with clusters.watched() as made:
        yield made


@pytest.fixture
def front(pair: Pair, dispatch: str, verifier: Verifier) -> Iterator[Front]:
    front = Front(pair.url, dispatch, [make_pool("5550000-5559999", cooldown_ms=0)], verifier)
    yield front
    front.stop()


def kept(front: Front, pair: Pair) -> list[Call]:
    """Calls whose values are on the replica, too."""
    talk = front.talk()
    calls = [Call(POOL, 42 + n) for n in range(10)]
    assert [call.post(talk) for call in calls] == [201] * 10
    talk.close()
    pair.replicated()
    return calls


def check_taken_once(front: Front, calls: list[Call]) -> None:
    talk = front.talk()
    for call in calls:
        assert (call.take(talk), call.take(talk)) == (200, 410)
    talk.close()


def test_a_primary_dies_in_the_middle_of_a_burst(front: Front, pair: Pair) -> None:
    calls = kept(front, pair)
    burst = Burst([front], [POOL])
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
    check_taken_once(front, calls)


def test_a_primary_is_told_to_be_a_replica_in_the_middle_of_a_burst(front: Front, pair: Pair) -> None:
    calls = kept(front, pair)
    burst = Burst([front], [POOL])
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
    check_taken_once(front, calls)
