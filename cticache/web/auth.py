"""Who may call: HTTP Basic authentication (RFC 7617) or a token, for every URL except the probes.

A token comes as a bearer token (RFC 6750), or in X-Api-Key for clients that have no other header to fill.
"""

import binascii
import re
from collections.abc import Collection
from functools import partial

from falcon import Request, Response

from cticache.access.passwords import Verifier
from cticache.access.users import Role, User
from cticache.errors import Forbidden, Refusal, WrongCredentials, WrongNetwork
from cticache.web.origin import address

_BASIC = 'Basic realm="cticache", charset="UTF-8"'
_BEARER = 'Bearer realm="cticache"'
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What may stand after the scheme Bearer (RFC 6750 section 2.1)."""


class Authentication:
    """Falcon middleware: puts the user into ``req.context.user``, or refuses before anything else is done.

    Where it refuses, ``req.context.tried`` is the name that was given if a user has it. Any other may be a password in
    the wrong place, which no log shows.
    """

    def __init__(self, verifier: Verifier, open_paths: Collection[str]) -> None:
        self._verifier = verifier
        self._open_paths = open_paths

    def process_request(self, req: Request, _resp: Response) -> None:
        """Refuse with WrongCredentials unless the path is open or the credentials are right.

        Raises TooManyLogins where it cannot be told soon whether they are, and WrongNetwork where they are right and
        the user may not come from this address: whether a user may is told to nobody else.
        """
        if req.path in self._open_paths:
            return
        user = self._of_key(req) if "HTTP_X_API_KEY" in req.env else self._authorized(req)
        if user.networks and not user.networks.contains(address(req)):
            req.context.tried = user.name
            raise WrongNetwork(
                f"User {user.name} may not come from {address(req) or 'an unknown address'}: it is in none of the "
                "user's networks."
            )
        req.context.user = user

    def _of_key(self, req: Request) -> User:
        """The user of X-Api-Key, and of the Authorization beside it, which must be the same one."""
        of_token = self._bearer(req.env["HTTP_X_API_KEY"])
        if req.auth and self._authorized(req) is not of_token:
            raise WrongCredentials(
                "The token in X-Api-Key is another user's than the credentials beside it.", login="token"
            )
        return of_token

    def _authorized(self, req: Request) -> User:
        header = req.auth
        if not header:
            raise WrongCredentials(
                "Credentials are needed: send them with HTTP Basic authentication, or a token.", login="missing"
            )
        scheme, _, rest = header.partition(" ")
        match scheme.lower():
            case "basic":
                name, password = _credentials(rest)
                try:
                    user = self._verifier.user(name, password, partial(address, req))
                    if not user:
                        raise WrongCredentials
                except Refusal:
                    if self._verifier.knows(name):
                        req.context.tried = name
                    raise
            case "bearer":
                user = self._bearer(rest)
            case _:
                raise WrongCredentials(
                    "Only HTTP Basic authentication and bearer tokens are understood.", login="malformed"
                )
        return user

    def _bearer(self, token: str) -> User:
        if not _TOKEN.fullmatch(token.strip()):
            raise WrongCredentials("The token is not one: it is letters, digits and . _ ~ + / -.", login="malformed")
        if not (user := self._verifier.bearer(token.strip())):
            raise WrongCredentials("The token is no user's.", login="token")
        return user


def challenges(req: Request) -> str:
    """What is understood, as the header WWW-Authenticate has it (RFC 9110 section 11.6.1): Basic is offered first."""
    wrong_token = (req.auth or "").lower().startswith("bearer ")
    return ", ".join([_BASIC, _BEARER, *(['error="invalid_token"'] if wrong_token else [])])


def require(req: Request, role: Role) -> User:
    """The user of this request, who has this role; Forbidden otherwise."""
    user: User = req.context.user
    if role not in user.roles:
        raise Forbidden(f"User {user.name} lacks the role {role} that this needs.")
    return user


def _credentials(token: str) -> tuple[str, str]:
    """The user name and the password that stand after the scheme Basic."""
    try:
        raw = binascii.a2b_base64(token.strip(), strict_mode=True)
    except ValueError:
        raise WrongCredentials(
            "The credentials are not base64 as HTTP Basic authentication wants it.", login="malformed"
        ) from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:  # what old clients send for a non-ASCII password
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        raise WrongCredentials("The credentials lack the colon between user name and password.", login="malformed")
    return name, password
