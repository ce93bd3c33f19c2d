"""A service that an operator looks at: a process of its own behind a Redis that can be taken away, and its callers."""

import itertools
import json
from pathlib import Path
from urllib.parse import quote

from cticache.access.passwords import hashed
from kit.proxy import Proxy
from kit.samples import PASSWORD, basic
from kit.serving import Running
from kit.sites import port_of
from kit.talk import CALLS, Answer, asked

NUMBERS = {"sales": "4930901820100-4930901820149", "support": "4930901820200-4930901820204", "pbx": "5551000-5551009"}
"""Pool -> its numbers."""
_CALLERS = "[user:ivr]\npools = sales, support, pbx\nroles = lease, read, take\n"
_WATCHERS = "[user:boss]\nroles = watch, admin\n[user:looker]\npools = sales\nroles = watch\n"


class Operated:
    """The service; its page is brought up to date five times a second."""

    def __init__(self, folder: Path, url: str) -> None:
        self.redis = Proxy(url)
        """What it reaches Redis by."""
        password = f"password = {hashed(PASSWORD)}\n"
        users = (_CALLERS + _WATCHERS).replace("]\n", f"]\n{password}")
        pools = "".join(f"[pool:{name}]\nnumbers = {said}\nexhausted = reject\n" for name, said in NUMBERS.items())
        path = folder / "cticache.ini"
        path.write_text(
            "[server]\nport = 0\nworkers = 1\nfigures_age = 0.05\npage_refresh = 0.2\nauth_wait = 30\n"
            f"[redis]\nurl = {self.redis.url}\nprobe = 0.1\nsync_interval = 0.2\n"
            f"[watch]\ninterval = 1\n{users}{pools}",
            "utf-8",
        )
        self._running = Running(path, folder / "errors")
        self.port = port_of(self._running)
        self._callers = itertools.count(12_345_670_000)

    def close(self) -> None:
        """End it."""
        self._running.close()
        self.redis.close()

    def url(self, path: str = "/cticache/", name: str = "boss") -> str:
        """A URL of it with this user's credentials, for a browser, which remembers them."""
        return f"http://{name}:{quote(PASSWORD)}@127.0.0.1:{self.port}{path}"

    def ask(self, method: str, path: str, body: str = "", name: str = "ivr") -> Answer:
        """A request of this user."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: {basic(name)}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return asked(self.port, (head + body).encode())

    def lease(self, pool: str, count: int = 1, value: str = "the value") -> list[tuple[str, str]]:
        """So many calls of new callers: DNIS and ANI of each that got a number."""
        got = []
        for ani in itertools.islice(self._callers, count):
            answer = self.ask("POST", CALLS, json.dumps({"value": value, "ani": str(ani), "pool": pool}))
            if answer.status == 201:
                got.append((str(answer.json["dnis"]), str(ani)))
        return got

    def take(self, calls: list[tuple[str, str]]) -> None:
        """System Y picks these calls up."""
        for dnis, ani in calls:
            assert self.ask("DELETE", f"{CALLS}/{dnis}:{ani}").status == 200
