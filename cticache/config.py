"""config.ini -> one frozen Config. Unknown sections and options are errors, and every fault is told in one line.

The environment overrides an option: ``CTICACHE_<SECTION>_<OPTION>``, every character other than a letter or digit
written as an underscore, as in ``CTICACHE_POOL_SYSTEM_Y_TTL``. A secret may be in a file of its own, named by the
option with ``_file`` after its name.
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import platformdirs
from marshmallow import ValidationError

from cticache.access import origins
from cticache.access.networks import NOWHERE, Networks, trusted
from cticache.access.origins import Origins
from cticache.access.users import MISSING, User
from cticache.errors import ConfigError
from cticache.link import redis_url
from cticache.logs import FORMATS, LEVELS
from cticache.numbering.conflicts import conflicts, shared
from cticache.numbering.pool import Pool
from cticache.numbering.pools import MOST_POOLS
from cticache.operate.attention import WatchRules
from cticache.options import NAME, Seconds, Section, Text, Whole, Word, YesNo, declared, named

SAMPLE = next(
    (
        path
        for path in (Path(__file__).parent / "config.ini", Path(__file__).parent.parent / "config.ini")
        if path.exists()
    ),
    Path("config.ini"),
)
"""The config.ini that comes with the installation: every option with its default."""

_ENVIRONMENT = "CTICACHE_"
_MOST_NAMED = 20
"""Of the pools, where a user's is none of them."""
_NO_COMMENT = "; a comment after a value begins with ; and not with #"
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

    host: str = declared(Text(_host), "127.0.0.1")
    port: int = declared(Whole(0, 65535), 8080)
    workers: int = declared(Whole(1, 64, "processes", empty=0), 0)
    dispatch: str = declared(Word("batch", "threads"), "batch")
    threads: int = declared(Whole(1, 256), 16)
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

    url: str = declared(Text(_url), "", secret=True)
    timeout: float = declared(Seconds(), 1.0)
    probe: float = declared(Seconds(), 0.5)
    prefix: str = declared(Text(named), "cti")
    sync_interval: float = declared(Seconds(), 5.0)
    retry_after: int = declared(Whole(1, 3600, "seconds"), 2)
    data: str = declared(Text(str), "")


@dataclass(frozen=True)
class LogConfig:
    """[log]: what the log has, and in which form. Times in seconds."""

    format: str = declared(Word(*FORMATS), "text")
    level: str = declared(Word(*LEVELS), "info")
    repeat: int = declared(Whole(1, 86_400, "seconds"), 600)


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


def find(named: Path | None) -> Path:
    """The file to read: the named one, ./config.ini, or the one in the user's configuration folder."""
    places = [named] if named else [Path("config.ini"), platformdirs.user_config_path("cticache", False) / "config.ini"]
    for place in places:
        if place.is_file():
            return place
    looked_at = " or ".join(str(place.absolute()) for place in places)
    raise ConfigError(f"there is no {looked_at}: copy {SAMPLE} there and put your pools into it")


