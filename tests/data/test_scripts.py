"""The scripts as they are found and loaded."""

from pathlib import Path

import pytest
from redis import Redis

from cticache.data.scripts import Scripts, read_scripts
from cticache.errors import ScriptError
from cticache.link.connection import Direct


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
