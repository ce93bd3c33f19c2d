"""What somebody reads on a page."""

import html
import re


def text_of(page: str) -> str:
    """The words, without the tags."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", page).split()))


def section(page: str, name: str) -> str:
    """The words of the section of this id; AssertionError where the page has none."""
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found, page
    return text_of(found[0])
