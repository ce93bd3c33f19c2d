"""The Falcon application: routes, and every error as the JSON object that clients test for."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import falcon
from falcon import Request, Response

from cticache.access.networks import NOWHERE, Networks, client_address
from cticache.access.passwords import Verifier
from cticache.data.follower import InPlace
from cticache.data.outage import Outage
from cticache.data.store import Store
from cticache.errors import (
    BadRequest,
    Internal,
    NoSuchMethod,
    NoSuchUrl,
    Refusal,
    UnsupportedEncoding,
    WrongCredentials,
)
from cticache.handover import HandOver, Wait
from cticache.journal.counts import Counts, Sums
from cticache.logs import Unsaid
from cticache.numbering.pools import Pools
from cticache.operate.desk import Desk, Question
from cticache.web.about import Document, Version
from cticache.web.audit import Audit, became
from cticache.web.auth import Authentication, challenges
from cticache.web.bodies import Bodies
from cticache.web.calls import CALLS, Call, Calls, Take, TakeByGet, told_of_get
from cticache.web.figures import Ask, AtAGlance, Explain, Metrics, PoolFigures
from cticache.web.formats import as_json
from cticache.web.formats.choice import FORMATS, SUFFIX
from cticache.web.front import STRICT, Front, Leniency
from cticache.web.leases import Leases, Release
from cticache.web.origin import TRUSTED
from cticache.web.page.resource import REFRESH, Page, Part, Refresh
from cticache.web.page.shown import View, answer
from cticache.web.probes import Health, Ready
from cticache.web.replies import refuse
from cticache.web.same_origin import SameOrigin

_log = logging.getLogger(__name__)

_PROBES = frozenset({"/healthz", "/readyz"})
_BELOW_CALLS = CALLS + "/"
_JSON = as_json.MEDIA_TYPE
_ALWAYS = [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
"""Headers of every answer: no cache may keep a caller's data, and no browser may guess what it is."""
_OF_FALCON: dict[int, type[Refusal]] = {kind.status: kind for kind in (NoSuchUrl, NoSuchMethod)}
"""What falcon's own refusals become, by their status; any other becomes a BadRequest."""


def create_app(
    store: Store,
    pools: Pools,
    verifier: Verifier,
    keeper: InPlace,
    *,
    audit: Audit,
    max_body: int,
    reads: Leniency = STRICT,
    proxies: Networks = NOWHERE,
    is_ending: Callable[[], bool] = lambda: False,
    ask: Ask | None = None,
    refresh: Refresh = REFRESH,
    wait: Wait | None = None,
) -> "falcon.App[Request, Response]":
    """The service as a WSGI application; it opens nothing and reads no configuration.

    ``ask`` tells the figures of the whole service; without it those are told that this application has. ``refresh``
    is how the operator's page is kept up to date. ``wait`` is how a request waits for a future.
    """
    ask = ask or _asked_here(store, pools, keeper, audit.counts)
    bodies = Bodies(max_body, single_quotes=reads.single_quotes)
    same_origin = SameOrigin(reads.origins)
    app = _App(media_type=_JSON, middleware=[audit, Authentication(verifier, _PROBES), Front(bodies, same_origin)])
    app.proxies, app.audit = proxies, audit
    app.resp_options.media_handlers[_JSON] = falcon.media.JSONHandler()
    calls = HandOver(store, pools, keeper, wait) if wait else HandOver(store, pools, keeper)
    call = Call(calls, bodies)
    take = TakeByGet(calls, bodies, same_origin) if reads.get_writes else Take(calls, bodies)
    app.add_route(CALLS, Calls(calls, bodies, same_origin if reads.get_writes else None))
    app.add_route(CALLS + "/take", take)
    app.add_route(CALLS + "/{key}", call)
    app.add_route(CALLS + "/{key}/take", take)
    app.add_route(CALLS + "/{key}/{ani}", call)
    app.add_route(CALLS + "/{key}/{ani}/take", take)
    figures = PoolFigures(store, pools, ask)
    app.add_route("/cticache/pools", figures)
    app.add_route("/cticache/pools/{name}", figures, suffix="one")
    glance, leases = AtAGlance(pools, ask), Leases(store, pools, audit)
    explain = Explain(store, pools, keeper, audit, bodies)
    page = Page(glance, explain, leases, bodies, refresh)
    app.add_route("/cticache", page)
    app.add_route("/cticache/", page)
    app.add_route("/cticache/page.js", Part("page.js", "text/javascript; charset=utf-8"))
    app.add_route("/cticache/page.css", Part("page.css", "text/css; charset=utf-8"))
    app.add_route("/cticache/status", glance)
    app.add_route("/cticache/explain", explain)
    app.add_route("/cticache/leases", leases)
    app.add_route("/cticache/release", Release(store, pools, bodies))
    app.add_route("/cticache/version", Version())
    app.add_route("/cticache/openapi.json", Document())
    app.add_route("/metrics", Metrics(pools, ask))
    app.add_route("/healthz", Health())
    app.add_route("/readyz", Ready(store, pools, keeper, is_ending))
    app.add_error_handler(Exception, _internal)
    app.add_error_handler(falcon.HTTPError, _falcon_error)
    app.add_error_handler(Refusal, _refusal)
    return app


