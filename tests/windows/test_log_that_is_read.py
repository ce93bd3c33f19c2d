"""The log file where somebody reads it meanwhile, so that Windows does not let it be renamed."""

from pathlib import Path

from cticache.journal.log_file import LogFile


def test_a_file_that_somebody_reads_begins_anew_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cticache.log"
    file = LogFile(path, 250, 0, 5)
    try:
        with path.open(encoding="utf-8"):
            for n in range(3):
                file.write(f"{n}{'x' * 98}\n")
    finally:
        file.close()
    (old,) = tmp_path.glob("cticache.*Z.log")
    assert [line[0] for each in (old, path) for line in each.read_text("utf-8").splitlines()] == ["0", "1", "2"]