def read(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in ``path`` under what ``environment`` overrides; ConfigError has a line for each fault."""
    return _Reader(path, environment).config()


class _Reader:
    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = {name: text for name, text in environment.items() if name.startswith(_ENVIRONMENT)}
        self._faults: list[str] = []
        self._overrides: list[str] = []
        self._files: dict[tuple[str, str], Path] = {}
        """Where the secrets are that are in a file of their own, by section and option."""

    def config(self) -> Config:
        sections: dict[str, dict[str, str]] = {"server": {}, "redis": {}, "watch": {}, "log": {}} | self._sections()
        self._override(sections)
        loaded = {name: self._load(name, options) for name, options in sections.items()}
        self._raise()
        pools = tuple(_pool(name[5:], options) for name, options in loaded.items() if name.startswith("pool:"))
        users = tuple(User(name[5:], **options) for name, options in loaded.items() if name.startswith("user:"))
        watch = WatchRules(**loaded["watch"])
        if watch.crit < watch.warn:
            self._faults.append(self._fault("watch", "crit", str(watch.crit), f"must be at least warn = {watch.warn}"))
        self._across(pools, users)
        self._raise()
        server, redis = ServerConfig(**loaded["server"]), RedisConfig(**loaded["redis"])
        log = LogConfig(**loaded["log"])
        return Config(self._path, server, redis, watch, log, pools, users, tuple(sorted(self._overrides)))

    def _raise(self) -> None:
        if self._faults:
            raise ConfigError("\n".join(self._faults))

    def _sections(self) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(
            interpolation=None,
            inline_comment_prefixes=(";",),
            delimiters=("=",),
            empty_lines_in_values=False,
            default_section="\0",  # so that [DEFAULT] is a section like any other, and unknown
        )
        try:
            parser.read_string(self._path.read_text("utf-8-sig"), str(self._path))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{self._path}: is not UTF-8 text: byte {error.start} is wrong; save it as UTF-8"
            ) from None
        except configparser.Error as error:
            raise ConfigError(f"{self._path}: {_syntax(error)}") from None
        for name in parser.sections():
            kind, colon, own = name.partition(":")
            if kind not in SECTIONS or bool(colon) != (kind in ("pool", "user")):
                self._faults.append(
                    f"{self._path}: [{name}] is not a section known here: "
                    "there are [server], [redis], [watch], [log], [pool:NAME] and [user:NAME]"
                )
            elif colon and not NAME.fullmatch(own):
                self._faults.append(
                    f"{self._path}: [{name}]: the name after the colon must be 1 to 64 of A-Z a-z 0-9 _ . -"
                )
        pools = sum(name.startswith("pool:") for name in parser.sections())
        if pools > MOST_POOLS:
            self._faults.append(
                f"{self._path}: there are {pools} pools, more than the {MOST_POOLS} of one service; "
                "give the others to another one, with a [redis] prefix of its own"
            )
        self._raise()
        return {name: dict(parser[name]) for name in parser.sections()}

    def _override(self, sections: dict[str, dict[str, str]]) -> None:
        if not self._environment:  # else thousands of pools have a name for each of their options
            return
        known: dict[str, list[tuple[str, str]]] = {}
        for section in sections:
            for option in _options(section):
                known.setdefault(_variable(section, option), []).append((section, option))
        for name, text in self._environment.items():
            places = known.get(name, [])
            if not places:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else "unset it"
                self._faults.append(f"environment variable {name}: no section and option go by this name; {hint}")
            elif len(places) > 1:
                both = " and ".join(f"[{section}] {option}" for section, option in places)
                self._faults.append(f"environment variable {name}: stands for {both}; rename one of the sections")
            else:
                section, option = places[0]
                if _variable(section, _twin(option)) not in self._environment:
                    sections[section].pop(_twin(option), None)
                sections[section][option] = text
                shown = "" if option in _section(section).secrets else f" = {' '.join(text.split())}"
                self._overrides.append(f"{name}{shown} overrides [{section}] {option}")

    def _load(self, section: str, options: dict[str, str]) -> dict[str, Any]:
        known = _options(section)
        for option in options.keys() - set(known):
            near = get_close_matches(option, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self._faults.append(f"{self._path}: [{section}] {option}: is not an option known here; {hint}")
        faults = len(self._faults)
        given = self._from_files(section, {name: text.strip() for name, text in options.items() if name in known})
        if len(self._faults) > faults:
            return {}
        try:
            return _section(section).load(given)
        except ValidationError as error:
            for option, wrong in error.messages_dict.items():
                value = given.get(option)
                hint = _NO_COMMENT if value and re.search(r"\s#", value) else ""
                self._faults.append(self._fault(section, option, value, " ".join(wrong) + hint))
            return {}

    def _from_files(self, section: str, options: dict[str, str]) -> dict[str, str]:
        """The same options with each ``*_file`` read."""
        given = dict(options)
        for option in options:
            secret = option.removesuffix("_file")
            if secret == option:
                continue
            path = self._path.parent / given.pop(option)
            if secret in given:
                self._faults.append(self._fault(section, option, str(path), f"give either this or {secret}, not both"))
                continue
            try:
                given[secret] = path.read_text("utf-8-sig").strip()
                self._files[section, secret] = path
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
                self._faults.append(self._fault(section, option, str(path), f"cannot be read: {reason}"))
        return given

    def _fault(self, section: str, option: str, value: str | None, allowed: str) -> str:
        secret = option in _section(section).secrets
        if file := self._files.get((section, option)):
            option, value, secret = f"{option}_file", str(file), False
        variable = _variable(section, option)
        where = (
            f"environment variable {variable}"
            if variable in self._environment
            else f"{self._path}: [{section}] {option}"
        )
        return f"{where}{'' if secret or value is None else ' = ' + ' '.join(value.split())}: {allowed}"

    def _across(self, pools: tuple[Pool, ...], users: tuple[User, ...]) -> None:
        """What is wrong with options only when they are seen together."""
        if not pools:
            self._faults.append(f"{self._path}: there is no pool; add a section [pool:NAME] with its numbers")
        for pool, option, value, wrong in conflicts(pools):
            self._faults.append(self._fault(f"pool:{pool}", option, value, wrong))
        for one, other, common in shared(pools):
            self._faults.append(
                f"{self._path}: [pool:{one}] and [pool:{other}] both have {common}; a number belongs to one pool"
            )
        names = {pool.name for pool in pools}
        known = ", ".join(sorted(names)[:_MOST_NAMED]) + (", .." if len(names) > _MOST_NAMED else "")
        of_token: dict[str, str] = {}
        for user in users:
            if not user.hashes and not user.token:
                self._faults.append(self._fault(f"user:{user.name}", "password", None, MISSING))
            for other in {of_token.setdefault(digest, user.name) for digest in user.token} - {user.name}:
                wrong = f"is one of user {other}'s, too: make another one, `cticache user {user.name} --token`"
                self._faults.append(self._fault(f"user:{user.name}", "token", None, wrong))
            for name in sorted((user.pools or frozenset()) - names):
                self._faults.append(self._fault(f"user:{user.name}", "pools", name, f"is no pool; there are {known}"))


def _options(section: str) -> list[str]:
    known = _section(section)
    return [*known.options, *(f"{option}_file" for option in known.options if option in known.secrets)]


def _section(name: str) -> Section:
    return SECTIONS[name.partition(":")[0]]


def _twin(option: str) -> str:
    return option.removesuffix("_file") if option.endswith("_file") else f"{option}_file"


def _variable(section: str, option: str) -> str:
    return _ENVIRONMENT + re.sub(r"[^A-Z0-9]", "_", f"{section}_{option}".upper())


def _syntax(error: configparser.Error) -> str:
    match error:
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno}: stands before the first section; begin with a line such as [server]"
        case configparser.DuplicateSectionError():
            return f"line {error.lineno}: section [{error.section}] is there a second time; put its options together"
        case configparser.DuplicateOptionError():
            return f"line {error.lineno}: [{error.section}] {error.option} is given a second time; keep one of them"
        case configparser.ParsingError():
            return f"line {error.errors[0][0]}: is neither a section in brackets nor an option = value"
    return " ".join(str(error).split())


def _pool(name: str, options: dict[str, Any]) -> Pool:
    pool = Pool(name, **options)
    return replace(pool, numbers=pool.numbers - pool.draining)
