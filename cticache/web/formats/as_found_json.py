"""JSON that tells a hit from a miss by its first member, for clients to which both are answered with 200."""

import json
from dataclasses import replace

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit
from cticache.web.formats import as_json

MEDIA_TYPE = as_json.MEDIA_TYPE


def hit(answer: Hit) -> str:
    """The members, after ``found``."""
    return as_json.hit(replace(answer, members=[("found", "true"), *answer.members]))


def refusal(error: Refusal, _asked: Asked) -> str:
    """The object that scripts test for its key ``error``, after ``found``."""
    return json.dumps({"found": False} | error.members(), ensure_ascii=False, separators=(",", ":"))
