"""All that a call goes through: the callers, System X, a carrier, System Y and those who answer; and cticache."""

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cticache.access.users import token_digest
from kit.patience import PATIENCE_S
from kit.serving import Running
from kit.sites import port_of
from kit.telephony.calls import VARIANTS, Call, Outcome, Variant, outcomes
from kit.telephony.programs import free_ports, kamailio, sipp

_TOKENS = {"ivr": "the-token-of-x", "pbx": "the-token-of-y", "watch": "the-token-of-an-operator"}
"""A token is checked in no time. A password would be hashed for its first calls, of which 50 come in a second."""
_LONGEST_S = 60
"""In which all calls end after the last one began."""


@dataclass(frozen=True)
class Making:
    """Calls that are being made."""

    process: subprocess.Popen[bytes]
    folder: Path

    def so_far(self) -> list[Outcome]:
        """What came of those that are answered by now."""
        return outcomes(self.folder / "uac.log")

    def all(self, seconds: float) -> list[Outcome]:
        """What came of them, once all are over; AssertionError if SIPp could not make one to its end."""
        code = self.process.wait(seconds)
        errors = self.folder / "uac.errors"
        assert code == 0, errors.read_text("utf-8") if errors.exists() else f"SIPp ended with {code}"
        return self.so_far()


@dataclass(frozen=True)
class Stage:
    """Where calls can be made."""

    folder: Path
    port: int
    """Of System X, for SIP."""
    cticache: int
    """The service's port."""

    @contextmanager
    def making(self, calls: Sequence[Call], a_second: int) -> Iterator[Making]:
        """Have the calls made, so many a second, for as long as the context lasts."""
        folder = self.folder / f"calls-{calls[0].account.split()[0]}"
        folder.mkdir()
        injected = folder / "calls.csv"
        injected.write_text("SEQUENTIAL\n" + "".join(call.line() for call in calls), "utf-8")
        options = ["-inf", str(injected), "-m", str(len(calls)), "-r", str(a_second), "-l", str(len(calls))]
        with sipp("uac", folder, free_ports(1)[0], *options, f"127.0.0.1:{self.port}") as process:
            yield Making(process, folder)

    def figures(self, variant: Variant) -> dict[str, Any]:
        """Those of the variant's pool, as GET /cticache/pools/NAME has them."""
        headers = {"Authorization": f"Bearer {_TOKENS['watch']}"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.cticache, timeout=PATIENCE_S)) as connection:
            connection.request("GET", f"/cticache/pools/{variant.name}", headers=headers)
            figures: dict[str, Any] = json.load(connection.getresponse())
        return figures

    def make(self, calls: Sequence[Call], a_second: int) -> list[Outcome]:
        """What came of the calls, which are made at so many a second."""
        with self.making(calls, a_second) as making:
            return making.all(len(calls) / a_second + _LONGEST_S)


@contextmanager
def staged(
    folder: Path,
    redis_url: str,
    spread_ms: int = 300,
    before_y: Callable[[int], AbstractContextManager[int]] = nullcontext,
    carrier_loses_uui: bool = False,
) -> Iterator[Stage]:
    """Everything started.

    A call takes up to ``spread_ms`` from X to Y, so that calls overtake each other. ``before_y`` puts something between
    Y and the service, whose port it is given; it gives its own. ``carrier_loses_uui``: the header that names the lease
    does not come through.
    """
    with ExitStack() as stack:
        running = Running(_configured(folder, redis_url), folder / "cticache.log")
        stack.callback(running.close)
        port = port_of(running)
        x, carrier, y, agents = free_ports(4)
        stack.enter_context(sipp("uas", folder, agents))
        of_x, of_y = _url("ivr", port), _url("pbx", stack.enter_context(before_y(port)))
        loses = {"LOSES_UUI": 1} if carrier_loses_uui else {}
        programs: Sequence[tuple[str, int, Mapping[str, str | int]]] = (
            ("y", y, {"CTICACHE": _connection(of_y), "CTICACHE_URL": of_y, "AGENTS": _sip(agents)}),
            ("carrier", carrier, {"SYSTEM_Y": _sip(y), "SPREAD_MS": spread_ms, **loses}),
            ("x", x, {"CTICACHE": _connection(of_x), "TRUNK": _sip(carrier)}),
        )
        for name, own, defines in programs:
            stack.enter_context(kamailio(name, folder, own, defines))
        yield Stage(folder, x, port)


def _sip(port: int) -> str:
    return f"sip:127.0.0.1:{port}"


def _url(user: str, port: int) -> str:
    return f"http://{user}:{_TOKENS[user]}@127.0.0.1:{port}/cticache/DNIS-ANI"


def _connection(url: str) -> str:
    """As Kamailio's http_client has it."""
    return f"cticache=>{url};timeout=2"


def _configured(folder: Path, redis_url: str) -> Path:
    """config.ini."""
    roles = {"ivr": "lease", "pbx": "read, take", "watch": "watch"}
    sections = [
        "[server]\nport = 0\nworkers = 2",
        f"[redis]\nurl = {redis_url}",
        *(
            f"[user:{name}]\ntoken = sha256:{token_digest(token)}\nroles = {roles[name]}"
            for name, token in _TOKENS.items()
        ),
        *(variant.section() for variant in VARIANTS),
    ]
    file = folder / "config.ini"
    file.write_text("\n".join(sections), "utf-8")
    return file
