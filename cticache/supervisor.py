"""Tells systemd, which may have started the service, how it is: words of sd_notify(3), to the socket that it names."""

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_log = logging.getLogger(__name__)

_PATIENCE_S = 1.0
"""How long systemd may take to take a word."""


class Supervisor:
    """Who waits to hear that the service is ready; nobody, where no socket is named."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """NOTIFY_SOCKET is a path, or a name in the abstract namespace after an @; WATCHDOG_USEC is in microseconds."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environment.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(period) / 1e6 if watched and re.fullmatch("[0-9]{1,18}", period) else 0.0
        self._told_at = 0.0

    def ready(self, status: str) -> None:
        """The port is open; ``status`` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={status}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Within it another configuration is taken into force."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._tell("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", "STATUS=stops")

    def lives(self) -> None:
        """All goes on; to be called often, of which as much is told as systemd's watchdog needs."""
        now = time.monotonic()
        if self._watchdog_s and now - self._told_at >= self._watchdog_s / 4:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, *words: str) -> None:
        if sys.platform == "win32" or not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
                told.settimeout(_PATIENCE_S)
                told.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            _log.warning("systemd cannot be told %s over NOTIFY_SOCKET: %s", words[0], error.strerror or error)
