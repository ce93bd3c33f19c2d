"""``cticache support``: what somebody needs to know who is asked for help, in one file, without what is secret."""

import argparse
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from io import BytesIO
from pathlib import Path
from typing import Any

from redis import Redis

from cticache.check import check
from cticache.commands import document, redacted
from cticache.commands.advise import advices, unread_lines
from cticache.commands.command import WELL, Command
from cticache.commands.failure import TOLD, Failure
from cticache.commands.opening import configured, opened, reached
from cticache.commands.probe import probed
from cticache.commands.redacted import without_numbers
from cticache.config import Config
from cticache.data.replies import utc
from cticache.errors import UserError
from cticache.link.connection import connect
from cticache.link.redis_url import kind
from cticache.logs import AUDIT, escaped
from cticache.numbering.ani import masked
from cticache.operate import doctor
from cticache.operate.report import advice_lines, complaint_lines
from cticache.operate.unread import listed_unread, parted, told_of

_MOST_LOG = 262_144
"""Bytes of the end of a log."""
_TOLD_BY_REDIS = (
    *("redis_version", "valkey_version", "server_name", "redis_mode", "os", "arch_bits", "uptime_in_seconds", "role"),
    *("connected_clients", "maxclients", "blocked_clients", "rejected_connections", "connected_slaves"),
    *("used_memory", "used_memory_peak", "maxmemory", "maxmemory_policy", "mem_fragmentation_ratio", "evicted_keys"),
    *("aof_enabled", "aof_last_write_status", "rdb_last_bgsave_status", "rdb_last_save_time", "loading"),
    *("master_link_status", "master_last_io_seconds_ago", "min_slaves_good_slaves", "cluster_enabled"),
    *("total_commands_processed", "instantaneous_ops_per_sec", "total_error_replies", "latest_fork_usec"),
)
"""Fields of INFO that have no address, name or key in them."""
_ABOUT = """\
This file was made by `cticache support` at {now}, to be passed on to whoever helps.

It has no password, no token and no other secret in it, no caller's data, and telephone numbers of six digits or
more by their last three at the most. It does have names of pools, users, hosts and files, and addresses of clients
where they are in the log. Read it first.

What could not be found out is said in the place of it.
"""


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", type=Path, metavar="FILE", help="the log of the service: its last lines, masked, too")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write; else one named by the time")


