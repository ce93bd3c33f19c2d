"""Every URL and verb of the service: what it does, what it takes, and which refusals it knows."""

from dataclasses import dataclass, replace
from typing import Literal

from cticache.errors import (
    Ambiguous,
    BadBody,
    BadRequest,
    CrossOrigin,
    ExpectationFailed,
    Forbidden,
    ForeignCall,
    Gone,
    HeadersTooLarge,
    Internal,
    KeyReused,
    NoSuchCall,
    NoSuchMethod,
    NoSuchPool,
    NotJson,
    NotReady,
    NotXml,
    PlainHttp,
    PoolExhausted,
    RedisRefuses,
    RedisUnavailable,
    Refusal,
    RequestTimeout,
    Stale,
    Stopping,
    TargetTooLong,
    TooLarge,
    TooManyLive,
    TooManyLogins,
    UnknownMethod,
    UnsupportedCoding,
    UnsupportedEncoding,
    UnsupportedType,
    UnsupportedVersion,
    WrongCredentials,
    WrongFields,
    WrongNetwork,
)

Kinds = tuple[type[Refusal], ...]
Gives = Literal[
    "Leased",
    "Held",
    "either",
    "Pools",
    "Figures",
    "Explained",
    "Leases",
    "Status",
    "Released",
    "metrics",
    "page",
    "script",
    "style",
    "Healthy",
    "Ready",
    "Version",
    "Document",
    "",
]

ON_THE_WIRE: Kinds = (
    *(PlainHttp, RequestTimeout, TargetTooLong, ExpectationFailed, HeadersTooLarge),
    *(UnsupportedCoding, UnknownMethod, UnsupportedVersion),
)
"""What the server refuses before the application sees it, always in JSON."""
_HTTP: Kinds = (*ON_THE_WIRE, BadRequest, TooLarge, Internal)
"""What any request may be answered."""
_USER: Kinds = (WrongCredentials, WrongNetwork, TooManyLogins)
_ROLE: Kinds = (*_USER, Forbidden)
_REDIS: Kinds = (RedisUnavailable, RedisRefuses)
_CALL: Kinds = (*_ROLE, *_REDIS, NotReady, NoSuchCall, Ambiguous, Gone, WrongFields)
_BODY: Kinds = (BadBody, NotJson, NotXml, UnsupportedEncoding, UnsupportedType)
_LEASE: Kinds = (*_ROLE, *_REDIS, NotReady, WrongFields, CrossOrigin, KeyReused, Gone, TooManyLive, PoolExhausted)
_RENEW: Kinds = (*_CALL, *_BODY, CrossOrigin, ForeignCall, Stale)
_TAKE: Kinds = (*_CALL, CrossOrigin, Stale, KeyReused)

CALLS = "/cticache/DNIS-ANI"
_SHOWN = ("format", "status", "detail", "X-Request-Id")
_RETRIED = ("Idempotency-Key", "idempotency_key")
_WHOSE = ("dnis", "ani")


@dataclass(frozen=True)
class Operation:
    """One verb of one URL."""

    summary: str
    gives: Gives
    refusals: Kinds = ()
    parameters: tuple[str, ...] = ()
    body: str = ""
    open: bool = False
    """Whether it needs no user."""
    says: str = ""
    """What else a client must know."""
    statuses: tuple[int, ...] = (200,)
    """Those of what is carried out."""

    @property
    def every_refusal(self) -> Kinds:
        """Those of any request, too."""
        return (*_HTTP, *self.refusals)


_OPTIONS_OF_OURS = Operation("Which verbs the URL has", "", (*_USER, WrongFields), statuses=(204,))
_OPTIONS = Operation("Which verbs the URL has", "", _USER, statuses=(204,))
_OPEN_OPTIONS = Operation("Which verbs the URL has", "", open=True, statuses=(204,))
_READ = Operation("The value of a call, left in place", "Held", _CALL, _SHOWN)
_PEEK = Operation("As GET, without the body; nothing is changed, and the call is not picked up", "Held", _CALL, _SHOWN)
_RENEWAL = Operation(
    "Start a call's time again, with a new value if one is sent", "Held", _RENEW, (*_SHOWN, "If-Match"), "Renew"
)
_END = Operation("Take a call: its value, once", "Held", (*_TAKE, *_BODY), (*_SHOWN, "If-Match", *_RETRIED), "Take")
_POSTED_END = replace(_END, summary="Take a call, for clients that cannot send DELETE")
_GOTTEN_END = Operation(
    "Take a call by GET, if `[server] get_writes` allows it", "Held", (*_TAKE, NoSuchMethod), _END.parameters
)


