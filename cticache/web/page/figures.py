"""What was done over time, as a picture that says in words what it shows, and as the table that it is drawn of."""

from collections.abc import Sequence

from cticache.web.page.markup import Html, element, joined
from cticache.web.page.words import count

_HEIGHT = 40
_STEP = 4
"""Units of the picture from one time to the next."""


def chart(name: str, figures: Sequence[int | None], each: str) -> Html:
    """A bar for each time, the first one left; a gap where nothing is known.

    ``each`` is the time that a figure is of, if figures can be added up.
    """
    told = f"{name}: {_told(figures, each)}"
    most = max((figure for figure in figures if figure), default=0)
    bars = [
        element("rect", x=at * _STEP, y=_HEIGHT - height, width=_STEP - 1, height=height)
        for at, figure in enumerate(figures)
        if figure and (height := max(round(figure / most * _HEIGHT), 1))
    ]
    picture = element(
        "svg",
        *bars,
        viewBox=f"0 0 {max(len(figures), 1) * _STEP} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=told,
    )
    return element("figure", element("figcaption", told), picture)


def _told(figures: Sequence[int | None], each: str) -> str:
    known = [figure for figure in figures if figure is not None]
    if not known:
        return "not known yet"
    return f"{count(sum(known))}, at most {count(max(known))} {each}" if each else f"{count(max(known))}"


def table(caption: str, heads: Sequence[object], rows: Sequence[Html], **attributes: str) -> Html:
    """A table that scrolls within itself where it does not fit, with the keyboard, too."""
    head = element("thead", element("tr", *[each if isinstance(each, Html) else column(each) for each in heads]))
    whole = element("table", element("caption", caption), head, element("tbody", *rows), **attributes)
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def numbers(*names: str) -> list[Html]:
    """The heads of columns of numbers."""
    return [column(name, "n") for name in names]


def column(name: object, class_: str | None = None) -> Html:
    """The head of a column."""
    return element("th", name, scope="col", class_=class_)


def row(first: object, *cells: object, id_: str | None = None) -> Html:
    """A row, which its first cell names; numbers stand to the right."""
    return element("tr", element("th", first, scope="row"), joined(*map(cell, cells)), id_=id_)


def cell(content: object) -> Html:
    """A cell; a figure stands to the right."""
    if content is None or isinstance(content, int | float):
        return Html(f'<td class="n">{count(content)}</td>')  # most of the page is made of these
    return element("td", content)
