"""Ways to ask: the URL, the verb and the body, each said once for all platforms that share it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as escape_xml

from kit.talk import CALLS
from platforms.library import Request
from platforms.platform import Call, Way

Fields = Mapping[str, str]
Body = Callable[[Fields], tuple[str, bytes]]
"""A body of fields: its Content-Type, and its bytes."""
Escape = Callable[[str], str]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
LEASE = ("value", "ani", "pool")
KEYED = (*LEASE, "idempotency_key")
BOTH = ("dnis", "ani")
OVERRIDE = "X-HTTP-Method-Override: DELETE"

percent: Escape = partial(quote, safe="")
plus: Escape = quote_plus
latin: Escape = partial(quote_plus, encoding="iso-8859-1")


def twice(text: str) -> str:
    """Escaped by the program, and once more by the proxy on the way."""
    return percent(percent(text))


def asks(
    method: str,
    where: str = "",
    body: Body | None = None,
    sends: tuple[str, ...] = (),
    *,
    also: Fields | None = None,
    query: tuple[str, ...] = (),
    escape: Escape = percent,
    accept: str = "",
    headers: tuple[str, ...] = (),
) -> Way:
    """Asks at ``where`` below the URL of calls, in which ``{dnis}`` and ``{ani}`` are filled in.

    ``sends`` names the fields of the call that the body has, beside ``also``; ``query`` those in the URL. A header may
    have ``{key}``, the call's idempotency key.
    """

    def ask(call: Call) -> Request:
        target = CALLS + where.format(dnis=escape(call.dnis), ani=escape(call.ani))
        if said := "&".join(f"{name}={escape(text)}" for name, text in _of(call, query).items()):
            target += ("&" if "?" in where else "?") + said
        kind, content = body({**_of(call, sends), **(also or {})}) if body else ("", b"")
        return Request(
            method, target, kind, content, accept, tuple(each.format(key=call.idempotency_key) for each in headers)
        )

    return ask


def _of(call: Call, names: tuple[str, ...]) -> dict[str, str]:
    """These fields of the call; no pool where it leaves the choice to the service."""
    return {name: getattr(call, name) for name in names if name != "pool" or call.pool}


def _json(fields: Fields, *, ascii_only: bool = False, spaced: bool = False) -> tuple[str, bytes]:
    separators = (", ", ": ") if spaced else (",", ":")
    return JSON, json.dumps(fields, ensure_ascii=ascii_only, separators=separators).encode()


json_utf8: Body = _json
json_ascii: Body = partial(_json, ascii_only=True)
json_python: Body = partial(_json, ascii_only=True, spaced=True)


def json_typed_by_hand(fields: Fields) -> tuple[str, bytes]:
    """JSON as somebody writes it into a box of a designer, over lines of its own."""
    members = ",\r\n".join(f'  "{name}" : {json.dumps(text, ensure_ascii=False)}' for name, text in fields.items())
    return JSON, f"{{\r\n{members}\r\n}}".encode()


def json_dotnet(fields: Fields) -> tuple[str, bytes]:
    """As System.Text.Json writes it: escapes for all that HTML knows, and for all beyond ASCII."""
    text = json.dumps(fields, separators=(",", ":")).replace('\\"', "\\u0022")
    for mark in "<>&'+":
        text = text.replace(mark, f"\\u{ord(mark):04X}")
    return JSON + "; charset=utf-8", text.encode()


def json_powershell(fields: Fields) -> tuple[str, bytes]:
    """As ConvertTo-Json of Windows PowerShell 5.1 writes it, sent with a charset, else it would be Latin-1."""
    text = json.dumps(fields, ensure_ascii=False, indent=4, separators=(",", ":  ")).replace("\n", "\r\n")
    for mark in "<>&'":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return JSON + "; charset=utf-8", text.encode()


def single_quoted(fields: Fields) -> tuple[str, bytes]:
    """JSON after an old sample of Genesys, in single quotes; its strings have no quote of either kind."""
    return JSON, ("{ " + ", ".join(f"'{name}' : '{text}'" for name, text in fields.items()) + " }").encode()


def form(escape: Escape = plus, raw: tuple[str, ...] = (), charset: str = "") -> Body:
    """A form; the fields named in ``raw`` are sent as they are."""
    kind = FORM + (f"; charset={charset}" if charset else "")

    def encode(fields: Fields) -> tuple[str, bytes]:
        pairs = (f"{name}={text if name in raw else escape(text)}" for name, text in fields.items())
        return kind, "&".join(pairs).encode("ascii")

    return encode


def multipart(boundary: str, charset: str = "") -> Body:
    """A form of RFC 7578; each part tells its charset where one is given."""
    kind = f"Content-Type: text/plain; charset={charset}\r\n" if charset else ""

    def encode(fields: Fields) -> tuple[str, bytes]:
        parts = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n{kind}\r\n{text}\r\n'
            for name, text in fields.items()
        )
        return f"multipart/form-data; boundary={boundary}", f"{parts}--{boundary}--\r\n".encode()

    return encode


def xml(root: str, kind: str = "application/xml", declared: str = "utf-8", start: str = "") -> Body:
    """A child for each field, in the order of their names; ``declared`` is the encoding, ``start`` in the root's tag.

    A CR is escaped, as every serializer does it: a parser would make an LF of it.
    """
    tag = root.partition(" ")[0]

    def encode(fields: Fields) -> tuple[str, bytes]:
        children = "".join(
            f"<{name}>{escape_xml(text, {chr(13): '&#xD;'})}</{name}>" for name, text in sorted(fields.items())
        )
        text = f'<?xml version="1.0" encoding="{declared}"?><{root}{start}>{children}</{tag}>'
        return kind, text.encode(declared)

    return encode


def data_contract(fields: Fields) -> tuple[str, bytes]:
    """As .NET's DataContractSerializer writes an object: its namespaces, and a nil for what is empty."""
    spaces = (
        ' xmlns="http://schemas.datacontract.org/2004/07/Ivr" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
        ' i:type="Lease"'
    )
    kind, content = xml("Lease", start=spaces)(fields)
    return kind, re.sub(rb"<(\w+)></\1>", rb'<\1 i:nil="true"/>', content)


def typed(body: Body, kind: str) -> Body:
    """The same bytes under another Content-Type; none where it is empty."""
    return lambda fields: (kind, body(fields)[1])


def own_type(way: Way) -> Way:
    """The type among the added lines, first, where curl has one that it was given."""

    def ask(call: Call) -> Request:
        request = way(call)
        return replace(request, kind="", headers=(f"Content-Type: {request.kind}", *request.headers))

    return ask
