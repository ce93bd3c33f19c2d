"""What goes wrong in a command, as it is told: the exit code, a word for programs, and a sentence for people."""

import errno
import sys
from typing import NamedTuple

from redis.exceptions import RedisError

from cticache.commands.command import MISTAKE, TROUBLE
from cticache.errors import BadArgument, Internal, RedisUnavailable, UserError
from cticache.link.trouble import told

TOLD = (UserError, RedisUnavailable, RedisError, BadArgument, OSError)
"""What ``Failure.of`` has words for."""


class Misused(UserError):
    """The arguments are not those of the command."""

    def __init__(self, usage: str, message: str) -> None:
        super().__init__(message)
        self.usage = usage
        """How the command is written, with a line end."""


class Failure(NamedTuple):
    """Something that went wrong."""

    code: int
    """The exit code."""
    error: str
    """A word for it; where the service has one, the same."""
    detail: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """What this exception, one of TOLD, means to who runs the command."""
        match error:
            case Misused():
                return cls(MISTAKE, "usage", str(error))
            case UserError():
                return cls(MISTAKE, "mistake", str(error))
            case RedisUnavailable():
                return cls(TROUBLE, error.code, told(error.__cause__))
            case RedisError():
                return cls(TROUBLE, RedisUnavailable.code, told(error))
            case BadArgument():
                return cls(TROUBLE, Internal.code, f"a fault in cticache, please report it: {error}")
            case OSError():  # a full disk, a reader that has gone; those of other files are handled where they occur
                where = error.filename or "standard output"
                return cls(TROUBLE, "output", f"{where} cannot be used: {error.strerror or error}")
        raise error


def is_closed_pipe(error: Exception) -> bool:
    """Whether who read what was printed has gone, as ``head`` does once it has its lines."""
    if isinstance(error, BrokenPipeError):
        return True
    # Windows' C library has one code for this and for others.
    return sys.platform == "win32" and isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
