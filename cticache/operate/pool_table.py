"""The table that ``cticache pools`` prints, and below a pool what was done with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, NamedTuple

from cticache.data.counters import COUNTERS
from cticache.operate.advice import quantile
from cticache.operate.fill import Limits, next_free, used, word

WIDTH = 80
"""Columns of the narrowest terminal that there is."""
_LEAST_NAME = 8
_GAP = " "
_BETWEEN_GROUPS = "  "
_QUANTILES = (0.5, 0.99)
_CELLS = 10
"""Of a bar."""
_LEAST_CELLS = 4
"""Of one that has to make room for names and figures."""
_WHOLE = 10_000
"""Figures from here on are shown by their first digits."""
_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
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
    figure: Callable[[Mapping[str, Any]], int | str]
    """A number, or a text that is shown as it is."""


def _lately(figure: str) -> Callable[[Mapping[str, Any]], int | str]:
    """Of the last ten minutes; a stroke where they are not known."""
    return lambda pool: "-" if pool["last_10_minutes"] is None else pool["last_10_minutes"][figure]


_NOW = (
    _Column("free", lambda pool: pool["free"]),
    _Column("cool", lambda pool: pool["cooling"]),
    _Column("shared", lambda pool: pool["shared"]),
    _Column("next", next_free),
)
_LATELY = (
    _Column("lease", _lately("leased")),
    _Column("take", _lately("taken")),
    _Column("miss", _lately("missed")),
    _Column("ref", _lately("refused")),
)
_OVER_LATELY = "last 10 min"


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
    """Two lines of heads, and a line for each pool; with ``counters`` what was done with it below.

    Figures, bars and names are cut so that no line is longer than ``width``; None: they are not.
    """
    now, done = (_block(columns, pools, whole=width is None) for columns in (_NOW, _LATELY))
    beside = len(_BETWEEN_GROUPS.join(("", now[0], done[0])))
    longest = max(map(len, ["pool", *(pool["pool"] for pool in pools)]))
    cells = _CELLS
    if width is not None:
        fixed = len(_fill(0, "", drawn, _CELLS)) - _CELLS + len(_GAP) + beside
        cells = min(_CELLS, max(width - fixed - longest, _LEAST_CELLS))
        longest = min(longest, max(width - fixed - cells, _LEAST_NAME))
    bars = [_fill(used(pool), word(pool, limits), drawn, cells) for pool in pools]
    fills = [f"{'used':{len(bars[0]) if bars else 4}}", *bars]
    names = [f"{_cut(name, longest, drawn.cut):{longest}}" for name in ("pool", *(pool["pool"] for pool in pools))]
    lines = [
        _BETWEEN_GROUPS.join((f"{name}{_GAP}{fill}", *figures))
        for name, fill, *figures in zip(names, fills, now, done, strict=True)
    ]
    yield f"{_OVER_LATELY:>{len(lines[0])}}"
    yield lines[0]
    for pool, line in zip(pools, lines[1:], strict=True):
        yield line
        if counters:
            yield from _done(pool)


def _block(columns: Sequence[_Column], pools: Sequence[Mapping[str, Any]], *, whole: bool) -> list[str]:
    """The heads of these columns side by side, and below them the figures of each pool."""
    texts = [[column.title, *(_shown(column.figure(pool), whole=whole) for pool in pools)] for column in columns]
    widths = [max(map(len, text)) for text in texts]
    return [
        _GAP.join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in zip(*texts, strict=True)
    ]


def _shown(figure: int | str, *, whole: bool) -> str:
    """Such as ``9,999`` and, unless it is to be whole, ``12.3k``: never rounded up, in five characters."""
    if isinstance(figure, str):
        return figure
    if whole or figure < _WHOLE:
        return f"{figure:,}"
    unit, letter = next(each for each in _UNITS if figure >= each[0])
    return f"{figure // unit}.{figure % unit * 1000 // unit:03}"[:4].rstrip(".") + letter


def _fill(share: int | None, said: str, drawn: Marks, cells: int) -> str:
    """Such as ``41 % [####------] ok``."""
    full = 0 if not share else max(1, share * cells // 100)
    bar = drawn.full * full + drawn.empty * (cells - full)
    return f"{'  -' if share is None else f'{share:>3}'} % [{bar}] {said:4}"


def _cut(name: str, width: int, mark: str) -> str:
    """The name with its middle left out: what tells pools apart stands at either end."""
    if len(name) <= width:
        return name
    tail = (width - len(mark)) // 2
    return f"{name[: width - len(mark) - tail]}{mark}{name[len(name) - tail :]}"


def _until(pool: Mapping[str, Any]) -> str:
    """Until when a call on a leaving number may be asked for; empty without one."""
    ms = pool["leaving_until_ms"]
    return f" until {datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%SZ}" if ms else ""


def _done(pool: Mapping[str, Any]) -> Iterator[str]:
    told = [f"{words} {pool[figure]:,}{_until(pool) if figure == 'leaving' else ''}" for figure, words in _BESIDE]
    told += [f"{counter.told} {pool[counter.figure]:,}" for counter in COUNTERS]
    yield from wrap(", ".join(told), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    if transits := pool["transits"]:
        parts = (f"{share:.0%} within {quantile(transits, share)} s" for share in _QUANTILES)
        yield f"  from lease to take: {', '.join(parts)}"
