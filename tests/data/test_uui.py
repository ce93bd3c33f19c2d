"""What travels with a call to name its lease."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.data.replies import Lease
from cticache.data.tokens import token
from cticache.data.uui import read, written

TOKEN = "AAECAwQFBgcICQ-_"
DIGITS = "000102030405060708090fbf"
NUMBERS = st.from_regex(r"\+?[0-9]{1,32}", fullmatch=True)


@pytest.mark.parametrize(
    ("dnis", "uui"),
    [
        ("5551234560", DIGITS + "5551234560"),
        ("+5551234560", DIGITS + "a5551234560f"),
        ("+15551234560", DIGITS + "a15551234560"),
        ("100", DIGITS + "100f"),
        ("0", DIGITS + "0f"),
    ],
)
def test_it_is_the_token_and_then_the_number_in_whole_octets(dnis: str, uui: str) -> None:
    assert written(dnis, TOKEN) == uui
    assert read(uui) == (dnis, TOKEN)
    assert Lease("leased", dnis, TOKEN, 0, 0).uui == uui


@given(NUMBERS)
def test_what_is_written_is_read_and_goes_through_every_exchange(dnis: str) -> None:
    name = token()
    uui = written(dnis, name)
    assert read(uui) == (dnis, name)
    assert len(uui) < 128
    assert len(bytes.fromhex(uui)) == len(uui) / 2


@given(NUMBERS, NUMBERS)
def test_two_leases_never_have_one(one: str, other: str) -> None:
    assert (written(one, TOKEN) == written(other, TOKEN)) == (one == other)


@pytest.mark.parametrize(
    "form",
    [
        "{};encoding=hex",
        " {} ",
        "{} ; encoding = hex",
        "{};ENCODING=HEX",
        "{};purpose=isdn-uui;encoding=hex;content=isdn-uui",
        "{};encoding=hex;purpose=call-center",
        "{};purpose",
    ],
)
def test_a_header_is_read_whatever_its_purpose(form: str) -> None:
    uui = written("+5551234560", TOKEN)
    assert read(form.format(uui)) == read(form.format(uui.upper())) == ("+5551234560", TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        DIGITS,
        DIGITS + "f",
        DIGITS + "ff",
        DIGITS + "a",
        DIGITS + "af",
        DIGITS + "100",  # half an octet
        DIGITS + "1000f",
        DIGITS + "10ff",
        DIGITS + "aa10",
        DIGITS + "1a00",
        DIGITS + "1b00",
        DIGITS + "1" * 34,
        DIGITS[1:] + "100f",
        DIGITS[:-2] + "x" + DIGITS[-1:] + "100f",
        "04" + DIGITS + "10f0",
        DIGITS + "100f\n" + DIGITS + "100f",
        DIGITS + " 100f",
        DIGITS + "١٠",
        f"{DIGITS}100f,{DIGITS}100f",
        f"{DIGITS}100f;encoding=ascii",
        f"{DIGITS}100f;encoding",
        f"{DIGITS}100f;encoding=hex;encoding=ascii",
        f"{DIGITS}100f;",
        f"{DIGITS}100f;=hex",
        f"{DIGITS}100f;encoding=hex;purpose=a b",
        ";encoding=hex",
    ],
)
def test_anything_else_is_refused_in_a_sentence_without_a_subject(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) [a-z].*[^.]$"):
        read(text)
