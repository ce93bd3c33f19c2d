"""Figures as people read them: times in UTC, and a dash where nothing is known."""

from datetime import datetime

from cticache.operate import units
from cticache.web.page.markup import Html, element

UNKNOWN = "\N{EN DASH}"


def count(number: float | None) -> str:
    """A number, its thousands set apart."""
    if number is None:
        return UNKNOWN
    if isinstance(number, int):
        return f"{number:,}"  # of any length
    return f"{number:,.1f}" if 0 < number < 10 else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """So long, to the unit that matters."""
    return UNKNOWN if seconds is None else units.duration(seconds)


def size(number: int | None) -> str:
    """Bytes, in the unit that Redis counts in."""
    return UNKNOWN if number is None else units.mebibytes(number)


def moment(at: str | None, now: str) -> Html | str:
    """A time as an element; its day, too, unless that is today."""
    if not at:
        return UNKNOWN
    clock = at[11:19] if len(at) >= 19 else at
    shown = f"{clock}Z" if at[:10] == now[:10] else f"{at[:10]} {clock}Z"
    return element("time", shown, datetime=at)


def whole_hour(at: str) -> int:
    """Which hour since 1970 a time is in."""
    return int(datetime.fromisoformat(at).timestamp()) // 3_600


def hour(at: str) -> str:
    """An hour that may be days ago."""
    return f"{datetime.fromisoformat(at):%a %H:%M}Z"
