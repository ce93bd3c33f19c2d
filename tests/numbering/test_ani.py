import re
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cticache.numbering.ani import WITHHELD, Ani, canonical, form_of, masked, read, steps, written
from cticache.numbering.country import Country

_WITHHELD_WORDS = [
    *("anonymous", "asserted-anonymous", "restricted", "unavailable", "private", "unknown", "withheld"),
    *("undefined", "none", "<null>", "null"),
]
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
        pytest.param("sip:+15551234567", "15551234567", id="sip and a plus without host"),
        pytest.param("<sip:%2B15551234567;user=phone>", "15551234567", id="escaped plus without host"),
        pytest.param("sips:5551234567?subject=x%20y", "5551234567", id="URI headers without host"),
        pytest.param("sip://5551234567@example.com", "5551234567", id="two slashes"),
        pytest.param("tel:12.34.56.78", "12345678", id="tel of four pairs"),
        pytest.param("45.12.34.56.78", "4512345678", id="five pairs"),
        pytest.param("10.0.0.256", "1000256", id="no IP address"),
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
        pytest.param("tel:2079460001;phone-context=+44", "442079460001", id="a context of a country"),
        pytest.param("tel:020-7946-0001;phone-context=+44", "442079460001", id="with its trunk prefix"),
        pytest.param("tel:00442079460001;phone-context=+44", "442079460001", id="already international"),
        pytest.param("tel:7946-0001;isub=1;phone-context=+44-20", "442079460001", id="a context of an area"),
        pytest.param("tel:4155550100;phone-context=+1-415", "14155550100", id="a whole number in an area"),
        pytest.param("TEL:2079460001;Phone-Context=%2B44;x=y", "442079460001", id="an escaped context in capitals"),
        pytest.param("tel:+15551234567;phone-context=+44", "15551234567", id="a global number in a context"),
        pytest.param("tel:+12345678;phone-context=+44", "12345678", id="a short global number in a context"),
        pytest.param("tel:911;phone-context=+1", "911", id="a short code in a context"),
        pytest.param("tel:863-1234;phone-context=+1-914-555", "8631234", id="no whole number with its context"),
        pytest.param("tel:0033123456789;phone-context=+44", "0033123456789", id="another country's in a context"),
        pytest.param("tel:8001234;phone-context=+800", "8001234", id="a context of no country"),
        pytest.param("tel:7042;phone-context=44", "7042", id="a context without a plus"),
        pytest.param("tel:7042;phone-context=+", "7042", id="a plus for a context"),
        pytest.param("sip:2079460001;phone-context=+44@10.0.0.1;user=phone", "442079460001", id="a context in a user"),
        pytest.param("sip:2079460001@10.0.0.1;phone-context=+44", "2079460001", id="a context of the host"),
        pytest.param('"A, B" <sip:alice@h>, <tel:+15551234567>', "15551234567", id="a list, tel last"),
        pytest.param("<tel:+15551234567>,<sip:+15557654321@h>", "15551234567", id="a list, tel first"),
        pytest.param("sip:alice@h;x=y,tel:+1-555-123-4567;z", "15551234567", id="a list without brackets"),
        pytest.param("<TEL:5551234567>;a, tel:5551234567", "5551234567", id="tel in capitals in a list"),
        pytest.param("<sip:5551234567@h>, <sip:alice@h>", "5551234567", id="a list without tel"),
        pytest.param("Smith, tel:1234 <sip:5551234567@h>", "5551234567", id="tel in a display name"),
        pytest.param('"x, tel:1234" <sip:5551234567@h>', "5551234567", id="tel within quotes"),
        pytest.param("sip:5551234567,x@h, <tel:1234>", "1234", id="a comma in a user"),
        pytest.param('"Anonymous" <sip:anonymous@anonymous.invalid>, <tel:1234>', "1234", id="anonymous beside a tel"),
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
        '"" <>',
        "<>",
        "Alice <>",
        "<sip:>",
        "sip:@10.0.0.1",
        "sip:10.0.0.1@10.0.0.2",
        "10.0.0.1@10.0.0.2",
        "<tel:>",
        "sip:;user=phone",
        "sip:undefined@10.0.0.1",
        '"asserted-anonymous" <sip:asserted-anonymous@h>',
    ],
)
def test_a_withheld_number_in_a_sip_address_is_withheld(sent: str) -> None:
    assert canonical(sent) == WITHHELD


