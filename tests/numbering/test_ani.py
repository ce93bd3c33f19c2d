import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.numbering.ani import WITHHELD, canonical, masked, steps, written
from cticache.numbering.country import Country

_WITHHELD_WORDS = ["anonymous", "restricted", "unavailable", "private", "unknown", "withheld", "<null>", "null"]
_COUNTRIES = [None, *map(Country.of, ["1", "44", "49", "39", "7"])]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("1234567890", "1234567890", id="digits"),
        pytest.param("7", "7", id="one digit"),
        pytest.param("9" * 32, "9" * 32, id="32 digits"),
        pytest.param("0123", "0123", id="leading zero"),
        pytest.param("+15551234567", "15551234567", id="plus"),
        pytest.param(" 5551234567\t", "5551234567", id="space around"),
        pytest.param("+1 (555) 123-4567", "15551234567", id="North American"),
        pytest.param("555.123.4567", "5551234567", id="dots"),
        pytest.param("030/123 45-67", "0301234567", id="German"),
        pytest.param("(+49) 30 1234", "49301234", id="plus in brackets"),
        pytest.param("tel:5551234567", "5551234567", id="tel"),
        pytest.param("tel:+1-555-123-4567", "15551234567", id="tel with separators"),
        pytest.param("tel:7042;phone-context=example.com", "7042", id="tel with a parameter"),
        pytest.param("TEL:+15551234567", "15551234567", id="tel in capitals"),
        pytest.param("sip:5551234567@example.com", "5551234567", id="sip"),
        pytest.param("sips:5551234567@example.com", "5551234567", id="sips"),
        pytest.param("SIP:5551234567@example.com", "5551234567", id="sip in capitals"),
        pytest.param("sip:5551234567", "5551234567", id="sip without host"),
        pytest.param("sip:+15551234567@10.0.0.1:5060", "15551234567", id="host and port"),
        pytest.param("sip:5551234567@[2001:db8::1]:5060", "5551234567", id="IPv6 host and port"),
        pytest.param("sip:5551234567@example.com;user=phone", "5551234567", id="URI parameter"),
        pytest.param("sip:5551234567;ext=12@example.com;user=phone", "5551234567", id="parameters on both sides"),
        pytest.param("sip:5551234567@example.com?subject=x%20y", "5551234567", id="URI headers"),
        pytest.param("5551234567@example.com", "5551234567", id="host without a scheme"),
        pytest.param("5551234567;tag=a@b", "5551234567", id="parameter without a scheme"),
        pytest.param("<sip:5551234567@example.com>", "5551234567", id="brackets"),
        pytest.param("<sip:5551234567@example.com>;tag=1928301774", "5551234567", id="brackets and a tag"),
        pytest.param("<tel:+1-555-123-4567>", "15551234567", id="tel in brackets"),
        pytest.param("<5551234567>", "5551234567", id="a number in brackets"),
        pytest.param("Alice <sip:5551234567@example.com>", "5551234567", id="display name"),
        pytest.param("Alice M. Smith <sip:5551234567@example.com>", "5551234567", id="display name of words"),
        pytest.param("Alice 42 <sip:5551234567@example.com>", "5551234567", id="display name with digits"),
        pytest.param('"Alice"<sip:5551234567@example.com>', "5551234567", id="quoted display name, no space"),
        pytest.param('"Alice" <sip:5551234567@example.com>', "5551234567", id="quoted display name"),
        pytest.param('"Smith, Alice" <sip:5551234567@example.com>;tag=a', "5551234567", id="quoted, comma, and tag"),
        pytest.param('"A <1234> B" <sip:5551234567@example.com>', "5551234567", id="brackets within quotes"),
        pytest.param(r'"A \"B\" <9>" <sip:5551234567@example.com>', "5551234567", id="quotes within quotes"),
        pytest.param('"" <sip:5551234567@example.com>', "5551234567", id="empty quotes"),
        pytest.param('"5551234567" <sip:5557654321@example.com>', "5557654321", id="another number within quotes"),
        pytest.param("< sip:5551234567@example.com >", "5551234567", id="space within brackets"),
        pytest.param("sip:5551234567:secret@example.com", "5551234567", id="password"),
        pytest.param("sip:5551234567:a;b@example.com", "5551234567", id="password with a semicolon"),
        pytest.param("sip:%2B15551234567@example.com", "15551234567", id="escaped plus"),
        pytest.param("sip:%2b1%20555%201234567@example.com", "15551234567", id="escapes in small letters, and spaces"),
        pytest.param("<sips:555%2D123%2d4567@example.com;user=phone>", "5551234567", id="escaped separators"),
        pytest.param("tel:%2B1-555-123-4567", "15551234567", id="escapes in tel"),
        pytest.param("sip:%35551234567@example.com", "5551234567", id="escaped digit"),
        pytest.param("555\u00a0123\u202f4567", "5551234567", id="no-break spaces"),
        pytest.param("555\u2010123\u20114567", "5551234567", id="hyphens"),
        pytest.param("555\u2012123\u20134567", "5551234567", id="figure dash and en dash"),
        pytest.param("555\u2014123\u20154567", "5551234567", id="em dash and bar"),
        pytest.param("555\u2212123\u22124567", "5551234567", id="minus"),
        pytest.param("\u202a+1 555 123 4567\u202c", "15551234567", id="embedding marks"),
        pytest.param("\u2066+15551234567\u2069", "15551234567", id="isolate marks"),
        pytest.param("\u200e5551234567\u200f", "5551234567", id="direction marks"),
        pytest.param("\u202dsip:5551234567@example.com\u202c", "5551234567", id="marks around an address"),
        pytest.param('"Anonymous" <sip:5551234567@example.com>', "5551234567", id="Anonymous beside a number"),
        pytest.param("Anonymous <tel:5551234567>", "5551234567", id="Anonymous beside a tel number"),
        pytest.param(
            "sip:5551234567@anonymous.invalid.example.com", "5551234567", id="a host that is like the anonymous"
        ),
    ],
)
def test_every_way_to_write_a_number_is_one_caller(sent: str, expected: str) -> None:
    assert canonical(sent) == expected


