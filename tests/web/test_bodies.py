"""What a body is, and which fields it has: the package cticache.web.bodies."""

import json
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.errors import BadBody, NotJson, NotXml, UnsupportedType, WrongFields
from cticache.web.bodies import parse

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_EXCHANGE = b'{"value" : "12345678", "ani" : "1234567890"}'


TYPES = [
    "",
    "; charset=utf-8",
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    " application/json ;charset=UTF-8",
    "text/plain",
    "text/json;x=y",
    "application/problem+json",
    "application/json-inin",
    "application/jsonp",
    "application/octet-stream",
    "application/xml",
    "image/png",
    "json",
    "\xff",
    _FORM,
    f"{_FORM}; charset=utf-8",
    f'{_FORM}; charset="utf-8"',
    f"{_FORM}; charset=",
]
"""What a body is, none of these has a say in."""


@pytest.mark.parametrize("content_type", TYPES)
def test_a_body_is_what_its_first_character_says_whatever_its_type(content_type: str) -> None:
    fields = {"value": '"12345678"', "ani": "1234567890"}
    for body in (_EXCHANGE, b"<a><value>12345678</value><ani>1234567890</ani></a>", b"value=12345678&ani=1234567890"):
        assert parse(content_type, body) == parse(content_type, b" \r\n\t" + body + b"\r\n") == fields


_PART = b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--'


@pytest.mark.parametrize("body", [_EXCHANGE, b"value=1&ani=2", b"<a/>", b"", _PART], ids=lambda body: body[:9])
def test_what_calls_itself_multipart_must_be_that(body: bytes) -> None:
    for content_type in ("multipart/form-data; boundary=x", "Multipart/Form-Data", "multipart/mixed"):
        with pytest.raises(BadBody, match="not multipart/form-data"):
            parse(content_type, body)


@pytest.mark.parametrize("charset", ["x", "utf-7", "utf-32", "ebcdic-us", "UTF-9"])
def test_an_unknown_charset_is_refused_and_named(charset: str) -> None:
    for body in (_EXCHANGE, b"value=1", b""):
        with pytest.raises(UnsupportedType, match=f"charset {charset} is not known"):
            parse(f"{_JSON}; charset={charset}", body)
    with pytest.raises(UnsupportedType, match=f"charset {charset} is not known"):
        parse("", f'<?xml version="1.0" encoding="{charset}"?><a/>'.encode())


@pytest.mark.parametrize("body", ["", " \n", "hello", "nul", '"value"', "[]", '[{"value":1}]', " \n[] ", "[" * 100_000,
                                  "1", "null", "true", "NaN", "\ufeff", "value&ani", "\u00a0{}", "\0{}"])  # fmt: skip
@pytest.mark.parametrize("content_type", [_JSON, _FORM, "text/xml", ""])
def test_what_is_neither_an_object_nor_xml_nor_a_form_is_refused(content_type: str, body: str) -> None:
    with pytest.raises(BadBody) as caught:
        parse(content_type, body.encode())
    said = "The body is neither a JSON object, nor XML, nor a form" if body.strip(" \n\ufeff") else "The body is empty."
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b'{"value":"\xe4"}', "not UTF-8, and no other charset is declared: byte 10", id="Latin-1"),
        pytest.param(b'{"value":"\xed\xa0\x80"}', "not UTF-8", id="surrogate in UTF-8"),
        pytest.param(b'{"value":"\xc0\x80"}', "not UTF-8", id="overlong"),
        pytest.param(b"value=\xe4", "not UTF-8", id="Latin-1 in a form"),
        pytest.param('{"value":1}'.encode("utf-16")[:-1], "not utf-16-le, its charset: byte 22", id="cut-off UTF-16"),
    ],
)
@pytest.mark.parametrize("content_type", [_JSON, _FORM, ""])
def test_what_is_not_of_its_charset_is_refused_with_its_place(content_type: str, body: bytes, detail: str) -> None:
    with pytest.raises(BadBody) as caught:
        parse(content_type, body)
    assert detail in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_a_body_is_read_in_the_charset_that_it_has(encoding: str) -> None:
    named = {"utf-16-le": "utf-16", "utf-16-be": "utf-16", "latin-1": "iso-8859-1", "cp1252": "windows-1252"}
    declared = named.get(
        encoding, "us-ascii" if encoding in ("utf-8-sig", "utf-16") else encoding
    )  # a mark comes first
    for body in ('{"value":"J\u00f6rg"}', "value=J\u00f6rg", "<a><value>J\u00f6rg</value></a>"):
        assert parse(f"a/b; charset={declared}", body.encode(encoding)) == {"value": '"J\u00f6rg"'}


