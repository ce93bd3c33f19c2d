"""docs/recipes/cisco-uccx.md: the requests of its tables, and its XPath on the answers."""

import re
from urllib.parse import quote
from xml.etree import ElementTree

from kit.properties import answered, table
from kit.recipes import GENERAL, AsBoth, Printed

_PIECE = re.compile(r'"([^"]*)"|java\.net\.URLEncoder\.encode\((\w+), "UTF-8"\)')


def _encoded(text: str) -> str:
    """As Java's URLEncoder does it."""
    return quote(text, safe=" .-*_").replace("~", "%7E").replace(" ", "+")


def _evaluated(expression: str, variables: dict[str, str]) -> str:
    """A Java expression of literals and encoded variables."""
    pieces = [_PIECE.fullmatch(piece) for piece in expression.split(" + ")]
    assert all(pieces), expression
    return "".join(piece[1] if piece[1] is not None else _encoded(variables[piece[2]]) for piece in pieces if piece)


def _asked(part: str, **variables: str) -> dict[str, str] | None:
    """The variables that the script has after its steps; an XPath that finds nothing gives an empty text."""
    properties = table(part)
    assert properties["Method"] == "POST"
    answer = answered(
        properties["URL"],
        f"{properties['User ID']}:{properties['Password']}",
        properties["Content Type"],
        _evaluated(properties["Request Body"], variables),
        float(properties["Timeout (ms)"]) / 1000,
    )
    if answer is None:
        return None
    root = ElementTree.fromstring(answer)
    paths = {name: path for name, path in properties.items() if path.startswith("/cticache/")}
    return {name: root.findtext(path.removeprefix("/cticache/")) or "" for name, path in paths.items()}


class TestCiscoUccx(AsBoth):
    repeats = False

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        told = _asked(Printed.of("cisco-uccx", url, pool).part("System X"), ani=ani, value=value, callId=call)
        return (told["number"] or told["otherwise"]) if told else GENERAL

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        told = _asked(Printed.of("cisco-uccx", url).part("System Y"), dnis=dnis, ani=ani, callId=call)
        return (told["data"] or None) if told else None
