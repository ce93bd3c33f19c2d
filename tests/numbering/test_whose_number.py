"""Whose number is meant: as it is written, in another spelling, by its last digits; with many pools and numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.numbering.ani import form_of
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import MOST_POOLS, Place, Pools
from kit.effort import counted_calls
from kit.samples import make_pool

P, U = "5554000000", "5552000000"


def country(code: str) -> Country:
    return Country.of(code)


def found(pools: Pools, asked: str) -> list[tuple[str, str]]:
    return [(place.pool.name, place.dnis) for place in pools.of(asked)]


def of_range(numbers: str, name: str = "p", **rules: object) -> Pool:
    return make_pool(numbers, name=name, **rules)


def test_each_class_is_asked_only_when_the_one_before_finds_nothing() -> None:
    as_written = of_range("15554000000", "written")
    by_country = of_range("5554000000, 5553000000", "country", country=country("1"))
    by_ending = of_range("54000000, 53000000, 52000000", "ending", dnis_digits=8)
    pools = Pools([by_ending, by_country, as_written])
    assert found(pools, "15554000000") == [("written", "15554000000")]
    assert found(pools, "15553000000") == [("country", "5553000000")]
    assert found(pools, "15552000000") == [("ending", "52000000")]
    assert found(pools, "15551000000") == []


@pytest.mark.parametrize("numbers", [P, f"1{P}", f"+1{P}", f"001{P}", f"0111{P}"])
@pytest.mark.parametrize(
    "asked", [P, f"1{P}", f"+1{P}", f"001{P}", f"0111{P}", f"tel:+1{P}", f"sip:{P}@h", "(555) 400-0000"]
)
def test_the_spellings_of_a_country_are_one_number_however_the_pool_writes_it(numbers: str, asked: str) -> None:
    for rules in ({"numbers": numbers}, {"numbers": "1", "draining": numbers}, {"numbers": "1", "fallback": numbers}):
        pools = Pools([of_range(name="p", country=country("1"), **rules), of_range(U, "u", dnis_digits=4)])
        assert found(pools, asked) == [("p", numbers)]


@pytest.mark.parametrize(
    ("code", "numbers", "asked"),
    [
        ("44", "02079460000-02079460009", "+442079460003"),
        ("44", "+442079460000-+442079460009", "02079460003"),
        ("44", "442079460000-442079460009", "00442079460003"),
        ("39", "0612345670-0612345679", "+390612345673"),
        ("7", "84951234560-84951234569", "+74951234563"),
        ("1", "442079460000-442079460009", "+442079460003"),
        ("44", "15554000000-15554000009", "0015554000003"),
        ("55", "0151140041230-0151140041239", "+551140041233"),
    ],
)
def test_it_is_each_countrys_own_reading(code: str, numbers: str, asked: str) -> None:
    pools = Pools([of_range("1", "other"), of_range(numbers, country=country(code))])
    ((name, dnis),) = found(pools, asked)
    assert name == "p"
    assert dnis[-1] == "3"
    assert form_of(dnis, country(code)) == form_of(asked, country(code))


def test_without_a_country_a_plus_is_all_that_may_differ() -> None:
    pools = Pools([of_range(P, "bare"), of_range(f"+{U}", "plus")])
    assert found(pools, f"+{P}") == [("bare", P)]
    assert found(pools, U) == [("plus", f"+{U}")]
    for asked in (f"+1{P}", f"1{P}", f"00{P}", f"0{P}", f"001{U}"):
        assert found(pools, asked) == []


def test_a_plus_before_a_national_number_makes_another_number_of_it_in_a_country() -> None:
    pools = Pools([of_range(P, country=country("1"))])
    assert found(pools, f"+{P}") == []  # +55 is Brazil


def test_a_number_of_another_country_is_none_of_this_pool_though_it_ends_alike() -> None:
    pools = Pools([of_range("2079460000-2079460009", country=country("1"), dnis_digits=4)])
    for asked in ("+442079460003", "00442079460003", "011442079460003"):
        assert found(pools, asked) == []
    for asked in ("+12079460003", "0003", "+2079460003", "92079460003", "912079460003"):  # a digit for an outside line
        assert found(pools, asked) == [("p", "2079460003")]


def test_a_switch_that_puts_the_calling_code_before_short_numbers_is_understood() -> None:
    pools = Pools([of_range("7001230-7001239", country=country("44"), dnis_digits=7)])
    assert found(pools, "+447001234") == [("p", "7001234")]


def test_where_two_numbers_are_found_in_one_class_only_the_whole_ani_decides() -> None:
    one = of_range("+15554000000", "one", country=country("1"), match="sole", exhausted="reject")
    other = of_range("05554000000", "other", country=country("44"), match="sole", exhausted="reject")
    assert found(Pools([one, other]), "5554000000") == [("one", "+15554000000"), ("other", "05554000000")]


def test_a_number_that_left_in_another_spelling_is_the_same_number() -> None:
    pools = Pools([of_range(f"+1{P}", "p", country=country("1")), of_range(f"+{U}", "u")])
    pools.set_leaving({"p": [P], "u": [U, "5551"]})
    both = [("p", f"+1{P}"), ("p", P)]
    assert sorted(found(pools, P)) == sorted(found(pools, f"+1{P}")) == sorted(found(pools, f"1{P}")) == both
    assert sorted(found(pools, U)) == sorted(found(pools, f"+{U}")) == [("u", f"+{U}"), ("u", U)]
    assert found(pools, "+5551") == [("u", "5551")]
    assert found(pools, "+15551") == []


def test_a_number_that_left_another_pool_is_read_as_that_pool_reads() -> None:
    pools = Pools([of_range("1", "abroad", country=country("44")), of_range("2", "here", country=country("1"))])
    pools.set_leaving({"here": [P], "abroad": ["02079460000"], "gone": ["02079460001"]})
    assert found(pools, f"+1{P}") == [("here", P)]
    assert found(pools, "+442079460000") == [("abroad", "02079460000")]
    assert found(pools, "+442079460001") == [("gone", "02079460001")]  # under the first pool's rules


def test_a_number_that_left_is_found_by_its_ending_once_so_many_digits_are_given() -> None:
    pools = Pools([of_range("1", "two", dnis_digits=2), of_range("2", "four", dnis_digits=4), of_range("3", "none")])
    pools.set_leaving({"four": ["5550000042"], "none": ["5550000099"]})
    for asked in ("0042", "00042", "50000042", "+15550000042"):
        assert found(pools, asked) == [("four", "5550000042")]
    for asked in ("10042", "15551110042"):
        assert found(pools, asked) == []
    assert found(pools, "42") == found(pools, "99") == found(pools, "0099") == []


def test_every_number_with_an_ending_is_found_in_however_many_pools() -> None:
    pools = Pools([of_range(f"555{n:02}4560-555{n:02}4569", f"p{n}", dnis_digits=4) for n in range(20)])
    assert found(pools, "4563") == [(f"p{n}", f"555{n:02}4563") for n in range(20)]
    assert found(pools, "1555074563") == [("p7", "555074563")]
    assert pools.of("4563") is not pools.of("4563")  # as many are not remembered


@pytest.mark.parametrize("asked", ["", "anonymous", "+", "sip:10.0.0.1", "five", "0" * 33])
def test_what_is_no_number_is_of_no_pool(asked: str) -> None:
    assert found(Pools([of_range("0-9", country=country("1"), dnis_digits=1)]), asked) == []


@pytest.mark.parametrize(
    ("left", "is_taken"),
    [
        ({"other": ["5559990000"]}, True),
        ({"other": ["15559990000"]}, True),
        ({"p": ["5559990000"]}, False),
        ({"p": ["+15559990000"]}, True),  # other keys in Redis, so their callers would not be told apart
        ({"other": ["5559990001"]}, False),
        ({}, False),
    ],
)
def test_a_fallback_is_not_lent_while_calls_of_others_are_live_on_it_in_any_spelling(
    left: dict[str, list[str]], is_taken: bool
) -> None:
    pool = of_range(P, exhausted="fallback", fallback="5559990000", country=country("1"))
    pools = Pools([pool, of_range(U, "other")])
    assert pools.lendable(pool).exhausted == "reject"  # it is not known yet what is leaving
    pools.set_leaving(left)
    for _ in range(2):
        assert pools.lendable(pool).exhausted == ("reject" if is_taken else "fallback")
    for none in ({}, {"other": ["5559990002"]}):
        pools.set_leaving(none)
        assert pools.lendable(pool).exhausted == "fallback"


def test_a_fallback_that_is_not_used_keeps_nobody_from_sharing() -> None:
    pools = Pools([pool := of_range(P, exhausted="share", fallback="5559990000")])
    pools.set_leaving({"other": ["5559990000"]})
    assert pools.lendable(pool) is pool


_NATIONAL = st.sampled_from(["2079460000", "2079460001", "5554000000", "79460000", "460000", "0000", "0612345678"])
_FRONT = st.sampled_from(["", "+", "0", "1", "44", "+1", "+44", "00", "001", "0044", "011", "0111", "9", "39", "+39"])
_NUMBER = st.builds("".join, st.tuples(_FRONT, _NATIONAL))
_COUNTRY = st.sampled_from([None, *map(Country.of, ("1", "44", "39", "55"))])
_POOLS = st.lists(
    st.tuples(st.lists(_NUMBER, min_size=1, max_size=3), _COUNTRY, st.sampled_from([0, 4, 6])), min_size=1, max_size=4
)


@given(_POOLS, st.lists(st.tuples(st.integers(0, 3), _NUMBER), max_size=3, unique=True), _NUMBER)
def test_a_number_is_found_where_a_look_at_every_number_of_every_pool_finds_it(
    made: list[tuple[list[str], Country | None, int]], left: list[tuple[int, str]], asked: str
) -> None:
    some = [
        of_range(", ".join(numbers), f"p{at}", country=of, dnis_digits=digits)
        for at, (numbers, of, digits) in enumerate(made)
    ]
    pools = Pools(some)
    leaving: dict[str, list[str]] = {}
    for at, number in left:
        if at < len(some):
            leaving.setdefault(f"p{at}", []).append(number)
    pools.set_leaving(leaving)
    places = {(pool.name, number) for pool in some for number in [*pool.numbers, *leaving.get(pool.name, ())]}
    by_name = {pool.name: pool for pool in some}
    used = {number for pool in some for number in pool.numbers}

    def alike(place: tuple[str, str]) -> bool:
        of = by_name[place[0]].country
        return form_of(place[1], of) == form_of(asked, of)

    def ends_alike(place: tuple[str, str]) -> bool:
        digits, least = asked.lstrip("+"), by_name[place[0]].dnis_digits
        one, other = digits.lstrip("0"), place[1].lstrip("+0")
        ends = least and len(digits) >= least and place[1].endswith(digits[-least:])
        of = by_name[place[0]].country
        abroad = of is not None and of.is_abroad(asked) and len(one) > len(other)
        return bool(ends) and (one.endswith(other) or other.endswith(one)) and not abroad

    as_written = {place for place in places if place[1] == asked}
    by_country = {place for place in places - as_written if alike(place)}
    if asked in used:
        by_country = {place for place in by_country if place[1] not in used}
    expected = as_written | by_country or set(filter(ends_alike, places))
    assert set(found(pools, asked)) == expected
    assert len(found(pools, asked)) == len(expected)


@pytest.mark.parametrize("rules", [{}, {"country": Country.of("1")}, {"country": Country.of("1"), "dnis_digits": 4}])
def test_a_look_up_takes_no_longer_for_many_pools_and_as_many_numbers_that_leave(
    rules: dict[str, object], long: bool
) -> None:
    base, most = 5550000000, MOST_POOLS if long else 3_000
    pools = Pools(of_range(f"{base + 100 * n}-{base + 100 * n + 99}", f"p{n}", **rules) for n in range(most))
    pools.set_leaving({f"p{n}": [str(base - 10**6 - n), str(base - 2 * 10**6 - n)] for n in range(most)})
    asked = [spelled for n in range(200) for spelled in (str(6660000000 + 37 * n), f"+1{base + 37 * n}")]
    pools.of(f"+1{base}0"), pools.of(str(base))  # what is sorted once
    with counted_calls() as calls:
        for number in asked:
            pools.of(number)
        assert calls() / len(asked) < 1_000  # not one for each pool
        for n in range(1000):
            assert not pools.former(f"gone{n}").every_number
        assert calls() < 1_000_000


def test_places_are_told_as_before_where_a_number_moved() -> None:
    pools = Pools([new := of_range(P, "new", country=country("1"))])
    pools.set_leaving({"old": [P]})
    old, now = pools.of(f"+1{P}")
    assert (old.pool.name, old.moved, now) == ("old", True, Place(new, P, "exact"))
