"""config.ini -> one frozen Config. Unknown sections and options are errors, and every fault is told in one line.

The environment overrides an option: ``CTICACHE_<SECTION>_<OPTION>``, every character other than a letter or digit
written as an underscore, as in ``CTICACHE_POOL_SYSTEM_Y_TTL``. It may have all of it, and no file is needed then. A
secret may be in a file of its own, named by the option with ``_file`` after its name.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from cticache.config import environment as variables
from cticache.config.reader import Reader
from cticache.config.sections import Config
from cticache.errors import ConfigError

__all__ = ["SAMPLE", "Config", "find", "of_the_machine", "read"]

SAMPLE = next(
    (path for path in (folder / "config.ini" for folder in Path(__file__).parents[1:3]) if path.exists()),
    Path("config.ini"),
)
"""The config.ini that comes with the installation: every option with its default."""


def of_the_machine() -> Path:
    """The file of a service of Windows: in a folder that is no user's, %ProgramData%\\cticache."""
    return platformdirs.site_config_path("cticache", False) / "config.ini"


def find(named: Path | None, environment: Mapping[str, str]) -> Path:
    """The file to read: the named one, that of CTICACHE_CONFIG, ./config.ini, or the user's own; else ``ALONE``.

    On Windows that of the machine comes after the user's own. ConfigError if there is none and no pool in the
    environment, or if it is named and not there.
    """
    by = environment.get(variables.FILE)
    if not named and by:
        if Path(by).is_file():
            return Path(by)
        raise ConfigError(f"environment variable {variables.FILE} = {by}: there is no such file; name another")
    places = [named] if named else [Path("config.ini"), platformdirs.user_config_path("cticache", False) / "config.ini"]
    if sys.platform == "win32" and not named:
        places.append(of_the_machine())
    for place in places:
        if place.is_file():
            return place
    if named and named.exists():
        raise ConfigError(f"{named.absolute()} is not a file: name the config.ini itself")
    if not named and variables.has_a_pool(environment):
        return variables.ALONE
    looked_at = " or ".join(str(place.absolute()) for place in places)
    other = f", or name yours by --config or {variables.FILE}, or set {variables.PREFIX}POOL_<NAME>_NUMBERS"
    raise ConfigError(
        f"there is no {looked_at}: copy {SAMPLE} there and put your pools into it{'' if named else other}"
    )


def read(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in ``path`` under what ``environment`` overrides; ConfigError has a line for each fault."""
    return Reader(path, environment).config()