_IPS = ["10.0.0.1", "010.000.000.001", "255.255.255.255", "[2001:db8::1]", "[::ffff:10.0.0.1]", "[fe80::1%25eth0]"]
_HOSTS = [*_IPS, "pbx", "pbx.example.com", "gw_1.example.com.", "4u.example.com", "555-123-4567", "0x0a.0.0.1", "1.2.3"]


@pytest.mark.parametrize("port", ["", ":5060"])
@pytest.mark.parametrize("host", _HOSTS)
def test_an_address_without_a_user_part_is_withheld(host: str, port: str) -> None:
    for scheme in ("sip:", "SIP:", "sips:", "sip://"):
        for end in ("", ";transport=udp", "?subject=5551234567", ";maddr=5551234567"):
            address = f"{scheme}{host}{port}{end}"
            for sent in (address, f"<{address}>;tag=5551234567", f'"Anonymous" <{address}>', f"5551234567 <{address}>"):
                assert canonical(sent) == written(sent) == WITHHELD
                assert steps(sent)[-1] == ("withheld, as this names a host and no caller", WITHHELD)


@pytest.mark.parametrize("sent", [*_IPS[:5], "2001:db8::1", "fe80::1%eth0"])
def test_an_ip_address_alone_is_withheld(sent: str) -> None:
    port = ":5060" if sent.count(":") == 0 or "[" in sent else ""
    for form in (sent, f" {sent} ", f"<{sent}>", f'"Anonymous" <{sent}>', f"{sent}{port}"):
        assert canonical(form) == WITHHELD


_HOST_TEXTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.from_regex(r"[0-9+(/ .%-]{1,20}", fullmatch=True),
    st.text(max_size=20),
)


@given(
    _HOST_TEXTS.filter(lambda host: "@" not in host and "<" not in host and "," not in host),
    st.sampled_from(["sip:", "sips:", "sip://", "SIP:"]),
    st.sampled_from(["{}", "<{}>", '"Alice 42" <{}>;tag=1', "  {}"]),
    st.sampled_from(["", ":5060", ";user=phone", "?x=1"]),
)
def test_no_address_without_a_user_part_is_a_number_but_for_digits_alone(
    host: str, scheme: str, around: str, end: str
) -> None:
    sent = around.format(f"{scheme}{host}{end}")
    try:
        form = canonical(sent)
    except ValueError:
        return
    if form != WITHHELD:
        assert re.fullmatch(rf"\W*\+?{form}\W*", unquote(re.split("[;?>]", host)[0]))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("sip:(555)123-4567", id="separators without a host"),
        pytest.param("sip:+1-555-123-4567", id="plus and separators without a host"),
        pytest.param("sip:10.0.0.1/", id="a host and a slash"),
        pytest.param(f"sip:{'1' * 33}", id="33 digits without a host"),
        pytest.param("sip:-", id="a dash for a host"),
        pytest.param("pbx.example.com", id="the name of a host"),
        pytest.param("12:34:56", id="a time"),
        pytest.param("<tel:1234>, <tel:5678>", id="two tel addresses"),
        pytest.param("<tel:alice>, <sip:5551234567@h>", id="a word for a tel address in a list"),
        pytest.param('""', id="quotes alone"),
        pytest.param("none of your business", id="a word and more words"),
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
        pytest.param("<sip:5551234567@example.com", id="bracket not closed"),
        pytest.param('"Alice <sip:5551234567@example.com>', id="quote not closed"),
        pytest.param("anonymous1", id="a word and more"),
    ],
)
def test_what_is_no_number_is_refused(sent: str) -> None:
    for read_it in (canonical, written, steps, lambda text: canonical(text, Country.of("1"))):
        with pytest.raises(ValueError, match="1 to 32 digits"):
            read_it(sent)


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
    assert steps("sip:10.0.0.1;x=y") == [
        ("scheme, password, host and parameters removed", "10.0.0.1"),
        ("withheld, as this names a host and no caller", WITHHELD),
    ]
    assert steps('"A" <sip:a@h>, <tel:2079460001;phone-context=+44>', Country.of("44")) == [
        ("of several addresses, the tel: one taken", "tel:2079460001;phone-context=+44"),
        ("scheme, password, host and parameters removed", "2079460001"),
        ("read in its phone-context", "+442079460001"),
        ("a number of this country, by its calling code", "442079460001"),
    ]
    assert steps("5551234567") == steps("", Country.of("1")) == []


