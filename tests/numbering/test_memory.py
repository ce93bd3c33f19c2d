"""What is remembered of the numbers that clients ask for takes no more memory than it may."""

import tracemalloc
from collections.abc import Iterable

import pytest

from cticache.numbering import pools as numbering
from cticache.numbering.ani import MOST_CHARACTERS, _country, read
from cticache.numbering.country import Country
from cticache.numbering.pools import Pools
from kit.samples import make_pool

_STEP = 500
"""How many texts are asked for between two looks."""


def grown(pools: Pools, asked: Iterable[str]) -> int:
    """How many bytes are kept of this at the most, as is looked now and then.

    Those that numbering/ and this file have asked for count alone: threads of other tests may still run.
    """
    tracemalloc.start()
    try:
        return max(_kept() for at, text in enumerate(asked) if pools.of(text) is not None and at % _STEP == _STEP - 1)
    finally:
        tracemalloc.stop()


def _kept() -> int:
    kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*numbering*")])
    return sum(trace.size for trace in kept.traces)


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
    texts = (f"sip:0000@h{at}" if count > 1 else f"{wide * longest}{at}" for at in range(3000 * times))
    pools = in_pools(count)
    if count > 1:
        assert len(pools.of("sip:0000@h")) == count
    assert 0.25 * times < grown(pools, texts) / (1 << 20) < 1.2 * times + 0.3


def test_a_text_longer_than_any_number_is_not_remembered(long: bool) -> None:
    count = 100_000 if long else 500  # of 15 KB each
    assert grown(in_pools(1), (f"{at:015000d}" for at in range(count))) < 100_000


def test_countries_are_remembered_for_calling_codes_alone() -> None:
    for at in range(1200):
        read(f"tel:5551234;phone-context=+{at}{'1' * 25}")
        read(f"tel:5551234;phone-context=+{'9' * 200}{at}")
        with pytest.raises(ValueError, match="no country"):
            Country.of(f"x{at}")
    assert _country.cache_info().currsize <= 1000 + 100 + 10  # all of one to three digits
    assert Country.of.__func__.cache_info().currsize < 300  # type: ignore[attr-defined]
