"""The configuration and texts as they may be passed on: no secret, and no whole telephone number."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cticache import logs
from cticache.config.sections import SECTIONS, Config
from cticache.journal.ids import OWN
from cticache.link.redis_url import addresses
from cticache.numbering.ani import masked
from cticache.numbering.country import Country
from cticache.numbering.numbers import NumberSet
from cticache.options import Section

HIDDEN = "***"
_TIME = (
    r"(?<![\w.+/-])(?:20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,6})?)?Z?)?)(?![\w/-]|[.,]?[0-9])"
)
"""A date that stands alone, with a time of the day behind it or without: it is no telephone number."""
_ID = rf'(?:(?<=\bid=)|(?<="id":")){OWN}(?![^\s"])'
"""The id of a request in a line of the log that the service gave it, by which lines belong together."""
_WHOLE = re.compile(f"({_TIME}|{_ID})")
_NUMBER = re.compile(r"\+?[0-9]+")
_LEAST_SECRET = 4
"""Shorter ones cannot be told from other text."""


def described(settings: Config) -> dict[str, Any]:
    """The name of each section -> its options, for JSON."""
    sections = {
        "server": _section("server", settings.server),
        "redis": _section("redis", settings.redis) | {"url": _place(settings.redis.url)},
    }
    sections |= {f"pool:{pool.name}": _section("pool", pool) for pool in settings.pools}
    return sections | {f"user:{user.name}": _section("user", user) for user in settings.users}


def secrets(settings: Config) -> set[str]:
    """Every secret of it, and what is secret in the URL of Redis."""
    url = urlsplit(settings.redis.url)
    found = {settings.server.audit_key, url.password or "", unquote(url.password or "")}
    found |= {value for name, value in parse_qsl(url.query) if "password" in name}
    for user in settings.users:
        found |= {*user.hashes, *user.token}
    return {secret for secret in found if len(secret) >= _LEAST_SECRET}


def without(text: str, hidden: set[str]) -> str:
    """The text with none of these in it."""
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def without_numbers(text: str) -> str:
    """The text with only the last digits left of every telephone number in it; dates, times and own ids stay whole."""
    parts = _WHOLE.split(text)  # each second one is left as it is
    return "".join(part if at % 2 else logs.without_numbers(part) for at, part in enumerate(parts))


def figures(pool: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a pool with no number in them."""
    return {**pool, "missed": [[masked(dnis), count] for dnis, count in pool["missed"].items()]}


def _section(kind: str, made: object) -> dict[str, Any]:
    known = SECTIONS[kind]
    return dict(_options(known, made))


def _options(known: Section, made: object) -> Iterator[tuple[str, Any]]:
    """Each option under its name in the file, and in the unit that it has there."""
    for option, attribute in known.options.items():
        value = getattr(made, attribute)
        hidden = HIDDEN if value else ""
        yield option, hidden if option in known.secrets else _shown(known.as_given(option, value))


def _shown(value: object) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return masked(value) if _NUMBER.fullmatch(value) else without_numbers(value)
        case Country():
            return value.code
        case NumberSet():
            return {"numbers": len(value), "ranges": len(value.spans)}
        case tuple() | frozenset():
            return sorted(_shown(each) for each in value)
        case _:
            return without_numbers(str(value))


def _place(url: str) -> str:
    """Where the URL leads, without who is to log in there, and without options."""
    if not url:
        return ""
    scheme = urlsplit(url).scheme
    return f"{scheme}://{','.join(f'{host}:{port}' for host, port in addresses(url) if host)}"
