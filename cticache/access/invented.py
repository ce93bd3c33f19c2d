"""The password of a service without a user: invented at its first start, and kept for the owner of the data folder."""

import os
import re
import stat
import sys
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from cticache.access.passwords import invent

NAME = "username"
"""The user whom the password is of."""
_FILE = "password"
_WAIT_S = 5.0
"""How long another service may take that invents one for the same folder."""
_INVENTED = re.compile(r"[0-9a-f]{32}\n?")


class Invented(NamedTuple):
    """A password that nobody has chosen."""

    password: str
    remark: str
    """Where it is kept, or why it is not, and what was wrong with the one that was there: sentences."""


class Unusable(Exception):
    """There is a file for the password, and none is taken from it; the text says why, without a full stop."""


def place(folder: Path) -> Path:
    """The file of the password in this data folder."""
    return folder / _FILE


def kept(folder: Path) -> str:
    """The password that is kept in this data folder; FileNotFoundError without one, Unusable, or another OSError."""
    if not stat.S_ISREG(place(folder).stat().st_mode):
        raise Unusable("it is no file")  # who opens a pipe waits for somebody to write into it
    with place(folder).open(encoding="utf-8", errors="replace") as file:
        about = os.fstat(file.fileno())
        if sys.platform != "win32":  # there the folder's rights are those of the file
            if about.st_uid != os.geteuid():
                raise Unusable("it belongs to somebody else")
            if stat.S_IMODE(about.st_mode) & 0o077:
                raise Unusable("others than its owner may use it")
        text = file.read(64)
    if not _INVENTED.fullmatch(text):
        raise Unusable("there is no password in it as it was written")
    return text.rstrip("\n")


def ensured(folder: Path) -> Invented:
    """The password that is kept in this data folder, or a new one, which is kept from now on if that can be done."""
    file = place(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{_FILE}.lock", timeout=_WAIT_S):
            try:
                return Invented(kept(folder), f"It is kept in {file}.")
            except FileNotFoundError:
                wrong = ""
            except Unusable as error:
                wrong = f"The one in {file} is not used: {error}. "
            return Invented(_keep(file, invent()), f"{wrong}It is new, and kept in {file} from now on.")
    except (OSError, ValueError, NotImplementedError) as error:  # not a path, or no locks on that file system
        return Invented(invent(), f"It is for this run alone: it cannot be kept in {file} ({error}).")


def _keep(file: Path, password: str) -> str:
    """Write the password where its owner alone can read it; the password."""
    new = file.with_name(f"{_FILE}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(f"{password}\n", "utf-8")
    new.replace(file)
    return password