def _run(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    path = arguments.output or Path(f"cticache-support-{now:%Y%m%dT%H%M%SZ}.zip")
    log = None if arguments.log is None else _end_of(arguments.log)
    about = _ABOUT.format(now=f"{now:%Y-%m-%d %H:%M:%SZ}")
    files = {"about.txt": about, **_collected(partial(configured, arguments), log)}
    _save(path, files)
    if arguments.json:
        document.write({"file": str(path), "files": list(files)})
    else:
        print(f"{path} has {', '.join(files)}: read it before you pass it on")
    return WELL


def _collected(settings: Callable[[], Config], log: str | None) -> dict[str, str]:
    """Name of a file -> its text; what cannot be found out is told in its place."""
    hidden: set[str] = set()
    try:
        hidden = redacted.secrets(settings())
    except TOLD:
        pass  # each part tells it
    parts: dict[str, Callable[[], str]] = {
        "versions.json": lambda: _json(_versions()),
        "configuration.json": lambda: _json(redacted.described(settings())),
        "environment.txt": lambda: "\n".join(sorted(name for name in os.environ if name.startswith("CTICACHE_"))),
        "check.txt": lambda: _checked(settings()),
        "pools.json": lambda: _json(_pools(settings())),
        "advise.txt": lambda: without_numbers(_advised(settings())),
        "redis.json": lambda: _json(_redis(settings())),
        "readyz.json": lambda: _json(_ready(settings())),
        "events.txt": lambda: without_numbers(redacted.without(_happened(settings()), hidden)),
    }
    if log is not None:
        parts["log.txt"] = lambda: without_numbers(redacted.without(log, hidden))
    return {name: redacted.without(_or_why_not(name, part), hidden) + "\n" for name, part in parts.items()}


def _or_why_not(name: str, part: Callable[[], str]) -> str:
    try:
        return part()
    except TOLD as error:
        detail = without_numbers(Failure.of(error).detail)
        return _json({"unknown": detail}) if name.endswith(".json") else f"This is not known: {detail}"


def _json(told: object) -> str:
    return json.dumps(told, ensure_ascii=False, indent=1)


def _versions() -> dict[str, Any]:
    return {
        "cticache": version("cticache"),
        "python": sys.version,
        "system": platform.platform(),
        "packages": {name: found for name in _needed() if (found := _version(name))},
    }


def _needed() -> list[str]:
    """The packages that cticache needs, and may have by its extras."""
    return sorted({re.split(r"[^\w.-]", each)[0] for each in requires("cticache") or []})


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _checked(settings: Config) -> str:
    """What `cticache check` prints; of variables of the environment the names alone, and no server is started."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line.partition(" = ")[0] if line.startswith("  environment: ") else line)

    try:
        lines += complaint_lines(check(settings, lambda stack: reached(settings, stack, start=False), tell))
    except TOLD as error:
        lines.append(Failure.of(error).detail)
    return without_numbers("\n".join(lines))


def _pools(settings: Config) -> Mapping[str, Any]:
    with ExitStack() as stack:
        told = opened(settings, stack).each_pool_stats(settings.pools)
    rows, not_read = parted(zip(settings.pools, told, strict=True))
    unread = told_of(not_read, len(settings.pools))
    return {
        "pools": [redacted.figures({"pool": pool.name, **figures.figures()}) for pool, figures in rows],
        "unread": [{**each, "says": without_numbers(each["says"])} for each in listed_unread(unread)],
    }


def _advised(settings: Config) -> str:
    with ExitStack() as stack:
        advised, unread = advices(opened(settings, stack), settings.pools)
        lines = [
            line
            for pool, advice in advised
            for line in advice_lines(
                replace(advice, suspects={masked(dnis): count for dnis, count in advice.suspects.items()}), pool.name
            )
        ]
    return "\n".join([*lines, *unread_lines(unread)])


def _happened(settings: Config) -> str:
    """The last warnings and errors of all services on this Redis, the newest first."""
    with ExitStack() as stack:
        events = opened(settings, stack).events()
    return "\n".join(f"{utc(each.ms)} {each.level} {each.logger}: {each.said} ({each.node})" for each in events)


def _end_of(log: Path) -> str:
    """The last lines of a log of the service, but for those of the audit, each of which is of a call."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _MOST_LOG, 0))
            lines = file.read(_MOST_LOG).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}") from None
    whole = lines[1:] if size > _MOST_LOG else lines
    return "\n".join(escaped(line) for line in whole if AUDIT not in line)


def _redis(settings: Config) -> list[dict[str, Any]]:
    """What Redis says of itself; of a Cluster each of its primaries."""
    told: list[dict[str, Any]] = []

    def ask(client: Redis) -> list[str]:
        info: Mapping[str, Any] = client.info("everything")
        told.append({name: info[name] for name in _TOLD_BY_REDIS if name in info})
        return []

    with ExitStack() as stack:
        url = reached(settings, stack, start=False)
        if kind(url) == "cluster":
            doctor.cluster(url, settings.redis.timeout, ask)
        else:
            ask(stack.enter_context(connect(url, settings.redis.timeout)))
    return told


def _ready(settings: Config) -> dict[str, Any]:
    """What the service itself says of its state, where it runs on this machine."""
    status, said = probed(settings, "/readyz")
    return {"status": status, "body": without_numbers(said)}


def _save(path: Path, files: Mapping[str, str]) -> None:
    """Write the zip, for nobody else to read; UserError if that cannot be, and nothing is left then."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name, text)
    try:
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise UserError(f"{path} is there already: name another file with --output") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(written, "wb") as file:
            file.write(packed.getvalue())
    except OSError as error:
        path.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


SUPPORT = Command(
    "support",
    "write a file for whoever helps: versions, configuration and figures, without secrets and telephone numbers",
    _run,
    _declare,
    has_json=True,
)
