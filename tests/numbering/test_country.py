import pickle
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cticache.numbering.ani import canonical
from cticache.numbering.country import _REGIONS, Country

_CODES = ["1", "44", "49", "39", "7", "33", "34", "81", "86", "852", "36", "375", "55", "61"]
_WATCHED = st.sampled_from(_CODES).map(Country.of)
_ANY = st.one_of(_WATCHED, st.sampled_from([Country.of(code) for code in sorted(_REGIONS)]))


def _row(code: str, sent: str, seen: str, *, same: bool, why: str) -> object:
    return pytest.param(code, sent, seen, same, id=f"{code} {why}")


@pytest.mark.parametrize(
    ("code", "sent", "seen", "same"),
    [
        _row("1", "+15551234567", "5551234567", same=True, why="E.164 and national"),
        _row("1", "1-555-123-4567", "(555) 123-4567", same=True, why="with and without its trunk 1"),
        _row(
            "1", "011 1 555 123 4567", "sip:+15551234567@10.0.0.1", same=True, why="its international prefix to itself"
        ),
        _row("1", "0015551234567", "5551234567", same=True, why="00 from a European gateway"),
        _row("1", "+1 1 555 123 4567", "5551234567", same=True, why="the trunk prefix after the code"),
        _row("1", "1234567890", "11234567890", same=True, why="a fictional number that starts with the code"),
        _row("1", "1234567890", "+1 234 567 890", same=False, why="nine digits after the code are no number"),
        _row("1", "+442079460000", "011442079460000", same=True, why="abroad by the international prefix"),
        _row("1", "+442079460000", "442079460000", same=True, why="abroad without the plus"),
        _row("1", "+33140205050", "33140205050", same=True, why="abroad, as long as 1 and a national number"),
        _row("1", "+33140205050", "+13140205050", same=False, why="abroad and at home"),
        _row("1", "5551234567", "1234567", same=False, why="the local part alone"),
        _row("1", "1234567", "+1234567", same=False, why="a local number and a plus"),
        _row("1", "5551234567", "5551234568", same=False, why="a neighbour"),
        _row("1", "911", "+1911", same=False, why="emergency and what only looks so"),
        _row("1", "911", "tel:911", same=True, why="emergency"),
        _row("1", "7042", "sip:7042@pbx.example.com", same=True, why="an extension"),
        _row("1", "7042", "17042", same=False, why="two extensions"),
        _row("1", "85551234", "+85551234", same=False, why="an internal number of eight digits"),
        _row("1", "sip:anonymous@anonymous.invalid", "Restricted", same=True, why="withheld"),
        _row("1", "anonymous", "5551234567", same=False, why="withheld and a number"),
        _row("44", "+44 (0)20 7946 0000", "020 7946 0000", same=True, why="the zero in brackets"),
        _row("44", "44(0)2079460000", "442079460000", same=True, why="the zero in brackets, no plus"),
        _row("44", "02079460000", "2079460000", same=True, why="ISDN without the trunk 0"),
        _row("44", "00442079460000", "tel:+44-20-7946-0000", same=True, why="00 and tel"),
        _row("44", "+02079460000", "02079460000", same=True, why="a plus before the trunk 0"),
        _row("44", "08001111", "+448001111", same=True, why="a short freephone number"),
        _row("44", "+12079460000", "02079460000", same=False, why="Maine and London"),
        _row("44", "+15551234567", "0015551234567", same=True, why="abroad by 00"),
        _row("44", "+15551234567", "15551234567", same=True, why="abroad without the plus"),
        _row("44", "999", "0999", same=False, why="emergency"),
        _row("44", "116123", "+44116123", same=False, why="a helpline and what only looks so"),
        _row("44", "07946000", "2007946000", same=False, why="a number that is cut off"),
        _row("49", "+49 30 1234567", "030/123 45 67", same=True, why="a slash after the area code"),
        _row("49", "4930 1234567", "0301234567", same=True, why="ISDN with the code"),
        _row("49", "<sip:+49301234567@h;user=phone>", "0049301234567", same=True, why="SIP and 00"),
        _row("49", "0492112345", "+49492112345", same=True, why="an area code that starts as the country's"),
        _row("49", "0301234567", "03012345670", same=False, why="a direct dialling-in digit more"),
        _row("49", "112", "tel:112", same=True, why="emergency"),
        _row("49", "112", "0112", same=False, why="emergency after a 0"),
        _row("49", "+43 1 234567", "01 234567", same=False, why="Vienna and no German number of that code"),
        _row("39", "+390612345678", "0612345678", same=True, why="a zero that stays"),
        _row("39", "06 1234 5678", "612345678", same=False, why="a zero that is part of the number"),
        _row("39", "+39 312 345 6789", "3123456789", same=True, why="mobile"),
        _row("39", "0039 06 12345678", "390612345678", same=True, why="00 and ISDN"),
        _row("39", "112", "39112", same=False, why="emergency"),
        _row("33", "01 40 20 50 50", "+33 1 40 20 50 50", same=True, why="national and E.164"),
        _row("33", "33140205050", "140205050", same=True, why="with and without the code"),
        _row("33", "+47 22 12 34 56", "4722123456", same=True, why="ten digits that start with no 0"),
        _row("33", "3631", "03631", same=False, why="short code"),
        _row("33", "0140205050", "0140205051", same=False, why="a neighbour"),
        _row("7", "8 916 123-45-67", "+7 916 123-45-67", same=True, why="its trunk 8"),
        _row("7", "79161234567", "9161234567", same=True, why="with and without the code"),
        _row("7", "88001234567", "+7 800 123 4567", same=True, why="a number that starts with 8 after the trunk 8"),
        _row("7", "8001234567", "+7 800 123 4567", same=True, why="a number that starts with 8"),
        _row("7", "+491701234567", "491701234567", same=True, why="abroad without the plus"),
        _row("7", "+1 555 123 4567", "+7 555 123 4567", same=False, why="abroad and at home"),
        _row("61", "0412 345 678", "+61 412 345 678", same=True, why="mobile"),
        _row("61", "1300 123 456", "+61 1300 123 456", same=True, why="a national number without a trunk prefix"),
        _row("61", "000", "0", same=False, why="emergency"),
        _row("81", "03-1234-5678", "+81 3 1234 5678", same=True, why="national and E.164"),
        _row("81", "0312345678", "0412345678", same=False, why="another area"),
        _row("55", "(011) 98765-4321", "+55 11 98765-4321", same=True, why="the trunk 0 in brackets"),
        _row("55", "5511987654321", "11987654321", same=True, why="with and without the code"),
        _row("55", "1187654321", "11987654321", same=False, why="the ninth digit of a mobile number"),
        _row("36", "06 1 234 5678", "+36 1 234 5678", same=True, why="a trunk prefix of two digits"),
        _row("36", "36 06 1 234 5678", "12345678", same=True, why="the trunk prefix after the code"),
        _row("34", "912 345 678", "0034912345678", same=True, why="no trunk prefix"),
        _row("86", "13800138000", "+86 138 0013 8000", same=True, why="mobile"),
        _row("86", "010 1234 5678", "861012345678", same=True, why="Beijing"),
        _row("852", "2123 4567", "+852 2123 4567", same=True, why="no trunk prefix"),
        _row("852", "21234567", "+21234567", same=False, why="at home and a plus"),
        _row(
            "375", "8 17 123 45 67", "+375 8 17 123 45 67", same=True, why="its trunk 8, which a number may start with"
        ),
        _row("254", "000 44 20 7946 0000", "+442079460000", same=True, why="its international prefix of three zeros"),
        _row("39", "3921234567", "+39 392 123 4567", same=True, why="a mobile number that begins with the code"),
        _row("39", "393921234567", "392 123 4567", same=True, why="the same after the code, without the plus"),
        _row("91", "9123456789", "+91 91234 56789", same=True, why="a mobile number that begins with the code"),
        _row("55", "55991234567", "+55 55 99123 4567", same=True, why="an area code like the calling code"),
        _row("55", "5511987654321", "+55 11 98765 4321", same=True, why="the code before an area code"),
        _row("90", "9001253557", "+90 900 125 35 57", same=True, why="a number that begins with the code and a zero"),
        _row("49", "4921 12345", "+49 4921 12345", same=True, why="an area code like the calling code"),
        _row("49", "4915111630004", "+49 1511 1630004", same=True, why="the code before a mobile number, no plus"),
        _row("383", "38328012345", "+383 28 012345", same=True, why="the code before a fixed line, no plus"),
        _row("31", "31 800 0710", "+31 800 0710", same=True, why="the code before a freephone number, no plus"),
        _row("44", "44 1234567", "+44 1234567", same=True, why="the code before what fits no more than the whole"),
        _row("91", "9118001802", "+91 1800 1802", same=False, why="a mobile number, not a freephone one"),
        _row("91", "9118001802", "+91 91180 01802", same=True, why="a mobile number like a freephone one"),
        _row("46", "460206138", "+46 46 020 61 38", same=True, why="no trunk prefix after the code without a plus"),
        _row("55", "5532221234", "+55 3222 1234", same=False, why="an eight-digit number and one that begins so"),
        _row("234", "009 44 20 7946 0000", "+442079460000", same=True, why="its international prefix, before 00"),
        _row("234", "009 1 555 123 4567", "+91 55512 34567", same=False, why="America and India"),
        _row("234", "009 1 555 123 4567", "+1 555 123 4567", same=True, why="America"),
        _row("7", "8 10 44 20 7946 0000", "+442079460000", same=True, why="its prefix of two parts"),
        _row("7", "810 810 1234 5678", "+810 1234 5678", same=True, why="its prefix twice"),
        _row("7", "+81 012 345 6789", "+012 345 6789", same=False, why="a plus before what its prefix begins like"),
        _row("375", "810 375 17 123 45 67", "8 017 123 45 67", same=True, why="its prefix to itself"),
        _row("61", "0011 61 412 345 678", "0412 345 678", same=True, why="its preferred prefix to itself"),
        _row("61", "0011 44 20 7946 0000", "+442079460000", same=True, why="its preferred prefix"),
        _row("230", "020 44 20 7946 0000", "+442079460000", same=True, why="its preferred prefix"),
        _row("238", "0 44 20 7946 0000", "+442079460000", same=True, why="a prefix of one zero"),
        _row("238", "0 238 221 12 34", "2211234", same=True, why="a prefix of one zero to itself"),
        _row("685", "0 685 20123", "20123", same=True, why="a prefix of one zero before eight digits"),
        _row("976", "001 44 20 7946 0000", "+442079460000", same=True, why="its international prefix 001"),
        _row("375", "80 17 123 45 67", "+375 17 123 45 67", same=True, why="the other trunk prefix"),
        _row("375", "88000233", "8 8000233", same=True, why="its trunk 8 before an 8"),
        _row("375", "8 80 15 451 04 56", "+375 15 451 04 56", same=True, why="its trunk 8 and the other prefix"),
        _row("370", "8 612 34567", "0 612 34567", same=True, why="the old and the new trunk prefix"),
        _row("55", "0 41 11 98765 4321", "0 11 98765 4321", same=True, why="with and without a carrier's code"),
        _row("55", "90 11 98765 4321", "+55 11 98765 4321", same=True, why="collect"),
        _row("57", "03 321 123 4567", "0 321 123 4567", same=True, why="a carrier's code like its first digit"),
        _row("57", "0444 601 234 5678", "+57 601 234 5678", same=True, why="a carrier's code of three digits"),
        _row("82", "081 2 312 3456", "02 312 3456", same=True, why="with and without a carrier's code"),
        _row("82", "080 123 4567", "+82 80 123 4567", same=True, why="freephone, not a carrier's code"),
        _row(
            "54",
            "011 15 2345 6789",
            "+54 9 11 2345 6789",
            same=True,
            why="the 15 of a mobile number, 9 abroad",
        ),
        _row("54", "011 2345 6789", "+54 9 11 2345 6789", same=False, why="a fixed line and a mobile number"),
        _row("378", "886377", "+378 0549 886377", same=True, why="its only area code left out"),
        _row("992", "004320859", "+992 004320859", same=True, why="a mobile number that begins with 00"),
        _row("250", "0 06001934", "+250 06001934", same=True, why="the trunk 0 before a number that begins with 0"),
        _row("81", "0 0037 1067 0046", "+81 0037 1067 0046", same=True, why="the trunk 0 before two zeros"),
        _row("1", "310 1234", "+1 310 1234", same=True, why="a Canadian number of seven digits"),
    ],
)
def test_what_x_sends_and_y_sees_is_one_caller_or_two(code: str, sent: str, seen: str, same: bool) -> None:
    country = Country.of(code)
    assert (canonical(sent, country) == canonical(seen, country)) == same


