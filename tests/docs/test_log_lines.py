"""docs/troubles.md has a row for each line of the log that is a WARNING or worse, and none for another."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import cticache
from cticache.config.environment import UNHEEDED
from cticache.data.format import NEWER, OLDER
from cticache.data.heartbeat import _LOST
from cticache.data.keeper import _OVER, _OVERRULED, _RULES
from cticache.journal.closed import CAUSES
from cticache.journal.refused import _LINE
from cticache.link.trouble import AWAY, SILENT
from cticache.operate.attention import Kind
from kit.checkout import ROOT

PACKAGE = Path(cticache.__file__).parent
TROUBLES = (ROOT / "docs" / "troubles.md").read_text("utf-8")
LEVELS = {"warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "ERROR"}
"""Method of a logger -> the table in which its lines are; that of ERROR has those of CRITICAL, too."""
TABLES = {"ERROR": "ERROR and CRITICAL", "WARNING": "WARNING"}
"""The headings of these."""
BELOW = {"logging.DEBUG", "logging.INFO"}
COMPUTED = {
    "announce.py: UNHEEDED": (UNHEEDED,),
    "data/heartbeat.py: told": tuple(_LOST.values()),
    "data/keeper.py: in_full or sentence or _OVER[kind]": (_OVERRULED, _RULES, *_OVER.values()),
    "data/outage.py: said": (
        *(f"{AWAY.says} (%s)", f"{SILENT.says} (%s)", "Redis refuses to work: %s"),
        *(NEWER, OLDER),
    ),
    "journal/closed.py: %s %s closed, %s: %s": tuple(f"%s closed, {why}: %s" for why in CAUSES.values()),
    "journal/refused.py: line": ("%s: %s", _LINE),
    # What these log is found where it is made, or is in a table of its own below.
    "data/loading.py: error": (),
    "journal/closed.py: text": (),
    "journal/limited.py: line": (),
    "journal/limited.py: self._left_out": (),
    "operate/watch.py: _said(each)": (),
    "operate/watch.py: %s (%s)": (),
}
"""Where a line is logged whose text is not written there -> what may be logged there."""


def shape(template: str) -> str:
    """A text with one mark for whatever is filled in."""
    return re.sub(r"…(?: ?…)*", "…", re.sub(r"%[sdg]|\{[^{}]*\}", "…", template))


class Module:
    """The lines that one module logs."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(PACKAGE).as_posix()
        self.nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]

    def lines(self) -> Iterator[tuple[str, str]]:
        """The level of each, or nothing where it is not known, and its text."""
        for call in self.nodes:
            if isinstance(call, ast.Call):
                for level, at in self.told(call):
                    yield from ((level, text) for text in self.texts(call.args[at:]))

    def told(self, call: ast.Call) -> Iterator[tuple[str, int]]:
        """Whether this call logs a line, or makes one: its level, and at which of its arguments the text is."""
        words = [ast.unparse(each) for each in call.args]
        match call.func:
            case ast.Attribute(ast.Name("_log"), method) if method in LEVELS:
                yield LEVELS[method], 0
            case ast.Attribute(_, "log"):
                for at, word in enumerate(words):
                    if word == "level" or (word.startswith("logging.") and word not in BELOW):
                        yield "", at + 1
            case ast.Attribute(ast.Attribute(_, "_closed"), "note"):
                yield "WARNING", 0
            case ast.Name("Limited") if "logging.INFO" not in [ast.unparse(each.value) for each in call.keywords]:
                yield "WARNING", 1
            case ast.Name("ScriptError"):
                yield "ERROR", 0

    def texts(self, arguments: list[ast.expr]) -> Iterator[str]:
        """What the first of these may say; where that is not written there, what is known of that place."""
        for text in self.written(arguments[0]) or (ast.unparse(arguments[0]),):
            place = f"{self.name}: {ast.unparse(arguments[1]) if text == '%s' else text}"
            if place in COMPUTED:
                yield from COMPUTED[place]
                continue
            assert self.written(arguments[0]), f"what is logged at {place}?"
            assert text != "%s", f"what is logged at {place}?"
            yield text

    def written(self, node: ast.expr | None) -> list[str]:
        """The texts that this expression stands for; none where they are not written in the module."""
        match node:
            case ast.Constant(str(text)):
                return [text]
            case ast.IfExp(_, one, other):
                return [*self.written(one), *self.written(other)]
            case ast.JoinedStr(parts):
                return ["".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)]
            case ast.BinOp(left, ast.Add(), right):
                return ["".join((self.written(each) or ["…"])[0] for each in (left, right))]
            case ast.Name(name):
                assigned = [each for each in self.nodes if isinstance(each, ast.Assign)]
                values = [each.value for each in assigned if ast.unparse(each.targets[0]) == name]
                return [text for value in values for text in self.written(value)]
        return []


def rows(heading: str) -> list[list[str]]:
    """The cells of each row of the table below a heading."""
    (table,) = re.findall(rf"^### {heading}$.*?\n\|---.*?\n(.*?)\n\n", TROUBLES, re.MULTILINE | re.DOTALL)
    return [row.strip("| ").split(" | ") for row in table.splitlines()]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


LOGGED = [line for path in sorted(PACKAGE.rglob("*.py")) for line in Module(path).lines()]


def listed(level: str) -> set[str]:
    return {line for cell, *_ in rows(TABLES[level]) for line in code(cell)}


def test_every_line_of_warning_or_worse_has_its_row_and_every_row_its_line() -> None:
    rowed, logged = set().union(*map(listed, TABLES)), {shape(text) for _, text in LOGGED}
    assert len(logged) > 40
    assert sorted(logged - rowed) == []
    assert sorted(rowed - logged) == []


@pytest.mark.parametrize("level", TABLES)
def test_each_line_is_in_the_table_of_its_level(level: str) -> None:
    assert {shape(text) for found, text in LOGGED if found == level} <= listed(level)


def test_every_kind_of_what_needs_attention_has_its_row_with_words_of_its_own() -> None:
    told = rows("What the watch finds")
    assert sorted(kind for cell, *_ in told for kind in code(cell)) == sorted(get_args(Kind))
    nodes = ast.walk(ast.parse((PACKAGE / "operate" / "attention.py").read_text("utf-8")))
    said = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for _, says, *_ in told:
        for piece in (piece.strip(" .;,") for line in code(says) if line != "/readyz" for piece in line.split("…")):
            assert any(piece in text for text in said), piece


def test_what_is_to_be_done_is_said_of_every_line() -> None:
    for heading in (*TABLES.values(), "What the watch finds"):
        assert [row for row in rows(heading) if len(row) != 3 or not all(row)] == []
