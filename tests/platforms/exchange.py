"""The exchange of a platform with the service, on a socket."""

from contextlib import ExitStack, closing

from kit.samples import PASSWORD, basic
from kit.talk import Answer, Talk
from platforms.library import Request
from platforms.platform import Platform

USER = "username"
TOKEN = "T0k3n-of_a.machine~"
WRONG = "wrong"
"""Neither the password nor the token."""


def exchanged(port: int, platform: Platform, request: Request, secret: str = "") -> Answer:
    """The answer that the platform gets in the end: to the second request, where it asks without credentials first.

    ``secret`` stands in place of its password or token.
    """
    scheme, is_late = platform.credentials
    token = secret or TOKEN
    auth = {"basic": basic(USER, secret or PASSWORD), "bearer": f"Bearer {token}"}.get(scheme, "")
    whole = platform.library.sent(request, auth, token if scheme == "key" else "")
    with ExitStack() as stack:
        talk = stack.enter_context(closing(Talk(port)))
        if is_late:
            challenge = _answered(talk, platform.library.sent(request))
            assert challenge.status == 401
            assert challenge.headers["www-authenticate"].startswith('Basic realm="cticache"')
            if challenge.headers.get("connection") == "close":
                talk = stack.enter_context(closing(Talk(port)))
        return _answered(talk, whole)


def _answered(talk: Talk, sent: bytes) -> Answer:
    """The answer; who expects a 100 holds the body back until it comes, or for good where another answer comes."""
    head, end, body = sent.partition(b"\r\n\r\n")
    waits = b"\r\nExpect: 100-continue" in head
    answer = talk.send(head + end if waits else sent).answer()
    if answer.status == 100:
        answer = talk.send(body).answer()
    print(sent, answer, sep="\n")  # pytest shows it where a test fails
    return answer
