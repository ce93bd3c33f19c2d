"""What is remembered of the numbers that clients ask for takes no more memory than it may."""

import tracemalloc
from collections.abc import Iterable

import pytest

from cticache.numbering import pools as numbering
from cticache.numbering.ani import MOST_CHARACTERS, _country, read
from cticache.numbering.country import Country
from cticache.numbering.pools import Pools
from kit.samples import make_pool


def grown(pools: Pools, asked: Iterable[str]) -> int:
    """By how many bytes this has grown at the most."""
    tracemalloc.start()
    try:
        for text in asked:
            pools.of(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def in_pools(count: int) -> Pools:
    """Pools that all have a number that ends in 0000."""
    return Pools([make_pool(f"{number}0000", name=f"p{number}", dnis_digits=4) for number in range(1, count + 1)])


@pytest.mark.parametrize("count", [1, 8], ids=["found nowhere", "in eight places"])
def test_the_places_that_are_remembered_have_their_bytes(
    count: int, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 32 if long else 1
    monkeypatch.setattr(numbering, "_MOST_KNOWN_BYTES", times << 20)
    wide = "\U0001f4de"  # a character of four bytes
    longest = MOST_CHARACTERS - 10
    texts = (f"sip:0000@h{at}" if count > 1 else f"{wide * longest}{at}" for at in range(1000 * times))
    pools = in_pools(count)
    if count > 1:
        assert len(pools.of("sip:0000@h")) == count
    assert 0.5 * times < grown(pools, texts) / (1 << 20) < 1.2 * times + 0.3


def test_a_text_longer_than_any_number_is_not_remembered(long: bool) -> None:
    count = 100_000 if long else 500
    assert grown(in_pools(1), (f"{at:015000d}" for at in range(count))) < 100_000


def test_countries_are_remembered_for_calling_codes_alone() -> None:
    for at in range(1200):
        read(f"tel:5551234;phone-context=+{at}{'1' * 25}")
        read(f"tel:5551234;phone-context=+{'9' * 200}{at}")
        with pytest.raises(ValueError, match="no country"):
            Country.of(f"x{at}")
    assert _country.cache_info().currsize <= 1000 + 100 + 10  # all of one to three digits
    assert Country.of.__func__.cache_info().currsize < 300  # type: ignore[attr-defined]
