"""What a pool's line looks like, whatever its figures."""

import pytest

from cticache.data.replies import PoolStats
from cticache.operate.fill import Limits, next_free, status_line, used
from cticache.operate.pool_table import ASCII, BLOCKS, marks, pool_lines


def _pool(size: int, free: int, name: str = "p", next_free_ms: int = 0) -> dict[str, object]:
    return {"pool": name, **PoolStats.of([size, free, size - free, 0, 0, 0, next_free_ms, 0], [], [], []).figures()}


@pytest.mark.parametrize(
    ("size", "free", "shown"),
    [
        (1000, 1000, "0 % [----------] ok"),
        (1000, 999, "0 % [----------] ok"),
        (100, 99, "1 % [#---------] ok"),
        (100, 59, "41 % [####------] ok"),
        (100, 25, "75 % [#######---] WARN"),
        (100, 10, "90 % [#########-] CRIT"),
        (1000, 1, "99 % [#########-] CRIT"),
        (5, 0, "100 % [##########] FULL"),
    ],
)
def test_the_bar_is_full_only_where_no_number_is_free(size: int, free: int, shown: str) -> None:
    _, line = pool_lines([_pool(size, free)], ASCII, Limits(), width=80, counters=False)
    assert shown in line


@pytest.mark.parametrize(
    ("wait_ms", "said"), [(0, "now"), (1, "1 s"), (17_001, "18 s"), (3_600_000, "3,600 s"), (-1, "never")]
)
def test_the_next_free_number_is_never_promised_too_soon(wait_ms: int, said: str) -> None:
    assert next_free(_pool(1, 0, next_free_ms=wait_ms)) == said


@pytest.mark.parametrize(
    ("encoding", "drawn"),
    [("utf-8", BLOCKS), ("ascii", ASCII), ("cp1252", ASCII), ("latin-1", ASCII), (None, ASCII), ("no-such", ASCII)],
)
def test_a_stream_that_has_no_blocks_gets_ascii(encoding: str | None, drawn: object) -> None:
    assert marks(encoding) == drawn


def test_the_figures_line_up_however_large_they_are() -> None:
    pools = [_pool(5_000_000, 4_999_999, "many"), _pool(1, 0, "one", 86_400_000), _pool(0, 0, "none", -1)]
    lines = list(pool_lines(pools, ASCII, Limits(), width=80, counters=False))
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80


def test_two_names_that_differ_at_their_ends_stay_apart_when_cut() -> None:
    pools = [_pool(1, 1, f"{'x' * 60}-{end}") for end in "12"]
    _, one, other = pool_lines(pools, ASCII, Limits(), width=80, counters=False)
    assert one != other
    assert len(one) == len(other) == 80


def test_of_many_pools_the_worst_five_are_named() -> None:
    pools = [_pool(100, 100 - share, f"p{share}") for share in range(80, 100)]
    line = status_line(pools, Limits())
    assert line.startswith("CTICACHE CRITICAL - p99 99 % (1 of 100 free); p98 ")
    assert "; and 15 more | p80=80%;75;90;0;100 " in line


def test_a_pool_without_numbers_has_no_percentage() -> None:
    assert used(_pool(0, 0)) is None
