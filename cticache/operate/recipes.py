"""`cticache recipe`: what to paste into a telephone system, with this server's address, pool and users in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from cticache.access.users import Role, User
from cticache.errors import UserError

_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[2] / "docs" / "recipes")
"""In a wheel, and in a checkout."""
_URL = re.compile(r"http://((?:username:password@)?)127\.0\.0\.1:8080")
_USER = re.compile(r"\busername\b")
_POOL = "system-y"
_GENERAL = re.compile(r"(?:\+1)?5550000000")
_ROLES: dict[str, Role] = {"## System X": "lease", "## System Y": "take"}
"""What the user needs whose name stands below this heading."""


@dataclass(frozen=True)
class Filling:
    """What a recipe has in place of its examples; what is empty stays an example, and so does each password."""

    url: str
    pool: str
    without_data: str = ""
    lessee: str = ""
    taker: str = ""


def origin(url: str) -> str:
    """The URL without a slash at its end; UserError if a recipe cannot begin its addresses with it."""
    bare = url.removesuffix("/")
    try:
        parts = urlsplit(bare)
        is_one = bool(parts.hostname and parts.port != 0)
    except ValueError:  # brackets around no address, or a port that is none
        is_one = False
    if not is_one or not re.fullmatch(r"https?://[\w.\[\]:-]+", bare, re.ASCII):
        raise UserError(f"--url {url}: write http:// or https://, the host and its port, and nothing else")
    return bare


def who(users: Sequence[User], pool: str, role: Role) -> str:
    """The first user who may do this in the pool; empty if nobody may."""
    able = (user for user in users if role in user.roles and (user.pools is None or pool in user.pools))
    return next((user.name for user in able), "")


def listed() -> dict[str, str]:
    """The name of each recipe -> what it is about, in a line."""
    return {name: text.split("\n\n")[1].replace("\n", " ") for name, text in _texts().items()}


def recipe(name: str) -> str:
    """The text of a recipe; UserError, which names near ones, where there is none of that name."""
    texts = _texts()
    if name not in texts:
        near = get_close_matches(name.lower(), texts)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(texts)}"
        raise UserError(f"there is no recipe {name!r}: {hint}")
    return texts[name]


def filled(text: str, filling: Filling) -> str:
    """The text of a recipe with all this in place of its examples."""
    scheme, _, rest = filling.url.partition("://")
    role = None
    lines = []
    for line in text.splitlines():
        if line.startswith("## "):
            role = _ROLES.get(line)
        placed = _URL.sub(rf"{scheme}://\g<1>{rest}", line.replace(_POOL, filling.pool))
        placed = _GENERAL.sub(filling.without_data, placed) if filling.without_data else placed
        user = {"lease": filling.lessee, "take": filling.taker}.get(role or "")
        lines.append(_USER.sub(user, placed) if user else placed)
    return "\n".join(lines)


def _texts() -> dict[str, str]:
    """All recipes by their names."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    if not folder:
        raise UserError("the recipes are not there: install cticache again")
    found = (path for path in sorted(folder.glob("*.md")) if path.stem != "README")
    return {path.stem: path.read_text("utf-8") for path in found}
