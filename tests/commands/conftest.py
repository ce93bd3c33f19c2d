import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cticache import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the server under test, or on another: the exit code, and what is on both streams."""

    def run(pools: str, *arguments: str, url: str = redis_url) -> tuple[int, str, str]:
        Path("config.ini").write_text(f"[redis]\nurl = {url}\n{pools}", "utf-8")
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return run
