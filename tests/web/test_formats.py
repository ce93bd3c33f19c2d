"""Every answer, and every value, through every format and back through a parser of that format."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cticache.errors import (
    Ambiguous,
    Gone,
    Internal,
    NoSuchCall,
    PoolExhausted,
    RedisUnavailable,
    Refusal,
    WrongFields,
)
from cticache.web.answers import Hit, encoded
from cticache.web.formats import as_form, as_found_json, as_json, as_txt, as_vxml, as_xml

_VXML = "{http://www.w3.org/2001/vxml}"
_CHARACTERS = st.characters(exclude_categories=["Cs"])
_HARD = "ü<&%+\"' \r\n\t\\\0\x01\x7f\x85\u2028\u2029\ufeff\ufffe\uffff\U0001f600]]>"
TEXTS = st.text(_CHARACTERS | st.sampled_from(_HARD), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DIGITS = st.text("0123456789", min_size=1, max_size=32)
Read = Callable[[str], dict[str, Any]]


def hit(value: str, dnis: str, ani: str | None, *, is_lease: bool, detail: bool) -> Hit:
    members = [("value", value)]
    if is_lease:
        members = [("dnis", encoded(dnis)), ("ani", encoded(ani)), *members]
    if detail:
        members += [("pool", '"system-y"'), ("match", "null"), ("expires_in", "299")]
    return Hit(members, "dnis" if is_lease else "value", dnis, ani or "")


@st.composite
def hits(draw: st.DrawFn) -> Hit:
    value = json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()))
    ani = draw(st.none() | TEXTS)
    return hit(value, draw(DIGITS), ani, is_lease=draw(st.booleans()), detail=draw(st.booleans()))


def text_of(json_text: str) -> str:
    """What a member is where there are only strings."""
    read = json.loads(json_text)
    return read if isinstance(read, str) else json_text


def in_xml(text: str) -> dict[str, Any]:
    assert "\n" not in text.split("?>", maxsplit=1)[0]
    root = ET.fromstring(text.encode())
    assert root.tag == "cticache"
    read = {}
    for child in root:
        content = child.text or ""
        assert child.tag not in read
        read[child.tag] = json.loads(content) if child.get("json") == "true" else content
    return read


def in_form(text: str) -> dict[str, Any]:
    """As Asterisk's HASH has it: split at & and at the first =, each part decoded as a URI: a plus stays."""
    assert re.fullmatch(r"[A-Za-z0-9\-._~%&=_]*", text)
    pairs = [pair.split("=") for pair in text.split("&")]
    return {name: unquote(value, errors="strict") for name, value in pairs}


_ESCAPES = re.compile(r"\\u([0-9a-f]{4})")


def ecmascript(literal: str) -> Any:
    """The value of an expression that is a string literal in single quotes, or a boolean."""
    if literal in ("true", "false"):
        return literal == "true"
    assert literal[0] == literal[-1] == "'"
    inner = literal[1:-1]
    assert re.fullmatch(r"(?:[ -&(-\[\]-~]|\\u[0-9a-f]{4})*", inner)
    units = b"".join(
        int(part[1:], 16).to_bytes(2, "big") if part.startswith("u") and len(part) == 5 else b""
        for part in re.findall(r"\\(u[0-9a-f]{4})", inner)
    )
    assert units.decode("utf-16-be") is not None  # no half of a pair
    raw = re.sub(_ESCAPES, lambda found: chr(int(found[1], 16)), inner)
    return raw.encode("utf-16", "surrogatepass").decode("utf-16")


def in_vxml(text: str) -> dict[str, Any]:
    assert text.isascii()
    assert "\n" not in text
    root = ET.fromstring(text)
    assert (root.tag, root.get("version")) == (f"{_VXML}vxml", "2.1")
    form = root[0]
    variables = {each.get("name", ""): ecmascript(each.get("expr", "")) for each in form.iter(f"{_VXML}var")}
    returned = next(form.iter(f"{_VXML}return"))
    assert returned.get("namelist") == " ".join(variables)
    return variables


def in_line(text: str) -> str:
    assert "\r" not in text
    assert "\n" not in text
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


_PLAIN = {"ani": "ü", "dnis": "5551234560"}