def _with(operation: Operation, *parameters: str) -> Operation:
    return replace(operation, parameters=(*parameters, *operation.parameters))


def _one_call(*path: str) -> dict[str, Operation]:
    """The verbs of a URL that names a call."""
    verbs = {"get": _READ, "head": _PEEK, "put": _RENEWAL, "delete": _END}
    return {verb: _with(operation, *path) for verb, operation in verbs.items()} | _options(*path)


def _take(*path: str) -> dict[str, Operation]:
    verbs = {"post": _POSTED_END, "get": _GOTTEN_END}
    return {verb: _with(operation, *path) for verb, operation in verbs.items()} | _options(*path)


def _options(*path: str) -> dict[str, Operation]:
    """OPTIONS, which is answered whatever the path names."""
    return {"options": _with(_OPTIONS_OF_OURS, *["any-key", "any-ani"][: len(path)])}


def _shown(get: Operation, options: Operation, *path: str, head: bool = False) -> dict[str, Operation]:
    """The verbs of a URL at which there is something to look at."""
    heads = {"head": replace(get, summary="As GET, without the body")} if head else {}
    return {verb: _with(each, *path) for verb, each in {"get": get, **heads, "options": options}.items()}


_LEASING = Operation(
    "Lease a number, and keep the value",
    "Leased",
    (*_LEASE, *_BODY),
    (*_SHOWN, *_RETRIED),
    "Lease",
    says="The ANI may be in the query instead of the body. With `_method`, PUT or DELETE of the call that is named so.",
    statuses=(201, 200),
)
_READ_OR_LEASE = Operation(
    "The value of a call, left in place; with `value`, lease a number, if `[server] get_writes` allows it",
    "either",
    tuple(dict.fromkeys((*_CALL, *_LEASE, NoSuchMethod))),
    (*_WHOSE, "uui", *_SHOWN, "value", "pool", "ttl", "idempotency_key"),
    says="A call needs dnis and ani, or uui.",
    statuses=(201, 200),
)
_POOLS = Operation("How full each pool is", "Pools", (*_ROLE, *_REDIS, NotReady, WrongFields))
_POOL = Operation("How full a pool is", "Figures", (*_ROLE, *_REDIS, WrongFields, NoSuchPool), ("name",))
_STATUS = Operation(
    "The state of the whole service, as the operator's page shows it",
    "Status",
    (*_ROLE, NotReady, WrongFields, NoSuchPool),
    ("pool-of-status",),
)
_EXPLAIN = Operation(
    "Where a call's data went, step by step; values stay hidden",
    "Explained",
    (*_ROLE, *_REDIS, NotReady, NoSuchCall, WrongFields),
    ("dnis-to-explain", "ani-to-explain"),
)
_POSTED_EXPLAIN = Operation(
    "The same, without an ANI in a URL",
    "Explained",
    (*_EXPLAIN.refusals, *_BODY, CrossOrigin),
    body="Explain",
)
_PAGE = Operation(
    "The operator's page, in HTML, with its script or without",
    "page",
    (*_ROLE, NotReady, WrongFields, NoSuchPool),
    ("pool-of-status",),
    says="Its form and links say more in the query.",
)
_PAGE_WITH_A_CALL = replace(
    _PAGE,
    summary="The operator's page, with where a call's data went",
    refusals=(*_PAGE.refusals, *_BODY, CrossOrigin),
    body="Explain",
    says="Why that cannot be told is in the page, too.",
)
_SCRIPT = Operation("The script of the operator's page", "script", (*_ROLE, WrongFields))
_STYLE = Operation("The style of the operator's page", "style", (*_ROLE, WrongFields))
_LEASES = Operation(
    "Who holds what in a pool: its live leases, those first that end first; values stay hidden",
    "Leases",
    (*_ROLE, *_REDIS, WrongFields, NoSuchPool),
    ("pool-of-leases", "user-of-leases", "dnis-of-leases", "older", "after", "limit"),
    says="A page may be short, or empty, and not be the last: that has null as `after`. A lease whose time is started "
    "again meanwhile may be on two pages, or on none.",
)
_RELEASE = Operation(
    "End a call, or all that a user holds in a pool, without handing the data over",
    "Released",
    (*_ROLE, *_REDIS, *_BODY, WrongFields, NoSuchPool, NoSuchCall, Gone, CrossOrigin),
    body="Release",
    says="The body names a call by `dnis` and `ani`, `token` or both, or a `user`. The ANI must be the very one "
    "that was posted, in any spelling. While `more` is true, send the same again.",
)
_METRICS = Operation("The figures of the service and of the user's pools for Prometheus", "metrics", (*_ROLE, NotReady))
_HEALTH = Operation("Whether the process is up", "Healthy", open=True)
_READY = Operation("Whether a lease would be served", "Ready", (*_REDIS, NotReady, Stopping), open=True)
_VERSION = Operation("Which version answers", "Version", (*_USER, WrongFields))
_DOCUMENT = Operation("This document", "Document", (*_USER, WrongFields))

