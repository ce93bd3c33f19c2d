"""The verb of a POST that means another one, for clients that can send GET and POST alone."""

from typing import Any

from falcon import Request

from cticache.errors import Refusal, WrongFields
from cticache.web.bodies import Bodies
from cticache.web.query import one

_FIELD = "_method"
_SIGN, _SIGN_IN_UTF_16 = _FIELD.encode(), _FIELD.encode("utf-16-le")[:-1]
"""What a body has in it that has the field; the second in either order of the bytes."""
_VERBS = ("PUT", "DELETE")


def override(req: Request, bodies: Bodies) -> None:
    """Give a POST the verb that it asks for: in X-HTTP-Method-Override, or as _method in its query or its body.

    Its body has been read then, without that field. WrongFields for a verb other than PUT and DELETE, and for two.
    """
    header = req.env.get("HTTP_X_HTTP_METHOD_OVERRIDE")
    in_query = one(req, _FIELD) if req.env["QUERY_STRING"] else None
    in_body = _of_body(req, bodies)
    if header is None and in_query is None and in_body is None:
        return
    said = {str(verb).strip().upper() for verb in (header, in_query, in_body) if verb is not None}
    if len(said) > 1:
        raise WrongFields({_FIELD: ["Given twice, and not the same."]})
    verb = said.pop()
    if verb not in _VERBS:
        raise WrongFields({_FIELD: ["Neither PUT nor DELETE, which are the verbs that a POST can stand for."]})
    req.context.fields = bodies.fields(req, may_be_empty=True)
    req.method = verb


def _of_body(req: Request, bodies: Bodies) -> Any:
    """What the body says; None if nothing, or if it cannot be read.

    The resource then refuses it by itself, if the URL has one and the user may use it, and the log tells which it is.
    """
    try:
        raw = bodies.raw(req)
        if _SIGN not in raw and _SIGN_IN_UTF_16 not in raw:
            return None
        fields = bodies.fields(req)
    except Refusal:
        return None
    said = fields.pop(_FIELD, None)
    req.context.fields = fields
    return said
