"""The spellings of one number: those that are dialled, and those that the pools' own numbers show."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cticache.numbering.ani import form_of
from cticache.numbering.country import _REGIONS, Country
from cticache.numbering.numbers import NumberSet, Span
from cticache.numbering.spellings import Spellings, Turn

_COUNTRIES = st.sampled_from([None, *map(Country.of, sorted(_REGIONS))])
_DIGITS = st.from_regex(r"[0-9]{4,13}", fullmatch=True)


def _written(country: Country | None, digits: str) -> list[str]:
    """The digits as they may be sent: alone and after each prefix of the country."""
    fronts = ["", "+"]
    if country:
        code, trunk = country.code, country.trunk
        fronts += [trunk, code, "+" + code, "00" + code, country.prefix + code, "+" + code + trunk, "00"]
    return [front + digits for front in dict.fromkeys(fronts)]


@given(_COUNTRIES, _DIGITS, st.data())
def test_two_numbers_with_one_form_are_found_one_by_the_other(
    country: Country | None, digits: str, data: st.DataObject
) -> None:
    one, other = data.draw(st.tuples(*[st.sampled_from(_written(country, digits))] * 2))
    is_one = form_of(one, country) == form_of(other, country)
    found = set(Spellings(country, (NumberSet.parse(other, 1),)).others(one, {other}.__contains__))
    assert found == ({other} if is_one and one != other else set())


@pytest.mark.parametrize(
    ("code", "written", "asked"),
    [
        pytest.param("55", "0151140041234", "+551140041234", id="carrier's code"),
        pytest.param("55", "90311140041234", "1140041234", id="carrier's code of a collect call"),
        pytest.param("54", "0111540041234", "+5491140041234", id="15 for a mobile number"),
        pytest.param("261", "2212345", "+261202212345", id="local number"),
        pytest.param("261", "2612212345", "+261202212345", id="local number after the calling code"),
        pytest.param("378", "882345", "+3780549882345", id="San Marino by itself"),
        pytest.param("86", "179002155551234", "+862155551234", id="carrier's code without a trunk prefix"),
    ],
)
def test_what_else_stands_before_a_number_is_learnt_from_the_pools_own(code: str, written: str, asked: str) -> None:
    country = Country.of(code)
    numbers = NumberSet.parse(f"{written[:-1]}0-{written[:-1]}9", 10)
    for sent in (asked, asked.removeprefix("+")):
        assert list(Spellings(country, (numbers,)).others(sent, numbers.__contains__)) == [written]
    assert list(Spellings(country, (numbers,)).others(written, {asked}.__contains__)) == [asked]


@pytest.mark.parametrize("code", ["1", "44", "49"])
def test_a_plus_before_the_digits_that_are_dialled_to_leave_the_country_is_one_too_many(code: str) -> None:
    country = Country.of(code)
    for front in dict.fromkeys(("+00", "+" + country.prefix, "00", country.prefix)):
        written = f"{front}4930901820"
        if form_of(written, country) == "+4930901820":
            others = Spellings(country, ()).others("+4930901820", {written}.__contains__)
            assert list(others) == ([written] if written != "+4930901820" else [])


def test_a_range_is_learnt_from_at_both_ends() -> None:
    """In Madagascar a local number begins with 2 or 4 to 9; 20 is put before it."""
    numbers = NumberSet.parse("1999990-2000009", 50)
    others = Spellings(Country.of("261"), (numbers,)).others("+261202000005", numbers.__contains__)
    assert list(others) == ["2000005"]


_TURN = st.builds(Turn, *[st.from_regex(r"\+?[0-9]{0,2}", fullmatch=True)] * 2)


@given(_TURN, st.sampled_from(["", "+"]), st.integers(1, 3), st.integers(0, 999), st.integers(0, 60))
def test_a_range_is_turned_into_what_each_of_its_numbers_is_turned_into(
    turn: Turn, plus: str, digits: int, wished: int, more: int
) -> None:
    first = wished % 10**digits
    span = Span(plus, digits, first, min(first + more, 10**digits - 1))
    turned = {}
    for number in NumberSet([span]):
        if number.startswith(turn.removed) and (turn.removed[:1] == "+") == (plus == "+"):
            turned[number] = turn.added + number[len(turn.removed) :]
    found = turn.turned(span)
    assert (dict(zip(*map(NumberSet, ([part] for part in found)), strict=True)) if found else {}) == {
        number: other for number, other in turned.items() if number != turn.removed
    }


@given(st.sampled_from([None, "1", "44", "49", "39", "7", "55"]), _DIGITS, st.data())
def test_every_turn_between_two_spellings_is_known(code: str | None, digits: str, data: st.DataObject) -> None:
    country = Country.of(code) if code else None
    alike: dict[str, set[str]] = {}
    for spelling in _written(country, digits):
        alike.setdefault(form_of(spelling, country), set()).add(spelling)
    of_two = [sorted(spellings) for spellings in alike.values() if len(spellings) > 1]
    assume(of_two)
    one, other = data.draw(st.permutations(data.draw(st.sampled_from(of_two))))[:2]
    (span,) = NumberSet.parse(one, 1).spans
    turned = [found[1] for turn in Spellings(country, ()).turns if (found := turn.turned(span))]
    assert other in [to.number(to.first) for to in turned]
