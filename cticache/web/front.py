"""What is looked at before any resource: the format that is asked for, the verb that is meant, and who has it sent."""

from typing import Any, NamedTuple

from falcon import Request, Response

from cticache.access.origins import NOWHERE, Origins
from cticache.errors import WrongFields
from cticache.web.bodies import Bodies
from cticache.web.formats import as_json
from cticache.web.formats.choice import ANY, PLAIN, SUFFIX, choice
from cticache.web.query import check_detail
from cticache.web.same_origin import SameOrigin
from cticache.web.verbs import override

_OURS = "/cticache"
_CALLS = "/cticache/DNIS-ANI"
_CHANGE_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


class Leniency(NamedTuple):
    """What else is understood, as the configuration has it."""

    origins: Origins = NOWHERE
    get_writes: bool = False
    single_quotes: bool = False


STRICT = Leniency()


class Front:
    """Falcon middleware, after authentication."""

    def __init__(self, bodies: Bodies, same_origin: SameOrigin) -> None:
        self._bodies = bodies
        self._same_origin = same_origin

    def process_request(self, req: Request, _resp: Response) -> None:
        """Refuse what comes from another site's page; let a POST mean another verb.

        Raises CrossOrigin, and what reading a body raises, before anything is done.
        """
        env = req.env
        if not env["QUERY_STRING"] and SUFFIX not in env and env.get("HTTP_ACCEPT", ANY) == ANY:  # the usual case
            req.context.choice = PLAIN
        if req.method in _CHANGE_NOTHING:
            return
        if "HTTP_ORIGIN" in env or "HTTP_SEC_FETCH_SITE" in env:
            self._same_origin.check(req)
        if req.method == "POST" and req.path.startswith(_CALLS):
            override(req, self._bodies)

    def process_resource(self, req: Request, _resp: Response, _resource: object, _params: dict[str, Any]) -> None:
        """Refuse wrong options with WrongFields, among them a format that what is at this URL does not have."""
        if hasattr(req.context, "choice"):  # nothing was asked for
            return
        path = req.path
        if path.startswith(_OURS):
            if choice(req).otherwise is not as_json and not path.startswith(_CALLS):
                raise WrongFields({"format": ["Only json here: the other formats are those of calls."]})
            check_detail(req)
