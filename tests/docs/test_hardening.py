"""The steps by which a Redis in use is hardened are done as they stand, and no call is lost by them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the steps are for a shell", allow_module_level=True)

from redis import Redis
from redis.exceptions import AuthenticationError

from cticache import cli
from cticache.access.passwords import hashed
from kit import servers
from kit.documents import BLOCK, DOCS
from kit.running import until
from kit.samples import PASSWORD, basic
from kit.serving import Running
from kit.sites import port_of
from kit.talk import CALLS, Answer, asked

WRITTEN = "127.0.0.1:6379"
CONFIGURATION = "[server]\nport = 0\nworkers = 1\n[redis]\nurl = {}\n[pool:system-y]\nnumbers = 5551234560\n" + (
    f"[user:ivr]\npools = system-y\nroles = lease, take\npassword = {hashed(PASSWORD)}\n"
)


def steps() -> list[str]:
    """What a shell is told there that has to do with Redis."""
    ((text),) = [text for path, text in DOCS.items() if path.name == "security.md"]
    section = text.partition("## Hardening what runs, step by step\n")[2].partition("\n## ")[0]
    return [block[2] for block in BLOCK.finditer(section) if block[1] == "sh" and "redis-cli" in block[2]]


def done(step: str) -> str:
    """Do it in a shell that has this environment's commands; what it says on standard error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "-euo", "pipefail", "-c", step]
    ended = subprocess.run(shell, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert set(ended.stdout.split()) == {"OK"}, ended.stdout
    return ended.stderr


def served(port: int, method: str, path: str, body: str = "") -> Answer:
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: {basic('ivr')}\r\nContent-Length: {len(body)}\r\n"
    return asked(port, (head + "Connection: close\r\n\r\n" + body).encode())


def test_a_redis_in_use_is_hardened_by_the_steps_and_keeps_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(servers, "HARDENED", False)  # it is to be open at first
    monkeypatch.chdir(tmp_path)
    file = Path("config.ini")
    with servers.program(servers.packaged()) as redis:
        where = redis.url.removeprefix("redis://").removesuffix("/0")
        first, last = [step.replace(WRITTEN, where) for step in steps()]
        assert all(where in step for step in (first, last)), "no other server is touched"
        file.write_text(CONFIGURATION.format(redis.url), "utf-8")
        running = Running(file.absolute(), tmp_path / "errors")
        try:
            leased = served(port_of(running), "POST", CALLS, '{"value":"v","ani":"1234567890"}')
            assert leased.status == 201
            said = done(first)
        finally:
            running.close()
        login = next(word for word in said.split() if word.startswith("cticache:"))
        root = said.split()[-1]
        file.write_text(CONFIGURATION.format(redis.url.replace("redis://", f"redis://{login}")), "utf-8")
        running = Running(file.absolute(), tmp_path / "errors")
        try:
            port = port_of(running)
            capsys.readouterr()
            cli.main(["check"])
            assert "may not" not in capsys.readouterr().out
            done(last.replace("PASSWORD", root))
            with Redis.from_url(redis.url) as anybody, pytest.raises(AuthenticationError):
                anybody.ping()
            until(lambda: served(port, "DELETE", f"{CALLS}/5551234560:1234567890").status == 200)
        finally:
            running.close()
        assert cli.main(["status"]) == 2, "no service runs"
        assert "No service of cticache runs" in capsys.readouterr().out
