"""The sections of config.ini, and what each may have."""

import re
from dataclasses import dataclass
from pathlib import Path

from cticache.access import origins
from cticache.access.networks import NOWHERE, Networks, trusted
from cticache.access.origins import Origins
from cticache.access.users import User
from cticache.link import redis_url
from cticache.logs import FORMATS, LEVELS
from cticache.numbering.pool import Pool
from cticache.operate.attention import WatchRules
from cticache.options import Seconds, Section, Text, Whole, Word, YesNo, declared, named, unquoted

MOST_WORKERS = 64
_LEAST_AUDIT_KEY = 16
"""There are few telephone numbers: under a key that can be guessed, a digest gives its number away."""


def _host(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if re.search(r"[/\[\]]|^[^:]*:[^:]*$", text):  # an IPv6 address has two colons at least
        raise ValueError("must be a name or an address alone, without a scheme or brackets; the port is [server] port")
    return text


def _audit_key(text: str) -> str:
    if text and len(text) < _LEAST_AUDIT_KEY:
        raise ValueError(f"must be at least {_LEAST_AUDIT_KEY} characters that nobody can guess, or empty")
    return text


def _url(text: str) -> str:
    if text and (wrong := redis_url.complaint(text)):
        raise ValueError(wrong)
    return text


@dataclass(frozen=True)
class ServerConfig:
    """[server]: how the service listens. Times in seconds, sizes in bytes."""

    host: str = declared(Text(_host), "127.0.0.1", at_start=True)
    port: int = declared(Whole(0, 65535), 8080, at_start=True)
    workers: int = declared(Whole(1, MOST_WORKERS, "processes", empty=0), 0, at_start=True)
    dispatch: str = declared(Word("batch", "threads"), "batch", at_start=True)
    threads: int = declared(Whole(1, 256), 16, at_start=True)
    max_body: int = declared(Whole(64, 16 * 1024 * 1024, "bytes"), 65536)
    connections: int = declared(Whole(1, 100_000), 400)
    connections_per_address: int = declared(Whole(1, 100_000, empty=0), 0)
    header_timeout: int = declared(Whole(1, 3600, "seconds"), 10)
    body_timeout: int = declared(Whole(1, 3600, "seconds"), 20)
    idle_timeout: int = declared(Whole(1, 3600, "seconds"), 30)
    drain: int = declared(Whole(0, 3600, "seconds"), 0)
    stop_timeout: int = declared(Whole(0, 600, "seconds"), 5)
    auth_cache: int = declared(Whole(0, 3600, "seconds"), 60)
    auth_cache_size: int = declared(Whole(1, 1_000_000), 10_000)
    auth_threads: int = declared(Whole(2, 10_000, "threads"), 1000)
    auth_queue: int = declared(Whole(1, 10_000), 100)
    auth_wait: float = declared(Seconds(), 1.0)
    auth_failures: int = declared(Whole(1, 1_000_000, "a minute"), 10)
    trusted_proxy: Networks = declared(Text(trusted), NOWHERE)
    figures_age: float = declared(Seconds(), 2.0)
    figures_timeout: float = declared(Seconds(), 5.0)
    page_refresh: float = declared(Seconds(), 5.0)
    refusal_lines: int = declared(Whole(1, 1_000_000, "lines a second"), 20)
    refusal_burst: int = declared(Whole(1, 1_000_000, "lines"), 200)
    origins: Origins = declared(Text(Origins.parse), origins.NOWHERE)
    get_writes: bool = declared(YesNo(), False)
    single_quotes: bool = declared(YesNo(), False)
    audit: bool = declared(YesNo(), True)
    audit_key: str = declared(Text(_audit_key), "", secret=True)


@dataclass(frozen=True)
class RedisConfig:
    """[redis]: where the data is. Times in seconds."""

    url: str = declared(Text(_url), "", secret=True, at_start=True)
    timeout: float = declared(Seconds(), 1.0, at_start=True)
    probe: float = declared(Seconds(), 0.5, at_start=True)
    prefix: str = declared(Text(named), "cti", at_start=True)
    sync_interval: float = declared(Seconds(), 5.0, at_start=True)
    retry_after: int = declared(Whole(1, 3600, "seconds"), 2, at_start=True)
    data: str = declared(Text(unquoted), "", at_start=True)


@dataclass(frozen=True)
class LogConfig:
    """[log]: what the log has, in which form, and where it goes. Times in seconds but for the days, sizes in bytes."""

    format: str = declared(Word(*FORMATS), "text")
    level: str = declared(Word(*LEVELS), "info")
    repeat: int = declared(Whole(1, 86_400, "seconds"), 600)
    file: str = declared(Text(unquoted), "", at_start=True)
    file_bytes: int = declared(Whole(1, 100_000, "MB", times=1_000_000), 20_000_000, name="file_size", at_start=True)
    file_days: int = declared(Whole(1, 3650, "days", empty=0), 1, at_start=True)
    file_count: int = declared(Whole(1, 10_000, "files"), 30, at_start=True)


SECTIONS = {
    "server": Section(ServerConfig),
    "redis": Section(RedisConfig),
    "watch": Section(WatchRules),
    "log": Section(LogConfig),
    "pool": Section(Pool),
    "user": Section(User),
}
"""By the first word of a section's name."""


@dataclass(frozen=True)
class Config:
    """All that config.ini says, validated."""

    source: Path
    server: ServerConfig
    redis: RedisConfig
    watch: WatchRules
    log: LogConfig
    pools: tuple[Pool, ...]
    users: tuple[User, ...]
    overrides: tuple[str, ...] = ()
    """What the environment overrides, as it may be shown: a secret without its value."""
    unheeded: tuple[tuple[str, str], ...] = ()
    """Each variable that looks like one of this service's and names none of its sections, and what to do about it."""

    @classmethod
    def empty(cls, source: Path) -> "Config":
        """What stands for a file that cannot be read: the defaults, and no pool."""
        return cls(source, ServerConfig(), RedisConfig(), WatchRules(), LogConfig(), (), ())
