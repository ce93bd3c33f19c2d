"""Decodes a body: by its byte order mark, else by its declared charset, else as UTF-8."""

import codecs
import re

from cticache.errors import BadBody, UnsupportedType

UTF_8 = "utf-8"
_MARKS = ((codecs.BOM_UTF8, UTF_8), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF_16 = "utf-16"
_KNOWN = {
    "utf-8": UTF_8,
    "utf8": UTF_8,
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso8859-1": "latin-1",
    "iso_8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "utf-16": _UTF_16,
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_SAYS_NOTHING = frozenset({"", "application/json", "application/x-www-form-urlencoded", "text/plain"})
"""The types that most bodies have, none of which names a charset."""
_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?([^"';\s]*)""", re.IGNORECASE)
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""")


def decoded(content_type: str, raw: bytes) -> tuple[str, str]:
    """The text of a body without its byte order mark, and the name of its charset.

    Raises UnsupportedType for a charset that is not known here, and BadBody where the bytes are not of the charset.
    """
    is_usual = raw[:1] == b"{" and content_type in _SAYS_NOTHING
    charset, at, is_declared = (UTF_8, 0, False) if is_usual else _charset(content_type, raw)
    try:
        return raw[at:].decode(charset), charset
    except UnicodeDecodeError as error:
        if is_declared:
            raise BadBody(f"The body is not {charset}, its charset: byte {at + error.start} is wrong.") from None
        raise BadBody(
            f"The body is not UTF-8, and no other charset is declared: byte {at + error.start} is wrong. "
            "Send UTF-8, or name the charset in the Content-Type."
        ) from None


def _charset(content_type: str, raw: bytes) -> tuple[str, int, bool]:
    """The charset, the place of the first byte after a byte order mark, and whether anything named the charset."""
    for mark, marked in _MARKS:
        if raw.startswith(mark):
            return marked, len(mark), True
    declared = _of_type(content_type)
    if declared is None:
        in_xml = _DECLARATION.match(raw)
        if not in_xml:
            return UTF_8, 0, False
        declared = _named(in_xml[1].decode("latin-1"))
    if declared == _UTF_16:  # a body begins with an ASCII character
        declared = "utf-16-be" if raw[:1] == b"\0" else "utf-16-le"
    return declared, 0, True


def _of_type(content_type: str) -> str | None:
    """The charset that a Content-Type names; None if it names none."""
    found = _PARAMETER.search(content_type)
    return _named(found[1]) if found and found[1] else None


def _named(name: str) -> str:
    if known := _KNOWN.get(name.lower()):
        return known
    shown = re.sub(r"[^A-Za-z0-9._-]", "?", name[:40])
    raise UnsupportedType(f"The charset {shown} is not known here: send UTF-8.")
