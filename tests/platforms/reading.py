"""What a platform can make of an answer: each reader takes no more of it than the platform shows to its script."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from kit.talk import Answer
from platforms.platform import Outcome

MISS: Outcome = ("miss",)
FULL: Outcome = ("full",)
FAULT: Outcome = ("fault",)

_INSTEAD = "transfer_to"
_MISSES = ("not_found", "gone")
_VOICE = "{http://www.w3.org/2001/vxml}"
_LITERAL = re.compile(r"'((?:[\x20-\x26\x28-\x5b\x5d-\x7e]|\\(?:['\"\\bfnrtv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}))*)'")
"""A string literal of ECMAScript in single quotes, all of it ASCII."""
_JAVASCRIPT_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LINE_ESCAPES = {"\\\\": "\\", "\\r": "\r", "\\n": "\n"}


def hit(text: str) -> Outcome:
    """What was looked for is there."""
    return ("hit", text)


def refused(error: str, instead: str = "") -> Outcome:
    """What this code means for the call, and the number that it may go to all the same, if one was named."""
    if error in _MISSES:
        return MISS
    if error != "pool_exhausted":
        return FAULT
    return ("without", instead) if instead else FULL


def json_always(answer: Answer, wanted: str) -> Outcome:
    """Parsed JSON whatever the status, and a test for the key ``error``."""
    if not _is(answer, "application/json"):
        return FAULT
    found = _object(answer)
    return _refusal(found) if "error" in found else hit(found[wanted])


def json_on_success(answer: Answer, wanted: str) -> Outcome:
    """Parsed JSON on a 2xx; of anything else only that it failed."""
    if not (_succeeded(answer) and _is(answer, "application/json")):
        return FAULT
    found = _object(answer)
    return hit(found[wanted]) if found["found"] is True else _refusal(found)


def json_by_status(answer: Answer, wanted: str) -> Outcome:
    """Branches on the status; looks into the JSON of an error only where the status can mean two things."""
    if not _is(answer, "application/json"):
        return FAULT
    if _succeeded(answer):
        return hit(_object(answer)[wanted])
    return _refusal(_object(answer)) if answer.status in (404, 410, 503) else FAULT


def _refusal(found: Mapping[str, Any]) -> Outcome:
    return refused(str(found["error"]), str(found.get(_INSTEAD, "")))


def _object(answer: Answer) -> dict[str, Any]:
    found = json.loads(_text(answer))
    assert isinstance(found, dict)
    return found


def xml_always(answer: Answer, wanted: str) -> Outcome:
    """The DOM of the document, whatever the status."""
    if not _is(answer, "text/xml", "application/xml"):
        return FAULT
    root = ElementTree.fromstring(answer.content)
    if root.findtext("found") != "true":
        return refused(root.findtext("error", ""), root.findtext(_INSTEAD, ""))
    return hit(root.findtext(wanted, "no such element"))


def xml_on_success(answer: Answer, wanted: str) -> Outcome:
    """VoiceXML's ``<data>``: the DOM on a 2xx, else ``error.badfetch.http.NNN`` and no document."""
    return xml_always(answer, wanted) if _succeeded(answer) else FAULT


def subdialog(answer: Answer, wanted: str) -> Outcome:
    """VoiceXML's ``<subdialog>``: what the document returns, evaluated as ECMAScript; nothing but on a 2xx."""
    if not (_succeeded(answer) and _is(answer, "application/voicexml+xml")):
        return FAULT
    document = ElementTree.fromstring(answer.content)
    assert document.tag == _VOICE + "vxml"
    variables = {each.attrib["name"]: _evaluated(each.attrib["expr"]) for each in document.iter(_VOICE + "var")}
    (returned,) = document.iter(_VOICE + "return")
    result = {name: variables[name] for name in returned.attrib["namelist"].split()}
    return hit(str(result[wanted])) if result["found"] is True else _refusal(result)


def _evaluated(expression: str) -> str | bool:
    if expression in ("true", "false"):
        return expression == "true"
    literal = _LITERAL.fullmatch(expression)
    assert literal, f"no literal: {expression}"
    units = _JAVASCRIPT_ESCAPE.sub(_unit, literal[1])
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


def _unit(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2]
    return chr(int(digits, 16)) if digits else _SHORT.get(escape[3], escape[3])


def pairs(answer: Answer, wanted: str) -> Outcome:
    """``k=v&k=v`` whatever the status, percent-escapes decoded and a plus left as it is: Asterisk's hashcompat."""
    if not _is(answer, "application/x-www-form-urlencoded"):
        return FAULT
    fields = dict(pair.split("=", 1) for pair in answer.content.decode("ascii").split("&"))
    found = {name: unquote(text, errors="strict") for name, text in fields.items()}
    return hit(found[wanted]) if found["found"] == "true" else _refusal(found)


def pairs_on_success(answer: Answer, wanted: str) -> Outcome:
    """The same where the body comes with a 2xx only."""
    return pairs(answer, wanted) if _succeeded(answer) else FAULT


def first_line(answer: Answer, wanted: str) -> Outcome:
    """The status and the first line of a body, no header: what is missing tells by what was asked for."""
    if not _succeeded(answer):
        return FAULT
    line = _text(answer).partition("\n")[0]
    if line:
        return hit(_unescaped(line))
    return FULL if wanted == "dnis" else MISS


def first_line_and_code(answer: Answer, wanted: str) -> Outcome:
    """The status, the first line, and the header that has the code."""
    line = _unescaped(_text(answer).partition("\n")[0])
    if not _succeeded(answer):
        return refused(answer.headers.get("x-cticache-error", ""), line)
    return hit(line)


def _unescaped(line: str) -> str:
    return re.sub(r"\\[\\rn]", lambda escape: _LINE_ESCAPES[escape[0]], line)


def _text(answer: Answer) -> str:
    """The body in the charset that the answer names; every platform takes UTF-8 where it names none."""
    named = re.search(r"charset=([\w-]+)", answer.headers["content-type"])
    return answer.content.decode(named[1] if named else "utf-8")


def _succeeded(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _is(answer: Answer, *types: str) -> bool:
    """Whether it is of a type that the platform parses; it knows no more of any other than that it failed."""
    return answer.headers["content-type"].partition(";")[0] in types
