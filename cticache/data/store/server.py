"""The Redis itself: what it says of itself, and what it lets its user do."""

from cticache.data.keys import EVERY_POOL
from cticache.data.replies import Trial, pairs
from cticache.data.store.asking import Asking
from cticache.data.store.services import MOST_SERVICES
from cticache.data.tokens import token as new_token

_TRIED_MS = 1000
"""How long what a trial has written lives if Redis refuses to delete it."""


class Server(Asking):
    """What is asked of the server."""

    def server_info(self) -> dict[str, str]:
        """What the server says of itself, as INFO does; nothing where it does not tell."""
        _, _, text = self._run("server_info", self._keys.server_info(), most_services=MOST_SERVICES)
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def try_out(self, pool: str = EVERY_POOL) -> Trial:
        """Run each command that the scripts use, on keys of this trial's own beside those of a pool, and delete these.

        No service looks at them. Without a pool it is beside what all pools share.
        """
        ran, *refused = self._run("try_out", self._keys.try_out(pool, new_token()), left_ms=_TRIED_MS)
        return Trial(int(ran), dict(pairs(refused)))
