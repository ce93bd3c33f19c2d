"""The scripts as they are found and loaded."""

import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import MasterDownError, NoScriptError, ResponseError

from cticache.data.scripts import Scripts, read_scripts
from cticache.errors import ScriptError
from cticache.link.connection import Command, Direct


class Demoted:
    """A server that is a replica by now and serves nothing until it has caught up."""

    drops = doubts = 0
    error: ResponseError = MasterDownError("Link with MASTER is down")

    def run(self, commands: list[Command]) -> list[object]:
        return [self.error for _ in commands]

    def again(self, commands: list[Command], began: float) -> list[object]:
        return self.run(commands)

    def drop(self) -> None:
        self.drops += 1

    def doubt(self) -> None:
        self.doubts += 1


def test_a_script_that_does_not_compile_is_told_by_its_name(client: Redis, tmp_path: Path) -> None:
    (tmp_path / "good.lua").write_text("#!lua\nreturn 1\n")
    (tmp_path / "broken.lua").write_text("#!lua\nlocal x = = 1\n")
    (tmp_path / "notes.txt").write_text("no script")
    sources = read_scripts(tmp_path)
    assert set(sources) == {"good", "broken"}
    with pytest.raises(ScriptError) as caught:
        Scripts(Direct(client), sources).load()
    (line,) = str(caught.value).splitlines()
    assert line.startswith("lua/broken.lua does not compile: ")
    assert "2" in line  # the line of the mistake


@pytest.mark.parametrize("name", ["none", "empty"])
def test_a_folder_without_scripts_is_an_incomplete_installation(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScriptError, match="installation is incomplete") as caught:
        read_scripts(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_server_demoted_before_it_was_asked_how_it_takes_scripts_is_left_like_any_other() -> None:
    runner = Demoted()
    with pytest.raises(MasterDownError):
        Scripts(runner, {"one": "#!lua\nreturn 1\n"}).run([("one", [], {})])
    assert (runner.drops, runner.doubts) == (1, 1)


class Forgetful:
    """A server that does not know any script."""

    def __init__(self) -> None:
        self.began: list[float] = []

    def run(self, commands: list[Command]) -> list[object]:
        return [1 if command[0] == "EVAL" else NoScriptError("No matching script") for command in commands]

    def again(self, commands: list[Command], began: float) -> list[object]:
        self.began.append(began)
        return [1 for _ in commands] if commands[0][0] == "EVAL" else self.run(commands)


def test_what_is_sent_again_has_the_time_that_is_left_since_the_first_attempt() -> None:
    runner = Forgetful()
    scripts = Scripts(runner, {"one": "#!lua\nreturn 1\n"})
    for known in (False, True):
        before = time.monotonic()
        assert scripts.run([("one", [], {})]) == [1]
        assert len(set(runner.began)) == 1
        assert before <= runner.began[0] <= time.monotonic()
        assert len(runner.began) == (1 if known else 2)  # beside the last, what comes after asking about the flags
        runner.began.clear()


@pytest.mark.parametrize(
    "text",
    [
        "NOREPLICAS Not enough good replicas to write.",
        "ERR Error running script (call to f_0): @user_script:1: -NOREPLICAS Not enough good replicas to write.",
    ],
)
def test_a_primary_without_its_replicas_is_kept_and_doubted(text: str) -> None:
    runner = Demoted()
    runner.error = ResponseError(text)
    with pytest.raises(ResponseError):
        Scripts(runner, {"one": "#!lua\nreturn 1\n"}).run([("one", [], {})])
    assert (runner.drops, runner.doubts) == (0, 1)
