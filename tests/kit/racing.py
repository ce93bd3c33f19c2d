"""Many at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(work: Callable[[int], Result], threads: int = 64) -> list[Result]:
    """What ``work`` returns for 0, 1, 2 and so on, each in a thread of its own, all let go together."""
    ready = threading.Barrier(threads)

    def run(number: int) -> Result:
        ready.wait(20)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
