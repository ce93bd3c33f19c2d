"""The table that ``cticache pools`` prints, and below a pool what was done with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

from cticache.data.counters import COUNTERS
from cticache.operate.advice import quantile
from cticache.operate.fill import Limits, next_free, used, word

WIDTH = 80
"""Columns of the narrowest terminal that there is."""
_LEAST_NAME = 8
_GAP = "  "
_QUANTILES = (0.5, 0.99)
_CELLS = 10
"""Of a bar."""
_BESIDE = (("size", "numbers"), ("leased", "leased now"), ("leaving", "leaving"), ("peak", "most leased at once"))
"""Figures that are no counters, and have no column."""


class Marks(NamedTuple):
    """What a bar and a name that is cut are drawn with."""

    full: str
    empty: str
    cut: str


ASCII = Marks("#", "-", "~")
BLOCKS = Marks("\N{FULL BLOCK}", "\N{LIGHT SHADE}", "\N{HORIZONTAL ELLIPSIS}")


class _Column(NamedTuple):
    """A column, its cells to the right."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]


_COLUMNS = (
    _Column("free", lambda pool: f"{pool['free']:,}"),
    _Column("cool", lambda pool: f"{pool['cooling']:,}"),
    _Column("shared", lambda pool: f"{pool['shared']:,}"),
    _Column("next", next_free),
)


def marks(encoding: str | None) -> Marks:
    """Those that a stream in this encoding can show."""
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def pool_lines(
    pools: Sequence[Mapping[str, Any]], drawn: Marks, limits: Limits, *, width: int | None, counters: bool
) -> Iterator[str]:
    """A head, and a line for each pool; with ``counters`` what was done with it below.

    Names are cut so that no line is longer than ``width``; None: they are not.
    """
    columns = [[column.title, *map(column.cell, pools)] for column in _COLUMNS]
    fill = ["used", *(_fill(pool, drawn, limits) for pool in pools)]
    widths = [max(map(len, column)) for column in columns]
    rest = max(map(len, fill)) + sum(len(_GAP) + each for each in widths) + len(_GAP)
    names = ["pool", *(pool["pool"] for pool in pools)]
    longest = max(map(len, names))
    name_width = longest if width is None else min(longest, max(width - rest, _LEAST_NAME))
    for row, name in enumerate(names):
        cells = (f"{column[row]:>{each}}" for column, each in zip(columns, widths, strict=True))
        yield _GAP.join(
            (f"{_cut(name, name_width, drawn.cut):{name_width}}", f"{fill[row]:{max(map(len, fill))}}", *cells)
        )
        if row and counters:
            yield from _done(pools[row - 1])


def _fill(pool: Mapping[str, Any], drawn: Marks, limits: Limits) -> str:
    """Such as ``41 % [####------] ok``."""
    share = used(pool)
    cells = 0 if not share else max(1, share * _CELLS // 100)
    bar = drawn.full * cells + drawn.empty * (_CELLS - cells)
    return f"{'  -' if share is None else f'{share:>3}'} % [{bar}] {word(pool, limits):4}"


def _cut(name: str, width: int, mark: str) -> str:
    """The name with its middle left out: what tells pools apart stands at either end."""
    if len(name) <= width:
        return name
    tail = (width - len(mark)) // 2
    return f"{name[: width - len(mark) - tail]}{mark}{name[len(name) - tail :]}"


def _done(pool: Mapping[str, Any]) -> Iterator[str]:
    told = [f"{words} {pool[figure]:,}" for figure, words in _BESIDE]
    told += [f"{counter.told} {pool[counter.figure]:,}" for counter in COUNTERS]
    yield from wrap(", ".join(told), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    if transits := pool["transits"]:
        parts = (f"{share:.0%} within {quantile(transits, share)} s" for share in _QUANTILES)
        yield f"  from lease to take: {', '.join(parts)}"