@pytest.mark.parametrize("word", ["", " ", "\t", *_WITHHELD_WORDS])
def test_a_withheld_number_is_one_token_in_any_case(word: str) -> None:
    for form in (word, word.upper(), word.title(), f"  {word} "):
        assert canonical(form) == WITHHELD


@pytest.mark.parametrize(
    "sent",
    [
        "sip:anonymous@anonymous.invalid",
        "Anonymous <sip:anonymous@anonymous.invalid>;tag=1",
        '"Anonymous"<sip:Anonymous@anonymous.invalid>',
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "<sip:unavailable@unknown.invalid:5060;user=phone>",
        "tel:private",
        '"Anonymous" <sip:thisuser@anonymous.invalid>',
        "sip:5551234567@anonymous.invalid",
        "<SIP:x@Anonymous.Invalid:5060;user=phone>;tag=7",
        "sip:x:secret@anonymous.invalid?subject=y",
        "anonymous@anonymous.invalid",
        "sip:%61nonymous@example.com",
        "\u202aAnonymous\u202c",
        "<anonymous>",
    ],
)
def test_a_withheld_number_in_a_sip_address_is_withheld(sent: str) -> None:
    assert canonical(sent) == WITHHELD


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("5551234567\n", id="line end"),
        pytest.param("\n5551234567", id="line end before"),
        pytest.param("555\n1234567", id="line end within"),
        pytest.param("anonymous\n", id="line end after a word"),
        pytest.param("sip:5551234567\n@example.com", id="line end in an address"),
        pytest.param("555\x001234567", id="NUL"),
        pytest.param("\u0661\u0662\u0663", id="Arabic digits"),
        pytest.param("\uff11\uff12\uff13", id="wide digits"),
        pytest.param("12\u00b2", id="superscript"),
        pytest.param("1" * 33, id="33 digits"),
        pytest.param("+" + "1" * 33, id="plus and 33 digits"),
        pytest.param("1 " * 33, id="33 digits apart"),
        pytest.param("alice", id="letters"),
        pytest.param("sip:alice@example.com", id="a name at a host"),
        pytest.param("1-800-FLOWERS", id="letters after digits"),
        pytest.param("555123456x", id="a letter at the end"),
        pytest.param("++15551234567", id="two pluses"),
        pytest.param("1+5551234567", id="plus within"),
        pytest.param("+", id="plus alone"),
        pytest.param("---", id="separators alone"),
        pytest.param("mailto:5551234567", id="another scheme"),
        pytest.param("5551234567:1", id="colon"),
        pytest.param("5551234567,5557654321", id="two numbers"),
        pytest.param("*67", id="star"),
        pytest.param("-5551234567#", id="hash"),
        pytest.param("5551234567:secret", id="password without a host"),
        pytest.param("%2B15551234567", id="escape outside an address"),
        pytest.param("%2B15551234567@example.com", id="escape without a scheme"),
        pytest.param("sip:%252B15551234567@example.com", id="escaped twice"),
        pytest.param("sip:5551234567%0A@example.com", id="escaped line end"),
        pytest.param("sip:555%FF1234567@example.com", id="escape that is no UTF-8"),
        pytest.param("sip:%D9%A1%D9%A2@example.com", id="escaped Arabic digits"),
        pytest.param("sip:%2B%2B15551234567@example.com", id="two pluses, escaped"),
        pytest.param('"Anonymous" <sip:alice@example.com>', id="Anonymous beside a name"),
        pytest.param("\uff0b15551234567", id="wide plus"),
        pytest.param("555\u200b1234567", id="zero-width space"),
        pytest.param("555\u30fc1234567", id="a letter that looks like a dash"),
        pytest.param("\u200e-", id="a mark and a dash alone"),
        pytest.param("<>", id="empty brackets"),
        pytest.param("<sip:5551234567@example.com", id="bracket not closed"),
        pytest.param('"Alice <sip:5551234567@example.com>', id="quote not closed"),
        pytest.param("anonymous1", id="a word and more"),
    ],
)
def test_what_is_no_number_is_refused(sent: str) -> None:
    for read in (canonical, written, steps, lambda text: canonical(text, Country.of("1"))):
        with pytest.raises(ValueError, match="1 to 32 digits"):
            read(sent)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("5551234567", "5551234567"),
        ("+1 (555) 123-4567", "+15551234567"),
        ("(+49) 30 1234", "+49301234"),
        ('"Alice" <sip:%2B15551234567;isub=1@10.0.0.1:5060;user=phone>;tag=1', "+15551234567"),
        ("tel:+1-555-123-4567", "+15551234567"),
        ("00", "00"),
        ("Restricted", WITHHELD),
    ],
)
def test_a_bare_number_keeps_its_plus(sent: str, expected: str) -> None:
    assert written(sent) == expected


