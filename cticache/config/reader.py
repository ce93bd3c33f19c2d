"""Reads config.ini under what the environment overrides, and tells all that is wrong in it."""

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from cticache.access.users import MISSING, User
from cticache.config import environment as variables
from cticache.config.environment import variable
from cticache.config.sections import SECTIONS, Config, LogConfig, RedisConfig, ServerConfig
from cticache.errors import ConfigError
from cticache.numbering.conflicts import conflicts, shared
from cticache.numbering.pool import Pool
from cticache.numbering.pools import MOST_POOLS
from cticache.operate.attention import WatchRules
from cticache.options import NAME, Section, unquoted

_MOST_NAMED = 20
"""Of the pools, where a user's is none of them."""
_NO_COMMENT = "; a comment after a value begins with ; and not with #"


class Reader:
    """One reading of one file."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = variables.given(environment)
        self._faults: list[str] = []
        self._overrides: list[str] = []
        self._unheeded: list[tuple[str, str]] = []
        self._files: dict[tuple[str, str], Path] = {}
        """Where the secrets are that are in a file of their own, by section and option."""

    def config(self) -> Config:
        """The configuration; ConfigError has a line for each fault."""
        sections: dict[str, dict[str, str]] = {"server": {}, "redis": {}, "watch": {}, "log": {}} | self._sections()
        self._override(sections)
        self._count(sections)
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
        overrides, unheeded = tuple(sorted(self._overrides)), tuple(sorted(self._unheeded))
        return Config(self._path, server, redis, watch, log, pools, users, overrides, unheeded)

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
            text = "" if self._path is variables.ALONE else self._path.read_text("utf-8-sig")
            parser.read_string(text, str(self._path))
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
        self._raise()
        return {name: dict(parser[name]) for name in parser.sections()}

    def _count(self, sections: Iterable[str]) -> None:
        pools = sum(name.startswith("pool:") for name in sections)
        if pools > MOST_POOLS:
            self._faults.append(
                f"{self._path}: there are {pools} pools, more than the {MOST_POOLS} of one service; "
                "give the others to another one, with a [redis] prefix of its own"
            )
            self._raise()

    def _override(self, sections: dict[str, dict[str, str]]) -> None:
        if not self._environment:  # else thousands of pools have a name for each of their options
            return
        known: dict[str, list[tuple[str, str]]] = {}

        def know(section: str) -> None:
            for option in _options(section):
                known.setdefault(variable(section, option), []).append((section, option))

        for section in sections:
            know(section)
        for section in sorted({variables.made(name) for name in self._environment if name not in known} - {""}):
            sections[section] = {}
            know(section)
        does = "sets" if self._path is variables.ALONE else "overrides"
        for name, text in self._environment.items():
            places = known.get(name, [])
            if not places and not variables.is_of_a_section(name):
                self._unheeded.append((name, variables.hint(name, known)))
            elif not places:
                self._faults.append(
                    f"environment variable {name}: no section and option go by this name; {variables.hint(name, known)}"
                )
            elif len(places) > 1:
                both = " and ".join(f"[{section}] {option}" for section, option in places)
                self._faults.append(f"environment variable {name}: stands for {both}; rename one of the sections")
            else:
                section, option = places[0]
                if variable(section, _twin(option)) not in self._environment:
                    sections[section].pop(_twin(option), None)
                sections[section][option] = text
                shown = "" if option in _section(section).secrets else f" = {' '.join(text.split())}"
                self._overrides.append(f"{name}{shown} {does} [{section}] {option}")

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
            path = self._path.parent / unquoted(given.pop(option))
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
        name = variable(section, option)
        where = f"environment variable {name}" if name in self._environment else f"{self._path}: [{section}] {option}"
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
