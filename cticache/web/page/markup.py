"""HTML made of elements: what is put into one is text, and escaped, unless it is an element itself."""

from html import escape
from typing import Any


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: object, **attributes: Any) -> Html:
    """An element. In the name of an attribute ``_`` stands for a hyphen, and one at the end for nothing.

    An attribute that is True has no value; one that is False or None is left out.
    """
    said = "".join(
        [_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False]
    )
    if name == "input":
        return Html(f"<input{said}>")
    return Html(f"<{name}{said}>{joined(*content)}</{name}>")


def joined(*content: object) -> Html:
    """One after the other; None and False are nothing."""
    return Html("".join([_of(each) for each in content if each is not None and each is not False]))


def _of(each: object) -> str:
    return each if isinstance(each, Html) else escape(str(each))


def _attribute(name: str, value: object) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
