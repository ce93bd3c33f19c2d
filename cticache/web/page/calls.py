"""Calls on the page: where the data of one went, and those that are live."""

from collections.abc import Mapping
from typing import Any

from cticache.web.page.figures import column, numbers, row, table
from cticache.web.page.markup import Html, element, joined
from cticache.web.page.words import UNKNOWN, duration


def explained(found: Mapping[str, Any]) -> Html:
    """Where a call's data went."""
    return joined(*[_place(each) for each in found["places"]])


def _place(place: Mapping[str, Any]) -> Html:
    steps = [element("li", f"{each['step']}: {each['gives']}") for each in place["steps"]]
    heads = ("ANI", *numbers("Digits"), "Digest", "Leased by", "Leased at", "Ends in")
    live = [
        row(
            each["ani"],
            each["digits"],
            each["digest"] or UNKNOWN,
            each["lessee"],
            element("time", each["leased_at"], datetime=each["leased_at"]),
            duration(each["expires_in"]),
        )
        for each in place["live"]
    ]
    return joined(
        element("h3", f"{place['pool']}, number {place['dnis']}, rule {place['rule']}"),
        element("p", place["says"]),
        element("ol", *steps) if steps else None,
        table("Live callers on the number", heads, live) if live else None,
    )


def leases(page: Mapping[str, Any], more: str, *, may_release: bool) -> Html:
    """Live leases; ``more`` is the query that leads to the next page, or empty."""
    heads = ["Number", "ANI", "Leased by", "For", "Ends in", "Asked for", *([column("End it")] if may_release else [])]
    rows = [_lease(each, may_release=may_release) for each in page["leases"]]
    listed = (
        table("Live leases, those first that end first", heads, rows) if rows else element("p", "None on this page.")
    )
    return joined(listed, element("p", element("a", "Next page", href=f"?{more}#leases")) if more else None)


def _lease(lease: Mapping[str, Any], *, may_release: bool) -> Html:
    release = element(
        "button",
        "Release",
        type="button",
        class_="release",
        hidden=True,
        data_pool=lease["pool"],
        data_dnis=lease["dnis"],
        data_token=lease["token"],
        aria_label=f"Release {lease['dnis']}, ANI {lease['ani']}",
    )
    return row(
        lease["dnis"],
        lease["ani"],
        lease["user"],
        duration(lease["age_s"]),
        duration(lease["expires_in"]),
        "yes" if lease["asked"] else "no",
        *([release] if may_release else []),
    )
