"""XML 1.0, on one line: one element for each member."""

import re
from collections.abc import Iterable

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit, encoded, plain, texts

MEDIA_TYPE = "text/xml; charset=utf-8"
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped (section 2.2)."""


def hit(answer: Hit) -> str:
    """``found``, then the members in JSON's order."""
    return _document("true", ((name, plain(value)) for name, value in answer.members))


def refusal(error: Refusal, _asked: Asked) -> str:
    """``found`` and what is wrong."""
    return _document("false", texts(error))


def escaped(text: str) -> str:
    """Text as the content of an element."""
    return text.translate(_ESCAPES)


def _document(found: str, members: Iterable[tuple[str, str]]) -> str:
    elements = "".join(_element(name, text) for name, text in members)
    return f'<?xml version="1.0" encoding="UTF-8"?><cticache><found>{found}</found>{elements}</cticache>'


def _element(name: str, text: str) -> str:
    if _NO_CHARACTER.search(text):
        # JSON may leave U+FFFE, U+FFFF and U+007F as they are, and the first two XML cannot carry.
        json_text = _NO_CHARACTER.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded(text))
        return f'<{name} json="true">{escaped(json_text)}</{name}>'
    return f"<{name}>{escaped(text)}</{name}>"
