"""A service as a process of its own, on any Redis."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cticache.access.passwords import hashed
from kit.serving import Running

POOL = f"[user:username]\npassword = {hashed('correct:horse')}\n[pool:system-y]\nnumbers = 100-999\n"


@pytest.fixture
def start_on(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a service on this URL, or on the embedded server, with more lines under [server], [redis] and the pool."""
    started: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="cti") as folder:  # short enough for a Unix socket

        def run(url: str, server: str, redis: str = "", pool: str = "", begin: Sequence[str] = ()) -> Running:
            port = "" if "port =" in server else "port = 0"
            file = tmp_path / f"config-{len(started)}.ini"
            file.write_text(
                f"[server]\n{port}\n{server}\n[redis]\nurl = {url}\ndata = {folder}\n{redis}\n{POOL}{pool}\n", "utf-8"
            )
            started.append(Running(file, tmp_path / f"errors-{len(started)}", *begin))
            return started[-1]

        yield run
        for running in started:
            running.close()
