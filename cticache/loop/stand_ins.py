"""waitress's threads; for one that waits another stands in, so that who waits takes the place of nobody.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: ThreadedTaskDispatcher, its
lock, queue_cv, threads, active_count, stop_count, start_new_thread and handler_thread.
"""

import logging
import threading
import time
from concurrent.futures import Future
from concurrent.futures import wait as wait_in_thread
from itertools import count
from typing import Any

from waitress.task import ThreadedTaskDispatcher

_log = logging.getLogger(__name__)

_APART_S = 0.002
"""Between two that go on having waited in vain. Hundreds of them at once would hold up for as long all who are served,
and then come again at once."""


class StandIns(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Runs requests in so many threads, those that wait apart."""

    def __init__(self, threads: int) -> None:
        """``threads``: for so many requests at the same time."""
        super().__init__()
        self.set_thread_count(threads)
        self._numbers = count(threads)
        self._in_vain = threading.Lock()
        self._warned = False

    def wait(self, future: "Future[Any]", seconds: float) -> None:
        """Wait until the future is done or so many seconds have passed; not at all if there is no thread to be had.

        Of those who have waited in vain one goes on after the other, and waits for longer where there are hundreds.
        """
        if self._one_more():
            try:
                wait_in_thread((future,), seconds)
                if not future.done():
                    with self._in_vain:
                        time.sleep(_APART_S)
            finally:
                self._one_fewer()

    def _one_more(self) -> bool:
        with self.lock:
            if self.stop_count:  # one that was to end stays
                self.stop_count -= 1
                return True
            number = next(self._numbers)
            self.threads.add(number)
            self.active_count += 1
        try:
            self.start_new_thread(self.handler_thread, number)
        except RuntimeError:
            with self.lock:
                self.threads.discard(number)
                self.active_count -= 1
            if not self._warned:
                self._warned = True
                _log.warning(
                    "this system allows no more than %s threads here: allow more, or set [server] auth_threads lower",
                    len(self.threads),
                )
            return False
        return True

    def _one_fewer(self) -> None:
        """Have one end: one that is idle, or else the first that will be."""
        with self.lock:
            self.stop_count += 1
            self.queue_cv.notify()
