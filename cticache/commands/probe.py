"""What the service that runs on this machine says of its own state."""

import http.client

from cticache.config import Config
from cticache.errors import UserError

_ANSWERS_S = 2.0
"""How long it has to answer."""
_MOST_ANSWERED = 65_536


class NoAnswer(UserError):
    """No service answers where the configuration says."""


def probed(settings: Config, path: str) -> tuple[int, str]:
    """The status and the body of its answer to GET of this path; UserError if its port is not known, or NoAnswer."""
    server = settings.server
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") or not settings.users else server.host  # noqa: S104
    if not server.port:
        raise UserError("[server] port = 0 is another one at each start")
    asked = http.client.HTTPConnection(host, server.port, timeout=_ANSWERS_S)
    try:
        asked.request("GET", path)
        answer = asked.getresponse()
        said = answer.read(_MOST_ANSWERED).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no service answers at {host}, port {server.port}: {error}") from None
    finally:
        asked.close()
    return answer.status, said