@pytest.mark.parametrize(
    ("code", "written", "form"),
    [
        pytest.param("1", "", "", id="withheld"),
        pytest.param("1", "5551234567", "15551234567", id="national"),
        pytest.param("1", "11234567890", "11234567890", id="the code and a number that starts with it"),
        pytest.param("1", "5551234", "5551234", id="local"),
        pytest.param("1", "95551234", "95551234", id="too short to be from abroad"),
        pytest.param("1", "011", "011", id="the international prefix alone"),
        pytest.param("1", "0111234567", "10111234567", id="the international prefix before too little"),
        pytest.param("44", "0", "0", id="the trunk prefix alone"),
        pytest.param("44", "00", "00", id="00 alone"),
        pytest.param("44", "000", "000", id="zeros"),
        pytest.param("44", "+0", "0", id="plus and zero"),
        pytest.param("44", "+00442079460000", "442079460000", id="plus and 00"),
        pytest.param("44", "+7", "+7", id="plus and one digit"),
        pytest.param("44", "007", "+7", id="00 and one digit"),
        pytest.param("44", "0015551234567", "+15551234567", id="another country"),
        pytest.param("44", "79460000", "79460000", id="local, though no national number is as short as this"),
        pytest.param("44", "+" + "1" * 15, "+" + "1" * 15, id="15 digits with a plus"),
        pytest.param("44", "+" + "1" * 16, "1" * 16, id="16 digits with a plus"),
        pytest.param("44", "00" + "1" * 16, "00" + "1" * 16, id="16 digits after 00"),
        pytest.param("44", "9" * 32, "9" * 32, id="32 digits"),
        pytest.param("49", "7042", "+497042", id="four digits are a national number in Germany"),
        pytest.param("49", "000000", "+49000000", id="zeros where so many digits are a national number"),
        pytest.param("39", "3921234567", "393921234567", id="a number that begins with the code"),
        pytest.param("49", "+4930123456", "4930123456", id="no national number after all"),
        pytest.param("55", "+5532221234", "+5532221234", id="what would be another number without its plus"),
        pytest.param("55", "5532221234", "555532221234", id="that other number"),
        pytest.param("7", "+81012345678901234", "+12345678901234", id="17 digits with a plus: its own prefix"),
        pytest.param("7", "81012345678", "+12345678", id="its own prefix before eight digits"),
    ],
)
def test_the_canonical_form_is_the_calling_code_and_the_number_or_a_plus_and_the_number(
    code: str, written: str, form: str
) -> None:
    assert Country.of(code).canonical(written) == form


