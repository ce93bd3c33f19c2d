"""The variables by which the environment overrides config.ini, or stands for it.

``CTICACHE_<SECTION>_<OPTION>`` sets an option. A pool or a user that the file does not have comes to be by the variable
that it cannot be without: ``CTICACHE_POOL_<NAME>_NUMBERS``, ``CTICACHE_USER_<NAME>_PASSWORD`` or ``_TOKEN``. Its name
is that of the variable in lower case: Windows tells no other apart.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from cticache.config.sections import SECTIONS
from cticache.options import NAME

ALONE = Path("the environment")
"""In place of the file, where there is none."""
PREFIX = "CTICACHE_"
FILE = f"{PREFIX}CONFIG"
"""Names the configuration, as ``--config`` does."""
UNHEEDED = "environment variable %s is ignored: no section of the configuration goes by this name; %s"
"""What is said of a variable that may be another program's, or a slip of the pen."""
_MADE = re.compile(rf"{PREFIX}(?:(POOL)_(.+)_NUMBERS|(USER)_(.+)_(?:PASSWORD|TOKEN)(?:_FILE)?)")
_OF_A_SECTION = re.compile(rf"{PREFIX}(?:{'|'.join(SECTIONS).upper()})_")
_LINKED = re.compile(
    rf"{PREFIX}(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_NEAR = 0.5
"""How like a known variable another one must be, without what they all begin with: so PORT is SERVER_PORT."""
_COMES_BY = {
    f"{PREFIX}POOL_": f"a pool that is not in the file comes to be by {PREFIX}POOL_<NAME>_NUMBERS",
    f"{PREFIX}USER_": f"a user who is not in the file comes to be by {PREFIX}USER_<NAME>_PASSWORD or _TOKEN",
}
_LINK = re.compile(r"(?:tcp|udp|sctp)://\S+")


def given(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables that may be meant for the configuration.

    Into each container Kubernetes puts where its services are: for one named cticache, or cticache-redis, in variables
    that begin as these do, CTICACHE_SERVICE_HOST, CTICACHE_PORT_8080_TCP, and CTICACHE_PORT=tcp://10.0.0.1:8080.
    """
    return {
        name: text
        for name, text in environment.items()
        if name.startswith(PREFIX) and name != FILE and not _LINKED.fullmatch(name) and not _is_link(name, text)
    }


def _is_link(name: str, text: str) -> bool:
    return name.endswith("_PORT") and bool(_LINK.fullmatch(text))


def variable(section: str, option: str) -> str:
    """The variable that sets this option."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", f"{section}_{option}".upper())


def made(variable: str) -> str:
    """The section that comes to be by this variable, if the file has none for it; empty if there is no such section."""
    kind, name = [each for each in found.groups() if each] if (found := _MADE.fullmatch(variable)) else ("", "")
    return f"{kind}:{name}".lower() if NAME.fullmatch(name) else ""


def has_a_pool(environment: Mapping[str, str]) -> bool:
    """Whether no file is needed."""
    return any(made(name).startswith("pool:") for name in environment)


def is_of_a_section(variable: str) -> bool:
    """Whether it names a section: a variable that does not may be another program's."""
    return bool(_OF_A_SECTION.match(variable))


def hint(variable: str, known: Collection[str]) -> str:
    """What is to be done about a variable that is none of the known ones."""
    kind = found[0] if (found := _OF_A_SECTION.match(variable)) else PREFIX
    among = [name.removeprefix(PREFIX) for name in known if name.startswith(kind)]
    near = get_close_matches(variable.removeprefix(PREFIX), among, 1, _NEAR)
    return f"did you mean {PREFIX}{near[0]}?" if near else _COMES_BY.get(kind, "unset it")
