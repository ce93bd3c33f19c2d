"""A request whose properties stand in a table of a recipe, and what it is answered."""

import base64
import re
from urllib.error import URLError
from urllib.request import Request, urlopen


def table(part: str) -> dict[str, str]:
    """The rows that have a property and its value between backticks; of several values the text as it stands."""
    rows = dict(re.findall(r"^\| ([^|`]+) \| (.+) \|$", part, re.MULTILINE))
    return {name: text[1:-1] if re.fullmatch(r"`[^`]*`", text) else text for name, text in rows.items()}


def answered(url: str, login: str, content_type: str, body: str, seconds: float) -> bytes | None:
    """The body of the answer; None where it failed, as these platforms say of each status from 400 on."""
    headers = {
        "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
        "Content-Type": content_type,
    }
    try:
        with urlopen(Request(url, body.encode(), headers), timeout=seconds) as answer:
            return bytes(answer.read())
    except (URLError, OSError):
        return None
