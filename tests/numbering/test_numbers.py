from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cticache.numbering.numbers import NumberSet, Owners, overlaps
from kit.effort import counted_calls

LIMIT = 5_000_000

_PARTS = st.tuples(
    st.sampled_from(["", "+"]), st.integers(1, 3), st.integers(0, 60), st.integers(0, 12)
)  # plus, digits, first, how many more


def _expanded(parts: list[tuple[str, int, int, int]]) -> tuple[str, set[str]]:
    """The text of a set, and its numbers by Python's own means."""
    texts, numbers = [], set()
    for plus, digits, wished, more in parts:
        first = min(wished, 10**digits - 1)
        last = min(first + more, 10**digits - 1)
        texts.append(f"{plus}{first:0{digits}d}-{plus}{last:0{digits}d}")
        numbers |= {f"{plus}{value:0{digits}d}" for value in range(first, last + 1)}
    return ", ".join(texts), numbers


def _parse(text: str) -> NumberSet:
    return NumberSet.parse(text, LIMIT)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \n ", [], id="blank"),
        pytest.param("5551234560", ["5551234560"], id="single"),
        pytest.param("7", ["7"], id="one digit"),
        pytest.param("08-11", ["08", "09", "10", "11"], id="range"),
        pytest.param("5-5", ["5"], id="range of one"),
        pytest.param("1, 3,5", ["1", "3", "5"], id="commas"),
        pytest.param(" 1 ,\t3\u00a0, 5\t", ["1", "3", "5"], id="spaces around"),
        pytest.param("1 \n \n 3,\n\t5 ,\n", ["1", "3", "5"], id="lines with spaces around"),
        pytest.param("1\n3\r\n5", ["1", "3", "5"], id="lines"),
        pytest.param("1 -\r\n 3", ["1", "2", "3"], id="line end of Windows after the dash"),
        pytest.param(",1,,3,", ["1", "3"], id="superfluous commas"),
        pytest.param("1 - 3", ["1", "2", "3"], id="spaces around the dash"),
        pytest.param("1 -\n3", ["1", "2", "3"], id="line end after the dash"),
        pytest.param("0098-0101", ["0098", "0099", "0100", "0101"], id="leading zeros"),
        pytest.param("+1-+3", ["+1", "+2", "+3"], id="plus"),
        pytest.param("9" * 32, ["9" * 32], id="32 digits"),
    ],
)
def test_numbers_and_ranges_are_read_as_written(text: str, numbers: list[str]) -> None:
    assert list(_parse(text)) == numbers


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("1, 9-8", ["'9-8'", "backwards"], id="backwards"),
        pytest.param("98-101", ["'98-101'", "equally many digits"], id="unequal digits"),
        pytest.param("098-99", ["'098-99'", "equally many digits"], id="unequal leading zeros"),
        pytest.param("+1-3", ["'+1-3'", "leading plus"], id="plus on the first end"),
        pytest.param("1-+3", ["'1-+3'", "leading plus"], id="plus on the last end"),
        pytest.param("1, x9", ["'x9'", "not a number"], id="letters"),
        pytest.param("1, \u0661\u0662", ["'\u0661\u0662'", "not a number"], id="Arabic digits"),
        pytest.param("1, \u00b2", ["'\u00b2'", "not a number"], id="superscript"),
        pytest.param("1" * 33, ["not a number", "1 to 32 digits"], id="33 digits"),
        pytest.param("1-2-3", ["'1-2-3'", "not a number"], id="three ends"),
        pytest.param("-5", ["'-5'", "not a number"], id="no first end"),
        pytest.param("5-", ["'5-'", "not a number"], id="no last end"),
        pytest.param("-", ["'-'", "not a number"], id="a dash alone"),
        pytest.param("1\n- 5", ["'-5'", "not a number"], id="a list with a dash before each"),
        pytest.param("1\u20135", ["'1\u20135'", "its dash is no hyphen"], id="en dash"),
        pytest.param("1;" * 999, ["'1;1;", "a semicolon inside: put a comma or a new line"], id="a list by semicolons"),
        pytest.param("5551; 5552", ["'5551; 5552' has a semicolon inside"], id="semicolons and spaces"),
        pytest.param("555-123-4560", ["not a number or a range", "without dashes, as in 5551234560"], id="dashes"),
        pytest.param("555-1234", ["equally many digits", "without dashes, as in 5551234"], id="one dash"),
        pytest.param(f"{'1' * 300}-2", ["'111", "not a number"], id="300 digits"),
        pytest.param("++5", ["'++5'", "not a number"], id="two pluses"),
        pytest.param("+", ["'+'", "not a number"], id="a plus alone"),
        pytest.param("1.5", ["'1.5'", "not a number"], id="fraction"),
        pytest.param("7, 020 7946 0001", ["'020 7946 0001'", "as in 02079460001, and a comma"], id="spaces inside"),
        pytest.param("+44 20\u00a07946\t0001", ["+44 20", "as in +442079460001"], id="other spaces inside"),
        pytest.param("020 1 - 020 9", ["'020 1-020 9'", "as in 0201-0209"], id="spaces inside a range"),
        pytest.param("1\n3 5\n7", ["'3 5'", "a comma or a new line between two"], id="numbers without a comma"),
        pytest.param("(020) 7946", ["'(020) 7946'", "without spaces, and"], id="spaces and brackets"),
        pytest.param(" ".join(["5551234567"] * 999), ["'5551234567 55", "without spaces, and"], id="a list by spaces"),
    ],
)
def test_a_wrong_part_is_named(text: str, named: list[str]) -> None:
    with pytest.raises(ValueError, match=r"digits|backwards|(space|semicolon) inside") as caught:
        _parse(text)
    assert all(piece in str(caught.value) for piece in named)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "digits", [pytest.param(7, id="ten million"), pytest.param(19, id="10^19"), pytest.param(30, id="10^30")]
)
def test_too_many_numbers_are_refused_before_any_is_expanded(digits: int) -> None:
    with pytest.raises(ValueError, match="more than the 5000000 allowed") as caught:
        _parse("0" * digits + "-" + "9" * digits)
    assert str(10**digits) in str(caught.value)


