"""What a pool's line looks like, whatever its figures."""

import pytest

from cticache.data.replies import PoolStats
from cticache.operate.fill import Limits, next_free, status_line, used
from cticache.operate.pool_table import ASCII, BLOCKS, marks, pool_lines

NONE_DONE = dict.fromkeys(("seconds", "leased", "taken", "missed", "refused"), 0)


def _pool(
    size: int, free: int, name: str = "p", next_free_ms: int = 0, done: dict[str, int] | None = NONE_DONE
) -> dict[str, object]:
    stats = PoolStats.of([size, free, size - free, 0, 0, 0, next_free_ms, 0], [], [], [])
    return {"pool": name, **stats.figures(), "last_10_minutes": done}


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
    *_, line = pool_lines([_pool(size, free)], ASCII, Limits(), width=80, counters=False)
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
    much = dict.fromkeys(NONE_DONE, 12_345_678)
    pools = [
        _pool(5_000_000, 4_999_999, "many", done=much),
        _pool(1, 0, "a-pool-of-one-number", 86_400_000),
        _pool(0, 0, "none", -1, done=None),
    ]
    lines = list(pool_lines(pools, ASCII, Limits(), width=80, counters=False))
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80
    assert "4.99M" in lines[2]
    wide = list(pool_lines(pools, ASCII, Limits(), width=None, counters=False))
    assert {len(line) for line in wide} == {len(wide[0])}
    assert "4,999,999" in wide[2]
    assert wide[2].endswith("12,345,678 12,345,678 12,345,678 12,345,678")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(9_999, "9,999"), (10_000, "10.0k"), (99_999, "99.9k"), (999_999, "999k"), (1_000_000, "1.00M"), (10**9, "1.00G")],
)
def test_a_large_figure_is_shown_in_five_characters_and_never_rounded_up(count: int, shown: str) -> None:
    pool = _pool(5, 5, done={**NONE_DONE, "refused": count})
    *_, line = pool_lines([pool], ASCII, Limits(), width=80, counters=False)
    assert line.split()[-1] == shown


def test_of_minutes_that_are_not_known_no_figure_is_shown() -> None:
    *_, known = pool_lines([_pool(5, 5)], ASCII, Limits(), width=80, counters=False)
    *_, unknown = pool_lines([_pool(5, 5, done=None)], ASCII, Limits(), width=80, counters=False)
    assert (known.split()[-4:], unknown.split()[-4:]) == (["0"] * 4, ["-"] * 4)


def test_two_names_that_differ_at_their_ends_stay_apart_when_cut() -> None:
    pools = [_pool(1, 1, f"{'x' * 60}-{end}") for end in "12"]
    _, _, one, other = pool_lines(pools, ASCII, Limits(), width=80, counters=False)
    assert one != other
    assert len(one) == len(other) == 80


def test_of_many_pools_the_worst_five_are_named() -> None:
    pools = [_pool(100, 100 - share, f"p{share}") for share in range(80, 100)]
    line = status_line(pools, Limits())
    assert line.startswith("CTICACHE CRITICAL - p99 99 % (1 of 100 free); p98 ")
    assert "; and 15 more | p80=80%;75;90;0;100 " in line


def test_a_pool_without_numbers_has_no_percentage() -> None:
    assert used(_pool(0, 0)) is None
