"""The thread that reads the configuration again: nothing that it meets keeps it, or the service, waiting for ever."""

import os
import sys
import threading
from pathlib import Path

import pytest

from cticache import reloading
from cticache.config import read
from cticache.config.sections import Config
from cticache.reloading import Reloading

_LONG_S = 10


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "config.ini"
    file.write_text("[pool:x]\nnumbers = 1\n", "utf-8")
    return read(file, {})


def started(config: Config) -> Reloading:
    made = Reloading(config)
    made.start((), lambda _config, _users: "", list[str]().append)
    return made


def test_a_pipe_in_the_place_of_the_file_is_refused_and_the_file_is_read_once_it_is_back(config: Config) -> None:
    if sys.platform == "win32":
        pytest.skip("no pipe has a path there")
    text = config.source.read_text("utf-8")
    config.source.unlink()
    os.mkfifo(config.source)
    made = started(config)
    told = made.ask().result(_LONG_S)
    assert not told.is_in_force
    assert told.says.endswith(f"{config.source}: is not a file: put the config.ini there")
    config.source.unlink()
    config.source.write_text(text, "utf-8")
    assert made.ask().result(_LONG_S).is_in_force
    made.close()


def test_a_disk_that_hangs_does_not_keep_the_service_from_ending(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, goes_on = threading.Event(), threading.Event()

    def hangs(_source: Path, _environment: object) -> Config:
        reads.set()
        goes_on.wait(_LONG_S)
        return config

    monkeypatch.setattr(reloading, "read", hangs)
    monkeypatch.setattr(reloading, "_END_S", 0.01, raising=False)
    made = started(config)
    told = made.ask()
    assert reads.wait(_LONG_S)
    made.close()
    assert not told.done()
    goes_on.set()
    assert told.result(_LONG_S).is_in_force
