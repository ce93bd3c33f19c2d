"""The audit: one line in the log for each operation on a call, to tell hours later where a call's data went.

A line has the request's id, the user, what was asked, pool, DNIS, the ANI's last digits and a digest of it, the token
of the lease and the outcome; never a value. The digest is keyed (BLAKE2b, RFC 7693), since there are so few telephone
numbers that a plain hash could be reversed. With a configured key it is the same in every process and after a restart.
"""

import hashlib
import itertools
import logging
import re
import secrets
from typing import Any

from falcon import Request, Response

from cticache.logs import AUDIT
from cticache.numbering.ani import masked

_log = logging.getLogger(AUDIT)
_REQUEST_ID = re.compile(r"[!-~]{1,64}")
_HEADER = "HTTP_X_REQUEST_ID"


class Audit:
    """Falcon middleware: gives each request an id, the client's own if it sent one, and writes the line."""

    def __init__(self, key: str = "", *, enabled: bool = True) -> None:
        self._key = hashlib.blake2b(key.encode() or secrets.token_bytes(32)).digest()
        self._enabled = enabled
        self._process = secrets.token_hex(5)
        self._count = itertools.count(1)

    def digest(self, ani: str) -> str:
        """16 hex digits that stand for a canonical ANI; a withheld one has none."""
        return hashlib.blake2b(ani.encode(), key=self._key, digest_size=8).hexdigest() if ani else "withheld"

    def logged(self, ani: str) -> str:
        """The digest that the log has of an ANI; empty where nothing is logged."""
        return self.digest(ani) if self._enabled else ""

    def process_request(self, req: Request, _resp: Response) -> None:
        """Find the request's id."""
        sent = req.env.get(_HEADER)
        # The id may be guessed, so a count will do: asking the system for random bytes takes longer than all the rest.
        told = sent and _REQUEST_ID.fullmatch(sent)
        req.context.request_id = sent if told else f"{self._process}{next(self._count):06x}"

    def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Write the line of an operation on a call; a client that sent an id gets it back."""
        if req.env.get(_HEADER) == req.context.request_id:
            resp.set_header("X-Request-Id", req.context.request_id)
        call: dict[str, Any] | None = getattr(req.context, "call", None)
        if not call or not self._enabled:
            return
        ani = call["ani"]
        _log.info(
            "id=%s user=%s op=%s pool=%s dnis=%s ani=%s digest=%s token=%s outcome=%s status=%s",
            req.context.request_id,
            req.context.user.name,
            call["op"],
            call["pool"],
            call["dnis"] or "-",
            masked(ani) if ani else "withheld",
            self.digest(ani),
            call.get("token", "-"),
            call.get("outcome", "-"),
            resp.status_code,
        )


def about(req: Request, op: str, pool: str, dnis: str, ani: str) -> None:
    """Note what the request is about, before it is carried out; the ANI in canonical form."""
    req.context.call = {"op": op, "pool": pool, "dnis": dnis, "ani": ani}


def told(req: Request) -> bool:
    """Whether ``about`` has been noted for the request."""
    return hasattr(req.context, "call")


def became(req: Request, outcome: str, **more: str) -> None:
    """Note what became of the request: a word, and the token of the lease."""
    if told(req):
        req.context.call.update(more, outcome=outcome)