def _asked_here(store: Store, pools: Pools, keeper: InPlace, counts: Counts) -> Ask:
    """Asks a desk of this application's own."""
    sums = Sums()
    desk = Desk(store, pools, sums, condition=lambda: keeper.condition)

    def ask(question: Question | View) -> bytes | Outage | None:
        sums.add(counts.told(1, 0, {}, {}))
        return answer(desk, question)

    return ask


class _App(falcon.App[Request, Response]):
    """Routes by the path as it was sent, so that an escaped slash in a key does not split it."""

    proxies = NOWHERE
    """Those whose word on where a request came from is believed."""
    audit: Audit
    """Who tells of requests."""

    def refused(self, refusal: Refusal, peer: str, headers: Mapping[str, str], method: str) -> str:
        """Tell of a request that the server refused by itself; the id to answer it with.

        ``headers`` are those that were read by then, under their names in capitals with underscores.
        """
        request_id = self.audit.ids.of(headers.get("X_REQUEST_ID"))
        origin = client_address(peer, headers.get("X_FORWARDED_FOR", ""), self.proxies)
        told = method if method in falcon.COMBINED_METHODS else ""
        self.audit.refused.count(refusal)
        self.audit.refused.log(refusal, request_id, address=origin, method=told)
        return request_id

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        env[TRUSTED] = self.proxies
        path = _escaped_path(env)
        env["PATH_INFO"] = _without_suffix(env, path) if "." in path and path.startswith(CALLS) else path

        def begin(status: str, headers: list[tuple[str, str]], _exc_info: Any = None, /) -> Any:
            headers += _ALWAYS
            return start_response(status, headers)

        return super().__call__(env, begin)


def _without_suffix(env: dict[str, Any], path: str) -> str:
    """The path without the format that it ends in; that is noted in the environment."""
    front, _, suffix = path.rpartition(".")
    if suffix.lower() not in FORMATS or not (front == CALLS or front.startswith(_BELOW_CALLS)) or "/" in suffix:
        return path
    env[SUFFIX] = suffix.lower()
    return front


def _escaped_path(env: dict[str, Any]) -> str:
    """The path as it was sent; made from the raw URI if the server passes it on.

    A rule that a proxy has for a path must mean that path, so no other spelling leads there. Only below CALLS, where
    the path is what a telephone system made of its numbers, each segment comes in one spelling, whichever was sent, and
    one slash at the end is left out.
    """
    raw = env.get("REQUEST_URI") or env.get("RAW_URI")
    if raw and not raw.startswith("/"):  # RFC 9112 section 3.2.2, the absolute form
        raw = "/" + raw.partition("://")[2].partition("?")[0].partition("/")[2]
    path: str = raw.partition("?")[0] if raw else quote(env["PATH_INFO"].encode("latin-1"), safe="/:")
    if path.startswith("//"):  # Falcon would leave out all but one of them
        return "/%2F" + path[2:]
    if not path.startswith(_BELOW_CALLS):
        return path
    path = path.removesuffix("/")
    if "%" not in path and path.isascii():
        return path
    return "/".join(quote(unquote_to_bytes(segment.encode("latin-1")), safe=":@+") for segment in path.split("/"))


def _refusal(req: Request, resp: Response, refusal: Refusal, _params: dict[str, Any]) -> None:
    _answer(req, resp, refusal)
    if refusal.retry_after is not None:
        resp.retry_after = refusal.retry_after
    if isinstance(refusal, UnsupportedEncoding):
        resp.set_header("Accept-Encoding", "identity")  # RFC 9110 section 12.5.3
    if isinstance(refusal, WrongCredentials):
        resp.set_header("WWW-Authenticate", challenges(req))


def _falcon_error(req: Request, resp: Response, error: falcon.HTTPError, _params: dict[str, Any]) -> None:
    kind = _OF_FALCON.get(error.status_code, BadRequest)
    _answer(req, resp, kind(told_of_get(req.method, req.uri_template) if kind is NoSuchMethod else ""))
    resp.set_headers(error.headers or {})


def _internal(req: Request, resp: Response, error: Exception, _params: dict[str, Any]) -> None:
    """Log where it happened, without the message: it may quote a caller's data."""
    unsaid = Unsaid(type(error).__name__)
    _log.error("%s in %s", unsaid, req.method, exc_info=(Unsaid, unsaid, error.__traceback__))
    _answer(req, resp, Internal())


def _answer(req: Request, resp: Response, refusal: Refusal) -> None:
    became(req, refusal.code)
    req.context.refusal = refusal  # the audit tells of it
    refuse(req, resp, refusal)
