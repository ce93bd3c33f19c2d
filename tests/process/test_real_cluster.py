"""The service on a real Redis Cluster: a slot moves in the middle of a burst, a node hangs, a node is gone."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from cticache.access.passwords import Verifier
from cticache.data.condition import Condition
from cticache.journal.counts import Sums
from cticache.numbering.pool import Pool
from cticache.operate.metrics import Seen, exposition
from kit import clusters
from kit.clusters import THREADS, Burst, Call, Cluster, Front, seen, slot
from kit.samples import make_pool

NAMES = ["p0", "p2", "p3", "p4", "p5"]


def pools() -> list[Pool]:
    return [make_pool(f"555{n}000-555{n}999", name, cooldown_ms=0) for n, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    with clusters.cluster("--cluster-require-full-coverage", "no") as made:
        assert len({made.owner(slot(name)) for name in NAMES}) == 3
        yield made


@pytest.fixture
def cluster(three: Cluster) -> Cluster:
    three.flush()
    return three


NewFront = Callable[..., Front]


@pytest.fixture
def new_front(cluster: Cluster, verifier: Verifier) -> Iterator[NewFront]:
    with ExitStack() as stack:

        def make(dispatch: str, timeout: float = 1.0, probe: float = 0.05) -> Front:
            front = Front(cluster.url, dispatch, pools(), verifier, timeout=timeout, probe=probe)
            stack.callback(front.stop)
            return front

        yield make


def settle(front: Front, calls: list[Call]) -> None:
    """Take what was not taken, and see that every call was taken once, and that Redis has counted the same."""
    talk = front.talk()
    for call in calls:
        if call.location and not call.taken:
            assert call.take(talk) == 200
        if call.location:
            assert call.take(talk) == 410
    talk.close()
    for name, stats in zip(NAMES, front.store.pool_stats(pools()), strict=True):
        leased = sum(1 for call in calls if call.pool == name and call.location)
        assert stats.leased_total + stats.shared_total == leased
        assert stats.taken_total == sum(call.taken for call in calls if call.pool == name) == leased


def test_a_slot_moves_in_the_middle_of_a_burst(cluster: Cluster, new_front: NewFront, dispatch: str) -> None:
    front = new_front(dispatch, timeout=0.5)
    moving = "p0"
    source = cluster.owner(slot(moving))
    target = cluster.other(source)
    burst = Burst([front], NAMES)
    try:
        for name in NAMES:
            burst.goes_on(name)
        cluster.open(slot(moving), source, target)
        for at, _ in enumerate(cluster.carry(slot(moving), source, target)):
            if at == 1:  # some of its keys are here, others there
                seen(lambda: source.errors("TRYAGAIN") or source.errors("ASK"))
        seen(lambda: source.errors("ASK") and target.calls("asking") and target.errors("TRYAGAIN"))
        burst.goes_on(NAMES[1])
        cluster.shut(slot(moving), target)
        burst.goes_on(moving)
        seen(lambda: source.errors("MOVED"))
    finally:
        calls = burst.end()
    others = [told for call in calls if call.pool != moving for told in call.told]
    assert {status for _, status in others} == {201, 200}
    allowed = {("POST", 201), ("GET", 200), ("DELETE", 200), ("POST", 503), ("GET", 503), ("DELETE", 503)}
    assert {told for call in calls for told in call.told} <= allowed
    settle(front, calls)


def test_a_slot_that_is_on_its_way_holds_up_its_own_calls_alone(
    cluster: Cluster, new_front: NewFront, dispatch: str
) -> None:
    front = new_front(dispatch, timeout=10.0)
    source = cluster.owner(slot("p0"))
    target = cluster.other(source)
    cluster.open(slot("p0"), source, target)
    waiting, talk = front.talk(), front.talk()
    call = Call("p0", 1)
    asker = threading.Thread(target=call.post, args=(waiting,))
    asker.start()
    seen(lambda: source.errors("TRYAGAIN") or source.errors("ASK"))
    calls = [Call(name, n) for n in range(20) for name in NAMES[1:]]
    for other in calls:
        assert (other.post(talk), other.get(talk), other.take(talk)) == (201, 200, 200)
    assert not call.told
    for node in (target, source):  # the move is called off
        node.cluster("SETSLOT", slot("p0"), "STABLE")
    asker.join()
    assert call.told == [("POST", 201)]
    waiting.close()
    talk.close()
    settle(front, [call, *calls])


def test_a_node_that_hangs_holds_up_the_calls_to_no_other(cluster: Cluster, new_front: NewFront, dispatch: str) -> None:
    front = new_front(dispatch, timeout=5.0)
    hanging = cluster.owner(slot("p0"))
    elsewhere = [name for name in NAMES if cluster.owner(slot(name)) is not hanging]
    waiting = front.talk()
    hanging.signal(signal.SIGSTOP)
    try:
        call = Call("p0", 1)
        answered: list[int] = []
        asker = threading.Thread(target=lambda: answered.append(call.post(waiting)))
        asker.start()
        calls = [Call(name, n) for n in range(20) for name in elsewhere]
        talk = front.talk()
        for other in calls:
            assert (other.post(talk), other.get(talk), other.take(talk)) == (201, 200, 200)
        talk.close()
        assert not answered
    finally:
        hanging.signal(signal.SIGCONT)
    asker.join()
    waiting.close()
    assert answered == [201]
    settle(front, [call, *calls])


def test_the_figures_of_pools_are_told_while_the_node_of_the_failed_logins_hangs(
    cluster: Cluster, new_front: NewFront, dispatch: str
) -> None:
    front = new_front(dispatch, timeout=0.3)
    hanging = cluster.owner(slot("@logins"))
    elsewhere = [pool for pool in pools() if cluster.owner(slot(pool.name)) is not hanging]
    hanging.signal(signal.SIGSTOP)
    try:
        stats, failed = front.store.figures(elsewhere)
    finally:
        hanging.signal(signal.SIGCONT)
    assert [figures.free for figures in stats] == [1000] * len(elsewhere)
    assert failed is None
    assert "failed_login" not in exposition(Seen({}, failed, True, True, Condition(), Sums())).decode()


def test_many_who_wait_for_a_node_that_hangs_hold_up_nobody_else(
    cluster: Cluster, new_front: NewFront, dispatch: str
) -> None:
    front = new_front(dispatch, timeout=5.0)
    hanging = cluster.owner(slot("p0"))
    elsewhere = [name for name in NAMES if cluster.owner(slot(name)) is not hanging]
    calls = [Call("p0", n) for n in range(3 * THREADS)]
    answered: list[int] = []
    hanging.signal(signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            talks = [stack.enter_context(closing(front.talk())) for _ in calls]
            stack.callback(hanging.signal, signal.SIGCONT)
            askers = [
                threading.Thread(target=lambda call=call, talk=talk: answered.append(call.post(talk)))
                for call, talk in zip(calls, talks, strict=True)
            ]
            for asker in askers:
                asker.start()
                stack.callback(asker.join)
            with closing(front.talk()) as talk:
                others = [Call(name, n) for n in range(5) for name in elsewhere]
                assert {other.post(talk) for other in others} == {201}
                assert len(calls) - len(answered) >= THREADS // 2, "they were served once the others' time was over"
            hanging.signal(signal.SIGCONT)
    finally:
        hanging.signal(signal.SIGCONT)
    assert set(answered) <= {201, 503}
    assert answered.count(201) >= THREADS // 2
    settle(front, [*calls, *others])


def test_a_node_that_goes_on_hanging_is_not_asked_until_it_answers(
    cluster: Cluster, new_front: NewFront, dispatch: str
) -> None:
    front = new_front(dispatch, timeout=0.5)
    hanging = cluster.owner(slot("p0"))
    elsewhere = [name for name in NAMES if cluster.owner(slot(name)) is not hanging]
    before = hanging.calls("evalsha")
    talk = front.talk()
    hanging.signal(signal.SIGSTOP)
    try:
        assert Call("p0", 1).post(talk) == 503
        for n in range(10):
            assert Call("p0", 2 + n).post(talk) == 503
            assert Call(elsewhere[0], n).post(talk) == 201
    finally:
        hanging.signal(signal.SIGCONT)
    seen(lambda: Call("p0", 100).post(talk) == 201)
    assert hanging.calls("evalsha") - before <= 2  # the first one, if it was sent, and the last
    talk.close()


def test_a_cluster_that_wants_all_slots_is_asked_once_by_each_while_one_has_no_node(
    verifier: Verifier, dispatch: str, long: bool
) -> None:
    if not long:
        pytest.skip("in the long form")
    with ExitStack() as stack:
        cluster = stack.enter_context(clusters.cluster())
        front = Front(cluster.url, dispatch, pools(), verifier, timeout=0.5)
        stack.callback(front.stop)
        talk = front.talk()
        stack.callback(talk.close)
        gone = cluster.owner(slot("p0"))
        there = next(name for name in NAMES if cluster.owner(slot(name)) is not gone)
        node = cluster.owner(slot(there))
        gone.signal(signal.SIGKILL)
        seen(lambda: "cluster_state:fail" in str(node.cluster("INFO")))
        assert Call(there, 1).post(talk) == 503
        before = node.errors("CLUSTERDOWN")
        assert before > 1
        for n in range(10):
            assert Call(there, 2 + n).post(talk) == 503
        assert node.errors("CLUSTERDOWN") - before == 10


def test_a_key_that_has_gone_ahead_is_found_where_it_is(cluster: Cluster, new_front: NewFront) -> None:
    front = new_front("threads")
    listing = ("EVAL", "return redis.call('HKEYS', KEYS[1])", 1, "cti:{@all}:ruling")
    before = front.runner.run([listing])
    assert set(before[0]) == {*NAMES, "@"}
    source = cluster.owner(slot("@all"))
    target = cluster.other(source)
    cluster.open(slot("@all"), source, target)
    assert len(list(cluster.carry(slot("@all"), source, target))) == 1
    assert front.runner.run([listing]) == before
    assert target.calls("asking")
    cluster.shut(slot("@all"), target)
    assert front.runner.run([listing]) == before


def test_a_node_that_is_gone_costs_its_own_pools_until_its_replica_is_promoted(verifier: Verifier) -> None:
    with ExitStack() as stack:
        cluster = stack.enter_context(clusters.cluster("--cluster-require-full-coverage", "no"))
        gone = cluster.owner(slot("p0"))
        elsewhere = [name for name in NAMES if cluster.owner(slot(name)) is not gone]
        replica = stack.enter_context(clusters.follower(cluster, gone))
        fronts = [Front(cluster.url, dispatch, pools(), verifier) for dispatch in ("batch", "threads")]
        for front in fronts:
            stack.callback(front.stop)
        talk = fronts[0].talk()
        stack.callback(talk.close)
        kept = [Call("p0", n) for n in range(10)]
        assert [call.post(talk) for call in kept] == [201] * 10
        clusters.in_step(gone, replica)
        burst = Burst(fronts, NAMES)
        try:
            burst.goes_on("p0")
            gone.signal(signal.SIGKILL)
            seen(lambda: burst.answered("POST", 503, "p0"))
            for name in elsewhere:
                burst.goes_on(name)
            replica.cluster("FAILOVER", "TAKEOVER")
            burst.goes_on("p0")
        finally:
            calls = burst.end()
        told = {status for call in calls if call.pool in elsewhere for _, status in call.told}
        assert told == {201, 200}
        for call in kept:
            assert (call.take(talk), call.take(talk)) == (200, 410)
