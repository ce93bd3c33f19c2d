"""Every exception of the project, in two families: what a client is told and what an operator is told.

Each refusal is a class, which alone defines its status, code and sentence; the application, the wire and the store
build their answers from it. docs/troubles.md says what to do about each code.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

MOST_NAMED = 20
"""Most fields of a request that are named as wrong."""
LOGINS = ("missing", "malformed", "password", "token", "network", "busy")
"""Why a login is refused: no credentials; none that can be read; a wrong password, or a user who is not there; a token
that is nobody's; an address that is none of the user's; and one that could not be checked soon.
"""


class Refusal(Exception):
    """A request that is not carried out; the client is answered with its status and its body.

    ``str(refusal)`` is the sentence that the client reads: never a path, a Redis text, or a caller's value.
    """

    status: int
    code: str
    says = ""
    """The sentence, unless a more telling one is given where it is raised; empty where that must be."""
    script = ""
    """The code under which a script of lua/ reports it; empty where none does."""
    is_planned = False
    """Whether whoever operates the service wants it so: nobody need be warned."""
    login = ""
    """Which kind of login it refuses, one of LOGINS; empty where it is no login that is refused."""
    is_miss = False
    """Whether it is about a call or a lease, which was understood, rather than about the request or the service."""

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        if not (detail or self.says):
            raise TypeError(f"a {type(self).__name__} without its sentence")
        super().__init__(detail or self.says)
        self.retry_after = retry_after
        """Whole seconds after which the same request may succeed; None if waiting will not help."""
        self.transfer_to = ""
        """The number to which the call may go without its data; empty without one."""

    def body(self) -> str:
        """The JSON object of the answer, the same for every status: IVR scripts test for the key ``error``."""
        return json.dumps(self.members(), ensure_ascii=False, separators=(",", ":"))

    def members(self) -> dict[str, Any]:
        """The same, as Python's own."""
        members: dict[str, Any] = {"error": self.code, "detail": str(self), "status": self.status}
        return members | ({"transfer_to": self.transfer_to} if self.transfer_to else {})


