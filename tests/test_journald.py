"""The priority of a line in systemd's journal."""

import logging
import sys
from io import StringIO
from pathlib import Path

import pytest

from cticache.journald import Marked, marked, reads

if sys.platform == "win32":
    pytest.skip("there is no systemd", allow_module_level=True)


def named(path: Path) -> dict[str, str]:
    """As systemd names a stream."""
    return {"JOURNAL_STREAM": f"{path.stat().st_dev}:{path.stat().st_ino}"}


def test_a_stream_is_the_journals_if_it_is_the_one_that_is_named(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    other.touch()
    with one.open("w", encoding="utf-8") as stream:
        assert reads(stream, named(one))
        assert not reads(stream, named(other))
        assert not reads(stream, {})
    assert not reads(stream, named(one))  # it is closed
    assert not reads(StringIO(), named(one))
    assert not reads(None, named(one))


def test_each_line_has_the_priority_of_its_record() -> None:
    formatter = Marked(logging.Formatter("%(message)s"))
    made = {
        level: formatter.format(logging.LogRecord("x", level, "", 0, "a\n  b", None, None))
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    }
    assert made == {
        logging.DEBUG: "<7>a\n<7>  b",
        logging.INFO: "<6>a\n<6>  b",
        logging.WARNING: "<4>a\n<4>  b",
        logging.ERROR: "<3>a\n<3>  b",
        logging.CRITICAL: "<2>a\n<2>  b",
    }
    assert marked("a", logging.ERROR) == "<3>a"
