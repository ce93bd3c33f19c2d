"""The password of a service without a user."""

import os
import sys
from pathlib import Path

import pytest

from cticache.access.invented import Unusable, ensured, kept

_RIGHTS = pytest.mark.skipif(sys.platform == "win32", reason="the folder's rights are those of its files there")


def test_a_password_stays_the_one_that_was_invented_first(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    first = ensured(folder)
    assert first.remark == f"It is new, and kept in {folder / 'password'} from now on."
    assert ensured(folder) == (first.password, f"It is kept in {folder / 'password'}.")
    assert kept(folder) == first.password
    assert ensured(tmp_path).password != first.password


@_RIGHTS
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    ensured(tmp_path)
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"0123456789abcdef", b"0123456789abcdef0123456789abcdeg\n", b"\xff" * 32, b"0" * 33, b"0" * 4096],
    ids=["empty", "blank", "half", "another", "not text", "longer", "long"],
)
def test_what_is_no_password_is_replaced_and_told(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(text)
    file.chmod(0o600)
    with pytest.raises(Unusable):
        kept(tmp_path)
    new = ensured(tmp_path)
    assert new.remark == (
        f"The one in {file} is not used: there is no password in it as it was written. "
        f"It is new, and kept in {file} from now on."
    )
    assert kept(tmp_path) == new.password


@_RIGHTS
def test_what_others_could_read_or_write_is_replaced_and_told(tmp_path: Path) -> None:
    first = ensured(tmp_path).password
    (tmp_path / "password").chmod(0o640)
    second = ensured(tmp_path)
    assert second.password != first
    assert "others than its owner may use it" in second.remark
    assert ensured(tmp_path).password == second.password


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no pipe has a path there")
    file = tmp_path / "password"
    os.mkfifo(file, 0o600)
    writer = os.open(file, os.O_RDWR)  # so that whoever opens it does not hang
    os.write(writer, b"0" * 64)
    new = ensured(tmp_path)
    os.close(writer)
    assert new.remark == f"The one in {file} is not used: it is no file. It is new, and kept in {file} from now on."
    assert kept(tmp_path) == new.password


def test_where_it_cannot_be_kept_it_is_for_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("no folder", "utf-8")
    first = ensured(folder)
    assert first.remark.startswith(f"It is for this run alone: it cannot be kept in {folder / 'password'} (")
    assert len(first.password) == 32
    assert ensured(folder).password != first.password


def test_nobody_has_kept_one_where_no_service_has_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kept(tmp_path)


def test_a_write_that_was_broken_off_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "password.new").write_text("0123", "utf-8")
    assert ensured(tmp_path).password == kept(tmp_path)
