"""docs/recipes/kamailio.md, by Kamailio itself: it is sent an INVITE, and what it passes on is looked at."""

import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cticache.numbering.pool import Pool
from kit.recipes import ANI, GENERAL, POOL, VALUE, AsBoth, Desk, Printed
from kit.running import Service, Wire
from kit.samples import make_pool
from kit.telephony.programs import CONFIGS, free_ports, kamailio

_LINE = VALUE.partition("\n")[0]


def _block(side: str, url: str = "http://127.0.0.1:8080", pool: str = POOL) -> str:
    return Printed.of("kamailio", url, pool).block(f"System {side}", "kamailio")


def _routes(text: str) -> dict[str, str]:
    return dict(re.findall(r"^route\[(\w+)\] \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL))


def _header(message: str, name: str) -> str | None:
    found = re.search(rf"^{name}: (.*)\r$", message, re.MULTILINE)
    return found[1] if found else None


class Onward:
    """Where a Kamailio passes its calls on to."""

    def __init__(self, port: int, socket_: socket.socket) -> None:
        self._port = port
        self._socket = socket_

    def invite(self, number: str, ani: str, call: str, *headers: str) -> str:
        """The INVITE that it makes of this one."""
        with _caller() as caller:
            self._send(caller, "INVITE", number, ani, call, "Max-Forwards: 70", *headers)
            message, sender = b"", None
            while not (message.startswith(b"INVITE ") and f"Call-ID: {call}\r\n".encode() in message):
                message, sender = self._socket.recvfrom(65536)  # an ACK of the call before may come first
        kept = re.findall(rb"^(?:Via|From|To|Call-ID|CSeq): .*\r\n", message, re.MULTILINE)
        self._socket.sendto(b"SIP/2.0 486 Busy Here\r\n" + b"".join(kept) + b"Content-Length: 0\r\n\r\n", sender)
        return message.decode()

    def answer(self, method: str, *headers: str, tag: str = "") -> str:
        """The status line that it answers to a request for a number at its own address."""
        with _caller() as caller:
            self._send(caller, method, "5551110000", ANI, "call-9", *headers, tag=tag)
            return caller.recv(65536).decode().partition("\r\n")[0]

    def _send(
        self, caller: socket.socket, method: str, number: str, ani: str, call: str, *headers: str, tag: str = ""
    ) -> None:
        lines = [
            f"{method} sip:{number}@127.0.0.1:{self._port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{caller.getsockname()[1]};branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: <sip:{ani}@example.com>;tag=1",
            f"To: <sip:{number}@127.0.0.1>{tag}",
            f"Call-ID: {call}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:caller@127.0.0.1:{caller.getsockname()[1]}>",
            *headers,
            "Content-Length: 0",
        ]
        caller.sendto("\r\n".join([*lines, "", ""]).encode(), ("127.0.0.1", self._port))


@contextmanager
def _caller() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.bind(("127.0.0.1", 0))
        caller.settimeout(10)
        yield caller


class TestKamailio(AsBoth):
    value = _LINE
    full = GENERAL

    @pytest.fixture(autouse=True)
    def _kept(self, tmp_path: Path) -> Iterator[None]:
        """Kamailio starts once for each side of a test, in the test's folder."""
        self._started: dict[str, Onward] = {}
        with ExitStack() as self._stack:
            self._folder = tmp_path
            yield

    def _onward(self, side: str, url: str, pool: str = POOL) -> Onward:
        text = _block(side, url, pool)
        if text not in self._started:
            self._started[text] = self._stack.enter_context(_running(self._folder, side, text))
        return self._started[text]

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        sent = self._onward("X", url, pool).invite("5551110000", ani, call, f"X-Account: {value}")
        assert _header(sent, "X-Account") is None
        return re.findall(r"^INVITE sip:([^@]*)@", sent)[0]

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        return _header(self._onward("Y", url).invite(dnis, ani, call), "X-Data")

    def test_data_with_a_line_end_go_into_no_header(self, desk: Desk) -> None:
        assert self.take(desk.url, desk.lease(f"{_LINE}\nX-Data: another"), ANI, "call-1") is None

    def test_a_call_is_found_by_its_uui_under_any_number(self, new_service: Callable[..., Service]) -> None:
        pool: Pool = make_pool(name=POOL, uui=True)
        wire = Wire(new_service(pool), "batch")
        url = f"http://127.0.0.1:{wire.port}"
        sent = self._onward("X", url).invite("5551110000", ANI, "call-1", f"X-Account: {_LINE}")
        uui = _header(sent, "User-to-User")
        got = self._onward("Y", url).invite("5551230000", "5550001111", "call-2", f"User-to-User: {uui}")
        assert _header(got, "X-Data") == _LINE
        assert _header(got, "User-to-User") is None
        wire.stop()

    def test_a_call_without_data_goes_on_without_a_number(self, desk: Desk) -> None:
        sent = self._onward("X", desk.url).invite("5551110000", ANI, "call-1")
        assert sent.startswith(f"INVITE sip:{GENERAL}@")

    @pytest.mark.parametrize("side", ["X", "Y"])
    def test_a_request_that_leads_back_to_it_ends(self, desk: Desk, side: str) -> None:
        onward = self._onward(side, desk.url)
        assert onward.answer("BYE", "Max-Forwards: 70", tag=";tag=2") == "SIP/2.0 404 Not Here"
        assert onward.answer("INVITE", "Max-Forwards: 0") == "SIP/2.0 483 Too Many Hops"


@contextmanager
def _running(folder: Path, side: str, text: str) -> Iterator[Onward]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward:
        onward.bind(("127.0.0.1", 0))
        onward.settimeout(10)
        address = f"sip:127.0.0.1:{onward.getsockname()[1]}"
        file = folder / f"{side}-{secrets.token_hex(4)}.cfg"
        file.write_text(re.sub(r"sip:(?:trunk|agents)\.example\.com:5060", address, text), "utf-8")
        (port,) = free_ports(1)
        with kamailio(file.stem, folder, port, {}, config=file, may_complain=True):
            yield Onward(port, onward)


def test_its_requests_are_those_of_the_telephone_calls() -> None:
    for side, name in (("X", "LEASE"), ("Y", "TAKE")):
        played = _routes((CONFIGS / f"{side.lower()}.cfg").read_text("utf-8"))
        assert _routes(_block(side))[name].endswith(played[name])
