"""Who may call: HTTP Basic authentication (RFC 7617) for every URL except the probes."""

import base64
import binascii
from collections.abc import Collection

from falcon import Request, Response

from cticache.access.passwords import Verifier
from cticache.access.users import Role, User
from cticache.errors import Forbidden, Refusal, WrongCredentials


class BasicAuth:
    """Falcon middleware: puts the user into ``req.context.user``, or refuses before anything else is done."""

    def __init__(self, verifier: Verifier, open_paths: Collection[str]) -> None:
        self._verifier = verifier
        self._open_paths = open_paths

    def process_request(self, req: Request, _resp: Response) -> None:
        """Refuse with WrongCredentials unless the path is open or the credentials are right."""
        if req.path in self._open_paths:
            return
        name, password = _credentials(req.auth)
        try:
            req.context.user = self._user(name, password)
        except Refusal:
            if self._verifier.knows(name):  # else it may be a password in the wrong place: no log shows it
                req.context.tried = name
            raise

    def _user(self, name: str, password: str) -> User:
        user = self._verifier.user(name, password)
        if not user:
            raise WrongCredentials
        return user


def require(req: Request, role: Role) -> User:
    """The user of this request, who has this role; Forbidden otherwise."""
    user: User = req.context.user
    if role not in user.roles:
        raise Forbidden(f"User {user.name} lacks the role {role} that this needs.")
    return user


def _credentials(header: str | None) -> tuple[str, str]:
    scheme, _, token = (header or "").partition(" ")
    if not header:
        raise WrongCredentials("Credentials are needed: send them with HTTP Basic authentication.")
    if scheme.lower() != "basic":
        raise WrongCredentials("Only HTTP Basic authentication is understood.")
    try:
        raw = base64.b64decode(token.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise WrongCredentials("The credentials are not base64 as HTTP Basic authentication wants it.") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:  # what old clients send for a non-ASCII password
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        raise WrongCredentials("The credentials lack the colon between user name and password.")
    return name, password
