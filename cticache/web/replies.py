"""Gives an answer to the client: in the format, and with the status, that its request asks for."""

from falcon import Request, Response

from cticache.errors import Refusal, WrongFields
from cticache.web.answers import Asked, Hit
from cticache.web.formats import as_txt
from cticache.web.formats.choice import PLAIN, Choice, choice

_NOTHING: Asked = ("", "")


def reply(req: Request, resp: Response, hit: Hit) -> None:
    """Answer with a hit, once ``choice`` has been asked."""
    chosen: Choice = req.context.choice
    resp.text = chosen.format.hit(hit)
    if chosen is not PLAIN:
        resp.content_type = chosen.format.MEDIA_TYPE
        if chosen.always_200:
            resp.status = 200


def refuse(req: Request, resp: Response, refusal: Refusal) -> None:
    """Answer with a refusal. It has the format that the request names; a miss that is to be 200, the hit's."""
    try:
        chosen = choice(req)
    except WrongFields:
        chosen = req.context.choice
    is_hit_like = chosen.always_200 and refusal.is_miss
    kind = chosen.format if is_hit_like else chosen.otherwise
    resp.status = 200 if is_hit_like else refusal.status
    resp.text = kind.refusal(refusal, getattr(req.context, "asked", _NOTHING))
    resp.content_type = kind.MEDIA_TYPE
    if kind is as_txt:
        resp.set_header("X-Cticache-Error", refusal.code)