_OF_THE_PAGE = {"post": _PAGE_WITH_A_CALL, **_shown(_PAGE, _OPTIONS_OF_OURS, head=True)}

OPERATIONS: dict[str, dict[str, Operation]] = {
    CALLS: {
        "post": _LEASING,
        "get": _READ_OR_LEASE,
        "head": replace(_with(_PEEK, *_WHOSE, "uui"), refusals=(*_CALL, NoSuchMethod)),
        "put": _with(_RENEWAL, *_WHOSE),
        "delete": _with(_END, *_WHOSE, "uui"),
        "options": _OPTIONS_OF_OURS,
    },
    CALLS + "/take": {
        "post": _with(_POSTED_END, *_WHOSE, "uui"),
        "get": _with(_GOTTEN_END, *_WHOSE, "uui"),
        "options": _OPTIONS_OF_OURS,
    },
    CALLS + "/{key}": _one_call("key"),
    CALLS + "/{key}/take": _take("dnis-or-key"),
    CALLS + "/{key}/{ani}": _one_call("dnis-in-path", "ani-in-path"),
    CALLS + "/{key}/{ani}/take": _take("dnis-in-path", "ani-in-path"),
    "/cticache/status": _shown(_STATUS, _OPTIONS_OF_OURS),
    "/cticache/pools": _shown(_POOLS, _OPTIONS_OF_OURS),
    "/cticache/pools/{name}": _shown(_POOL, _with(_OPTIONS_OF_OURS, "name")),
    "/cticache/explain": {"post": _POSTED_EXPLAIN, **_shown(_EXPLAIN, _OPTIONS_OF_OURS)},
    "/cticache": _OF_THE_PAGE,
    "/cticache/": _OF_THE_PAGE,
    "/cticache/page.js": _shown(_SCRIPT, _OPTIONS_OF_OURS, head=True),
    "/cticache/page.css": _shown(_STYLE, _OPTIONS_OF_OURS, head=True),
    "/cticache/leases": _shown(_LEASES, _OPTIONS_OF_OURS),
    "/cticache/release": {"post": _RELEASE, "options": _OPTIONS_OF_OURS},
    "/cticache/version": _shown(_VERSION, _OPTIONS_OF_OURS, head=True),
    "/cticache/openapi.json": _shown(_DOCUMENT, _OPTIONS_OF_OURS, head=True),
    "/metrics": _shown(_METRICS, _OPTIONS, head=True),
    "/healthz": _shown(_HEALTH, _OPEN_OPTIONS, head=True),
    "/readyz": _shown(_READY, _OPEN_OPTIONS, head=True),
}
"""URL -> verb -> what that does."""
