"""config.ini -> one frozen Config. Unknown sections and options are errors, and every fault is told in one line.

An option is looked up in the environment first, as ``CTICACHE_<SECTION>_<OPTION>`` with every character that is no
letter or digit as an underscore: ``CTICACHE_POOL_SYSTEM_Y_TTL``. A secret may be in a file of its own, which the
option with ``_file`` after its name points to.
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import platformdirs
from marshmallow import ValidationError

from cticache.access.users import User
from cticache.errors import ConfigError
from cticache.numbering.numbers import NumberSet, Span, overlaps
from cticache.numbering.pools import Pool
from cticache.options import NAME, SECRETS, SECTIONS

MOST_LOOKS = 20_000
"""Most callers that one call may look at to share a number: Redis serves nobody else meanwhile."""
SAMPLE = next(
    (
        path
        for path in (Path(__file__).parent / "config.ini", Path(__file__).parent.parent / "config.ini")
        if path.exists()
    ),
    Path("config.ini"),
)
"""The config.ini that comes with the installation: every option with its default."""

_SHOWN = 3
"""How many of the numbers that two pools share are named."""
_ENVIRONMENT = "CTICACHE_"


@dataclass(frozen=True)
class ServerConfig:
    """[server]: how the service listens. Times in seconds, sizes in bytes."""

    host: str
    port: int
    workers: int
    dispatch: str
    threads: int
    max_body: int
    connections: int
    idle_timeout: int
    stop_timeout: int
    auth_cache: int
    auth_cache_size: int
    auth_queue: int
    audit: bool
    audit_key: str


@dataclass(frozen=True)
class RedisConfig:
    """[redis]: where the data is. Times in seconds."""

    url: str
    timeout: float
    probe: float
    prefix: str
    sync_interval: float
    retry_after: int
    data: str


@dataclass(frozen=True)
class Config:
    """All that config.ini says, validated."""

    source: Path
    server: ServerConfig
    redis: RedisConfig
    pools: tuple[Pool, ...]
    users: tuple[User, ...]


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

    def config(self) -> Config:
        sections: dict[str, dict[str, str]] = {"server": {}, "redis": {}} | self._sections()
        self._override(sections)
        loaded = {name: self._load(name, options) for name, options in sections.items()}
        self._raise()
        pools = tuple(_pool(name[5:], options) for name, options in loaded.items() if name.startswith("pool:"))
        users = tuple(_user(name[5:], options) for name, options in loaded.items() if name.startswith("user:"))
        self._across(pools, users)
        self._raise()
        return Config(self._path, ServerConfig(**loaded["server"]), RedisConfig(**loaded["redis"]), pools, users)

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
                    "there are [server], [redis], [pool:NAME] and [user:NAME]"
                )
            elif colon and not NAME.fullmatch(own):
                self._faults.append(
                    f"{self._path}: [{name}]: the name after the colon must be 1 to 64 of A-Z a-z 0-9 _ . -"
                )
        self._raise()
        return {name: dict(parser[name]) for name in parser.sections()}

    def _override(self, sections: dict[str, dict[str, str]]) -> None:
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
            return dict(SECTIONS[section.partition(":")[0]].load(given))
        except ValidationError as error:
            for option, faults in error.messages_dict.items():
                self._faults.append(self._fault(section, option, given.get(option), " ".join(faults)))
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
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
                self._faults.append(self._fault(section, option, str(path), f"cannot be read: {reason}"))
        return given

    def _fault(self, section: str, option: str, value: str | None, allowed: str) -> str:
        variable = _variable(section, option)
        where = (
            f"environment variable {variable}"
            if variable in self._environment
            else f"{self._path}: [{section}] {option}"
        )
        secret = (section.partition(":")[0], option) in SECRETS
        return f"{where}{'' if secret or value is None else ' = ' + ' '.join(value.split())}: {allowed}"

    def _across(self, pools: tuple[Pool, ...], users: tuple[User, ...]) -> None:
        """What no option can tell alone."""
        if not pools:
            self._faults.append(f"{self._path}: there is no pool; add a section [pool:NAME] with its numbers")
        for pool in pools:
            if not pool.numbers and not pool.draining:
                self._faults.append(
                    self._fault(f"pool:{pool.name}", "numbers", "", "give at least one number or range of the pool")
                )
            if pool.ttl_ms > pool.max_ttl_ms:
                most = f"must not be above max_ttl = {pool.max_ttl_ms // 1000}"
                self._faults.append(self._fault(f"pool:{pool.name}", "ttl", str(pool.ttl_ms // 1000), most))
            self._matching(pool)
            self._fallback(pool, pools)
            if pool.share_scan * pool.max_callers > MOST_LOOKS:
                most = (
                    f"times max_callers = {pool.max_callers} must not be above {MOST_LOOKS}, or a call holds up Redis"
                )
                self._faults.append(self._fault(f"pool:{pool.name}", "share_scan", str(pool.share_scan), most))
        self._each_number_once(pools)
        names = {pool.name for pool in pools}
        for user in users:
            for name in sorted((user.pools or frozenset()) - names):
                self._faults.append(
                    self._fault(f"user:{user.name}", "pools", name, f"is no pool; there are {', '.join(sorted(names))}")
                )

    def _matching(self, pool: Pool) -> None:
        """The rules of one pool that must fit together."""
        section = f"pool:{pool.name}"
        if pool.match == "sole" and pool.exhausted != "reject":
            wanted = "means one caller a number: set exhausted = reject, or match = exact or suffix"
            self._faults.append(self._fault(section, "match", "sole", f"with exhausted = {pool.exhausted}; {wanted}"))
        every = pool.numbers | pool.draining | NumberSet.parse(pool.fallback, 1)
        if pool.dnis_digits and (alike := every.alike(pool.dnis_digits)):
            wanted = f"does not tell {alike[0]} and {alike[1]} apart; give more digits, or leave it empty for all"
            self._faults.append(self._fault(section, "dnis_digits", str(pool.dnis_digits), wanted))

    def _fallback(self, pool: Pool, pools: tuple[Pool, ...]) -> None:
        fault = ""
        if not pool.fallback and pool.exhausted == "fallback":
            fault = "give the number for callers beyond the pool's own, or another exhausted"
        elif pool.fallback:
            for other in pools:
                if pool.fallback in other.numbers or pool.fallback in other.draining:
                    fault = f"is a number of [pool:{other.name}]; give one of no pool"
                elif other is not pool and pool.fallback == other.fallback:
                    fault = f"is the fallback of [pool:{other.name}], too; give each pool its own"
        if fault:
            self._faults.append(self._fault(f"pool:{pool.name}", "fallback", pool.fallback, fault))

    def _each_number_once(self, pools: tuple[Pool, ...]) -> None:
        shared: dict[tuple[int, int], list[Span]] = {}
        for one, other, span in overlaps([pool.numbers | pool.draining for pool in pools]):
            found = shared.setdefault((one, other), [])
            if len(found) <= _SHOWN:
                found.append(span)
        for (one, other), found in sorted(shared.items()):
            common = ", ".join(map(str, found[:_SHOWN])) + (" and more" if len(found) > _SHOWN else "")
            self._faults.append(
                f"{self._path}: [pool:{pools[one].name}] and [pool:{pools[other].name}] both have {common}; "
                "a number belongs to one pool"
            )


def _options(section: str) -> list[str]:
    kind = section.partition(":")[0]
    options = list(SECTIONS[kind].fields)
    return options + [f"{option}_file" for option in options if (kind, option) in SECRETS]


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
    return Pool(
        name=name,
        numbers=options["numbers"] - options["draining"],
        draining=options["draining"],
        ttl_ms=options["ttl"] * 1000,
        max_ttl_ms=options["max_ttl"] * 1000,
        cooldown_ms=options["cooldown"] * 1000,
        exhausted=options["exhausted"],
        share_scan=options["share_scan"],
        max_callers=options["max_callers"],
        fallback=options["fallback"],
        match=options["match"],
        match_digits=options["match_digits"],
        country=options["country_code"],
        dnis_digits=options["dnis_digits"],
        retry_window_ms=options["retry_window"] * 1000,
        remember_ms=options["remember"] * 1000,
    )


def _user(name: str, options: dict[str, Any]) -> User:
    pools = None if "*" in options["pools"] else options["pools"]
    return User(name, options["password"], pools, options["roles"], options["max_live"])
