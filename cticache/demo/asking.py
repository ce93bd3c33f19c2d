"""Requests to a service, each thread on a connection of its own that is kept."""

import http.client
import json
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TIMEOUT_S = 10.0
_IDLE_S = 5.0
"""For how long a connection may lie idle: the service closes it after [server] idle_timeout."""


class Answer(NamedTuple):
    """What a request came to."""

    status: int
    body: Mapping[str, Any]
    """The object of the answer; empty where there is none."""
    token: str
    """The entity tag with its quotes, which names the lease; empty without one."""
    ms: float
    """Milliseconds from the request to the end of the answer."""

    @property
    def code(self) -> str:
        """The word for what went wrong."""
        return str(self.body.get("error", f"status {self.status}"))

    @property
    def says(self) -> str:
        """What went wrong, in sentences."""
        faults = self.body.get("fields", {}).values()
        return " ".join([str(self.body.get("detail", "It is no answer of cticache.")), *(each[0] for each in faults)])


class Unanswered(Exception):
    """No answer came; the text says why, without a full stop."""


class Service:
    """A running service, asked as one user; to be closed."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """``url``: http or https, host and port, without a path."""
        self._parts = urlsplit(url)
        self._login = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to this; Unanswered without one."""
        connection = self._connection()
        sent = {"Authorization": self._login, **(headers or {})}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        began = time.monotonic()
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request opens it again
            raise Unanswered(str(error) or type(error).__name__) from None
        self._own.last = time.monotonic()
        return Answer(response.status, _object(text), response.headers["ETag"] or "", 1000 * (self._own.last - began))

    def close(self) -> None:
        """Close all connections; no thread may ask any more."""
        for connection in self._opened:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        """That of this thread."""
        if not hasattr(self._own, "connection"):
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            self._own.connection = kind(self._parts.hostname or "", self._parts.port, timeout=_TIMEOUT_S)
            self._own.last = time.monotonic()
            self._opened.append(self._own.connection)
        connection: http.client.HTTPConnection = self._own.connection
        if time.monotonic() - self._own.last > _IDLE_S:
            connection.close()
        return connection


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
