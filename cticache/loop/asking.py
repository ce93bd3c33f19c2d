"""A question of a request to whoever has the overview, and how the request waits for the answer."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cticache.loop.upward import Upward

Wait = Callable[["Future[Any]", float], None]
"""Returns when the future is done or so many seconds have passed."""


class Asking:
    """Asks for the requests of one process."""

    def __init__(self, upward: Upward, wait: Wait, most_s: float) -> None:
        """``most_s``: how many seconds a request waits for its answer."""
        self._upward = upward
        self._wait = wait
        self.most_s = most_s
        """As above; it may be changed."""

    def __call__(self, question: Any) -> Any:
        """The answer; None where there is none, or none in time."""
        answer = self._upward.ask(question)
        self._wait(answer, self.most_s)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None