@pytest.mark.parametrize(
    "text",
    [
        '"12345678"',
        "null",
        "true",
        "0",
        "-0",
        "-0.0",
        "1.0",
        "1.50",
        "1E5",
        "1e-400",
        "12345678901234567890123456789012345678901234567890",
        "9" * 5000,
        "-" + "9" * 5000,
        "0.1000000000000000055511151231257827",
        "[]",
        "{}",
        "[ 1 ,2,\t3 ]",
        '{"b":1,"a":2, "b" : 3}',
        r'"\u00e4\/\n\ud83d\ude00"',
        '"\u00e4\u2028\U0001f600\x7f"',
        r'"\\ud800"',
        '"}"',
        '{"value":{"value":"}"}}',
        "[" * 100 + "]" * 100,
    ],
    ids=lambda text: text[:24].encode("ascii", "backslashreplace").decode(),
)
def test_the_value_is_the_very_text_that_was_sent(text: str) -> None:
    for body in (f'{{"value":{text}}}', f' {{ "a" : 1 , "value" :\r\n\t{text} , "z":[]}} \n'):
        assert parse(_JSON, body.encode())["value"] == text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_ends_of_lines_in_a_value_are_spaces_so_that_an_answer_is_one_line(end: str) -> None:
    text = json.dumps({"a": [1, "b\r\n"], "c": {}}, indent=2).replace("\n", end)
    kept = parse(_JSON, f'{{"value":{text}}}'.encode())["value"]
    assert kept == text.replace("\r", " ").replace("\n", " ")
    assert json.loads(kept) == {"a": [1, "b\r\n"], "c": {}}


def test_other_fields_are_read_as_what_they_are() -> None:
    body = b'{"ani":"\\u0031", "pool":null, "ttl":60, "more":[1.5, {"x":true}], "":""}'
    assert parse("", body) == {"ani": "1", "pool": None, "ttl": 60, "more": [1.5, {"x": True}], "": ""}


def test_an_escaped_name_is_the_same_field() -> None:
    assert parse("", b'{"v\\u0061lue": [1, 2]}') == {"value": "[1, 2]"}