def test_the_steps_say_what_was_done_in_the_order_in_which_it_was_done() -> None:
    assert steps('"A" <sip:%2B44-20-7946-0000:pw@h;x=y>;tag=1', Country.of("44")) == [
        ("display name and brackets removed", "sip:%2B44-20-7946-0000:pw@h;x=y"),
        ("scheme, password, host and parameters removed", "%2B44-20-7946-0000"),
        ("percent-escapes resolved", "+44-20-7946-0000"),
        ("separators removed", "+442079460000"),
        ("a number of this country, by its calling code", "442079460000"),
    ]
    assert steps(" 5551234567") == [("space around it removed", "5551234567")]
    assert steps("+1555") == [("plus removed", "1555")]
    assert steps("sip:x@anonymous.invalid") == [("withheld, by its host", WITHHELD)]
    assert steps("tel:private")[-1] == ("withheld, by its word", WITHHELD)
    assert steps("5551234567") == steps("", Country.of("1")) == []


_FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *'0123456789+-./()@;:?%<>" \t\\\u2010\u200e',
            "sip:",
            "sips:",
            "TEL:",
            "anonymous",
            "<null>",
            "Alice",
            "555",
            "\n",
            "\u0661",
            "%2B",
            "%25",
        ]
    ),
    max_size=20,
).map("".join)


@given(
    st.one_of(_FRAGMENTS, st.text(), st.from_regex(r"\+?[0-9 ().-]{1,40}", fullmatch=True)),
    st.sampled_from(_COUNTRIES),
)
def test_the_canonical_form_is_a_plus_or_none_and_digits_its_own_and_the_last_step(
    sent: str, country: Country | None
) -> None:
    try:
        form = canonical(sent, country)
    except ValueError:
        with pytest.raises(ValueError, match="1 to 32 digits"):
            steps(sent, country)
        return
    assert form == WITHHELD or re.fullmatch(r"\+?[0-9]{1,32}" if country else "[0-9]{1,32}", form)
    assert canonical(form, country) == form
    results = [sent, *(result for _, result in steps(sent, country))]
    assert results[-1] == form
    assert all(before != after for before, after in pairwise(results))
    assert canonical(written(sent), country) == form


@given(st.from_regex(r"[0-9]{1,32}", fullmatch=True), st.text(alphabet=" .-/()", max_size=3))
def test_no_wrapping_changes_the_number(digits: str, separator: str) -> None:
    spread = separator.join(digits)
    for sent in (spread, f"+{spread}", f"tel:{spread}", f"sip:+{digits}@h;x=y", f"A <sips:{digits}@h:1;x>;y"):
        assert canonical(sent) == digits


@pytest.mark.parametrize("quotes", ["", '"', '"' * 20_000, '"\\' * 20_000, "<" * 20_000, " " * 20_000 + "x"])
def test_a_long_text_of_nothing_is_refused_like_any_other(quotes: str) -> None:
    with pytest.raises(ValueError, match="1 to 32 digits"):
        canonical(quotes + "x")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("15551234567", "\u2026567"),
        ("123456", "\u2026456"),
        ("+123456", "\u2026456"),
        ("12345", "\u2026"),
        ("+12345", "\u2026"),
        ("7", "\u2026"),
        ("", "\u2026"),
    ],
)
def test_a_masked_number_shows_its_last_digits_alone(number: str, shown: str) -> None:
    assert masked(number) == shown
