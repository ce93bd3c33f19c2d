"""Whatever the document in OpenAPI allows, and what it does not, asked of a service by schemathesis.

schemathesis.toml has its exceptions, each with its reason; schemathesis_hooks.py tells it how the numbers look.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cticache.access.users import token_digest
from kit.serving import Running
from kit.sites import port_of
from kit.talk import asked

if sys.platform == "win32":
    pytest.skip("what is asked and answered is the same on every system", allow_module_level=True)

TOKENS = {"CALLER_TOKEN": "caller-token", "WATCHER_TOKEN": "watcher-token"}
"""Environment variable -> the token of a user: only one who may not watch may change something by GET."""
HERE = Path(__file__).parent
RUN = "from schemathesis.cli import schemathesis; schemathesis()"
CONFIG = f"""
[server]
port = 0
workers = 1
get_writes = yes
auth_failures = 1000000
[redis]
url = {{url}}
[pool:system-y]
numbers = 5551230000-5551239999
uui = yes
[user:caller]
token = sha256:{token_digest(TOKENS["CALLER_TOKEN"])}
[user:watcher]
token = sha256:{token_digest(TOKENS["WATCHER_TOKEN"])}
roles = watch
"""


@pytest.fixture
def port(tmp_path: Path, redis_url: str, client: Redis) -> Iterator[int]:
    """Of a service as a process of its own."""
    file = tmp_path / "config.ini"
    file.write_text(CONFIG.format(url=redis_url), "utf-8")
    running = Running(file, tmp_path / "errors")
    yield port_of(running)
    running.close()


def test_the_service_does_what_its_document_says_and_nothing_else(
    port: int, long: bool, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    head = f"GET /cticache/openapi.json HTTP/1.1\r\nHost: x\r\nX-Api-Key: {TOKENS['CALLER_TOKEN']}\r\n\r\n"
    document = tmp_path / "openapi.json"
    document.write_bytes(asked(port, head.encode()).content)
    much = ["-n", "100"] if long else ["-n", "3", "--phases", "examples,fuzzing,stateful"]
    ran = subprocess.run(
        [
            *(sys.executable, "-c", RUN, "--config-file", HERE / "schemathesis.toml"),
            *("run", document, "--url", f"http://127.0.0.1:{port}", "--no-color", *much),
        ],
        cwd=tmp_path,
        env=os.environ | TOKENS | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "Traceback" not in said, "a thread of it that ends so leaves out the rest, and it says that all is well"
    counts = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", said)
    assert counts, said
    assert len(set(counts.groups())) == 1, "every request was tried"
    generated = re.search(r"\d+ generated, \d+ passed", said)
    assert generated, said
    tell(f"schemathesis: {generated[0]}")
