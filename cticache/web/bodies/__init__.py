"""Reads a request's body into its fields, whatever it is: a JSON object, XML, a form or multipart.

What it is, its first character tells. The Content-Type is a hint: many a telephone system sends JSON as a form, or
under a type of its own.
"""

from typing import Any

from falcon import Request

from cticache.errors import BadBody, TooLarge, UnsupportedEncoding
from cticache.web.bodies.charsets import decoded
from cticache.web.bodies.elements import children
from cticache.web.bodies.forms import pairs, parts
from cticache.web.bodies.objects import members

_SPACE = " \t\n\r"


class Bodies:
    """Reads bodies of at most so many bytes."""

    def __init__(self, most: int, *, single_quotes: bool = False) -> None:
        self._most = most
        self._single_quotes = single_quotes

    def raw(self, req: Request) -> bytes:
        """The body as it is, whichever server runs the application; TooLarge, or UnsupportedEncoding."""
        if req.env.get("HTTP_CONTENT_ENCODING", "").lower() not in ("", "identity"):
            raise UnsupportedEncoding
        body: bytes | None = getattr(req.context, "raw", None)
        if body is None:
            body = req.context.raw = req.bounded_stream.read(self._most + 1)
        if len(body) > self._most:
            raise TooLarge.beyond(self._most)
        return body

    def fields(self, req: Request, *, may_be_empty: bool = False) -> dict[str, Any]:
        """The fields of the body, ``value`` as JSON text.

        Raises TooLarge and UnsupportedEncoding, UnsupportedType for a charset, BadBody, NotJson or NotXml where it
        cannot be read, and WrongFields where a field is given twice or is no text.
        """
        known: dict[str, Any] | None = getattr(req.context, "fields", None)
        if known is not None:
            return known
        body = self.raw(req)
        if may_be_empty and not body.strip():
            return {}
        return parse(req.content_type or "", body, single_quotes=self._single_quotes)


def parse(content_type: str, raw: bytes, *, single_quotes: bool = False) -> dict[str, Any]:
    """The fields of a body of this Content-Type, ``value`` as JSON text; raises what ``Bodies.fields`` does."""
    if content_type[:10].lower() == "multipart/":
        return parts(content_type, raw)
    text, charset = decoded(content_type, raw)
    begin = text[:1]
    if begin in _SPACE:
        begin = text.lstrip(_SPACE)[:1]
    if begin == "{":
        return members(text, single_quotes=single_quotes)
    if begin == "<":
        return children(text.lstrip(_SPACE))
    if "=" in text:
        return pairs(text, charset)
    raise BadBody(
        "The body is neither a JSON object, nor XML, nor a form: it begins with none of { and <, and has no =."
        if begin
        else "The body is empty."
    )
