"""Many at once: every operation is one step, whoever else is at work."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from redis import Redis

from cticache.data.store import Store
from cticache.errors import Gone, PoolExhausted
from cticache.numbering.pool import Pool
from kit.samples import at

MakePool = Callable[..., Pool]
THREADS = 64
Result = TypeVar("Result")


def at_once(work: Callable[[int], Result]) -> list[Result]:
    ready = threading.Barrier(THREADS)

    def run(number: int) -> Result:
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run, range(THREADS)))


def test_64_race_for_8_numbers_and_8_win_one_each(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-107", exhausted="reject")

    def lease(ani: int) -> str | None:
        try:
            return store.lease(pool, str(ani), "1", "x", 60_000).dnis
        except PoolExhausted:
            return None

    winners = [dnis for dnis in at_once(lease) if dnis]
    assert sorted(winners) == sorted(pool.numbers)


def test_64_race_to_take_one_value_and_one_gets_it(store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100")
    store.lease(pool, "777", '"the value"', "x", 60_000)

    def take(_: int) -> str | None:
        try:
            held = store.take(at(pool, "100"), "777", "y")
        except Gone:
            return None
        assert held
        return held.value

    assert [value for value in at_once(take) if value] == ['"the value"']


def test_64_share_8_numbers_and_everyone_takes_their_own(client: Redis, store: Store, new_pool: MakePool) -> None:
    pool = new_pool("100-107")

    def hand_over(ani: int) -> str:
        dnis = store.lease(pool, str(ani), str(ani), "x", 60_000).dnis
        held = store.take(at(pool, dnis), str(ani), "y")
        assert held
        assert held.value == str(ani)
        return dnis

    used = Counter(at_once(hand_over))
    assert sum(used.values()) == THREADS
    assert store.pool_stats([pool])[0].leased == 0
    assert not client.keys("*:call:*")
