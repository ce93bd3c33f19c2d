"""Every command that the documentation names is run, and does what it is there for."""

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cticache import cli
from cticache.access.passwords import hashed
from cticache.data.store import Store
from cticache.numbering.country import Country
from cticache.numbering.pool import Pool
from cticache.operate.advice import Hour, advise
from cticache.operate.report import advice_lines
from kit.documents import BLOCK, DOCS, inline
from kit.samples import make_pool
from kit.serving import STOP, Running

DNIS, ANI = "5551234562", "12345678901"
CONFIGURATION = f"""
[server]
port = 8080
audit_key = a-key-of-the-audit
[redis]
url = {{url}}
[pool:system-y]
numbers = {DNIS}
country_code = 1
match = suffix
[user:ivr]
password = {hashed("secret")}
pools = system-y
roles = lease
[user:agents]
password = {hashed("secret")}
pools = system-y
roles = read, take
"""
FILLED_IN = {
    **{"DNIS": DNIS, "ANI": ANI, "USER": "ivr", "POOL": "system-y", "SHELL": "bash", "FILE": "config.ini"},
    **{"SECONDS": "60", "PERCENT": "75"},
}
"""What a word in capitals stands for."""
NAMES = {"user": "somebody", "pools": "system-y", "recipe": "curl"}
"""What NAME stands for, by the command."""
ALONE = {
    **{"explain": [DNIS, ANI], "release": [DNIS, ANI], "user": ["somebody"], "completion": ["bash"]},
    "serve": ["--config", "config.ini"],
    "service": ["status"],
}
"""What is added where a command is named alone, and cannot be run like that."""
COMMAND = re.compile(r"(?:\$ |echo \w+ \| )?(?:\S*/)?cticache ([a-z-][^#>]*)")
ENDS_WITH = {
    "check": {0, 1},
    "check --config config.ini": {0, 1},
    "health": {1},
    "health --live": {1},
    "reload": {1},
    "pools --warn 75 --crit 90": {2},
    "status": {2},
}
"""The exit codes that are right, other than 0: a Redis for tests may lose data, the pool is full, and no service
runs."""


def written() -> Iterator[str]:
    """Each command as it stands in a document, in a block or between backticks."""
    for doc, text in DOCS.items():
        yield from inline(doc)
        for block in BLOCK.finditer(text):
            if block[1] != "ini":
                yield from block[2].splitlines()


def filled(command: str) -> tuple[str, ...]:
    """Its arguments, as they can be run."""
    name, *arguments = shlex.split(command)
    words = FILLED_IN | {"NAME": NAMES.get(name, "root")}
    arguments = [words.get(each, each) for each in arguments] or ALONE.get(name, [])
    return name, *arguments, *(["--yes"] if name == "release" and "--yes" not in arguments else [])


COMMANDS = sorted({filled(found[1]) for line in written() if (found := COMMAND.match(line))})


