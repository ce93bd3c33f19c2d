"""A service that slowhttptest attacks in its four ways lets good clients in."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from kit.serving import Running
from kit.talk import Talk, get

_SLOWHTTPTEST = shutil.which("slowhttptest")
_WAYS = {
    "headers that come slowly": ("-H",),
    "bodies that come slowly": ("-B",),
    "ranges": ("-R",),
    "answers that are read slowly": ("-X", "-w", "1", "-y", "10", "-z", "1", "-n", "1", "-k", "3"),
}


@pytest.fixture
def serve(tmp_path: Path, redis_url: str, dispatch: str) -> Iterator[Callable[..., int]]:
    """Starts a service; its port."""
    with ExitStack() as stack:

        def start(**options: int) -> int:
            lines = [f"{name} = {value}" for name, value in {"port": 0, "workers": 1, **options}.items()]
            config = tmp_path / "config.ini"
            redis = ["[redis]", f"url = {redis_url}", "prefix = slow", "[pool:p]", "numbers = 1-9"]
            config.write_text("\n".join(["[server]", f"dispatch = {dispatch}", *lines, *redis]))
            running = Running(config, tmp_path / "errors")
            stack.callback(running.close)
            told = running.line()
            return int(re.search(r"http://127\.0\.0\.1:(\d+)", told)[1])  # type: ignore[index]

        yield start


def attack(port: int, ways: Iterable[tuple[str, ...]], count: int, seconds: int) -> list[str]:
    """What slowhttptest finds while it attacks in these ways at once, with so many connections each."""
    found = list[str]()
    with ExitStack() as stack:
        running = list[subprocess.Popen[str]]()
        for way in ways:
            process = subprocess.Popen(
                [str(_SLOWHTTPTEST), *way, "-c", str(count), "-r", str(count // 2), "-i", "2", "-x", "10", "-p", "10",
                 "-l", str(seconds), "-u", f"http://127.0.0.1:{port}/healthz"],
                stdout=subprocess.PIPE, text=True, errors="replace",
            )  # fmt: skip
            running.append(stack.enter_context(process))
            stack.callback(process.kill)
        while any(process.poll() is None for process in running):
            good = Talk(port)
            assert good.send(get("/healthz")).answer().status == 200
            good.close()
            with suppress(subprocess.TimeoutExpired):
                running[-1].wait(0.05)
        for process in running:
            said, _ = process.communicate(timeout=seconds + 60)
            seen = re.findall(r"service available:\s+(\w+)", re.sub(r"\x1b\[[0-9;]*m", "", said))
            assert len(seen) > seconds // 5 or "No open connections left" in said, said  # it looks every five seconds
            found += seen
    return found


@pytest.mark.skipif(not _SLOWHTTPTEST, reason="slowhttptest is not installed")
def test_slowhttptest_finds_the_service_available_throughout(
    serve: Callable[..., int], long: bool, tell: Callable[[str], None], dispatch: str
) -> None:
    port = serve(connections=400 if long else 150)
    if not long:  # in all ways at once, until it has looked a second time
        assert set(attack(port, _WAYS.values(), 100, 6)) == {"YES"}
        return
    for name, way in _WAYS.items():
        found = attack(port, [way], 1000, 20)
        tell(f"slowhttptest, {name}, 1,000 connections, {dispatch}: available {', '.join(found)}")
        assert set(found) == {"YES"}
