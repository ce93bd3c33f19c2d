"""What a process that serves knows of how the pools are kept in place."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import NamedTuple, Protocol

from cticache.data.clock import Clocks
from cticache.data.condition import Condition
from cticache.data.format import Bar
from cticache.numbering.pools import Pools


class News(NamedTuple):
    """What a worker is told."""

    condition: Condition
    """How the pools are."""
    ahead: Mapping[str, float]
    """By how many ms the clock of Redis is ahead of the steady one, for each."""
    leaving: Mapping[str, list[str]] | None
    """Which numbers are leaving each, once that is known."""
    nth: int = 0
    """Which configuration it is about: how many there were before it in this service."""


class InPlace(Protocol):
    """What the application asks of whoever keeps the pools in place."""

    @property
    def condition(self) -> Condition:
        """How the pools are, as far as this process knows."""

    @property
    def clocks(self) -> Clocks:
        """What is expected of the clocks of Redis."""

    @property
    def bar(self) -> Bar:
        """What keeps this process from asking Redis."""

    @property
    def held(self) -> "Future[None]":
        """Done once all processes serve by the pools of now: until then others know no number that only these have."""

    def wake(self) -> None:
        """Check at once: a pool has turned out not to be in place."""


NOT_HELD: "Future[None]" = Future()
"""Nothing is awaited."""
NOT_HELD.set_result(None)


class Follower:
    """What a worker process knows of its parent's Keeper."""

    def __init__(self, pools: Pools, clocks: Clocks, tell_parent: Callable[[str], None], nth: int = 0) -> None:
        """``nth``: how many configurations there were before the one that these pools are of."""
        self._pools = pools
        self.clocks = clocks
        self.bar = Bar()
        self._tell_parent = tell_parent
        self._nth = nth
        self.held: Future[None] = Future()
        self.condition = Condition()

    def told(self, news: News) -> None:
        """Learn how the pools are, what to expect of the clocks and, if that is known, which numbers are leaving.

        What is about another configuration is not listened to.
        """
        self.bar.learn(news.condition.outage)
        if news.nth != self._nth:
            return
        self.clocks.ahead = news.ahead
        if news.leaving is not None:
            self._pools.set_leaving(news.leaving)
        self.condition = news.condition

    def change(self, pools: Pools, news: News) -> None:
        """Know of these pools from now on, of which this is the news."""
        self._pools, self._nth, self.held = pools, news.nth, Future()
        self.told(news)

    def release(self) -> None:
        """All processes serve by these pools."""
        if not self.held.done():
            self.held.set_result(None)

    def wake(self) -> None:
        """Have the parent check at once."""
        self.condition = replace(self.condition, in_place=False)
        self._tell_parent("wake")