def test_the_limit_itself_is_allowed() -> None:
    assert len(NumberSet.parse("00-09", 10)) == 10
    with pytest.raises(ValueError, match="11 numbers are more than the 10 allowed"):
        NumberSet.parse("00-10", 10)


def test_numbers_written_twice_count_once_against_the_limit() -> None:
    assert len(NumberSet.parse("00-09, 05, 00-09", 10)) == 10


def test_leading_zeros_and_plus_make_other_numbers() -> None:
    numbers = _parse("0123, +123")
    assert "0123" in numbers
    assert "+123" in numbers
    assert "123" not in numbers
    assert "+0123" not in numbers
    assert "00123" not in numbers


@pytest.mark.parametrize("text", ["", "x", "5\n", " 5", "\u0665", "5-5", "+", "5" * 33])
def test_what_is_no_number_is_in_no_set(text: str) -> None:
    assert text not in _parse("0-9")


def test_a_set_of_millions_costs_as_much_as_its_ranges() -> None:
    numbers = _parse("5550000000-5554999999")
    assert len(numbers) == LIMIT
    assert "5554999999" in numbers
    assert "5555000000" not in numbers
    assert next(iter(numbers)) == "5550000000"


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        pytest.param("3, 1-2, 2", "1-3", id="overlap"),
        pytest.param("1-2, 3-4", "1-4", id="neighbours"),
        pytest.param("1-9, 3-4", "1-9", id="inside"),
        pytest.param("1-2, 4", "1-2, 4", id="apart"),
        pytest.param("9, 10", "9, 10", id="other length"),
        pytest.param("+2, 1", "1, +2", id="other prefix"),
        pytest.param("098-100", "098-100", id="zeros kept"),
    ],
)
def test_overlaps_and_neighbours_become_one_range(text: str, merged: str) -> None:
    assert str(_parse(text)) == merged


