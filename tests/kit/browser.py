"""A real Chromium without a window, told what to do over the DevTools protocol, in pipes."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_IN_PIPES = 'exec "$0" "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
"""The protocol's pipes are file descriptors 3 and 4 of the browser."""
_PATIENCE_S = 20.0
_LOOKS_S = 0.02
"""Between two looks at a page that is about to change."""
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}
"""Those that are no characters, with their codes."""


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
        self.complaints: list[str] = []
        """What has gone wrong in the pages so far: errors, and what their Content-Security-Policy has stopped."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

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
        if "loaderId" not in told:  # it is there already, and only its fragment may be another
            self._ask("Page.reload")
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """What this script of the page comes to, in the end: it may await."""
        told = self._ask(
            "Runtime.evaluate", expression=f"(async () => {{{script}}})()", awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def evaluate(self, expression: str) -> Any:
        """What this expression of the page is; the page's Content-Security-Policy has no say in it."""
        told = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """What this expression of the page is, once it is true; AssertionError if that takes long."""
        gives_up = time.monotonic() + _PATIENCE_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < gives_up, f"never so: {expression}\n{self.evaluate('document.body.innerText')}"
            time.sleep(_LOOKS_S)
        return value

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, named as in KeyboardEvent.key."""
        said: dict[str, Any] = {"key": key, "modifiers": 8 * shift}
        if key in _KEYS:
            said |= {"code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = "\r" if key == "Enter" else "" if key in _KEYS else key
        self._ask("Input.dispatchKeyEvent", type="keyDown", **said, **({"text": text} if text else {}))
        self._ask("Input.dispatchKeyEvent", type="keyUp", **said)

    def type(self, text: str) -> None:
        """Write this where the focus is."""
        self._ask("Input.insertText", text=text)

    def viewport(self, width: int, height: int = 800, *, phone: bool = False) -> None:
        """Show pages in a window of so many CSS pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def offline(self, *, now: bool) -> None:
        """Whether nothing can be reached."""
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._ask("Network.emulateNetworkConditions", offline=now, **conditions)

    def scripts(self, *, on: bool) -> None:
        """Whether pages may run scripts, from the next one on."""
        self._ask("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self) -> bytes:
        """What is shown, as PNG, without scroll bars."""
        self._ask("Emulation.setScrollbarsHidden", hidden=True)
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

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
            self._note(message.get("method", ""), message.get("params", {}))
            if is_it(message):
                return message

    def _note(self, event: str, said: dict[str, Any]) -> None:
        if event == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(said["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