@pytest.mark.parametrize("space", ["", " ", "\n\t \r\n"], ids=["none", "space", "lines"])
def test_an_empty_object_has_no_fields(space: str) -> None:
    assert parse("", f"{space}{{{space}}}{space}".encode()) == {}


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse(_JSON, b"\xef\xbb\xbf" + _EXCHANGE)["value"] == '"12345678"'
    assert parse(_FORM, b"\xef\xbb\xbf" + b"value=1&ani=2") == {"value": '"1"', "ani": "2"}
    assert parse(_FORM, b"\xef\xbb\xbf" + _EXCHANGE)["value"] == '"12345678"'


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"{", "double quotes at character 1", id="brace alone"),
        pytest.param(b'{"value"', "':'", id="name alone"),
        pytest.param(b'{"value":', "Expecting value", id="no value"),
        pytest.param(b'{"value":}', "Expecting value", id="brace for a value"),
        pytest.param(b'{"value":1', "','", id="no closing brace"),
        pytest.param(b'{"value":1,', "double quotes", id="ends after a comma"),
        pytest.param(b'{"value":1,}', "double quotes", id="comma before the brace"),
        pytest.param(b'{"value":[1,]}', " at character 1", id="comma before the bracket"),
        pytest.param(b'{"value":1 "ani":2}', "','", id="no comma"),
        pytest.param(b'{"value" 1}', "':'", id="no colon"),
        pytest.param(b"{'value':1}", "double quotes", id="single quotes"),
        pytest.param(b"{value:1}", "double quotes", id="no quotes"),
        pytest.param(b'{1:"value"}', "double quotes", id="number for a name"),
        pytest.param(b'{"value":01}', "','", id="leading zero"),
        pytest.param(b'{"value":+1}', "Expecting value", id="plus"),
        pytest.param(b'{"value":.5}', "Expecting value", id="no digit before the point"),
        pytest.param(b'{"value":1.}', "','", id="no digit after the point"),
        pytest.param(b'{"value":0x10}', "','", id="hexadecimal"),
        pytest.param(b'{"value":TRUE}', "Expecting value", id="capitals"),
        pytest.param(b'{"value":"a\nb"}', "control character", id="line end in a string"),
        pytest.param(b'{"value":"a\x00b"}', "control character", id="NUL in a string"),
        pytest.param(b'{"value":"\\x41"}', "escape", id="unknown escape"),
        pytest.param(b'{"value":"\\u00"}', "escape", id="short escape"),
        pytest.param(b'{"value":"open}', "Unterminated string", id="open string"),
        pytest.param(b'{"value":1} x', "Extra data at character 12", id="more after the end"),
        pytest.param(b'{"value":1}{"value":2}', "Extra data", id="two objects"),
        pytest.param(b'{"value":1}\x00', "Extra data", id="NUL after the end"),
        pytest.param(b'{"value":/**/1}', "Expecting value", id="comment"),
        pytest.param("{\u00a0}".encode(), "double quotes", id="no-break space"),
        pytest.param(b'{"value":NaN}', "NaN", id="NaN"),
        pytest.param(b'{"value":Infinity}', "Infinity", id="Infinity"),
        pytest.param(b'{"value":[-Infinity]}', "-Infinity", id="-Infinity"),
        pytest.param(b'{"value":1e400}', "too large", id="1e400"),
        pytest.param(b'{"value":{"x":-1e400}}', "too large", id="-1e400"),
        pytest.param(b'{"ttl":NaN}', "NaN", id="NaN in another field"),
        pytest.param(b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply", id="nesting"),
        pytest.param(b'{"value":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "too deeply", id="nested objects"),
        pytest.param(b'{"value":"\\ud800"}', "surrogate", id="high surrogate"),
        pytest.param(b'{"value":["\\uDC00x"]}', "surrogate", id="low surrogate"),
        pytest.param(b'{"value":{"\\uD800":1}}', "surrogate", id="surrogate in a nested name"),
        pytest.param(b'{"\\ud83d":1}', "surrogate", id="surrogate in a name"),
        pytest.param(b'{"ani":"\\ude00\\ud83d"}', "surrogate", id="halves in the wrong order"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(body: bytes, detail: str) -> None:
    with pytest.raises(NotJson) as caught:
        parse(_JSON, body)
    assert detail in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("content_type", "body", "name"),
    [
        (_JSON, '{"value":1,"value":1}', "value"),
        (_JSON, '{"ani":"1","v\\u0061lue":1,"value":2}', "value"),
        (_JSON, '{"ani":"1","ani":"2"}', "ani"),
        (_FORM, "value=1&ani=2&value=3", "value"),
        (_FORM, "ani=1&ani=1", "ani"),
    ],
)
def test_a_field_given_twice_is_refused(content_type: str, body: str, name: str) -> None:
    with pytest.raises(WrongFields) as caught:
        parse(content_type, body.encode())
    assert caught.value.fields == {name: ["Given twice."]}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param("value=12345678&ani=1234567890", {"value": '"12345678"', "ani": "1234567890"}, id="plain"),
        pytest.param("value=a+b%20c%2B&ani=%2B1555", {"value": '"a b c+"', "ani": "+1555"}, id="escapes"),
        pytest.param("value=&ani=", {"value": '""', "ani": ""}, id="empty values"),
        pytest.param("value&ani=", {"value": '""', "ani": ""}, id="no equals sign behind a name"),
        pytest.param("value=a%3Db=c", {"value": '"a=b=c"'}, id="equals sign in a value"),
        pytest.param('value=%22%5C%0A{"x":1}', {"value": r'"\"\\\n{\"x\":1}"'}, id="quotes in a value"),
        pytest.param("value=%C3%A4\u00e4", {"value": '"\u00e4\u00e4"'}, id="not ASCII"),
        pytest.param("value=1;ani=2", {"value": '"1;ani=2"'}, id="a semicolon parts nothing"),
        pytest.param("value=null", {"value": '"null"'}, id="always a string"),
        pytest.param("ani=5&ttl=60", {"ani": "5", "ttl": "60"}, id="no value"),
        pytest.param("value=1\r\n", {"value": '"1"'}, id="line end after it"),
    ],
)
def test_a_form_is_read_with_its_value_as_a_string(body: str, fields: dict[str, Any]) -> None:
    assert parse(_FORM, body.encode()) == fields


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"value=%FF", "escape of the form is not utf-8", id="escaped Latin-1"),
        pytest.param(b"value=%ED%A0%80", "escape of the form is not utf-8", id="escaped surrogate"),
        pytest.param(b"&".join(b"f%d=1" % at for at in range(33)), "more than 32 fields", id="33 fields"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(body: bytes, detail: str) -> None:
    with pytest.raises(BadBody) as caught:
        parse(_FORM, body)
    assert detail in str(caught.value)


def test_what_is_refused_as_json_is_so_under_the_type_of_a_form_too() -> None:
    for content_type in (_FORM, "", "text/xml"):
        with pytest.raises(NotJson, match="not JSON"):
            parse(content_type, b'{"value":1')


@pytest.mark.parametrize(
    ("sent", "ani"),
    [
        pytest.param("+15551234567", "+15551234567", id="a plus"),
        pytest.param("%2015551234567", "+15551234567", id="a plus that a proxy decoded and escaped as a space"),
        pytest.param("%2B15551234567", "+15551234567", id="an escaped plus"),
        pytest.param("+1+(555)+123-4567", "+1 (555) 123-4567", id="a plus before a number with spaces"),
        pytest.param("sip:+15551234567@h", "sip:+15551234567@h", id="in an address"),
        pytest.param("%22A%22+<SIPS:+15551234567@h>", '"A" <SIPS:+15551234567@h>', id="in brackets"),
        pytest.param("<+15551234567>", "<+15551234567>", id="in brackets alone"),
        pytest.param("sip:a@h,tel:+1555", "sip:a@h,tel:+1555", id="in a list"),
        pytest.param("tel:2079460001;phone-context=+44", "tel:2079460001;phone-context=+44", id="in a context"),
        pytest.param("5551234567", "5551234567", id="none"),
        pytest.param("555+123+4567", "555 123 4567", id="spaces within"),
        pytest.param("++15551234567", "  15551234567", id="two spaces"),
        pytest.param("5551234567+", "5551234567 ", id="a space behind"),
        pytest.param("+", " ", id="a space alone"),
        pytest.param("+anonymous", " anonymous", id="a word"),
        pytest.param("+(555)+123", " (555) 123", id="a bracket"),
        pytest.param("%22Tel:+42%22+<tel:1555>", '"Tel: 42" <tel:1555>', id="in a display name"),
        pytest.param("+%D9%A1", " \u0661", id="an Arabic digit"),
    ],
)
def test_one_space_before_the_first_digit_of_a_forms_number_is_a_plus(sent: str, ani: str) -> None:
    assert parse(_FORM, f"ani={sent}&dnis={sent}&value={sent}&ttl=+60".encode()) == {
        "ani": ani,
        "dnis": ani,
        "value": json.dumps(unquote_plus(sent), ensure_ascii=False),
        "ttl": " 60",
    }


@pytest.mark.parametrize("content_type", [_FORM, _JSON, ""])
def test_a_space_in_json_is_a_space(content_type: str) -> None:
    assert parse(content_type, b'{"ani": " 15551234567"}') == {"ani": " 15551234567"}


def test_a_form_may_have_32_fields() -> None:
    assert len(parse(_FORM, b"&".join(b"f%d=1" % at for at in range(32)))) == 32


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_STYLES = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,\r\n", "\t: ")]),
        "ensure_ascii": st.booleans(),
    }
)
_SPACE = st.text(alphabet=" \t\r\n", max_size=3)


