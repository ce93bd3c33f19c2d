"""Keeps the pages of other sites from changing anything with the credentials that a browser holds.

A browser sends Basic credentials that it has for a site with every request there, whichever page asks for it. It also
says where that page came from (the Fetch standard's Origin, and Fetch Metadata), which no telephone system does.
"""

from falcon import Request

from cticache.access.origins import NOWHERE, Origins
from cticache.errors import CrossOrigin, Forbidden

_OWN_SITES = frozenset({"same-origin", "none"})


class SameOrigin:
    """Refuses what a page of another site has a browser send."""

    def __init__(self, origins: Origins = NOWHERE) -> None:
        self._origins = origins

    def check(self, req: Request) -> None:
        """CrossOrigin for a request of another site's page; the request changes something."""
        env = req.env
        site, origin = env.get("HTTP_SEC_FETCH_SITE"), env.get("HTTP_ORIGIN")
        if site is not None and site.strip().lower() not in _OWN_SITES:
            raise CrossOrigin("A browser sent this for a page of another site, which may change nothing here.")
        if origin is not None and not self._origins.has(origin, env.get("HTTP_HOST", "")):
            raise CrossOrigin(
                "A browser sent this for a page of another origin than the Host. If that is this service behind a "
                "proxy, list its host in [server] origins."
            )


def refuse_prefetch(req: Request) -> None:
    """Forbidden for a request by which a browser or a proxy only prepares for one that may come."""
    for header in ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE"):
        if "prefetch" in req.env.get(header, "").lower():
            raise Forbidden("This would change something, and is only a prefetch.")
