"""Which format a request asks for: by its query, else by a suffix of its path, else by Accept."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from falcon import Request

from cticache.errors import Refusal, WrongFields
from cticache.web.answers import Asked, Hit
from cticache.web.formats import as_form, as_found_json, as_json, as_txt, as_vxml, as_xml
from cticache.web.query import one

SUFFIX = "cticache.suffix"
"""The name, in a request's WSGI environment, of the format that its path ends in."""


class Format(Protocol):
    """How an answer is written."""

    MEDIA_TYPE: str

    def hit(self, answer: Hit) -> str:
        """The body of an answer."""

    def refusal(self, error: Refusal, asked: Asked) -> str:
        """The body of a refusal."""


class Choice(NamedTuple):
    """What a request wants of its answer."""

    format: Format
    otherwise: Format
    """That of a refusal; the same, if the request names it."""
    always_200: bool = False
    """Whether a miss is to be 200 and in the format of a hit, for clients that lose the body of a 4xx."""

    def with_200(self) -> "Choice":
        """The same, and a miss is to be 200."""
        return Choice(as_found_json if self.format is as_json else self.format, self.otherwise, always_200=True)


FORMATS: Mapping[str, Format] = {
    "json": as_json,
    "xml": as_xml,
    "vxml": as_vxml,
    "form": as_form,
    "txt": as_txt,
}
PLAIN = Choice(as_json, as_json)
_BY_TYPE = {
    "text/xml": "xml",
    "application/xml": "xml",
    "application/x-www-form-urlencoded": "form",
    "text/plain": "txt",
}
_LONGEST_KEPT = 256
"""Characters of a header whose meaning is kept: longer ones, each another, would fill the memory."""
ANY = "*/*"
_NO_WEIGHT = re.compile(r"0(?:\.0{0,3})?")


def choice(req: Request) -> Choice:
    """What this request wants of its answer, worked out once; WrongFields where it says that wrongly."""
    known: Choice | None = getattr(req.context, "choice", None)
    if known is None:
        req.context.choice = PLAIN  # what the refusal of a wrong format has
        known = req.context.choice = _choice(req)
    return known


def _choice(req: Request) -> Choice:
    suffix, accept = req.env.get(SUFFIX, ""), req.env.get("HTTP_ACCEPT")
    has_query = bool(req.env["QUERY_STRING"])
    if format_name := (_named(req, suffix) if has_query else None) or suffix:
        chosen = Choice(FORMATS[format_name], FORMATS[format_name])
    else:
        chosen = _of_accept(accept) if accept else PLAIN
    if not has_query:
        return chosen
    req.context.choice = chosen  # what the refusal of a wrong status has
    return chosen.with_200() if _wants_200(req) else chosen


def _named(req: Request, suffix: str) -> str | None:
    """The format that the query names, which has a path with this suffix."""
    named = one(req, "format")
    if named not in (None, *FORMATS):
        raise WrongFields({"format": [f"Not one of {', '.join(FORMATS)}."]})
    if named and suffix and named != suffix:
        raise WrongFields({"format": [f"The path ends in .{suffix}, and the query says {named}."]})
    return named


def _wants_200(req: Request) -> bool:
    status = one(req, "status")
    if status not in (None, "200"):
        raise WrongFields({"status": ["Only 200 can be asked for."]})
    return status is not None


def _of_accept(header: str) -> Choice:
    """What a header Accept asks for, which is the same in most requests of a client."""
    return _usual(header) if len(header) <= _LONGEST_KEPT else _read(header)


def _read(header: str) -> Choice:
    """JSON, unless all that is accepted means one and the same other format (RFC 9110 section 12.5.1)."""
    meant = set()
    for accepted in header.lower().split(","):
        media_type, *parameters = (part.strip() for part in accepted.split(";"))
        weights = [value.strip() for name, _, value in (each.partition("=") for each in parameters) if name == "q"]
        if media_type and not (weights and _NO_WEIGHT.fullmatch(weights[0])):
            meant.add(_BY_TYPE.get(media_type, "json"))
    return Choice(FORMATS[meant.pop()], as_json) if len(meant) == 1 else PLAIN


_usual = lru_cache(256)(_read)
