"""config.ini -> one frozen Config. Unknown sections and options are errors, and every fault is told in one line.

An option is looked up in the environment first, as ``CTICACHE_<SECTION>_<OPTION>`` with every character that is no
letter or digit as an underscore: ``CTICACHE_POOL_SYSTEM_Y_TTL``. A secret may be in a file of its own, which the
option with ``_file`` after its name points to.
"""

import configparser
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import platformdirs
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from cticache.connection import addresses, kind
from cticache.country import Country
from cticache.errors import ConfigError
from cticache.numbers import MAX_DIGITS, NumberSet, Span, overlaps
from cticache.passwords import HASH_PREFIX
from cticache.pools import Pool
from cticache.store import MOST_CALLERS
from cticache.users import ROLES, User

MOST_NUMBERS = 5_000_000
"""Most numbers in one pool."""
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
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ENVIRONMENT = "CTICACHE_"
_LEAST_AUDIT_KEY = 16
"""Telephone numbers are few: a digest under a key that can be guessed tells them."""
_URL_PATTERNS = {
    "": "redis://user:password@host:6379/0 or unix://user:password@/socket?db=0",
    "sentinel": "redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/name/0",
    "cluster": "redis+cluster://user:password@node1:6379,node2:6379",
}
_REDIS_SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


