"""Options of pools that do not fit together: numbers in two spellings, and what there is of pools by the thousand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.numbering.ani import form_of
from cticache.numbering.conflicts import conflicts, not_international, remarks, shared
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.effort import counted_calls
from kit.samples import make_pool

ONE, UK, GERMANY = Country.of("1"), Country.of("44"), Country.of("49")


def pool(numbers: str, name: str = "p", country: Country | None = None, **rules: object) -> Pool:
    return make_pool(numbers, name=name, country=country, **rules)


def told(*pools: Pool) -> list[str]:
    return [f"[pool:{name}] {option} = {value}: {wrong}" for name, option, value, wrong in conflicts(pools)]


@pytest.mark.parametrize(
    ("pools", "line"),
    [
        pytest.param(
            [pool("5554000000, 15554000000", country=ONE)],
            "[pool:p] numbers = 5554000000: is the same number as 15554000000, under country_code = 1; keep one",
            id="in one pool",
        ),
        pytest.param(
            [pool("+15554000000, 15554000000")],
            "[pool:p] numbers = 15554000000: is the same number as +15554000000, but for the plus; keep one of them",
            id="but for the plus",
        ),
        pytest.param(
            [pool("+5554000000", country=ONE), pool("5554000000", "u", UK)],
            "[pool:u] numbers = 5554000000: is the same number as +5554000000 of [pool:p], but for the plus; keep one",
            id="but for the plus, whatever the countries say",
        ),
        pytest.param(
            [pool("5554000000-5554000009"), pool("15554000005-15554000014", "u", ONE)],
            "[pool:u] numbers = 15554000005: is the same number as 5554000005 of [pool:p], under country_code = 1;",
            id="the later pool's country",
        ),
        pytest.param(
            [pool("15554000005-15554000014", country=ONE), pool("5554000000-5554000009", "u")],
            "[pool:u] numbers = 5554000005: is the same number as 15554000005 of [pool:p], under country_code = 1;",
            id="the earlier pool's country",
        ),
        pytest.param(
            [pool("5554000000-5554000009", country=ONE, draining="+15554000003")],
            "is the same number as",
            id="draining in another spelling than it is leased in",
        ),
        pytest.param(
            [pool("5554000000", country=ONE), pool("1", "u", fallback="0015554000000")],
            "[pool:u] fallback = 0015554000000: is the same number as 5554000000 of [pool:p], under country_code = 1;",
            id="a fallback",
        ),
        pytest.param(
            [pool("5554000000-5554000009", country=ONE, fallback="+15554000003")],
            "[pool:p] fallback = +15554000003: is the same number as 5554000003, under country_code = 1; the fallback "
            "must be a number of no pool",
            id="the pool's own fallback",
        ),
        pytest.param(
            [pool("1", fallback="0015554000000"), pool("5554000000", "u", ONE)],
            "[pool:p] fallback = 0015554000000: is the same number as 5554000000 of [pool:u], under country_code = 1;",
            id="the fallback of an earlier pool",
        ),
        pytest.param(
            [pool("1", fallback="5554000000", country=ONE), pool("2", "u", ONE, fallback="15554000000")],
            "[pool:u] fallback = 15554000000: is the same number as 5554000000 of [pool:p]",
            id="two fallbacks",
        ),
        pytest.param(
            [pool("02079460000-02079460999", country=UK), pool("442079460500", "u")],
            "[pool:u] numbers = 442079460500: is the same number as 02079460500 of [pool:p], under country_code = 44;",
            id="within a range",
        ),
        pytest.param(
            [pool("442079460000", country=ONE), pool("02079460000", "u", UK)],
            "[pool:u] numbers = 02079460000: is the same number as 442079460000 of [pool:p], under country_code = 44;",
            id="to both countries",
        ),
        pytest.param(
            [pool("02079460000", country=ONE), pool("+442079460000", "u", UK)],
            "[pool:u] numbers = +442079460000: is the same number as 02079460000 of [pool:p], under country_code = 44;",
            id="to one country, and just digits to the other",
        ),
        pytest.param(
            [pool("0151140041234, 1140041234", country=Country.of("55"))],
            "[pool:p] numbers = 1140041234: is the same number as 0151140041234, under country_code = 55;",
            id="with a carrier's code",
        ),
    ],
)
def test_two_spellings_of_one_number_are_told_with_both_and_their_pools(pools: list[Pool], line: str) -> None:
    (fault,) = told(*pools)
    assert line in fault


def test_three_spellings_in_one_pool_are_told_of_each_pair() -> None:
    faults = told(pool("5554000000, 15554000000, +15554000000", country=ONE))
    assert len(faults) == 3


@pytest.mark.parametrize(
    "pools",
    [
        pytest.param([pool("5554000000, 15554000000")], id="no country says so"),
        pytest.param([pool("5554000000"), pool("15554000000", "u", UK)], id="nor does this one"),
        pytest.param([pool("5554000000, +15554000001", country=ONE)], id="neighbours"),
        pytest.param([pool("0123, 123")], id="a leading zero"),
        pytest.param([pool("0123, 123", country=ONE)], id="of extensions in a country"),
        pytest.param([pool("554000000, 1554000000", country=ONE)], id="a number that begins like the calling code"),
        pytest.param([pool("2079460000", country=ONE), pool("+442079460000", "u", UK)], id="two countries"),
        pytest.param([pool("911", country=ONE), pool("1911", "u", ONE)], id="a short code"),
        pytest.param([pool("5550000000-5554999999", country=ONE)], id="a range of millions"),
    ],
)
def test_two_numbers_are_not_one(pools: list[Pool]) -> None:
    assert told(*pools) == []


_NUMBER = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "+", "0", "1", "44", "+1", "+44", "00", "001", "0044", "39", "+49", "8", "+0"]),
        st.sampled_from(["2079460000", "2079460001", "5554000000", "0612345678", "112", "3912345", "20794600012"]),
    ),
)
_COUNTRY = st.sampled_from([None, ONE, UK, GERMANY, Country.of("39"), Country.of("7"), Country.of("81")])


@given(st.lists(st.tuples(st.lists(_NUMBER, min_size=1, max_size=3, unique=True), _COUNTRY), min_size=1, max_size=3))
def test_numbers_are_told_just_if_a_comparison_of_each_with_each_finds_two_that_are_one(
    made: list[tuple[list[str], Country | None]],
) -> None:
    pools = [pool(", ".join(numbers), f"p{at}", country) for at, (numbers, country) in enumerate(made)]
    each = [(number, of) for numbers, of in made for number in numbers]

    def are_one(one: str, of: Country | None, other: str, its: Country | None) -> bool:
        form = form_of(one, of)
        is_another = its and its.is_whole(other) and form_of(other, its).lstrip("+") != form.lstrip("+")
        return form == form_of(other, of) and not is_another

    pairs = {
        frozenset((one, other))
        for one, of in each
        for other, its in each
        if one != other and (one.lstrip("+") == other.lstrip("+") or are_one(one, of, other, its))
    }
    faults = told(*pools)
    assert bool(faults) == bool(pairs)
    for fault in faults:
        assert any(all(number in fault for number in pair) for pair in pairs)


_NOTHING_WAITS = "; without_data must be a number of no pool, on which no data waits: give another one"


@pytest.mark.parametrize(
    ("pools", "wrong"),
    [
        pytest.param([pool("100", without_data="100")], "is a number of [pool:p]", id="its own"),
        pytest.param([pool("100", without_data="200"), pool("200", "u")], "is a number of [pool:u]", id="another's"),
        pytest.param(
            [pool("100", without_data="200"), pool("201", "u", draining="200")],
            "is a number of [pool:u]",
            id="draining",
        ),
        pytest.param([pool("100", fallback="200", without_data="200")], "is the fallback of [pool:p]", id="a fallback"),
        pytest.param(
            [pool("100", without_data="200"), pool("201", "u", fallback="200")],
            "is the fallback of [pool:u]",
            id="another's fallback",
        ),
        pytest.param(
            [pool("100", without_data="+200", country=UK), pool("200", "u", ONE)],
            "is the same number as 200 of [pool:u], but for the plus",
            id="but for the plus",
        ),
        pytest.param(
            [pool("100", without_data="0015554000003"), pool("5554000000-5554000009", "u", ONE)],
            "is the same number as 5554000003 of [pool:u], under country_code = 1",
            id="in a spelling of the other pool's country",
        ),
        pytest.param(
            [pool("100", without_data="5554000003", country=ONE), pool("15554000000-15554000009", "u")],
            "is the same number as 15554000003 of [pool:u], under country_code = 1",
            id="in a spelling of the pool's own country",
        ),
        pytest.param(
            [pool("100", without_data="442079460000", country=ONE), pool("1", "u", UK, fallback="02079460000")],
            "is the same number as 02079460000 of [pool:u], under country_code = 44",
            id="a fallback in another spelling, whatever the pool's own country says",
        ),
        pytest.param(
            [pool("5554000000-5554000009", without_data="5559990013", dnis_digits=4)],
            "",
            id="digits that differ",
        ),
        pytest.param(
            [pool("5554000000-5554000009", without_data="5559990003", dnis_digits=1)],
            "ends like 5554000003, and dnis_digits = 1 does not tell them apart",
            id="digits by which the number is asked for",
        ),
        pytest.param(
            [pool("100", without_data="5559990003"), pool("0003", "u", dnis_digits=4)],
            "ends in 0003 of [pool:u], which has dnis_digits = 4",
            id="an extension of another pool",
        ),
        pytest.param(
            [pool("100", without_data="5559990003"), pool("5554000003", "u", dnis_digits=4)],
            "",
            id="digits of another pool's numbers, whose system does not get the call",
        ),
        pytest.param([pool("100", without_data="200"), pool("101", "u", without_data="200")], "", id="of two pools"),
        pytest.param(
            [pool("100", without_data="5559990003", country=ONE), pool("101", "u", without_data="+15559990003")],
            "",
            id="of two pools in two spellings",
        ),
        pytest.param(
            [pool("2079460000", country=ONE, without_data="+442079460000")], "", id="a number of another country"
        ),
    ],
)
def test_a_number_for_calls_without_data_is_no_pools(pools: list[Pool], wrong: str) -> None:
    assert told(*pools) == [f"[pool:p] without_data = {pools[0].without_data}: {wrong}{_NOTHING_WAITS}"] * bool(wrong)


@given(st.lists(st.tuples(_NUMBER, _COUNTRY, st.sampled_from([0, 0, 3, 8])), min_size=2, max_size=3))
def test_on_a_number_for_calls_without_data_nothing_is_ever_found(
    made: list[tuple[str, Country | None, int]],
) -> None:
    (number, country, _), *others = made
    pools = [pool("777", "first", country, without_data=number)]
    pools += [pool(other, f"p{at}", its, dnis_digits=digits) for at, (other, its, digits) in enumerate(others)]
    if any(Pools(pools).of(number)):
        assert any("] without_data = " in fault for fault in told(*pools))


def test_ranges_of_millions_are_compared_unexpanded() -> None:
    with counted_calls() as calls:
        assert told(pool("5550000000-5554999999", country=ONE), pool("+5551000000-+5555999999", "u", GERMANY))
        assert len(told(pool("5550000000-5554999999", country=ONE), pool("15554999999-15559999998", "u", ONE))) == 1
        assert not told(pool("550000000-554999999", country=ONE), pool("1550000000-1554999999", "u", ONE))
        assert calls() < 100_000


def test_of_two_large_ranges_the_round_numbers_are_compared_too() -> None:
    """Germany reads 490 to 492 as the calling code before a national number, and what is around them as area codes."""
    one, other = pool("49489000001-49493000000", country=GERMANY), pool("489000001-493000000", "u", GERMANY)
    for at in (489000001, 493000000):
        assert form_of(f"49{at}", GERMANY) != form_of(f"{at}", GERMANY)
    (fault,) = told(one, other)
    assert "[pool:u] numbers = 490000000: is the same number as 49490000000 of [pool:p]" in fault


def test_a_pool_that_was_copied_many_times_is_told_a_hundred_times() -> None:
    copies = [pool("5554000000-5554000099", f"p{n}", ONE, fallback="5559990000") for n in range(2_000)]
    with counted_calls() as calls:
        assert len(list(shared(copies))) == 100
        assert calls() < 100_000
        faults = told(*copies)
        assert calls() < 1_500_000
    assert len(faults) == 2_000  # of the fallback
    assert "[pool:p0] fallback = 5559990000: is the fallback of [pool:p1], too" in faults[0]
    assert "[pool:p9] fallback = 5559990000: is the fallback of [pool:p0], too" in faults[9]
    twice = [pool(f"{number}", f"p{n}", ONE) for n, number in enumerate(["+15554000000", *["5554000000"] * 2_000])]
    assert len(told(*twice)) == 100


def test_a_withheld_number_that_is_one_of_the_pool_in_another_spelling_is_told() -> None:
    faults = told(pool("5554000000-5554000009", country=ONE, withheld=("no caller id", "+15554000003", "+15554000013")))
    assert faults == [
        "[pool:p] withheld = +15554000003: is a number of the pool itself, 5554000003; "
        "one that is not to be leased belongs in draining"
    ]


@pytest.mark.parametrize(
    ("made", "number"),
    [
        (pool("5554000000-5554000009"), "5554000000"),
        (pool("+15554000000, 02079460000"), "02079460000"),
        (pool("+15554000000", fallback="5554000009"), "5554000009"),
        (pool("2079460000", country=ONE), ""),
        (pool("02079460000", country=ONE), "02079460000"),
        (pool("02079460000", country=UK), ""),
        (pool("4532123456"), "4532123456"),  # of Denmark, or in North America
        (pool("5554000000", dnis_digits=4), ""),
        (pool("15554000000-15554000009"), ""),
        (pool("442079460000"), ""),
        (pool("+15554000000"), ""),
        (pool("1000-1999, 5551234"), ""),
    ],
)
def test_a_number_that_cannot_be_asked_for_with_a_plus_is_named(made: Pool, number: str) -> None:
    assert not_international(made) == number


LOSS = "a caller whose call Redis lost may then be given another's data"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            pool("100", match="suffix", careful_ms=359_000),
            "after_loss = 359 is shorter than a call and its rest, 360 s",
        ),
        (pool("100", match="sole", exhausted="reject", careful_ms=0), "after_loss = 0 is shorter"),
        (pool("100", match="suffix", careful_ms=360_000), ""),
        (pool("100", match="suffix"), ""),
        (pool("100", careful_ms=0), ""),
        (pool("100", fallback="200"), "fallback = 200 is never used: that takes exhausted = fallback, not share"),
        (pool("100", fallback="200", exhausted="fallback"), ""),
    ],
)
def test_what_may_be_a_mistake_is_remarked(made: Pool, said: str) -> None:
    told = list(remarks(made))
    assert len(told) == bool(said)
    assert said in "".join(told)
