"""What Redis refuses to the service's user: the commands that it sends, and those within its scripts.

ACL DRYRUN would tell some of that, where the user may ask and Redis is 7.0 or later. A script that runs each command
tells on all of them, and what else is in the way: replicas that are missing, a full memory, a disk that fails.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from redis import Redis
from redis.exceptions import AskError, NoPermissionError, RedisError, ResponseError

from cticache.data.keys import EVERY_POOL
from cticache.data.store import Store
from cticache.errors import Refusal
from cticache.link.trouble import UNKNOWN, told, trouble
from cticache.operate.doctor import MEMBER
from cticache.operate.report import listed

_FORBIDDEN = re.compile(r"NOPERM|ACL failure|can't (?:run this command|access)|no permissions ", re.IGNORECASE)
"""Of a user's rights; in a script Redis 6.2 and 7.0 say it without the code."""
_OF_KEYS = re.compile(r"\bkeys?\b")
_COMMAND = re.compile(r"'([\w|]+)' command")
_WITHOUT_SUBCOMMAND = {"script": "script|load"}
"""As Redis 6.2 tells it."""
_PLACE = re.compile(r"^@?\w+: \d+: -?|^ERR |,? (?:script: \w+, )?on @user_script.*$", re.DOTALL)
"""What Redis adds to say where in a script it happened."""


def of_connection(client: Redis, commands: Iterable[Sequence[str]]) -> list[str]:
    """A sentence for each of the commands that the user may not run; whatever else Redis answers is no matter here."""
    found = []
    for command in commands:
        try:
            client.execute_command(*command)  # type: ignore[no-untyped-call]
        except NoPermissionError:
            found.append(_missing(["|".join(command)]))
        except ResponseError:
            pass
    return found


def of_scripts(store: Store, pools: Sequence[str], prefix: str) -> list[str]:
    """A sentence for each way in which a script would stop, beside what all pools share and beside each of them.

    What is no matter of rights holds for all, and may take a while to show: the first of these ends the trial.
    """
    where: dict[str, list[str]] = {}
    for pool in (EVERY_POOL, *pools):
        try:
            refused: Mapping[str, str] = store.try_out(pool).refused
        except Refusal as refusal:
            if not isinstance(refusal.__cause__, RedisError):
                raise
            complaints = [said(refusal.__cause__, prefix)]
            ends = not isinstance(refusal.__cause__, NoPermissionError)
        else:
            complaints = _within(refused, prefix)
            ends = any(not _FORBIDDEN.search(text) for text in refused.values())
        if ends:
            return [*where, *complaints]
        for complaint in complaints:
            where.setdefault(complaint, []).append(pool)
    return [
        complaint if len(places) > len(pools) else f"pool {listed(places)}: {complaint}"
        for complaint, places in where.items()
    ]


def _within(refused: Mapping[str, str], prefix: str) -> list[str]:
    commands = [command for command, text in refused.items() if _FORBIDDEN.search(text) and not _OF_KEYS.search(text)]
    others = {said(ResponseError(text), prefix): None for command, text in refused.items() if command not in commands}
    return [_missing(commands), *others] if commands else [*others]


def said(error: RedisError, prefix: str) -> str:
    """What an error of Redis about a script means, and what to do about it."""
    text = _PLACE.sub("", str(error)).strip()
    if isinstance(error, NoPermissionError) or _FORBIDDEN.search(text):
        if _OF_KEYS.search(text):
            return f"the user may not use the keys under [redis] prefix = {prefix}; allow ~{prefix}:*{_FILE}"
        if command := _COMMAND.search(text):
            return _missing([_WITHOUT_SUBCOMMAND.get(command[1], command[1])])
    if isinstance(error, AskError):
        return MEMBER
    found = trouble(error)
    if found == UNKNOWN:
        return f"a script cannot be run: {text}"
    return told(error) if found.is_away else found.says


_FILE = "; `cticache acl` prints the whole file of users"


def _missing(commands: Sequence[str]) -> str:
    names = [command.lower() for command in commands]
    return (
        f"the user that [redis] url names may not run {', '.join(names)}, without which calls are lost or refused: "
        f"allow {' '.join(f'+{name}' for name in names)}{_FILE}"
    )