_LISTED = frozenset({"266696687", "0000000000", "no caller id"})


@pytest.mark.parametrize(
    ("sent", "last"),
    [
        ("+266696687", "266696687"),
        ("sip:266696687@10.0.0.1", "266696687"),
        ("000 000 0000", "0000000000"),
        ("No Caller ID", "No Caller ID"),
        ("  no  caller\u00a0id ", "no  caller\u00a0id"),
        ("sip:NO%20CALLER%20ID@10.0.0.1", "NO CALLER ID"),
        ('"Bob" <tel:No%20Caller%20ID>', "No Caller ID"),
    ],
)
def test_what_a_pool_lists_is_withheld_in_every_spelling_and_that_is_the_last_step(sent: str, last: str) -> None:
    assert canonical(sent, None, _LISTED) == form_of(read(sent).bare, None, _LISTED) == WITHHELD
    results = [sent, *(result for _, result in steps(sent, None, _LISTED))]
    assert results[-2:] == [last, WITHHELD]
    assert steps(sent, None, _LISTED)[-1][0] == "withheld, by the pool's own list"


@pytest.mark.parametrize(
    "sent", ["2666966870", "266696687x", "00000000000", "No Caller", "No Caller ID 2", "\nno caller id"]
)
def test_what_a_pool_does_not_list_is_read_as_without_a_list(sent: str) -> None:
    if sent.isdigit():
        assert canonical(sent, None, _LISTED) == sent
    else:
        for read_it in (canonical, steps):
            with pytest.raises(ValueError, match="1 to 32 digits"):
                read_it(sent, None, _LISTED)


def test_a_listed_number_is_withheld_as_the_pools_country_reads_it() -> None:
    one = Country.of("1")
    listed = frozenset({one.canonical("5550000000")})
    for sent in ("5550000000", "+1 555 000 0000", "0015550000000"):
        assert canonical(sent, one, listed) == WITHHELD
        assert canonical(sent, None, listed) == (WITHHELD if sent[0] == "+" else sent)
    assert canonical("5550000001", one, listed) == "15550000001"


def test_a_text_that_is_too_long_is_refused_and_one_that_is_not_is_kept_as_it_was_sent() -> None:
    sent = f'"{"x" * 235}" <tel:+15551234567>'
    assert read(sent) == Ani(sent, "+15551234567")
    with pytest.raises(ValueError, match="longer than 256 characters"):
        read(sent + " ")


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
            ";phone-context=+44",
            ",<tel:",
            "10.0.0.1",
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
    assert canonical(sent, country, frozenset({form})) == WITHHELD
    results = [sent, *(result for _, result in steps(sent, country))]
    assert results[-1] == form
    assert all(before != after for before, after in pairwise(results))
    assert canonical(written(sent), country) == form


@given(st.from_regex(r"[0-9]{1,32}", fullmatch=True), st.text(alphabet=" .-/()", max_size=3))
def test_no_wrapping_changes_the_number(digits: str, separator: str) -> None:
    assume((len(digits), separator) != (4, "."))  # that is an IP address
    spread = separator.join(digits)
    for sent in (spread, f"+{spread}", f"tel:{spread}", f"sip:+{digits}@h;x=y", f"A <sips:{digits}@h:1;x>;y"):
        assert canonical(sent) == digits


@pytest.mark.parametrize(
    "quotes",
    [
        *(",tel:" + each for each in ('"' * 20_000, '"\\' * 20_000, '"' + "\\" * 20_000, "<," * 20_000)),
        "",
        '"',
        '"' * 20_000,
        '"\\' * 20_000,
        "<" * 20_000,
        " " * 20_000 + "x",
    ],
)
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
