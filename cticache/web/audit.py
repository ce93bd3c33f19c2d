"""The audit: one line in the log for each operation on a call, to tell hours later where a call's data went.

A line has the request's id, the user, what was asked, pool, DNIS, the ANI's last digits and a digest of it, the token
of the lease, the outcome and the time it took, for how long a lease lasts, and where that is a refusal the client's
address; never a value. As JSON it has the address, the method and the route in any case. The digest is keyed (BLAKE2b,
RFC 7693), since there are so few telephone numbers that a plain hash could be reversed. With a configured key it is the
same in every process and after a restart.
"""

import hashlib
import logging
import re
import secrets
from time import perf_counter
from typing import Any

from falcon import COMBINED_METHODS, Request, Response

from cticache.errors import NoSuchCall, Refusal, TooManyLive
from cticache.journal.counts import Counts
from cticache.journal.ids import RequestIds
from cticache.journal.notices import Notices
from cticache.journal.refused import Refused
from cticache.logs import AUDIT, Fields
from cticache.numbering.ani import masked
from cticache.numbering.numbers import MAX_DIGITS
from cticache.web.origin import address

_log = logging.getLogger(AUDIT)
NO_POOL = "-"
"""What stands for the pool of a request where no place was asked: its number is in none, or it cannot be read."""
_LONGEST_EXTENSION = 5
"""Digits of a number that is nobody's outside."""
_NOT_IN_A_NUMBER = re.compile(r"[^0-9+]")
_HEADER = "HTTP_X_REQUEST_ID"
_CALL = ("id", "user", "op", "pool", "dnis", "ani", "digest", "token", "outcome", "status")
_WHAT = "an operation on a call"
_DONE, _NOT_DONE = Fields(_WHAT, *_CALL, "ms"), Fields(_WHAT, *_CALL, "ms", "address")
_LASTS = Fields(_WHAT, *_CALL, "ttl", "ms")
_IN_FULL = Fields(_WHAT, *_CALL, "ttl", "ms", "address", "method", "route")