@pytest.mark.parametrize(
    "code", ["", "0", "01", "+44", "0044", "999", "210", "800", "44 ", "44\n", "\u0664\u0664", "GB"]
)
def test_what_is_no_calling_code_of_a_country_is_refused_by_name(code: str) -> None:
    with pytest.raises(ValueError, match="such as 1, 44 or 852") as caught:
        Country.of(code)
    assert repr(code) in str(caught.value)


def test_countries_are_equal_by_code_and_survive_the_way_to_another_process() -> None:
    britain = Country.of("44")
    assert britain == Country.of("44") == pickle.loads(pickle.dumps(britain))
    assert britain != Country.of("49")
    assert len({britain, Country.of("44")}) == 1
    assert pickle.loads(pickle.dumps(britain)).canonical("02079460000") == "442079460000"
    with pytest.raises(AttributeError):
        britain.code = "49"  # type: ignore[misc]


@pytest.mark.parametrize("code", sorted(_REGIONS))
def test_each_country_reads_its_own_numbers(code: str) -> None:
    country = Country.of(code)
    for length in country.lengths:
        number = "9" * length
        assert country.canonical(f"+{code}{number}") == country.canonical(f"00{code}{number}")
        assert country.canonical(f"+{code}{number}").removeprefix("+") == code + number


