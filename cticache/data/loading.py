"""Loads the scripts at the start, in a thread: Redis may hang, and nobody is to wait for it."""

import logging
import threading
from collections.abc import Callable

from redis.exceptions import RedisError

from cticache.data.scripts import Scripts
from cticache.errors import ScriptError

_log = logging.getLogger(__name__)


class Loading:
    """One attempt to load them. If Redis is away they are loaded when it is back, as they are needed."""

    def __init__(self, scripts: Scripts, then: Callable[[RedisError | None], None] = lambda _met: None) -> None:
        """``then`` is called in the thread with the error that Redis was met with, if there was one.

        It is not called if a script does not compile.
        """
        self._scripts = scripts
        self._then = then
        self._over = threading.Event()
        self.is_done = False
        """Whether they are loaded."""
        self._wrong: ScriptError | None = None
        threading.Thread(target=self._load, name="script-loading", daemon=True).start()

    @property
    def has_failed(self) -> bool:
        """Whether Redis was away; ScriptError if a script does not compile."""
        if self._wrong:
            raise self._wrong
        return self._over.is_set() and not self.is_done

    def _load(self) -> None:
        met: RedisError | None = None
        try:
            self._scripts.load()
            self.is_done = True
        except ScriptError as error:
            _log.error("%s", error)  # when nobody waits any more
            self._wrong = error
        except RedisError as error:
            met = error
        finally:
            self._over.set()
        if not self._wrong:
            self._then(met)
