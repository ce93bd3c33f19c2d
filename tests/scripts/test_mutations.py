"""scripts/mutations: each row fits the code as it is, and one that does not is told."""

from pathlib import Path
from types import ModuleType

import pytest

from kit.checkout import CHECKOUT, script

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)

ROW = """\
[[mutation]]
what = "a call is kept"
old = "call('DEL', call)"
new = ""
tests = ["test_take"]
"""
SWAP = """\
[[mutation]]
what = "it is said before it is so"
swap = ["call('DEL', call)\\n", "call('SET', gone)\\n"]
tests = ["test_take::test_once"]
"""
TREE = {
    "lua/take.lua": "local is_mine\ncall('DEL', call)\ncall('SET', gone)\ncall('SET', gone)\n",
    "lua/include/shared.lua": "local is_mine\n",
    "tests/lua/test_take.py": "def test_once() -> None: ...\n",
    "tests/lua/test_same.py": "",
    "tests/unit/test_same.py": "",
}


@pytest.fixture(scope="module")
def rows() -> ModuleType:
    return script("mutations/rows.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of TREE."""
    for name, text in TREE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "rows.toml").write_text(text, "utf-8")
    return folder


def test_every_row_fits_the_code(rows: ModuleType) -> None:
    assert rows.read()


def test_a_row_finds_its_code_and_its_tests_wherever_they_are(rows: ModuleType, tree: Path) -> None:
    (tree / "lua" / "calls").mkdir()
    (tree / "lua" / "take.lua").rename(tree / "lua" / "calls" / "take.lua")
    (tree / "tests" / "lua" / "test_take.py").rename(tree / "tests" / "test_take.py")
    (mutation,) = rows.read(write(tree, ROW), tree)
    assert mutation == (
        "a call is kept", "rows.toml", "lua/calls/take.lua", "call('DEL', call)", "", ("tests/test_take.py",)
    )  # fmt: skip


def test_a_row_says_which_file_when_two_have_its_text(rows: ModuleType, tree: Path) -> None:
    row = ROW.replace("call('DEL', call)", "local is_mine") + 'where = "shared.lua"\n'
    assert [each.file for each in rows.read(write(tree, row), tree)] == ["lua/include/shared.lua"]


def test_a_row_swaps_two_pieces_of_text(rows: ModuleType, tree: Path) -> None:
    (mutation,) = rows.read(write(tree, SWAP), tree)
    assert mutation.old == "call('DEL', call)\ncall('SET', gone)\n"
    assert mutation.new == "call('SET', gone)\ncall('DEL', call)\n"
    assert mutation.tests == ("tests/lua/test_take.py::test_once",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW.replace('new = ""', ""), "a call is kept: it lacks new"),
        (ROW.replace("what", "name"), "a row: it lacks what"),
        (ROW + 'file = "lua/take.lua"', "a call is kept: it has no use for file"),
        (ROW + 'swap = ["a", "b"]', "a call is kept: it has no use for new and old"),
        (ROW.replace('new = ""', "new = 0"), "a call is kept: new must be a string"),
        (ROW.replace('["test_take"]', '"test_take"'), "a call is kept: tests must be a list of strings"),
        (ROW.replace('["test_take"]', "[]"), "a call is kept: tests must be a list of strings"),
        (SWAP.replace("= [", '= ["", '), "it is said before it is so: swap must have two pieces"),
        (ROW.replace('new = ""', "new = \"call('DEL', call)\""), "a call is kept: it changes nothing"),
        (ROW + ROW, "a call is kept: 2 rows have that name"),
        (ROW.replace("DEL", "UNLINK"), "a call is kept: no files of the product have its text"),
        (ROW + 'where = "shared.lua"', "a call is kept: no files named shared.lua have its text"),
        (
            ROW.replace("call('DEL', call)", "local is_mine"),
            "a call is kept: 2 files of the product have its text: lua/include/shared.lua, lua/take.lua",
        ),
        (ROW.replace("call('DEL', call)", "call('SET', gone)"), "a call is kept: lua/take.lua has its text 2 times"),
        (ROW.replace("test_take", "test_gone"), "a call is kept: no files are named test_gone.py"),
        (
            ROW.replace("test_take", "test_same"),
            "a call is kept: 2 files are named test_same.py: tests/lua/test_same.py, tests/unit/test_same.py",
        ),
        (SWAP.replace("::test_once", "::test_on"), "it is said before it is so: tests/lua/test_take.py has no test_on"),
        ("[[mutations]]", "it must have nothing but [[mutation]]"),
        ("[mutation]", "it must have nothing but [[mutation]]"),
        ("[[mutation]", "Expected ']]' at the end of an array declaration (at line 1, column 11)"),
    ],
)
def test_a_row_that_does_not_fit_is_told(rows: ModuleType, tree: Path, text: str, told: str) -> None:
    with pytest.raises(rows.WrongRows) as caught:
        rows.read(write(tree, text), tree)
    assert str(caught.value) == f"rows.toml: {told}"


def test_all_rows_that_do_not_fit_are_told(rows: ModuleType, tree: Path) -> None:
    with pytest.raises(rows.WrongRows) as caught:
        rows.read(write(tree, ROW.replace("DEL", "UNLINK") + ROW + SWAP.replace("SET", "GET")), tree)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == [
        " a call is kept",
        " it is said before it is so",
    ]
