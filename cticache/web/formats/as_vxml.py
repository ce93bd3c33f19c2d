"""A VoiceXML 2.1 document for <subdialog>: it returns six variables at once, and plays nothing; one line of ASCII.

What fetches it sees nothing but these variables, and must find each of them.
"""

import re

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit, plain
from cticache.web.formats.as_xml import escaped

MEDIA_TYPE = "application/voicexml+xml; charset=utf-8"
_TO_ESCAPE = re.compile(r"['\\\x00-\x1f\x7f-\U0010ffff]")
"""What ends a string literal of ECMAScript, or may not be in one, and all outside ASCII."""


def hit(answer: Hit) -> str:
    """``found`` is true; a boolean, since the string 'false' would be true, too."""
    value = next((plain(text) for name, text in answer.members if name == "value"), "")
    return _document("true", dnis=answer.dnis, ani=answer.ani, value=value, error="", status="")


def refusal(error: Refusal, asked: Asked) -> str:
    """``found`` is false; where the call is to go without its data is a variable more."""
    members = error.members()
    more = {name: str(members[name]) for name in ("transfer_to",) if name in members}
    dnis, ani = asked
    return _document("false", dnis=dnis, ani=ani, value="", error=error.code, status=str(error.status), **more)


def _document(found: str, **variables: str) -> str:
    declared = "".join(f'<var name="{name}" expr="{_literal(text)}"/>' for name, text in variables.items())
    names = " ".join(["found", *variables])
    return (
        '<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml"><form>'
        f'<var name="found" expr="{found}"/>{declared}<block><return namelist="{names}"/></block></form></vxml>'
    )


def _literal(text: str) -> str:
    """A string literal of ECMAScript (ECMA-262 section 12.9.4) as the value of an attribute."""
    literal = escaped("'" + _TO_ESCAPE.sub(_escape, text) + "'")
    return literal.replace('"', "&quot;")


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
