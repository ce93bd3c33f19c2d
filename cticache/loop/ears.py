"""What all workers say to their parent: each is heard by a thread of its own, and the parent acts on it in one."""

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

_log = logging.getLogger(__name__)

_MOST_ANSWERS = 4
"""Questions of workers that are answered at the same time."""

W = TypeVar("W")
"""Whoever says something."""


class Ears(Generic[W]):
    """What all workers say, heard by a thread each, and who acts on it."""

    def __init__(self, reported: Callable[[Any], None], answer: Callable[[Any], Any], patience_s: float) -> None:
        """``patience_s``: for how many seconds whoever asks waits for the answer."""
        self.reported = reported
        self._answer = answer
        self._patience_s = patience_s
        self._answering = ThreadPoolExecutor(_MOST_ANSWERS, "answer")
        self._said: SimpleQueue[tuple[W, Any]] = SimpleQueue()
        self.bell, self._ringing = multiprocessing.Pipe(duplex=False)
        """Can be read once there is something to look at."""
        self._is_rung = threading.Lock()

    def wake(self) -> None:
        """Have the parent look at once."""
        if self._is_rung.acquire(blocking=False):
            self._ringing.send_bytes(b"!")

    def said(self, worker: W, what: Any) -> None:
        """Keep what a worker has said until it is looked at."""
        self._said.put((worker, what))
        self.wake()

    def looked_at(self) -> list[tuple[W, Any]]:
        """What the workers have said since."""
        if self.bell.poll():
            self.bell.recv_bytes()
            self._is_rung.release()
        return [self._said.get() for _ in range(self._said.qsize())]

    def asked(self, question: Any, tell: Callable[[Any], None]) -> None:
        """Answer a worker's question in a thread; with None where that fails, which is logged."""
        with suppress(RuntimeError):  # at the end nobody is answered any more
            self._answering.submit(self._answered, question, tell, time.monotonic() + self._patience_s)

    def close(self) -> None:
        """Answer nobody any more."""
        self._answering.shutdown(wait=False, cancel_futures=True)
        self.bell.close()
        self._ringing.close()

    def _answered(self, question: Any, tell: Callable[[Any], None], until: float) -> None:
        if time.monotonic() > until:
            return  # nobody waits for it any more: those who do come sooner
        answer = None
        try:
            answer = self._answer(question)
        except Exception:  # noqa: BLE001 - whoever asks must hear that there is no answer
            _log.exception("a question of a worker could not be answered")
        tell(answer)