@given(_VALUES, _STYLES, _SPACE, _SPACE)
def test_any_value_in_any_style_comes_back_as_it_was(value: Any, style: dict[str, Any], one: str, other: str) -> None:
    text = json.dumps(value, **style)
    body = f'{one}{{{other}"ani"{one}:{other}""{one},{other}"value"{one}:{other}{text}{one}}}{other}'
    fields = parse(_JSON, body.encode())
    assert fields["value"] == text.replace("\r", " ").replace("\n", " ")
    assert json.loads(fields["value"]) == value
    assert fields["ani"] == ""


_BEGINNINGS = st.sampled_from(
    [b"", b"{", b'{"value":', b"<a>", b"<?xml ", b"a=", b"--x\r\n", b"\xef\xbb\xbf{", b"\xff\xfe"]
)


@given(_BEGINNINGS, st.binary(max_size=60), st.sampled_from([_JSON, _FORM, "", "multipart/form-data; boundary=x"]))
def test_whatever_is_sent_is_fields_or_a_refusal(begin: bytes, raw: bytes, content_type: str) -> None:
    try:
        fields = parse(content_type, begin + raw)
    except (BadBody, NotJson, NotXml, UnsupportedType, WrongFields):
        return
    json.dumps(fields, ensure_ascii=False).encode()


@given(st.text(alphabet='{}[]",:\\u018dDEe+-. \nvalue', max_size=40))
def test_what_is_read_is_what_pythons_own_reader_reads(text: str) -> None:
    text = "{" + text
    try:
        expected = json.loads(text, parse_constant=float)
    except (ValueError, RecursionError):
        with pytest.raises((NotJson, WrongFields)):
            parse(_JSON, text.encode())
        return
    try:
        fields = parse(_JSON, text.encode())
    except WrongFields:  # a name twice
        return
    except NotJson:
        assert "\\u" in text or "e" in text.lower()
        return
    if "value" in fields:
        fields["value"] = json.loads(fields["value"])
    assert fields == expected
