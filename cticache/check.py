"""The command ``cticache check``: what would not work, or would lose data, told before callers find out."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from redis import Redis
from redis.exceptions import ResponseError

from cticache import reach
from cticache.config.environment import UNHEEDED
from cticache.config.sections import MOST_WORKERS, Config, ServerConfig
from cticache.data import format as formats
from cticache.data.store import Store
from cticache.errors import UserError
from cticache.link.connection import connect
from cticache.link.embedded import data_folder
from cticache.link.redis_url import kind
from cticache.loop.listen import allowed, reserve
from cticache.numbering.conflicts import remarks
from cticache.operate import doctor, replay, rights, trial
from cticache.operate.report import counted
from cticache.server import worker_count

_FREE_PORT = 0
_SHORT_WAIT_S = 0.5
"""Checking a new password takes a fifth of it where nothing else is done."""
_ASKED = (("PING",),)
"""What a server is asked beside its scripts, on each new connection."""
_ASKED_OF_A_NODE = (*_ASKED, ("CLUSTER", "SLOTS"), ("ASKING",))
_UNTOLD = (
    "whether Redis loads what the scripts wrote when it starts again cannot be told: allow +acl|dryrun, or see that "
    "the default user has what `cticache acl` prints for it"
)


def check(settings: Config, reach: Callable[[ExitStack], str], tell: Callable[[str], None]) -> list[str]:
    """What would not work or would lose data, a sentence each; ``tell`` gets what else was seen, line by line.

    ``reach`` returns the URL of Redis, which may be started for as long as the stack is open. redis-py's errors pass
    through where Redis cannot be reached, and RedisUnavailable.
    """
    found = _of_configuration(settings, tell)
    with ExitStack() as stack:
        found += _of_redis(settings, reach(stack), stack, tell)
    return list(dict.fromkeys(found))


def _of_configuration(settings: Config, tell: Callable[[str], None]) -> list[str]:
    pools, users = settings.pools, settings.users
    tell(f"{settings.source}: {counted(len(pools), 'pool')}, {counted(len(users), 'user')}")
    for variable in settings.overrides:
        tell(f"  environment: {variable}")
    for unheeded in settings.unheeded:
        tell(f"  {UNHEEDED % unheeded}")
    for pool in pools:
        tell(f"  pool {pool.name}: {counted(len(pool.numbers), 'number')}, {len(pool.draining)} draining")
        for remark in remarks(pool):
            tell(f"    {remark}")
    for remark in _of_logins(settings.server):
        tell(f"  {remark}")
    found = [*_of_connections(settings.server.connections, worker_count(settings)), *_of_users(settings, tell)]
    try:
        # Not on its own port: a service may run there.
        reserve(settings.server.host, _FREE_PORT).close()
    except UserError as error:
        found.append(str(error))
    return found


def _of_connections(wanted: int, workers: int) -> Iterator[str]:
    most = allowed(wanted)
    if most < wanted:
        enough = math.ceil(wanted * workers / most)
        rest = f"workers = {enough} has room for as many in all" if enough <= MOST_WORKERS else "ask for fewer"
        yield f"[server] connections = {wanted:,}: a process has {most:,} at most on this system; {rest}"


def _of_logins(server: ServerConfig) -> Iterator[str]:
    if server.dispatch == "threads" and 2 * server.connections > server.auth_threads:
        yield (
            f"[server] auth_threads: who sends a wrong password on more than {server.auth_threads // 2} of "
            f"{server.connections} connections is not slowed down; set it to twice as many as connections"
        )
    if server.auth_wait < _SHORT_WAIT_S:
        yield "[server] auth_wait: so soon right passwords are refused, too, for to check one takes 0.1 s"


def _of_users(settings: Config, tell: Callable[[str], None]) -> list[str]:
    pools, users = settings.pools, settings.users
    if not users:
        tell("  no user: serve listens on 127.0.0.1 only, under a password that it invents and keeps")
        return []
    for user in users:
        tell(f"  {rights.described(user)}")
    for remark in rights.remarks(pools, users):
        tell(f"    {remark}")
    return rights.complaints(pools, users)


def _of_redis(settings: Config, url: str, stack: ExitStack, tell: Callable[[str], None]) -> list[str]:
    prefix = settings.redis.prefix
    unknown: list[bool] = []

    def more(client: Redis, asked: Sequence[tuple[str, ...]] = _ASKED_OF_A_NODE) -> list[str]:
        unknown.append(replay.is_unknown(client))
        return trial.of_connection(client, asked)

    if kind(url) == "cluster":
        what, found = doctor.cluster(url, settings.redis.timeout, more)
    else:
        client = stack.enter_context(connect(url, settings.redis.timeout))
        what, found = doctor.described(client), [*doctor.complaints(client), *more(client, _ASKED)]
    tell(f"Redis: {what} answers")
    if not settings.redis.url:
        tell(
            "  no [redis] url is set, so it is the embedded server: `cticache serve` starts it, and stops it at its "
            "end; where it does not run, it was started for this check alone"
        )
        tell(
            f"  its data is in {data_folder(settings.redis.data)}; it is for a first try: then give [redis] url a Redis"
        )
    if any(unknown):
        tell(f"  {_UNTOLD}")
    store, scripts = reach.new_store(reach.new_runner(url, settings.redis, stack), settings)
    try:
        scripts.load()
    except ResponseError as error:
        found.append(trial.said(error, prefix))
    tried = trial.of_scripts(store, [pool.name for pool in settings.pools], prefix)
    return [*found, *tried, *(_of_data(store, tell) if not tried else [])]


def _of_data(store: Store, tell: Callable[[str], None]) -> list[str]:
    """Whether this release may serve the data that are there."""
    found = store.data_format()
    if found.release:
        tell(f"  its data are of format {found.format}; this release writes {formats.FORMAT}")
    else:
        tell(f"  the format of its data is not kept there yet; this release writes {formats.FORMAT}")
    try:
        formats.check(found)
    except formats.OtherFormat as error:
        return [str(error)]
    return []
