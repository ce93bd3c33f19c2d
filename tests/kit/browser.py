"""A real Chromium without a window, told what to do over the DevTools protocol, in pipes."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_IN_PIPES = 'exec "$0" "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
"""The protocol's pipes are file descriptors 3 and 4 of the browser."""


def program() -> str:
    """The browser's program; AssertionError where there is none."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    assert found, "there is no Chromium here: install the package chromium"
    return found


class Browser:
    """One page of a browser of its own, which remembers what it was given while it lives."""

    def __init__(self, folder: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._process = subprocess.Popen(
            [
                "bash", "-c", _IN_PIPES, program(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox",
                "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
                "--no-proxy-server", f"--user-data-dir={folder}", "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out),
            env=os.environ | {"COMMANDS": str(theirs_in), "ANSWERS": str(theirs_out)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (theirs_in, theirs_out):
            os.close(end)
        self._answers, self._commands = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self._count = 0
        self._kept = b""
        self._session = ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._answers.close()
        self._commands.close()

    def go(self, url: str) -> None:
        """Show this page, and wait until it is there."""
        told = self._ask("Page.navigate", url=url)
        assert "errorText" not in told, told
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """What this script of the page comes to, in the end: it may await."""
        told = self._ask(
            "Runtime.evaluate", expression=f"(async () => {{{script}}})()", awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        answer = self._until(lambda message: message.get("id") == number)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, is_it: Any) -> dict[str, Any]:
        while True:
            while b"\0" not in self._kept:
                more = os.read(self._answers.fileno(), 65536)
                assert more, "the browser has ended"
                self._kept += more
            text, _, self._kept = self._kept.partition(b"\0")
            message: dict[str, Any] = json.loads(text)
            if is_it(message):
                return message
