"""The rows of the TOML files beside this one: each is a mutation, one thing that could have been written wrongly.

    [[mutation]]
    what = "a sentence that says what is wrong then"
    old = "the text to replace, which one file of the product has, once"
    new = "what replaces it"
    tests = ["test_of_a_file", "test_of_another::test_by_name"]

``where = "take.lua"`` says which file is meant when several have the text. ``swap = ["a text", "the text after it"]``
replaces old and new where the two texts change places. A row names no folder, so that code and tests can move freely.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = Path(__file__).parent
_LISTS = ("swap", "tests")
_PROXIES = ("scripts/deploy/nginx.conf", "scripts/deploy/Caddyfile", "scripts/deploy/haproxy.cfg")


class Mutation(NamedTuple):
    """What is wrong with it in place, the file that has its row, the product's file, and what changes in that."""

    what: str
    rows: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class WrongRows(Exception):
    """Rows that cannot be tried; the text has a line for each."""


def read(folder: Path = _FOLDER, root: Path = ROOT) -> list[Mutation]:
    """The mutations of a folder for the code and the tests under ``root``; WrongRows when one does not fit them."""
    product = _texts(root, "cticache/**/*.py", "cticache/**/*.js", "lua/**/*.lua", *_PROXIES)
    tests = _texts(root, "tests/**/test_*.py")
    found: list[Mutation] = []
    wrong: list[str] = []
    for file in sorted(folder.glob("*.toml")):
        with _told(wrong, file.name):
            for row in _rows(file):
                with _told(wrong, f"{file.name}: {row.get('what', 'a row')}"):
                    found.append(_mutation(row, file.name, product, tests))
    for what, times in Counter(each.what for each in found).items():
        if times > 1:
            files = sorted({each.rows for each in found if each.what == what})
            wrong.append(f"{', '.join(files)}: {what}: {times} rows have that name")
    if wrong:
        raise WrongRows("\n".join(wrong))
    return found


@contextmanager
def _told(wrong: list[str], where: str) -> Iterator[None]:
    """Adds a line to those that are wrong instead of letting a ValueError through."""
    try:
        yield
    except ValueError as error:
        wrong.append(f"{where}: {error}")


def _texts(root: Path, *patterns: str) -> dict[str, str]:
    """The files' texts by their paths."""
    files = sorted(file for pattern in patterns for file in root.glob(pattern))
    return {file.relative_to(root).as_posix(): file.read_text("utf-8") for file in files}


def _rows(file: Path) -> list[dict[str, Any]]:
    document = tomllib.loads(file.read_text("utf-8"))
    if document.keys() != {"mutation"} or not isinstance(document["mutation"], list):
        raise ValueError("it must have nothing but [[mutation]]")
    return document["mutation"]


def _mutation(row: dict[str, Any], rows: str, product: Mapping[str, str], tests: Mapping[str, str]) -> Mutation:
    needed = {"what", "tests", "swap"} if "swap" in row else {"what", "tests", "old", "new"}
    if missing := sorted(needed - row.keys()):
        raise ValueError(f"it lacks {' and '.join(missing)}")
    if unknown := sorted(row.keys() - needed - {"where"}):
        raise ValueError(f"it has no use for {' and '.join(unknown)}")
    for name, value in row.items():
        if name in _LISTS and not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
            raise ValueError(f"{name} must be a list of strings")
        if name not in _LISTS and not isinstance(value, str):
            raise ValueError(f"{name} must be a string")
    pieces = row.get("swap") or [row["old"], row["new"]]
    if len(pieces) != 2:
        raise ValueError("swap must have two pieces")
    first, second = pieces
    old, new = (first + second, second + first) if "swap" in row else (first, second)
    if old == new:
        raise ValueError("it changes nothing")
    file = _file(product, old, row.get("where"))
    return Mutation(row["what"], rows, file, old, new, tuple(_test(tests, name) for name in row["tests"]))


def _file(product: Mapping[str, str], old: str, where: str | None) -> str:
    """The file with the text."""
    having = [file for file in product if old in product[file] and where in (None, Path(file).name)]
    file = _only(having, f"named {where} have its text" if where else "of the product have its text")
    if (times := product[file].count(old)) > 1:
        raise ValueError(f"{file} has its text {times} times")
    return file


def _test(tests: Mapping[str, str], name: str) -> str:
    """What pytest calls the test file of this name, or the test in it."""
    stem, _, test = name.partition("::")
    file = _only([file for file in tests if Path(file).stem == stem], f"are named {stem}.py")
    if test and f"def {test}(" not in tests[file]:
        raise ValueError(f"{file} has no {test}")
    return f"{file}::{test}" if test else file


def _only(files: list[str], have: str) -> str:
    if len(files) != 1:
        raise ValueError(f"{len(files) or 'no'} files {have}{': ' if files else ''}{', '.join(files)}")
    return files[0]
