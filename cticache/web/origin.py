"""Where a request came from: the client's address, worked out only where it is asked for."""

from falcon import Request

from cticache.access.networks import client_address

TRUSTED = "cticache.trusted"
"""The name, in a request's WSGI environment, of the networks of the proxies that are believed."""


def address(req: Request) -> str:
    """The client's address; empty when the server does not tell it. Kept in ``req.context.address``."""
    known: str | None = getattr(req.context, "address", None)
    if known is None:
        env = req.env
        known = client_address(env.get("REMOTE_ADDR") or "", env.get("HTTP_X_FORWARDED_FOR") or "", env[TRUSTED])
        req.context.address = known
    return known