@given(st.lists(_PARTS, max_size=6))
def test_a_set_holds_just_the_numbers_written(parts: list[tuple[str, int, int, int]]) -> None:
    text, numbers = _expanded(parts)
    parsed = _parse(text)
    assert set(parsed) == numbers
    assert len(list(parsed)) == len(parsed) == len(numbers)
    assert bool(parsed) == bool(numbers)
    everything = {f"{plus}{value:0{digits}d}" for plus in ("", "+") for digits in (1, 2, 3) for value in range(75)}
    assert {number for number in everything if number in parsed} == numbers & everything


@given(st.from_regex(r"\+?[0-9]{2,20}", fullmatch=True), st.sampled_from(" \t\u00a0\u202f"), st.data())
def test_a_space_within_a_number_never_makes_two_of_it(number: str, space: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(number) - 1))
    with pytest.raises(ValueError, match="space inside"):
        _parse(f"1, {number[:at]}{space}{number[at:]}")


@given(st.lists(_PARTS, max_size=6), st.lists(_PARTS, max_size=6))
def test_the_algebra_is_that_of_pythons_sets(
    one: list[tuple[str, int, int, int]], other: list[tuple[str, int, int, int]]
) -> None:
    (one_text, one_numbers), (other_text, other_numbers) = _expanded(one), _expanded(other)
    left, right = _parse(one_text), _parse(other_text)
    assert set(left | right) == one_numbers | other_numbers
    assert set(left & right) == one_numbers & other_numbers
    assert set(left - right) == one_numbers - other_numbers
    assert (set(left), set(right)) == (one_numbers, other_numbers)


@given(st.lists(st.lists(_PARTS, max_size=6), max_size=4))
def test_overlaps_are_what_two_of_the_sets_share(parts: list[list[tuple[str, int, int, int]]]) -> None:
    expanded = [_expanded(part) for part in parts]
    shared: dict[tuple[int, int], set[str]] = {}
    for one, other, span in overlaps([_parse(text) for text, _ in expanded]):
        assert one < other
        numbers = set(_parse(str(span)))
        assert not numbers & shared.setdefault((one, other), set())  # none is told twice
        shared[one, other] |= numbers
    expected = {
        (one, other): expanded[one][1] & expanded[other][1] for other in range(len(parts)) for one in range(other)
    }
    assert shared == {pair: numbers for pair, numbers in expected.items() if numbers}


def test_the_algebra_walks_along_both_sets_once(long: bool) -> None:
    """Each with each would be billions of steps."""
    count = 50_000 if long else 15_000
    ends = 10**6 + 4 * count
    evens, multiples = (_parse("\n".join(str(n) for n in range(10**6, ends, step))) for step in (2, 4))
    assert len(evens - multiples) == len(evens & multiples) == count
    assert next(iter(evens - multiples)) == "1000002"


@given(st.lists(_PARTS, max_size=6), st.randoms(use_true_random=False))
def test_the_fingerprint_is_equal_for_equal_sets(parts: list[tuple[str, int, int, int]], random: Random) -> None:
    text, numbers = _expanded(parts)
    singles = list(numbers)
    random.shuffle(singles)
    one, other = _parse(text).fingerprint(), _parse("\n".join(singles)).fingerprint()
    assert one == other
    assert len(one) == 32


@given(st.lists(_PARTS, max_size=6), st.lists(_PARTS, max_size=6))
def test_the_fingerprint_differs_for_other_sets(
    one: list[tuple[str, int, int, int]], other: list[tuple[str, int, int, int]]
) -> None:
    (one_text, one_numbers), (other_text, other_numbers) = _expanded(one), _expanded(other)
    same = _parse(one_text).fingerprint() == _parse(other_text).fingerprint()
    assert same == (one_numbers == other_numbers)


@given(st.lists(_PARTS, max_size=6))
def test_what_is_printed_reads_as_the_same_set(parts: list[tuple[str, int, int, int]]) -> None:
    numbers = _parse(_expanded(parts)[0])
    assert _parse(str(numbers)).fingerprint() == numbers.fingerprint()


@given(st.lists(_PARTS, max_size=6), st.from_regex(r"[0-9]{1,4}", fullmatch=True))
def test_an_ending_finds_every_number_that_ends_so(parts: list[tuple[str, int, int, int]], ending: str) -> None:
    text, numbers = _expanded(parts)
    assert sorted(_parse(text).ending(ending)) == sorted(number for number in numbers if number.endswith(ending))


