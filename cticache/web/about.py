"""What the service says of itself: its version, and the document of all that it understands."""

from importlib.metadata import version

from falcon import Request, Response

from cticache.web.allowing import Allowing
from cticache.web.openapi.document import API, text

_SAYS = {"version": version("cticache"), "api": API}


class Version(Allowing):
    """GET /cticache/version: which version answers, for a client that must tell them apart."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the version of the package, and of what it promises its clients."""
        resp.media = _SAYS

    on_head = on_get


class Document(Allowing):
    """GET /cticache/openapi.json: all of it in OpenAPI 3.1."""

    def __init__(self) -> None:
        self._text = text()

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the document."""
        resp.text = self._text

    on_head = on_get
