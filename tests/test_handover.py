"""The rules of a hand-over, asked without HTTP."""

from collections.abc import Callable

import pytest
from redis import Redis

from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Gone, NoSuchCall
from cticache.handover import HandOver
from cticache.numbering.ani import read as read_ani
from cticache.numbering.pools import Pool, Pools
from kit.aging import dumped
from kit.model import outcome
from kit.samples import make_pool, user

A, OTHER = "5551234567", "5557654321"
X_AND_Y = user("username")
MakeHandOver = Callable[..., HandOver]


def unseen(_pool: str, _dnis: str, _ani: str) -> None:
    """Nobody is told where it is looked."""


@pytest.fixture
def new_hand_over(store: Store) -> MakeHandOver:
    """Makes one over the given pools, their numbers in place."""

    def make(*pools: Pool) -> HandOver:
        directory = Pools(pools)
        keeper = Keeper(store, directory, interval=3600)  # not started: the pools are put in place here
        sync(store, directory, take_over=True)
        keeper.synced.set()
        return HandOver(store, directory, keeper)

    return make


def test_who_peeks_leaves_no_trace_wherever_the_call_may_be(client: Redis, new_hand_over: MakeHandOver) -> None:
    new_hand_over(make_pool("100", name="old"), make_pool("200", name="new")).lease(
        X_AND_Y, read_ani(A), "1", pool="old", looking=unseen
    )
    moved = new_hand_over(make_pool("101", name="old"), make_pool("100,200", name="new"))
    before = dumped(client)
    place, held = moved.read(X_AND_Y, "100", A, peek=True, looking=unseen)
    assert (place.pool.name, place.moved, held.value) == ("old", True, "1")
    assert type(outcome(lambda: moved.read(X_AND_Y, "100", OTHER, peek=True, looking=unseen))) is NoSuchCall
    assert dumped(client) == before
    moved.take(X_AND_Y, "100", A, looking=unseen)
    before = dumped(client)
    assert type(outcome(lambda: moved.read(X_AND_Y, "100", A, peek=True, looking=unseen))) is Gone
    assert dumped(client) == before
