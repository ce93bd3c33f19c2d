"""Kamailio and SIPp as processes, on free ports of the loopback."""

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kit.checkout import ROOT
from kit.serving import WAIT_S, until

CONFIGS = ROOT / "tests" / "telephony"
_PACKAGES = "kamailio kamailio-utils-modules kamailio-extra-modules sip-tester"
_random = random.SystemRandom()


def found(name: str) -> str:
    """Where this program is; LookupError, which says how to get it, where it is not."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if not path:
        raise LookupError(f"{name} is not installed; on Debian: apt-get install {_PACKAGES}")
    return path


def version(name: str, option: str, mark: str) -> str:
    """What stands after ``mark`` in what the program says of its version, up to a hyphen."""
    done = subprocess.run([found(name), option], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).partition(mark)[2].split()[0].partition("-")[0]


def free_ports(count: int) -> list[int]:
    """UDP ports of the loopback that nothing has, below those that the system gives to connections."""
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = _random.randrange(10_000, 32_000)
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


@contextmanager
def kamailio(
    name: str,
    folder: Path,
    port: int,
    defines: Mapping[str, str | int],
    *,
    config: Path | None = None,
    may_complain: bool = False,
) -> Iterator[None]:
    """Kamailio with tests/telephony/NAME.cfg, or another configuration; it serves when the context begins.

    AssertionError at the context's end, if it has complained of anything and may not.
    """
    run = folder / f"run-{name}"
    run.mkdir()
    options = ["-DD", "-E", "-m", "64", "-f", str(config or CONFIGS / f"{name}.cfg"), "-l", f"udp:127.0.0.1:{port}"]
    options += ["-Y", str(run), "-w", str(run)]
    for key, value in defines.items():
        options += ["-A", f"{key}={value}" if isinstance(value, int) else f'{key}="{value}"']
    log = folder / f"{name}.log"
    # Of a hundred that are told to end soon after their start, about one never does.
    with _process([found("kamailio"), *options], log, end=signal.SIGKILL) as process:
        until(lambda: process.poll() is not None or _serves(port))
        assert process.poll() is None, log.read_text("utf-8")
        yield
        complaints = [line for line in log.read_text("utf-8").splitlines() if "ERROR:" in line or "CRITICAL:" in line]
        assert may_complain or not complaints, complaints[:20]


@contextmanager
def sipp(scenario: str, folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """SIPp with tests/telephony/SCENARIO.xml. Its errors are in SCENARIO.errors, what it logs is in SCENARIO.log."""
    command = [found("sipp"), "-sf", str(CONFIGS / f"{scenario}.xml"), "-i", "127.0.0.1", "-p", str(port), "-nostdin"]
    command += ["-trace_logs", "-log_file", str(folder / f"{scenario}.log"), "-log_overwrite", "false"]
    command += ["-trace_err", "-error_file", str(folder / f"{scenario}.errors"), "-cp", str(free_ports(1)[0])]
    with _process([*command, *options], folder / f"{scenario}.screen", folder) as process:
        yield process


@contextmanager
def _process(
    command: Sequence[str], log: Path, folder: Path | None = None, end: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and its children, which end with the context, by this signal."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            env=os.environ | {"TERM": "dumb"},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, end)
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _serves(port: int) -> bool:
    """Whether an OPTIONS is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind(("127.0.0.1", 0))
        asker.settimeout(0.1)
        host, own = asker.getsockname()
        lines = [
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{own};branch=z9hG4bK{_random.randrange(1 << 32)}",
            f"From: <sip:asker@{host}>;tag=1",
            f"To: <sip:127.0.0.1:{port}>",
            f"Call-ID: {_random.randrange(1 << 32)}",
            "CSeq: 1 OPTIONS",
            "Max-Forwards: 1",
            "Content-Length: 0",
        ]
        try:
            asker.sendto("\r\n".join([*lines, "", ""]).encode(), ("127.0.0.1", port))
            return asker.recv(4096).startswith(b"SIP/2.0 200")
        except OSError:
            return False
