"""Run the tests on CPython for Windows, under Wine: ``python3 scripts/wine.py``. Arguments go to pytest.

Without a test among them it runs tests/windows in its short form, and sees that all others can be imported there. With
``--long`` it runs that in its long form, and then all other tests in their short form, a folder at a time, because
Wine's own server may end in the middle of one; each skip has its reason. The Redis under test is a program of this
system. Debian's packages wine, wine64 and redis-server must be installed. One at a time: its end stops Wine. It exits
with 69 if there is no Wine that can be started.
"""

import argparse
import codecs
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from environment import ROOT, ready
from wine_python import PYTHONS, Missing, Python, environment, started

_APART = ("windows", "scripts", "telephony")
_OTHERS = ["tests", *(f"--ignore=tests/{folder}" for folder in _APART)]
_SHORT = [["tests/windows"], [*_OTHERS, "--collect-only", "-qq"]]
_HANGS_S = 300
"""A test that takes longer has every thread's stack printed."""
_SILENT_S = _HANGS_S + 60
"""Seconds without a word after which they are given up."""
_NO_WINE = 69
"""sysexits.h's EX_UNAVAILABLE."""


def main() -> int:
    """Run the tests; 0 if all is well, 1 if not, 69 without a Wine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", choices=PYTHONS, default="3.11", help="which CPython; 3.11 if not said")
    parser.add_argument("--long", action="store_true", help="all tests, and tests/windows in its long form")
    options, arguments = parser.parse_known_args()
    python = Python(options.python)
    signal.signal(signal.SIGTERM, _terminated)  # or Wine and Redis were left behind
    try:
        with started():
            python.make(ready("embedded", "test"))
            runs = [["tests/windows", "--long"], *_folders()] if options.long else _SHORT
            if any((ROOT / argument.partition("::")[0]).exists() for argument in arguments):
                runs = [["--long"] if options.long else []]
            codes = []
            for run in runs:
                with _redis() as url:
                    codes.append(_pytest(python, url, *run, *arguments))
            return max(codes)
    except Missing as error:
        print(error, file=sys.stderr)
        return _NO_WINE


def _terminated(_number: int, _frame: object) -> None:
    sys.exit("the tests under Wine were ended before they had finished")


def _pytest(python: Python, redis_url: str, *arguments: str) -> int:
    """pytest on Windows. All three streams are pipes: Wine gives a program no use of others."""
    command = ["wine", str(python.program), "-m", "pytest", "-n0", "-rs", "-p", "no:cacheprovider"]
    command += ["-o", f"faulthandler_timeout={_HANGS_S}", *arguments]
    variables = environment() | {"TEST_REDIS": redis_url}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as tests:
        try:
            assert tests.stdout  # noqa: S101 - it is a pipe
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            while chunk := _next(tests):
                print(decoder.decode(chunk).replace("\r", ""), end="", flush=True)
            return 0 if tests.wait() == 0 else 1
        finally:
            tests.kill()


def _next(tests: "subprocess.Popen[bytes]") -> bytes:
    """What they say next; nothing once they have ended, whoever else holds their pipe, or hang with Wine's server."""
    assert tests.stdout  # noqa: S101 - it is a pipe
    for _ in range(_SILENT_S):
        if select.select([tests.stdout], [], [], 1.0)[0]:
            return os.read(tests.stdout.fileno(), 65536)
        if tests.poll() is not None:
            return b""
    print(f"Nothing was heard for {_SILENT_S} s: Wine's own server has ended, or hangs. What came before counts.")
    tests.kill()
    return b""


def _folders() -> Iterator[list[str]]:
    """The other tests: those of each folder, and those above."""
    tests = ROOT / "tests"
    yield sorted(str(path.relative_to(ROOT)) for path in tests.glob("test_*.py"))
    for folder in sorted({path.parent for path in tests.glob("*/test_*.py")} - {tests / name for name in _APART}):
        yield [str(folder.relative_to(ROOT))]


@contextmanager
def _redis() -> Iterator[str]:
    """The URL of a server that keeps nothing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(shutil.which("redis-server"))
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ) as server:
            try:
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
