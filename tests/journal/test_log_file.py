"""The log as a file: when it begins anew, what stays, and that no fault of the disk stops what is logged."""

import errno
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cticache import logs
from cticache.commands.serve import begin_log
from cticache.config import read
from cticache.errors import UserError
from cticache.journal.log_file import LogFile

Make = Callable[..., LogFile]
LINE = "x" * 99 + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "cticache.log"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Makes one, by default of a size and of days that nothing here reaches."""
    made: list[LogFile] = []

    def new(most_bytes: int = 1_000_000, days: int = 0, kept: int = 5) -> LogFile:
        made.append(LogFile(path, most_bytes, days, kept))
        return made[-1]

    yield new
    for file in made:
        file.close()


def aside(path: Path) -> list[Path]:
    """The older files, the oldest first."""
    return sorted(other for other in path.parent.glob("cticache.*.log") if other != path)


def aged(path: Path, days: float) -> None:
    at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))


def test_lines_are_appended_to_what_is_there_in_utf_8(make: Make, path: Path) -> None:
    for _ in range(2):
        file = make()
        file.write("J\u00f6rg \u6f22, \udcff\n")
        file.close()
    assert path.read_text("utf-8") == "J\u00f6rg \u6f22, \\udcff\n" * 2


def test_a_full_file_is_set_aside_whole_and_the_newest_are_kept(make: Make, path: Path) -> None:
    file = make(most_bytes=1000, kept=3)
    for n in range(60):
        file.write(f"{n:02d}{LINE[2:]}")
    kept = [*aside(path), path]
    assert len(kept) == 4
    assert all(other.stat().st_size <= 1000 for other in kept)
    written = [line[:2] for other in kept for line in other.read_text("utf-8").splitlines()]
    assert written == [f"{n:02d}" for n in range(60)][-len(written) :]


def test_a_file_of_another_day_is_set_aside_also_after_a_restart(make: Make, path: Path) -> None:
    file = make(days=1)
    file.write("of yesterday\n")
    file.close()
    aged(path, 1)
    file = make(days=1)
    file.write("of today\n")
    file.write("of today\n")
    (old,) = aside(path)
    assert old.read_text("utf-8") == "of yesterday\n"
    assert path.read_text("utf-8") == "of today\n" * 2


def test_by_size_alone_a_file_may_be_of_any_day(make: Make, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("old\n", "utf-8")
    aged(path, 400)
    make(days=0).write("new\n")
    assert path.read_text("utf-8") == "old\nnew\n"


def test_what_is_not_of_this_log_is_left_alone(make: Make, path: Path) -> None:
    path.parent.mkdir()
    names = ("cticache.old.log", "other.2026-11-28T000000.000Z.log", "cticache.log.1")
    others = [path.with_name(name) for name in names]
    for other in others:
        other.write_text("mine", "utf-8")
    file = make(most_bytes=150, kept=1)
    for _ in range(9):
        file.write(LINE)
    assert all(other.read_text("utf-8") == "mine" for other in others)


def test_a_file_that_somebody_reads_on_windows_is_copied_and_emptied(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(self: Path, _target: str) -> Path:
        raise PermissionError(errno.EACCES, "it is in use", str(self))

    file = make(most_bytes=250)
    monkeypatch.setattr(Path, "rename", in_use)
    with path.open(encoding="utf-8") as reader:
        for _ in range(3):
            file.write(LINE)
        assert reader.read() == LINE
    (old,) = aside(path)
    assert old.read_text("utf-8") == LINE * 2
    assert path.read_text("utf-8") == LINE


def test_a_file_that_cannot_be_set_aside_goes_on_and_that_is_said_once(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def full(_source: str, _aside: str) -> None:
        tries.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    tries: list[int] = []
    file = make(most_bytes=250)
    file.rotator = full
    for _ in range(5):
        file.write(LINE)
    assert path.read_text("utf-8") == LINE * 5
    assert len(tries) == 1
    file._anew_from = 1.0  # a minute later
    file.write(LINE)
    assert len(tries) == 2
    assert log.getvalue().count("the log file goes on, for it cannot be begun anew: No space left on device") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/null there")
def test_what_is_no_file_keeps_its_name_whatever_its_age(make: Make, path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(os.devnull)
    file = make(most_bytes=150, days=1)
    file._began_s = 0.0
    for _ in range(3):
        file.write(LINE)
    assert path.is_symlink()
    assert not aside(path)


def test_half_a_line_is_ended_before_the_next_is_begun(make: Make, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("half a li", "utf-8")
    make().write("whole\n")
    assert path.read_text("utf-8") == "half a li\nwhole\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/full there")
def test_what_a_full_disk_does_not_take_goes_to_standard_error_and_nothing_is_written_twice(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)
    logs.configure(elsewhere=make().write)
    for n in range(3):
        logging.getLogger("cticache.test").info("line %d", n)
        logging.root.handlers[0].flush()
    assert [line.split()[-1] for line in errors.getvalue().splitlines()] == ["0", "1", "2"]
    path.unlink()  # there is room again
    logging.getLogger("cticache.test").info("line 3")
    logging.root.handlers[0].flush()
    logging.root.handlers[0].flush()
    written = path.read_text("utf-8").splitlines()
    assert written[0].endswith(" INFO cticache.test: line 3")
    assert " WARNING cticache.logs: 3 lines of the log went to standard error: their file took none" in written[1]
    assert len(written) == 2
    assert len(errors.getvalue().splitlines()) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/full there")
def test_with_no_standard_error_a_full_disk_stops_nothing_either(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    monkeypatch.setattr("sys.stderr", None)
    logs.configure(elsewhere=make().write)
    logging.getLogger("cticache.test").info("lost")
    logging.root.handlers[0].flush()
    path.unlink()
    logging.getLogger("cticache.test").info("written")
    logging.root.handlers[0].flush()
    assert " INFO cticache.test: written" in path.read_text("utf-8")


def test_numbers_in_the_file_are_masked_and_its_objects_are_json(make: Make, path: Path, log: io.StringIO) -> None:
    logs.configure("json", elsewhere=make().write)
    logging.getLogger("cticache.test").info("caller 1234567890")
    logging.root.handlers[0].flush()
    assert json.loads(path.read_text("utf-8"))["message"] == "caller \u2026890"


def test_a_file_that_another_service_writes_is_refused(make: Make, path: Path) -> None:
    make()
    with pytest.raises(UserError, match="another cticache writes it: stop that one, or give this one a"):
        make()


@pytest.mark.parametrize("what", ["a folder", "below a file", "a name with a zero"])
def test_a_file_that_cannot_be_written_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    places = {"a folder": tmp_path, "below a file": tmp_path / "file" / "log", "a name with a zero": tmp_path / "a\0b"}
    with pytest.raises(UserError, match=r"\[log\] file = .*: cannot be written: .*; give this user") as refused:
        LogFile(places[what], 1000, 1, 1)
    assert len(str(refused.value).splitlines()) == 1


def test_the_marks_for_the_journal_of_systemd_are_not_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[log]\nfile = x.log\n[pool:x]\nnumbers = 1\n", "utf-8")
    with (tmp_path / "errors").open("w", encoding="utf-8") as errors:
        status = os.fstat(errors.fileno())
        monkeypatch.setattr("sys.stderr", errors)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        begin_log(read(config, {}))
        logging.getLogger("cticache.test").info("a line")
        (handler,) = [each for each in logging.root.handlers if hasattr(each, "_elsewhere")]
        handler.flush()
        handler._elsewhere.__self__.close()
    assert (tmp_path / "x.log").read_text("utf-8")[:2] == "20"
