"""waitress as this service wants it: a stricter parser, answers in one piece, and its own refusals as JSON too.

Undocumented parts of waitress 3.0 that are used here, for which pyproject.toml pins it: a channel's parser_class,
task_class, error_task_class, requests, request, server.application, addr and write_soon; a parser's command and
headers; a task's execute, set_close_on_finish, close_on_finish, build_response_header, get_environment, status,
version, response_headers, content_length, complete and wrote_header.
"""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import monotonic
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import Error, build_http_date

from cticache.errors import BadRequest, HeadersTooLarge, Internal, Refusal, TooLarge, UnsupportedCoding
from cticache.loop.ending import Ending
from cticache.loop.listen import BACKLOG
from cticache.loop.parser import Parser, Refused

_OF_WAITRESS = {kind.status: kind for kind in (BadRequest, TooLarge, HeadersTooLarge, Internal, UnsupportedCoding)}
"""What waitress's own refusals become, by their status."""
_OUT_OF_REACH = 1 << 60
"""A limit that nothing reaches."""
_TELL_NOTHING = frozenset({"400", "401", "408", "413", "414", "417", "429", "431", "500", "501", "505"})
"""The statuses of requests that anybody may have sent."""


class _Task(WSGITask):  # type: ignore[misc]
    """Runs an application that calls start_response once, before it returns its whole body."""

    _head = ""
    """The status line and the headers that the application gave, on a connection that stays open."""

    def execute(self) -> None:
        """Have the application answer, and send the answer in one piece."""
        application: Callable[..., Iterable[bytes]] = self.channel.server.application
        body = b"".join(application(self.get_environment(), self._start_response))
        self.content_length = len(body)
        head = self.build_response_header()
        self.wrote_header = True
        self.channel.answering(self.status)
        self.channel.write_soon(head + body)

    def build_response_header(self) -> bytes:
        """Status line and headers; in one pass, unless waitress must decide whether the connection stays open."""
        if self.channel.ending.letting_go and len(self.channel.requests) == 1 and not self.channel.request:
            _close_afterwards(self)  # it is the last of those that have come on this connection
        persists = self.version == "1.1" and not self.request.connection_close and not self.close_on_finish
        says_its_end = "\r\nContent-Length: " in self._head or self.status.startswith("204")  # RFC 9110 section 8.6
        if not persists or not says_its_end:
            head: bytes = super().build_response_header()
            return head
        return f"{self._head}\r\n{_date(int(time.time()))}\r\n\r\n".encode("latin-1")

    def _start_response(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        lines = [f"HTTP/1.1 {status}", *[f"{_titled(name)}: {value}" for name, value in headers]]
        self._head = "\r\n".join(lines)
        if not self._head.count("\r") == self._head.count("\n") == len(lines) - 1:
            raise ValueError("a header of the answer holds a line's end")
        self.status = status
        self.response_headers = headers
        self.complete = True


@lru_cache(64)
def _titled(name: str) -> str:
    """A header's name in the spelling that old clients know."""
    return "-".join(part.capitalize() for part in name.split("-"))


@lru_cache(1)
def _date(now: int) -> str:
    return f"Date: {build_http_date(now)}"


def _close_afterwards(task: Task) -> None:
    """Close the connection with this answer, and say so alone: waitress would tell an old client the contrary, too."""
    task.request.headers.pop("CONNECTION", None)
    task.set_close_on_finish()


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        error = self.request.error
        status, _, _ = error.to_response()
        refusal = error.refusal if isinstance(error, Refused) else self._of_waitress(error)
        body = refusal.body().encode()
        self.status = status
        self.response_headers += [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        # After a fault of the application waitress answers another request than the one that it was in.
        asked = next(iter(self.channel.requests), self.request)
        # An application of ours is told of what never reached it, and says which id the request has.
        if refused := getattr(self.channel.server.application, "refused", None):
            request_id = refused(refusal, self.channel.addr[0], asked.headers, asked.command)
            self.response_headers.append(("X-Request-Id", request_id))
        _close_afterwards(self)
        self.channel.cut_short = asked is self.request  # otherwise it had come whole
        self.content_length = len(body)
        self.channel.answering(self.status)
        self.write(b"" if asked.command == "HEAD" else body)  # RFC 9110 section 9.3.2

    def _of_waitress(self, error: Error) -> Refusal:
        kind = _OF_WAITRESS.get(error.code, BadRequest)
        if kind is TooLarge:
            return TooLarge.beyond(self.channel.adj.max_request_body_size - 1)
        return BadRequest(f"{BadRequest.says} {error.body}") if kind is BadRequest else kind()


class Channel(HTTPChannel):  # type: ignore[misc]
    """A client's connection. Times are those of time.monotonic()."""

    ending = Ending()
    """When its loop is to end, which it is told in the class that its loop makes; otherwise never."""
    request: Parser | None
    parser_class = Parser
    task_class = _Task
    error_task_class = _ErrorTask
    since = 0.0
    """When its last whole request was answered, or when it came in."""
    answered = False
    """Whether one has been answered."""
    known = False
    """Whether one of its requests was understood and had the right credentials, or needed none."""
    cut_short = False
    """Whether its last answer may have been given before the request had come whole."""
    lingers_until = 0.0
    """When it need not be waited for any longer that its client closes, after the last answer; otherwise 0."""
    site = ""
    """Under which address it is counted; empty where it is not."""
    sending = 0.0
    """When an answer was last seen that it had not read."""
    _owed = (0.0, 0, 0, 0.0)
    """Since when it is to read an answer, how much that was, how much is left, and since when it is no less."""

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress's own
        """Leave the loop, and the door's book."""
        super().del_channel(map)
        self.server.door.left(self)

    def answering(self, status: str) -> None:
        """Note that a whole request is answered, before the answer is written."""
        self.since = monotonic()
        self.answered = True
        self.known |= status[:3] not in _TELL_NOTHING
        self.server.door.heard(self)

    def dismiss(self) -> None:
        """Close the connection now: another client needs its place, or its time is over."""
        self.handle_close()

    def give_up(self, refusal: Refusal) -> None:
        """Answer a request that is not whole with a refusal, and close the connection."""
        with self.requests_lock:
            request, self.request = self.request, None
            assert request  # noqa: S101 - for the type checker
            request.refuse(refusal)
            self.requests.append(request)
            self.server.add_task(self)

    def reads_slowly(self, now: float, silent_s: float, least: int) -> bool:
        """Whether nothing of its answer was read for so long, or fewer bytes a second than ``least`` all the while."""
        left = self.total_outbufs_len
        since, whole, before, moved = self._owed
        if since != self.since:
            since, whole, before, moved = self.since, left, left, self.since
        elif left < before:
            before, moved = left, now
        self._owed = since, whole, before, moved
        return now - moved > silent_s or now - since > silent_s + whole / least


def change(server: BaseWSGIServer, app: Any, max_body: int) -> None:
    """Have the requests that come from now on served by another application, with bodies up to another limit."""
    adjusted = adjustments(max_body)
    for name in ("max_request_body_size", "inbuf_overflow"):
        setattr(server.adj, name, adjusted[name])
    server.application = app


def adjustments(max_body: int, **chosen: Any) -> dict[str, Any]:
    """waitress's settings for this service, with those that the configuration chooses."""
    return {
        "ident": None,
        "backlog": BACKLOG,
        "max_request_body_size": max_body + 1,  # waitress refuses a body of exactly its limit
        "max_request_header_size": 16384,
        "inbuf_overflow": max(max_body + 1, 65536),  # a caller's data never goes to a file
        "outbuf_overflow": _OUT_OF_REACH,
        "connection_limit": _OUT_OF_REACH,  # the door has its own, and its own times
        "channel_timeout": _OUT_OF_REACH,
        "clear_untrusted_proxy_headers": False,
        **chosen,
    }