def _national(digits: str, country: Country) -> set[str]:
    """The national numbers that this may be, without their trunk prefix: those that fit, if any does."""
    possible = {digits, digits.removeprefix(country.trunk), country._without_other_trunk(digits)}
    if fitting := {number for number in possible if country.pattern.fullmatch(number)}:
        return fitting
    possible = {number for number in possible if len(number) in country.lengths}
    if country.trunk == "0":  # a single zero is the trunk prefix if it can be, more are not
        possible = {number for number in possible if number == digits or not number.startswith("0")}
        if bare := possible - {digits}:
            return set().union(*(_national(number, country) for number in bare))
    return possible


def _after_code(digits: str, country: Country) -> set[str]:
    rest = digits[len(country.code) :] if digits.startswith(country.code) else ""
    return {country.code + number for number in _national(rest, country)}


def _meant(written: str, country: Country) -> set[str]:
    """All international numbers that this may mean, without a plus, found by trying each way to write one."""
    plus, digits = written[:1] == "+", written.removeprefix("+")
    if plus:
        return _after_code(digits, country) or {digits}
    found = _after_code(digits, country)
    found |= {country.code + number for number in _national(digits, country)}
    for prefix, fewest in (("00", 1), (country.prefix or "00", 8)):
        number = digits.removeprefix(prefix)
        if number != digits and number[:1] not in ("", "0"):
            found |= _after_code(number, country) or ({number} if fewest <= len(number) <= 15 else set())
    if not found and len(digits) in country.foreign and digits[0] != "0":
        found.add(digits)
    return found