@given(hits())
@example(hit(json.dumps(_HARD), "1", _HARD, is_lease=True, detail=True))
@example(hit('"a\\rb\\r\\nc\\nd"', "1", "\r\n", is_lease=True, detail=False))
@example(hit('"a\\rb\\r\\nc\\nd"', "1", "", is_lease=False, detail=False))
@example(hit('"\\\\n"', "1", "", is_lease=False, detail=False))
def test_every_hit_comes_back_from_every_format(answer: Hit) -> None:
    members = dict(answer.members)
    texts = {name: text_of(text) for name, text in answer.members}
    plain = as_json.hit(answer)
    assert json.loads(plain) == {name: json.loads(text) for name, text in members.items()}
    assert list(json.loads(plain)) == list(members)
    assert as_found_json.hit(answer) == '{"found":true,' + plain[1:]
    # An XML parser makes one line feed of every end of a line that is not escaped.
    assert in_xml(as_xml.hit(answer)) == {"found": "true"} | texts
    assert list(in_xml(as_xml.hit(answer))) == ["found", *members]
    assert in_form(as_form.hit(answer)) == {"found": "true"} | texts
    assert list(in_form(as_form.hit(answer))) == ["found", *members]
    assert in_vxml(as_vxml.hit(answer)) == {
        "found": True,
        "dnis": answer.dnis,
        "ani": answer.ani,
        "value": texts["value"],
        "error": "",
        "status": "",
    }
    assert in_line(as_txt.hit(answer)) == texts[answer.gist]


REFUSALS = [
    NoSuchCall(),
    Gone("Taken at 12:00."),
    Ambiguous(),
    PoolExhausted("No number is free.", retry_after=3),
    RedisUnavailable(),
    Internal(),
    WrongFields({"ani": ['Not <a> "number" & more: ü\r\n.']}),
]


@pytest.mark.parametrize("transfer_to", ["", "+15559990009"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_every_refusal_comes_back_from_every_format(refusal: Refusal, transfer_to: str) -> None:
    refusal.transfer_to = transfer_to
    asked = "sip:555@[::1]:5060", "J\"ö'rg"
    members = {"error": refusal.code, "detail": str(refusal), "status": refusal.status}
    more = {"transfer_to": transfer_to} if transfer_to else {}
    fields = {"fields": refusal.fields} if isinstance(refusal, WrongFields) else {}
    assert json.loads(as_json.refusal(refusal, asked)) == members | more | fields
    found = json.loads(as_found_json.refusal(refusal, asked))
    assert found == {"found": False} | members | more | fields
    assert next(iter(found)) == "found"
    texts = {"found": "false", **members, "status": str(refusal.status), **more}
    for read in (in_xml(as_xml.refusal(refusal, asked)), in_form(as_form.refusal(refusal, asked))):
        assert read == texts
        assert list(read) == list(texts)
    assert in_vxml(as_vxml.refusal(refusal, asked)) == {
        "found": False,
        "dnis": asked[0],
        "ani": asked[1],
        "value": "",
        "error": refusal.code,
        "status": str(refusal.status),
        **more,
    }
    assert as_txt.refusal(refusal, asked) == transfer_to


def test_each_format_to_the_byte() -> None:
    lease = hit('"00123456"', "5551234560", "+12", is_lease=True, detail=False)
    assert as_json.hit(lease) == '{"dnis":"5551234560","ani":"+12","value":"00123456"}'
    assert as_xml.hit(lease) == (
        '<?xml version="1.0" encoding="UTF-8"?><cticache><found>true</found><dnis>5551234560</dnis><ani>+12</ani>'
        "<value>00123456</value></cticache>"
    )
    assert as_vxml.hit(lease) == (
        '<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml"><form><var name="found" expr="true"/>'
        '<var name="dnis" expr="\'5551234560\'"/><var name="ani" expr="\'+12\'"/>'
        '<var name="value" expr="\'00123456\'"/><var name="error" expr="\'\'"/><var name="status" expr="\'\'"/>'
        '<block><return namelist="found dnis ani value error status"/></block></form></vxml>'
    )
    assert as_form.hit(lease) == "found=true&dnis=5551234560&ani=%2B12&value=00123456"
    assert as_txt.hit(lease) == "5551234560"
    assert as_xml.refusal(NoSuchCall("It's gone & <over>."), ("", "")) == (
        '<?xml version="1.0" encoding="UTF-8"?><cticache><found>false</found><error>not_found</error>'
        "<detail>It's gone &amp; &lt;over&gt;.</detail><status>404</status></cticache>"
    )
    assert as_form.refusal(NoSuchCall("a b+c."), ("", "")) == (
        "found=false&error=not_found&detail=a%20b%2Bc.&status=404"
    )