class Audit:
    """Falcon middleware: gives each request an id, the client's own if it sent one, and writes its line.

    A request that is refused leaves a line even if it is about no call, or no audit is wanted.
    """

    def __init__(
        self,
        key: str = "",
        *,
        enabled: bool = True,
        in_full: bool = False,
        refused: Refused | None = None,
        counts: Counts | None = None,
        notices: Notices | None = None,
    ) -> None:
        """``in_full``: whether each line has the address, method and route. ``counts`` learns of every answer."""
        secret = hashlib.blake2b(key.encode() or secrets.token_bytes(32)).digest()
        self._keyed = hashlib.blake2b(key=secret, digest_size=8)
        self._enabled = enabled
        self._in_full = in_full
        self.ids = RequestIds()
        self.counts = counts or Counts()
        self.refused = refused or Refused(counts=self.counts)
        self._notices = notices or Notices()

    def digest(self, ani: str) -> str:
        """16 hex digits that stand for a canonical ANI; a withheld one has none."""
        if not ani:
            return "withheld"
        made = self._keyed.copy()
        made.update(ani.encode())
        return made.hexdigest()

    def logged(self, ani: str) -> str:
        """The digest that the log has of an ANI; empty where nothing is logged."""
        return self.digest(ani) if self._enabled else ""

    def process_request(self, req: Request, _resp: Response) -> None:
        """Find the request's id; its time begins."""
        req.context.began = perf_counter()
        req.context.request_id = self.ids.of(req.env.get(_HEADER))

    def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Give the client the request's id; count the answer; write the line of an operation, or of a refusal."""
        context = req.context
        took_s = perf_counter() - context.began
        self.counts.answered(req.uri_template, req.method, resp.status, took_s)
        request_id = context.request_id
        resp.set_header("X-Request-Id", request_id)
        call: dict[str, Any] | None = getattr(req.context, "call", None) if self._enabled else None
        # Its traceback leads back to this request: if it were kept, both would wait for the garbage collector.
        refusal: Refusal | None = req.context.pop("refusal", None)
        if refusal:
            self.refused.count(refusal)
            self._notice(req, refusal)
        if call:
            self._write(req, resp, call, took_s, is_refused=refusal is not None)
        elif refusal:
            self.refused.log(
                refusal,
                request_id,
                address=address(req),
                user=req.context.user.name if hasattr(req.context, "user") else getattr(req.context, "tried", ""),
                method=_method(req),
                route=req.uri_template or "",
                ms=_ms(took_s),
            )

    def _notice(self, req: Request, refusal: Refusal) -> None:
        """Warn of a refusal by which a system shows that it is set up wrongly."""
        call: dict[str, Any] | None = getattr(req.context, "call", None)
        if call and isinstance(refusal, TooManyLive):
            self._notices.over_max_live(req.context.user.name, call["pool"])
        elif call and isinstance(refusal, NoSuchCall) and call["pool"] == NO_POOL:
            self._notices.of_no_pool(req.context.user.name, call["dnis"])

    def _write(self, req: Request, resp: Response, call: dict[str, Any], took_s: float, *, is_refused: bool) -> None:
        for dnis, ani, token in call.get("each", ()):
            one = call | {"dnis": dnis, "ani": ani, "token": token}
            self._line(req, resp, one, took_s, is_refused=is_refused)
        self._line(req, resp, call, took_s, is_refused=is_refused)

    def _line(self, req: Request, resp: Response, call: dict[str, Any], took_s: float, *, is_refused: bool) -> None:
        ani: str | None = call["ani"]
        told = (
            req.context.request_id,
            req.context.user.name,
            call["op"],
            call["pool"],
            call["dnis"] or "-",
            "-" if ani is None else masked(ani) if ani else "withheld",
            "-" if ani is None else self.digest(ani),
            call.get("token", "-"),
            call.get("outcome", "-"),
            resp.status_code,
        )
        ttl, ms = call.get("ttl", "-"), _ms(took_s)
        if self._in_full:
            _log.info(_IN_FULL, *told, ttl, ms, address(req) or "-", _method(req) or "-", req.uri_template or "-")
        elif is_refused:
            _log.info(_NOT_DONE, *told, ms, address(req) or "-")
        elif "ttl" in call:
            _log.info(_LASTS, *told, ttl, ms)
        else:
            _log.info(_DONE, *told, ms)


def _ms(seconds: float) -> float:
    """Milliseconds, to a tenth."""
    return int(seconds * 10_000) / 10


def _method(req: Request) -> str:
    """The method, if it is one of HTTP's own: any other is a client's text."""
    return req.method if req.method in COMBINED_METHODS else ""


def shown(number: str, *, is_ours: bool = True) -> str:
    """What a client sent for a number, fit for a line of the log: whole only if it is one of a pool, or so short."""
    fit = _NOT_IN_A_NUMBER.sub("?", number)[:MAX_DIGITS]
    # It may be the ANI, where a client has the two the wrong way round.
    return fit if is_ours or len(fit) <= _LONGEST_EXTENSION else masked(fit)


def about(req: Request, op: str, pool: str, dnis: str, ani: str | None) -> None:
    """Note what the request is about, before it is carried out; the ANI in canonical form, None where none is said."""
    req.context.call = {"op": op, "pool": pool, "dnis": dnis, "ani": ani}


def told(req: Request) -> bool:
    """Whether ``about`` has been noted for the request."""
    return hasattr(req.context, "call")


def each_ended(req: Request, calls: list[tuple[str, str, str]]) -> None:
    """Note the calls that the request has ended, which have lines of their own: DNIS, ANI and token of each."""
    if told(req):
        req.context.call["each"] = calls


def became(req: Request, outcome: str, **more: str | int) -> None:
    """Note what became of the request: a word, the token of the lease and, in s, for how long it lasts from now."""
    if told(req):
        req.context.call.update(more, outcome=outcome)