@given(st.lists(_PARTS, max_size=6), st.from_regex(r"[01]{0,3}[0-9]{1,4}", fullmatch=True), st.integers(1, 4))
def test_those_that_agree_have_the_same_digits_as_far_as_both_reach(
    parts: list[tuple[str, int, int, int]], asked: str, least: int
) -> None:
    assume(len(asked) >= least)
    text, numbers = _expanded(parts)
    agreeing = set()
    for number in numbers:
        one, other = asked.lstrip("0"), number.lstrip("+0")
        if number.endswith(asked[-least:]) and (one.endswith(other) or other.endswith(one)):
            agreeing.add(number)
    found = _parse(text).agreeing(asked, least)
    assert sorted(found) == sorted(agreeing)


@given(st.lists(st.lists(_PARTS, max_size=4), max_size=4), _PARTS)
def test_a_number_has_the_owners_whose_sets_have_it(
    parts: list[list[tuple[str, int, int, int]]], span: tuple[str, int, int, int]
) -> None:
    expanded = [_expanded(part) for part in parts]
    owners = Owners([_parse(text) for text, _ in expanded])
    text, wanted = _expanded([span])
    for number in wanted:
        assert owners.of(number) == [at for at, (_, numbers) in enumerate(expanded) if number in numbers]
    met = [(owner, number) for owner, found in owners.meeting(_parse(text).spans[0]) for number in NumberSet([found])]
    assert sorted(met) == sorted((at, number) for number in wanted for at in owners.of(number))
    assert [owners.of(text) for text in ("", "x", "+", "5\n")] == [[]] * 4


def test_owners_among_many_are_found_without_a_look_at_each() -> None:
    """Though one of them reaches over all the others."""
    sets = [
        _parse("5550000000-5554999999"),
        *(_parse(f"{5550000000 + 400 * n}-{5550000099 + 400 * n}") for n in range(10_000)),
    ]
    owners = Owners(sets)
    with counted_calls() as calls:
        for n in range(1000):
            assert owners.of(str(5550000050 + 400 * n)) == [0, n + 1]
        assert calls() < 200_000  # not one for each owner


@given(st.lists(_PARTS, max_size=6), st.integers(1, 4))
def test_numbers_alike_are_two_that_end_alike_and_are_found_if_there_are_any(
    parts: list[tuple[str, int, int, int]], digits: int
) -> None:
    text, numbers = _expanded(parts)
    ends = [number[-digits:] for number in numbers if len(number.lstrip("+")) >= digits]
    alike = _parse(text).alike(digits)
    assert (alike is not None) == (len(set(ends)) < len(ends))
    if alike:
        one, other = alike
        assert {one, other} <= numbers
        assert one != other
        assert one[-digits:] == other[-digits:]


@pytest.mark.parametrize("ending", ["", "+5", "x", "5\n", "\u0665", "\u00b2", "0" * 33, "9" * 5000])
def test_what_is_no_digits_ends_no_number(ending: str) -> None:
    assert _parse("0-9, +5").ending(ending) == []


def test_a_number_shorter_than_the_ending_is_compared_with_none() -> None:
    numbers = _parse("67, 4567, 1234567")
    assert sorted(numbers.ending("4567")) == ["1234567", "4567"]
    assert numbers.ending("34567") == ["1234567"]
    assert numbers.alike(5) is None
    assert numbers.alike(4) is not None


def test_a_range_of_millions_and_many_single_numbers_are_compared_unexpanded(long: bool) -> None:
    millions = _parse("5550000000-5554999999")
    assert millions.alike(7) is None
    assert millions.alike(6) == ("5550000000", "5551000000")
    assert millions.ending("4999999") == ["5554999999"]
    assert len(millions.ending("0042")) == 500
    singles = _parse(",".join(f"55{value * 37:08d}" for value in range(100_000 if long else 30_000)))
    assert singles.alike(8) is None
    assert singles.alike(4) is not None
    assert singles.ending("00000037") == ["5500000037"]
    assert singles.ending("00000038") == []