@pytest.fixture(autouse=True)
def surroundings(
    store: Store,
    new_pool: Callable[..., Pool],
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pool with a call that lives, a configuration in the folder, and nobody at the terminal."""
    store.lease(new_pool(DNIS, country=Country.of("1"), match="suffix"), ANI, '"x"', "ivr", 60_000)
    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("config.ini").write_text(CONFIGURATION.format(url=redis_url), "utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"secret\n"), "utf-8"))


def ended(arguments: tuple[str, ...]) -> int | str | None:
    """The exit code."""
    try:
        return cli.main(list(arguments))
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    "arguments", [each for each in COMMANDS if each[0] not in ("serve", "demo", "service")], ids=" ".join
)
def test_a_command_of_the_documentation_is_carried_out(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_seconds: float) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("cticache.commands.pools.sleep", stop)
    code = ended(arguments)
    out, err = capsys.readouterr()
    assert code in ENDS_WITH.get(" ".join(arguments), {0}), err
    assert out


@pytest.mark.parametrize("arguments", [each for each in COMMANDS if each[0] == "service"], ids=" ".join)
def test_a_command_for_a_service_of_windows_is_one_and_says_so_elsewhere(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.new_parser().parse_args(arguments)
    if sys.platform != "win32":
        assert ended(arguments) == 2
        assert "is for Windows" in capsys.readouterr().err


def test_the_service_is_run_by_the_commands_of_the_documentation(tmp_path: Path) -> None:
    assert {each for each in COMMANDS if each[0] == "serve"} == {("serve", "--config", "config.ini")}
    file = tmp_path / "config.ini"
    file.write_text(file.read_text("utf-8").replace("port = 8080", "port = 0"), "utf-8")
    running = Running(file, tmp_path / "errors")
    try:
        assert running.line().startswith("cticache listens on ")
        running.process.send_signal(STOP)
        assert running.ended() == 0
    finally:
        running.close()


def test_a_demonstration_is_given_by_the_commands_of_the_documentation(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demos = [each for each in COMMANDS if each[0] == "demo"]
    assert demos
    ini = f"[redis]\nurl = {redis_url}\ndata = {tmp_path}\n[pool:system-y]\nnumbers = 5551234500-5551234599\n[server]\n"
    file = tmp_path / "config.ini"
    file.write_text(f"{ini}port = 0\nworkers = 1\n", "utf-8")
    monkeypatch.setattr("cticache.commands.demo._RATE", 200)
    running = Running(file, tmp_path / "errors")
    try:
        port = running.line().split()[3].rpartition(":")[2]
        file.write_text(f"{ini}port = {port}\n", "utf-8")
        assert [ended(each) for each in demos] == [0 for _ in demos], capsys.readouterr().err
        assert "\ncalls                                   40\n" in capsys.readouterr().out
    finally:
        running.close()


def test_every_command_that_there_is_is_documented() -> None:
    assert {command.name for command in cli.COMMANDS} == {name for name, *_ in COMMANDS if not name.startswith("-")}


def shown(command: str) -> list[str]:
    """What a document has below this command, as what it prints."""
    (block,) = [
        block for text in DOCS.values() for _, block in BLOCK.findall(text) if block.startswith(f"$ {command}\n")
    ]
    return block.splitlines()[1:]


def test_the_table_of_pools_has_the_heads_that_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(("pools",)) == 0
    out = capsys.readouterr().out.splitlines()
    documented = shown("cticache pools")
    assert [line.split() for line in out[:2]] == [line.split() for line in documented[:2]]
    assert max(map(len, documented)) <= 80


def test_the_line_for_a_monitoring_system_has_the_form_that_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    (documented,) = shown("cticache pools --warn 75 --crit 90")
    assert ended(("pools", "--warn", "75", "--crit", "90")) == 2
    form = re.compile(
        r"CTICACHE CRITICAL - [a-z-]+ 100 % \(0 of \d+ free, next in \d+ s\) \|( [a-z-]+=\d+%;75;90;0;100)+"
    )
    assert form.fullmatch(documented)
    assert form.fullmatch(capsys.readouterr().out.strip())


def test_advice_is_the_one_that_is_documented() -> None:
    hour = {"leased": 3600, "taken": 3600, "held_ms": 3600 * 20_000, "peak": 35, "t45": 3600}
    start = datetime(2026, 11, 28, 2, tzinfo=UTC)
    advice = advise([Hour.of(int(start.timestamp()) // 3600, hour)], make_pool("100-140"), {})
    assert list(advice_lines(advice, "system-y")) == shown("cticache advise")


def test_an_explanation_is_the_one_that_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    command = "explain 5551234562 234-567-8901"
    assert ended(tuple(command.split())) == 0

    def form(lines: list[str]) -> list[str]:
        text = re.sub(r"token [\w-]{16}", "token T", "\n".join(lines))
        text = re.sub(r"digest( in the audit:)? [0-9a-f]{16}", r"digest\1 D", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "at", text)
        return re.sub(r"in \d+ s", "in S", text).splitlines()

    assert form(capsys.readouterr().out.splitlines()) == form(shown(f"cticache {command}"))