@st.composite
def _written(draw: st.DrawFn, country: Country) -> str:
    """Digits after something that the rules look for, of lengths at which they change their mind."""
    start = draw(
        st.lists(st.sampled_from(["0", "00", "9", country.code, country.trunk, country.prefix]), max_size=3).map(
            "".join
        )
    )
    rest = draw(st.one_of(st.integers(0, 17), st.sampled_from(sorted(country.lengths))))
    digits = start + draw(st.text("0123456789", min_size=rest, max_size=rest))
    return draw(st.sampled_from(["", "", "+"])) + (digits or "0")


def _international(number: str) -> bool:
    return 8 <= len(number) <= 15 and number[0] != "0"


_BOTH = _ANY.flatmap(lambda country: st.tuples(st.just(country), _written(country)))


@given(_BOTH)
def test_the_canonical_form_is_a_plus_or_none_and_1_to_32_digits_and_its_own_canonical_form(
    both: tuple[Country, str],
) -> None:
    country, written = both
    form = country.canonical(written)
    assert re.fullmatch("[+]?[0-9]{1,32}", form)
    assert country.canonical(form) == form


@given(_BOTH)
def test_what_can_mean_one_number_alone_is_read_as_that(both: tuple[Country, str]) -> None:
    country, written = both
    if written.startswith("+") and not _international(written[1:]):
        return
    meant = _meant(written, country)
    if len(meant) == 1:
        assert country.canonical(written) == country.canonical(f"+{meant.pop()}")


def _edited(digits: str, at: int, digit: str, kind: str) -> str:
    at %= len(digits)
    return {
        "replace": digits[:at] + digit + digits[at + 1 :],
        "insert": digits[:at] + digit + digits[at:],
        "delete": digits[:at] + digits[at + 1 :],
    }[kind]


@given(
    _BOTH,
    st.integers(0, 40),
    st.sampled_from(["0", "1", "4", "8", "9", "00"]),
    st.sampled_from(["replace", "insert", "delete"]),
)
def test_two_different_numbers_are_never_one_caller(both: tuple[Country, str], at: int, digit: str, kind: str) -> None:
    country, written = both
    sign, digits = written[: written.count("+")], written.removeprefix("+")
    other = sign + _edited(digits, at, digit, kind)
    if sign and not (_international(written[1:]) and _international(other[1:] or "0")):
        return
    one, two = _meant(written, country), _meant(other, country) if other else set()
    if len(one) == len(two) == 1 and one != two:
        assert country.canonical(written) != country.canonical(other)


_DRESSES = [
    "{}",
    "tel:{}",
    "TEL:{};phone-context=example.com",
    "sip:{}@example.com",
    "sips:{}@10.0.0.1:5061;transport=tls",
    "sip:{};isub=7@example.com;user=phone",
    "sip:{}:secret@example.com",
    "<sip:{}@[2001:db8::1]>;tag=1",
    '"Alice 42" <sip:{}@example.com;user=phone>',
    "Alice <tel:{}>",
    "\u202a{}\u202c",
]


@given(_ANY, st.data(), st.sampled_from(_DRESSES), st.text(" .-/()\u00a0\u2011", max_size=2))
def test_every_way_to_write_one_number_is_one_caller(
    country: Country, data: st.DataObject, dress: str, separator: str
) -> None:
    length = data.draw(st.sampled_from(sorted(country.lengths)))
    digits = st.text("0123456789", min_size=length, max_size=length)
    number = data.draw(digits.filter(lambda number: number in _national(number, country)))
    full = country.code + number
    ways = [f"+{full}", f"00{full}", full, f"+{country.code}{country.trunk}{number}", country.trunk + number, number]
    if country.prefix:
        ways.append(country.prefix + full)
    assume(separator != "." or len(number) > 4)  # four digits between dots are an IP address
    form = country.canonical(f"+{full}")
    assert form.removeprefix("+") == full
    for way in ways[:2] + [way for way in ways[2:] if _meant(way, country) == {full}]:
        assert canonical(dress.format(separator.join(way)), country) == form
        assert canonical(f"sip:{way.replace('+', '%2B')}@example.com", country) == form


@given(_ANY, st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True), st.sampled_from(_DRESSES))
def test_every_way_to_write_a_number_of_another_country_is_one_caller(
    country: Country, number: str, dress: str
) -> None:
    if _after_code(number, country):
        return
    form = "+" + number
    for way in [form, number, "00" + number, country.prefix + number]:
        if _meant(way, country) == {number}:
            assert canonical(dress.format(way), country) == form
    assert canonical(f"sip:%2B{number}@example.com", country) == form