def refusals(family: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every kind of refusal."""
    for kind in family.__subclasses__():
        yield kind
        yield from refusals(kind)


class Internal(Refusal):
    """A fault of this program."""

    status, code = 500, "internal"
    says = "A fault in cticache; its log tells where."


class BadBody(Refusal):
    """The body is in none of the forms that are read here, or not text at all."""

    status, code = 400, "bad_body"


class NotJson(Refusal):
    """The body begins as JSON and is not JSON text (RFC 8259)."""

    status, code = 400, "bad_json"


class NotXml(Refusal):
    """The body begins as XML and is not well-formed (XML 1.0), or declares a document type or an entity."""

    status, code = 400, "bad_xml"


class BadRequest(Refusal):
    """The request cannot be read as HTTP for this service."""

    status, code = 400, "bad_request"
    says = "The request is not HTTP that can be read here."


class PlainHttp(Refusal):
    """The client speaks TLS."""

    status, code = 400, "plain_http"
    says = "This port speaks plain HTTP: TLS ends at the proxy in front."


class WrongCredentials(Refusal):
    """No credentials, or wrong ones."""

    status, code = 401, "unauthorized"
    says = "The user name or the password is wrong, or the token."

    def __init__(self, detail: str = "", *, retry_after: int | None = None, login: str = "password") -> None:
        super().__init__(detail, retry_after=retry_after)
        self.login = login


class Forbidden(Refusal):
    """The user is known, but may not use this pool or verb."""

    status, code = 403, "forbidden"


class CrossOrigin(Refusal):
    """A browser was told by a page of another site to send this."""

    status, code = 403, "cross_origin"


class WrongNetwork(Refusal):
    """The credentials are right, but the user may not come from this address."""

    status, code, login = 403, "wrong_network", "network"


class ForeignCall(Forbidden):
    """The call was leased by another user, and this one may not read."""

    script = "FOREIGN"
    says = "Another user leased this call: to renew it takes the role read, too."


class NoSuchCall(Refusal):
    """Nothing is live under this key."""

    is_miss = True
    status, code = 404, "not_found"
    says = "No live call under this number and ANI: it expired, was taken, or never was."


class NoSuchUrl(Refusal):
    """The URL leads nowhere: an address that was set up wrongly, which must not look like a call that is not there."""

    status, code = 404, "no_such_url"
    says = "There is nothing at this URL. Calls are at /cticache/DNIS-ANI."


class NoSuchPool(Refusal):
    """No pool has this name."""

    status, code = 404, "no_such_pool"
    says = "There is no pool of this name."


class NoSuchMethod(Refusal):
    """The URL exists, but not for this method."""

    status, code = 405, "method_not_allowed"
    says = "This URL does not know the method; see the header Allow."


class RequestTimeout(Refusal):
    """The header or the body of a request was not whole in time; the connection is closed (RFC 9110 section 15.5.9)."""

    status, code = 408, "request_timeout"
    says = "The request did not arrive as a whole in time."


class Ambiguous(Refusal):
    """More than one live call fits the number and the ANI, and nothing is guessed."""

    is_miss = True
    status, code, script = 409, "ambiguous", "AMBIGUOUS"
    says = "More than one live call fits this number and ANI; none of them is guessed."


class Gone(Refusal):
    """The call was taken a moment ago."""

    is_miss = True
    status, code = 410, "gone"


class Stale(Refusal):
    """If-Match names a lease other than the one that is live under this key."""

    status, code, script = 412, "stale", "STALE"
    says = "If-Match names a lease that is not the live one under this number and ANI."


class TooLarge(Refusal):
    """The body is longer than ``max_body``."""

    status, code = 413, "too_large"
    says = "The body is longer than [server] max_body allows."

    @classmethod
    def beyond(cls, most: int) -> "TooLarge":
        """The same, with the most bytes that are taken."""
        return cls(f"The body is longer than {most} bytes.")


class TargetTooLong(Refusal):
    """The URL is longer than the wire takes (RFC 9110 section 15.5.15)."""

    status, code = 414, "uri_too_long"
    says = "The URL is longer than 16 KiB."


class UnsupportedEncoding(Refusal):
    """A body that is compressed, or encoded in another way (RFC 9110 section 8.4)."""

    status, code = 415, "unsupported_encoding"
    says = "The body is compressed or encoded: send it as it is, without Content-Encoding."


class UnsupportedType(Refusal):
    """A charset that is not read here."""

    status, code = 415, "unsupported_type"


class ExpectationFailed(Refusal):
    """An expectation other than 100-continue (RFC 9110 section 10.1.1)."""

    status, code = 417, "expectation_failed"
    says = "The header Expect asks for something other than 100-continue."


class WrongFields(Refusal):
    """Fields are missing, unknown or wrong; ``fields`` names each with its faults."""

    status, code = 422, "invalid_fields"

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        """Of more than MOST_NAMED fields the others are counted: an answer must not grow with what was sent."""
        named = sorted(fields)[:MOST_NAMED]
        more = f" and {len(fields) - len(named)} more" if len(fields) > len(named) else ""
        super().__init__(f"These fields are missing, unknown or wrong: {', '.join(named)}{more}.")
        self.fields = {name: fields[name] for name in named}

    def members(self) -> dict[str, Any]:
        """The same, and the faults."""
        return super().members() | {"fields": self.fields}


class KeyReused(Refusal):
    """The idempotency key was used for another request."""

    status, code, script = 422, "key_reused", "REUSED"
    says = "The idempotency key was used for another request. Use a new key for each request."


class TooManyLive(Refusal):
    """The user has as many live leases in the pool as ``max_live`` allows."""

    is_miss = True
    status, code = 429, "max_live"


class TooManyLogins(Refusal):
    """These credentials are not known yet, and others wait to be checked."""

    status, code, login = 429, "too_many_logins", "busy"
    says = "The password could not be checked in time, others are before it; send the same again."


class HeadersTooLarge(Refusal):
    """The headers are longer than the wire takes."""

    status, code = 431, "headers_too_large"
    says = "The headers are longer than 16 KiB."


class UnsupportedCoding(Refusal):
    """A transfer coding other than chunked (RFC 9112 section 6.1)."""

    status, code = 501, "not_implemented"
    says = "This transfer coding is not supported."


class UnknownMethod(Refusal):
    """A method that no URL has (RFC 9110 section 15.6.2)."""

    status, code = 501, "not_implemented"
    says = "This method is not known here; GET, POST and the others are written in capitals."


class UnsupportedVersion(Refusal):
    """Another version of HTTP than 1.0 and 1.1 (RFC 9110 section 15.6.6), 0.9 included, which names none."""

    status, code = 505, "unsupported_version"
    says = "HTTP/1.1 and HTTP/1.0 are spoken here, and no other version; the first line of a request must name it."


class PoolExhausted(Refusal):
    """No number of the pool can be leased now."""

    is_miss = True
    status, code = 503, "pool_exhausted"


class RedisUnavailable(Refusal):
    """Redis is away, or refuses to work; nothing is known to have been done."""

    status, code = 503, "redis_unavailable"
    says = "Redis is away. Nothing was answered from it; try again."
    why = ""
    """For the operator: what is wrong with Redis and what to do, in a sentence without its full stop."""

    def told(self) -> "RedisUnavailable":
        """The same for a reader who is the operator."""
        told = type(self)(f"{self.why}." if self.why else "", retry_after=self.retry_after)
        told.why = self.why
        return told


class RedisRefuses(RedisUnavailable):
    """Redis has answered, and refuses to work."""

    says = "The store refuses to work, which its operator must see to. Nothing was answered from it; try again."


class NotReady(Refusal):
    """The pools are not in line with the configuration, or it is not yet known that they are."""

    status, code = 503, "not_ready"


class Stopping(NotReady):
    """The service is about to end, and says so to whoever asks whether it is ready."""

    says = "The service is being stopped: send requests to another one."
    is_planned = True


class BadArgument(Exception):
    """A script was given an argument outside its contract: a fault of this program, not of a client.

    Its text is Redis's own, for the developer alone.
    """

    script = "BADARG"


class UserError(Exception):
    """A mistake of the person who runs the command, told in one line: what is wrong, where, and what to do."""


class ConfigError(UserError):
    """config.ini, or what overrides it, cannot be used."""


class ScriptError(UserError):
    """A script of lua/ is missing or does not compile."""
