"""The scripts as they are found and loaded."""

from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import MasterDownError, ResponseError

from cticache.data.scripts import Scripts, read_scripts
from cticache.errors import ScriptError
from cticache.link.connection import Command, Direct


class Demoted:
    """A server that is a replica by now and serves nothing until it has caught up."""

    drops = doubts = 0
    error: ResponseError = MasterDownError("Link with MASTER is down")

    def run(self, commands: list[Command]) -> list[object]:
        return [self.error for _ in commands]

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
