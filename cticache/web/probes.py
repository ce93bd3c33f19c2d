"""Whether the process is up, and whether it is ready to serve: for load balancers and whoever starts it."""

from collections.abc import Callable

from falcon import Request, Response

from cticache.data.follower import InPlace
from cticache.data.store import Store
from cticache.data.store.asking import Unread
from cticache.data.store.figures import AT_ONCE
from cticache.errors import NotReady, RedisUnavailable, Stopping
from cticache.link.trouble import NOT_OURS, trouble
from cticache.numbering.pools import Pools
from cticache.web.allowing import Allowing


class Health(Allowing):
    """GET /healthz: the process is up."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer at once, whatever Redis does."""
        resp.media = {"status": "ok"}

    on_head = on_get


class Ready(Allowing):
    """GET /readyz: the pools are in place, Redis answers, and the service is not about to end."""

    def __init__(self, store: Store, pools: Pools, keeper: InPlace, is_ending: Callable[[], bool]) -> None:
        self._store = store
        self._pools = pools
        self._keeper = keeper
        self._is_ending = is_ending

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200 when a lease would be served; 503 while it would not, and at the end.

        Either says what an operator must see.
        """
        if self._is_ending():
            raise Stopping(retry_after=1)
        try:
            self._ask()
        except RedisUnavailable as error:
            raise error.told() from error.__cause__
        condition = self._keeper.condition
        if not condition.in_place:
            raise NotReady(condition.why_not(), retry_after=1)
        notes = dict(condition.notes)
        if condition.outage and condition.outage.trouble.is_away:
            notes.pop("redis", None)  # it was, at the last look, and has just answered
        resp.media = {"status": "ready"} | ({"notes": notes} if notes else {})

    def _ask(self) -> None:
        """Ask Redis of a pool; of others, too, where somebody else has written into a key of that one.

        That costs this pool. A load balancer that took the service for away would have it cost them all.
        """
        first, others = list(self._pools)[:1], list(self._pools)[1:AT_ONCE]
        try:
            self._store.pool_stats(first)
        except RedisUnavailable as error:
            if trouble(error.__cause__) != NOT_OURS:
                raise
            if all(isinstance(each, Unread) for each in self._store.each_pool_stats(others)):
                raise

    on_head = on_get