class _Whole(fields.Field[int]):
    """A whole number between two bounds, in ASCII digits."""

    def __init__(self, least: int, most: int, unit: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._range = least, most, unit

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        least, most, unit = self._range
        if re.fullmatch(r"[0-9]{1,18}", value) and least <= int(value) <= most:
            return int(value)
        raise ValidationError(f"must be a whole number{unit and ' of '}{unit}, {least} to {most}")


class _MaybeWhole(_Whole):
    """The same, or empty for 0."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        return super()._deserialize(value, attr, data, **kwargs) if value else 0


class _Seconds(fields.Field[float]):
    """A positive number of seconds."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) and float(value) > 0:
            return float(value)
        raise ValidationError("must be a number of seconds above 0, such as 1.0")


class _YesNo(fields.Field[bool]):
    """yes or no."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if value.lower() not in ("yes", "no"):
            raise ValidationError("must be yes or no")
        return value.lower() == "yes"


class _Numbers(fields.Field[NumberSet]):
    """Telephone numbers and ranges of them."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> NumberSet:
        try:
            return NumberSet.parse(value, MOST_NUMBERS)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Country(fields.Field[Country | None]):
    """A country by its calling code, or empty for none."""

    def _deserialize(
        self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Country | None:
        try:
            return Country.of(value) if value else None
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Words(fields.Field[frozenset[str]]):
    """Words between commas, each of a given set or, without one, each a name."""

    def __init__(self, allowed: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._allowed = allowed

    def _deserialize(
        self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> frozenset[str]:
        words = [word for word in re.split(r"[,\s]+", value) if word]
        for word in words:
            if self._allowed and word not in self._allowed:
                raise ValidationError(f"{word!r} is not one of {', '.join(self._allowed)}")
        return frozenset(words)


class _PasswordHash(fields.Field[str]):
    """What ``cticache user`` prints."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        try:
            if value.startswith(HASH_PREFIX):
                extract_parameters(value)
                return value
        except InvalidHashError:
            pass
        raise ValidationError("must be a hash as `cticache user NAME` prints it, never the password itself")


def _url(value: str) -> None:
    if value and not value.startswith(_REDIS_SCHEMES):
        raise ValidationError(
            "must start with redis://, rediss:// or unix://, with redis+sentinel:// or redis+cluster:// (rediss+ with "
            "TLS), or be empty for the embedded server"
        )
    if value and (wrong := _wrong_in_url(value)):
        raise ValidationError(
            f"cannot be read: {wrong}; write {_URL_PATTERNS[kind(value)]}, "
            "and escape what is no letter or digit in the password (%2F for /)"
        )


def _wrong_in_url(text: str) -> str:
    """What is wrong, in words of our own: any piece of the URL may be a piece of a password. Empty if nothing is."""
    if re.search(r"[\s\x00-\x1f\x7f#\ud800-\udfff]", text):
        return "there is a space, a # or a character that cannot be printed in it"
    try:
        url = urlsplit(text)
        places = addresses(text)
    except ValueError:
        places = [("", 0)]
    if any(port == 0 for _, port in places):
        return "each port must be 1 to 65535, and an IPv6 address stand in brackets"
    options = _url_options(url.scheme)
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=True) if url.query else []
    except ValueError:
        pairs = [("", "")]
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= options.keys():
        listed = f"{', '.join(options)}, each once" if options else "nothing"
        secured = url.scheme.startswith("rediss")
        return f"after the ? there may be {listed}{'' if secured else '; options of TLS need rediss:// or rediss+'}"
    for option, value in given.items():
        right, meant = options[option]
        if not right(value):
            return f"{option} must be {meant}"
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        return "ssl_keyfile needs ssl_certfile"
    if url.scheme == "unix":
        return _wrong_in_path(url)
    if (len(places) > 1 and not kind(text)) or not all(_is_host(host) for host, _ in places):
        return f"there must be the name or address of a host{', or of several with commas' if kind(text) else ''}"
    return _wrong_behind_host(url, given)


def _wrong_in_path(url: SplitResult) -> str:
    if sys.platform == "win32":
        return "unix:// cannot be used on Windows"
    path = unquote(url.path)
    if url.netloc.rpartition("@")[2] or path.endswith("/") or not path.startswith("/") or "\0" in path:
        return "unix:// needs the absolute path of a socket, after three slashes"
    return ""


def _wrong_behind_host(url: SplitResult, given: Mapping[str, str]) -> str:
    database = url.path
    if url.scheme.endswith("+cluster"):
        return "" if url.path in ("", "/") else "a cluster has no databases: nothing may stand after its nodes"
    if url.scheme.endswith("+sentinel"):
        name, _, database = url.path[1:].partition("/")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return "after the sentinels there must be the name that they have for the primary, such as /mymaster"
        database = f"/{database}"
    if not re.fullmatch(r"/?|/[0-9]{1,5}", database):
        return "after that there may be the number of a database, such as /0"
    if database.strip("/") and "db" in given:
        return "the database is given twice"
    return ""


def _is_host(name: str) -> bool:
    try:
        if ":" in name:
            IPv6Address(name)
        else:
            name.encode("idna")  # what looking it up begins with
    except ValueError:
        return False
    return bool(re.fullmatch(r"[\w.:%-]+", name))


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:
        return False


_URL_OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "db": (re.compile("[0-9]{1,5}").fullmatch, "a whole number"),
    "ssl_ca_certs": (_is_file, "a file that is there"),
    "ssl_certfile": (_is_file, "a file that is there"),
    "ssl_keyfile": (_is_file, "a file that is there"),
    "ssl_cert_reqs": (re.compile("none|optional|required").fullmatch, "none, optional or required"),
    "ssl_check_hostname": (re.compile("true|false").fullmatch, "true or false"),
}
"""What may follow the ? of the URL: nothing that would take the place of a setting of ``connect``."""
_SENTINEL_OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "sentinel_username": (bool, "a name"),
    "sentinel_password": (bool, "a password"),
}
"""What the sentinels themselves ask for, which have users of their own."""


def _url_options(scheme: str) -> dict[str, tuple[Callable[[str], object], str]]:
    secured, _, kind_ = scheme.partition("+")
    options = {
        name: rule
        for name, rule in _URL_OPTIONS.items()
        if (secured == "rediss" or not name.startswith("ssl_")) and not (kind_ == "cluster" and name == "db")
    }
    return options | _SENTINEL_OPTIONS if kind_ == "sentinel" else options


def _name(value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValidationError("must be 1 to 64 of A-Z a-z 0-9 _ . -")


def _audit_key(value: str) -> None:
    if value and len(value) < _LEAST_AUDIT_KEY:
        raise ValidationError(f"must be at least {_LEAST_AUDIT_KEY} characters that nobody can guess, or empty")


def _number(value: str) -> None:
    if value and not re.fullmatch(rf"\+?[0-9]{{1,{MAX_DIGITS}}}", value):
        raise ValidationError(f"must be one number of 1 to {MAX_DIGITS} digits, such as 5559990001, or empty")


def _one_of(*words: str) -> validate.OneOf:
    return validate.OneOf(words, error="must be one of {choices}")


class _ServerSection(Schema):
    host = fields.String(load_default="127.0.0.1", validate=validate.Length(min=1, error="must not be empty"))
    port = _Whole(0, 65535, "", load_default=8080)
    workers = _MaybeWhole(1, 64, "processes", load_default=0)
    dispatch = fields.String(load_default="batch", validate=_one_of("batch", "threads"))
    threads = _Whole(1, 256, "", load_default=16)
    max_body = _Whole(64, 16 * 1024 * 1024, "bytes", load_default=65536)
    connections = _Whole(1, 100_000, "", load_default=400)
    idle_timeout = _Whole(1, 3600, "seconds", load_default=30)
    stop_timeout = _Whole(0, 600, "seconds", load_default=5)
    auth_cache = _Whole(0, 3600, "seconds", load_default=60)
    auth_cache_size = _Whole(1, 1_000_000, "", load_default=10_000)
    auth_queue = _Whole(1, 10_000, "", load_default=100)
    audit = _YesNo(load_default=True)
    audit_key = fields.String(load_default="", validate=_audit_key)


class _RedisSection(Schema):
    url = fields.String(load_default="", validate=_url)
    timeout = _Seconds(load_default=1.0)
    probe = _Seconds(load_default=0.5)
    prefix = fields.String(load_default="cti", validate=_name)
    sync_interval = _Seconds(load_default=5.0)
    retry_after = _Whole(1, 3600, "seconds", load_default=2)
    data = fields.String(load_default="")


class _PoolSection(Schema):
    numbers = _Numbers(load_default=NumberSet())
    draining = _Numbers(load_default=NumberSet())
    ttl = _Whole(1, 86_400, "seconds", load_default=300)
    max_ttl = _Whole(1, 86_400, "seconds", load_default=3600)
    cooldown = _Whole(0, 86_400, "seconds", load_default=5)
    exhausted = fields.String(load_default="share", validate=_one_of("share", "reject", "fallback"))
    fallback = fields.String(load_default="", validate=_number)
    share_scan = _Whole(1, 1000, "numbers", load_default=64)
    max_callers = _Whole(1, MOST_CALLERS, "callers", load_default=20)
    match = fields.String(load_default="exact", validate=_one_of("exact", "suffix", "sole"))
    match_digits = _Whole(1, 32, "digits", load_default=7)
    country_code = _Country(load_default=None)
    dnis_digits = _MaybeWhole(1, 32, "digits", load_default=0)
    retry_window = _Whole(0, 3600, "seconds", load_default=0)
    remember = _Whole(1, 3600, "seconds", load_default=60)


class _UserSection(Schema):
    password = _PasswordHash(required=True, error_messages={"required": "is missing: run `cticache user NAME`"})
    pools = _Words(load_default=frozenset({"*"}))
    roles = _Words(ROLES, load_default=frozenset({"lease", "read", "take"}))
    max_live = _MaybeWhole(1, 1_000_000, "leases", load_default=0)


_SECTIONS: dict[str, Schema] = {
    "server": _ServerSection(unknown=EXCLUDE),
    "redis": _RedisSection(unknown=EXCLUDE),
    "pool": _PoolSection(unknown=EXCLUDE),
    "user": _UserSection(unknown=EXCLUDE),
}
_SECRETS = {("redis", "url"), ("user", "password"), ("server", "audit_key")}


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
            if kind not in _SECTIONS or bool(colon) != (kind in ("pool", "user")):
                self._faults.append(
                    f"{self._path}: [{name}] is not a section known here: "
                    "there are [server], [redis], [pool:NAME] and [user:NAME]"
                )
            elif colon and not _NAME.fullmatch(own):
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
            return dict(_SECTIONS[section.partition(":")[0]].load(given))
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
        secret = (section.partition(":")[0], option) in _SECRETS
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
    options = list(_SECTIONS[kind].fields)
    return options + [f"{option}_file" for option in options if (kind, option) in _SECRETS]


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
