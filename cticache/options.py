"""Every option of config.ini: its type, its bounds and its default."""

import re
from collections.abc import Mapping
from typing import Any

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from cticache.access.passwords import HASH_PREFIX
from cticache.access.users import ROLES
from cticache.link import redis_url
from cticache.numbering.country import Country
from cticache.numbering.numbers import MAX_DIGITS, NumberSet
from cticache.numbering.pools import MOST_CALLERS

MOST_NUMBERS = 5_000_000
"""Most numbers in one pool."""
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a pool, a user or the keys' prefix may be called."""
_LEAST_AUDIT_KEY = 16
"""Telephone numbers are few: a digest under a key that can be guessed tells them."""


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
    if value and (wrong := redis_url.complaint(value)):
        raise ValidationError(wrong)


def _name(value: str) -> None:
    if not NAME.fullmatch(value):
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


SECTIONS: dict[str, Schema] = {
    "server": _ServerSection(unknown=EXCLUDE),
    "redis": _RedisSection(unknown=EXCLUDE),
    "pool": _PoolSection(unknown=EXCLUDE),
    "user": _UserSection(unknown=EXCLUDE),
}
"""By the word that a section begins with."""
SECRETS = {("redis", "url"), ("user", "password"), ("server", "audit_key")}
"""Options that may be in a file of their own, and are never shown."""
