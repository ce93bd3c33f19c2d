"""Every exception of the project, in two families: what a client is told, and what an operator is told."""

import json
from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """A request that is not carried out; the app answers with its status, code and detail.

    ``str(refusal)`` is the sentence that the client reads: never a path, a Redis text, or a caller's value.
    """

    status = 500
    code = "internal"

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Whole seconds after which the same request may succeed; None where it will not."""


def error_body(code: str, detail: str, status: int, fields: dict[str, list[str]] | None = None) -> str:
    """The body of every error: IVR scripts test for the key ``error``."""
    body: dict[str, Any] = {"error": code, "detail": detail, "status": status}
    if fields:
        body["fields"] = fields
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class NotJson(Refusal):
    """The body is not JSON text (RFC 8259), or not text at all."""

    status, code = 400, "bad_json"


class WrongCredentials(Refusal):
    """No credentials, or wrong ones."""

    status, code = 401, "unauthorized"


class Forbidden(Refusal):
    """The user is known, and this pool or verb is not theirs."""

    status, code = 403, "forbidden"


class NoSuchCall(Refusal):
    """Nothing is live under this key."""

    status, code = 404, "not_found"


class Ambiguous(Refusal):
    """More than one live call fits the number and the ANI: never a guess."""

    status, code = 409, "ambiguous"


class Gone(Refusal):
    """The call was taken a moment ago."""

    status, code = 410, "gone"


class Stale(Refusal):
    """If-Match names another lease than the one that is live under this key."""

    status, code = 412, "stale"


class TooLarge(Refusal):
    """The body is longer than ``max_body``."""

    status, code = 413, "too_large"


class UnsupportedType(Refusal):
    """A content type that is not read here."""

    status, code = 415, "unsupported_type"


class WrongFields(Refusal):
    """Fields are missing, unknown or wrong; ``fields`` names each with its faults."""

    status, code = 422, "invalid_fields"

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        super().__init__("These fields are missing, unknown or wrong: " + ", ".join(sorted(fields)) + ".")
        self.fields = dict(fields)


class KeyReused(Refusal):
    """The idempotency key was used for another request."""

    status, code = 422, "key_reused"


class TooManyLive(Refusal):
    """The user has as many live leases in the pool as ``max_live`` allows."""

    status, code = 429, "max_live"


class PoolExhausted(Refusal):
    """No number of the pool can be leased now."""

    status, code = 503, "pool_exhausted"


class RedisUnavailable(Refusal):
    """Redis is away, or refuses to work; nothing is known to have been done."""

    status, code = 503, "redis_unavailable"


class Busy(Refusal):
    """More credentials wait to be checked than are let wait."""

    status, code = 503, "busy"


class NotReady(Refusal):
    """The pools are not in line with the configuration, or not yet known to be."""

    status, code = 503, "not_ready"


class BadArgument(Exception):
    """A script was called with an argument outside its contract: a fault of this program, not of a client.

    Its text is Redis' own, and is for nobody but the developer.
    """

    code = "BADARG"


class UserError(Exception):
    """A mistake of whoever runs the command, told in one line: what is wrong, where, and what to do."""


class ConfigError(UserError):
    """config.ini, or what overrides it, cannot be used."""


class ScriptError(UserError):
    """A script of lua/ is missing or does not compile."""
