"""What an error of Redis is: that it is away, or that it refuses to work, and what an operator must do about it.

Source: Redis's documentation of its error codes (redis.io, "Redis serialization protocol", "Lua API", "ACL").
"""

import re
from typing import NamedTuple

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class NotOurs(ResponseError):
    """What is in Redis is none of cticache's, for all that its type is right: somebody else has written it there.

    Its text quotes nothing of it.
    """


NOT_TEXT = "it has a text that is not UTF-8"
"""Why a reply is not ours."""


class Trouble(NamedTuple):
    """What is wrong with Redis."""

    says: str
    """A sentence without its full stop for the operator: what is wrong, and what to do. No text of Redis is in it."""
    is_away: bool = False
    """Whether nothing was heard of Redis; else it has answered, and refuses."""
    bars: bool = False
    """Whether this service must not ask it anything: its data are of a release that this one does not know."""


AWAY = Trouble("Redis is away: see whether it runs, and whether [redis] url leads to it", is_away=True)
SILENT = Trouble("Redis is away: it does not answer within [redis] timeout", is_away=True)
UNHEARD = Trouble("Redis is away: it has not answered since the start of this service", is_away=True)
UNKNOWN = Trouble("Redis refuses to work, for a reason that only the log has")
REFUSALS = {
    "NOPERM": "Redis refuses its user a command or a key (NOPERM): see what `cticache check` says is missing",
    "WRONGPASS": "Redis refuses the user or the password in [redis] url (WRONGPASS): compare them with its ACL",
    "NOAUTH": "Redis wants a user and a password (NOAUTH): write them in [redis] url",
    "NOREPLICAS": "Redis takes no writes while too few replicas are in step (NOREPLICAS): see to its replicas",
    "MISCONF": "Redis takes no writes because it cannot save them (MISCONF): see its log, and whether its disk is full",
    "OOM": "Redis takes no new data because its memory is full (OOM): give it more maxmemory",
    "READONLY": "The server is a replica and takes no writes (READONLY): have [redis] url name the primary",
    "MASTERDOWN": "The server is a replica that has lost its primary (MASTERDOWN): see to the primary",
    "LOADING": "Redis is loading its data (LOADING): wait until it has done so",
    "BUSY": "Redis is held up by somebody's EVAL or FCALL that does not end (BUSY): end that with SCRIPT KILL",
    "CLUSTERDOWN": "The cluster is down (CLUSTERDOWN): give every slot a node that is up",
    "TRYAGAIN": "A slot of the cluster is being moved (TRYAGAIN): wait until it has been",
    "MOVED": "A slot is at another node (MOVED): wait; if [redis] url begins with redis://, write redis+cluster://",
    "MAXCLIENTS": "Redis takes no more connections (maxclients): raise that, or see who has so many",
    "WRONGTYPE": "A key of cticache holds what somebody else has put there: give cticache a Redis of its own",
}
"""By the code with which Redis begins its error, or by what stands for one."""

NOT_OURS = Trouble(REFUSALS["WRONGTYPE"])
"""It is one key's trouble, and no other's."""
_KINDS: dict[type[RedisError], str] = {
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",  # before the kind that it is one of
    ClusterDownError: "CLUSTERDOWN",
    BusyLoadingError: "LOADING",
    TryAgainError: "TRYAGAIN",
    AskError: "MOVED",
    NotOurs: "WRONGTYPE",
}
"""Of redis-py, which takes the code away from the text of these; and what has none."""
_CODE = re.compile(rf"\b({'|'.join(REFUSALS)})\b")
_PHRASES = {
    "user executing the script": "NOPERM",  # Redis 6.2, from within a script
    "max number of clients": "MAXCLIENTS",
    "invalid password": "WRONGPASS",  # where only a password is set
    "previous master": "READONLY",  # redis-py, behind a sentinel
}


def trouble(error: BaseException | None) -> Trouble:
    """What this error is, whether redis-py or the loop has read it, and from within a script or not."""
    code = _code(error)
    if code:
        return Trouble(REFUSALS[code])
    if isinstance(error, RedisTimeoutError):
        return SILENT
    return AWAY if isinstance(error, RedisConnectionError | OSError) else UNKNOWN


def told(error: BaseException | None) -> str:
    """What it is and, in brackets, the words in which it came: for the log, and for who runs a command."""
    found = trouble(error)
    return f"Redis refuses to work: {error}" if found == UNKNOWN else f"{found.says} ({error})"


def _code(error: BaseException | None) -> str:
    text = str(error)
    if isinstance(error, AuthenticationError):
        return "NOAUTH" if "required" in text else "WRONGPASS"
    for kind, code in _KINDS.items():
        if isinstance(error, kind):
            return code
    if found := _CODE.search(text):
        return found[1]
    return next((code for phrase, code in _PHRASES.items() if phrase in text), "")
