"""The recipes are all of one form, and each names the test that runs it."""

import re
from pathlib import Path

import pytest

from cticache.operate.recipes import Filling, filled, recipe
from kit.checkout import ROOT

RECIPES = sorted(path for path in (ROOT / "docs" / "recipes").glob("*.md") if path.stem != "README")
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@each_recipe
def test_a_recipe_says_what_it_plays_and_what_ran_it(path: Path) -> None:
    title, about, table, *_ = path.read_text("utf-8").split("\n\n")
    assert title.startswith("# ")
    assert about.endswith(".")
    head, _, row = table.splitlines()
    assert head == "| plays | pool options | tried with |"
    plays, options, tried = row.strip("| ").split(" | ")
    assert plays in ("System X", "System Y", "System X and System Y")
    assert "`without_data`" in options
    assert f"`tests/recipes/test_{path.stem.replace('-', '_')}.py`" in tried
    assert (ROOT / "tests" / "recipes" / f"test_{path.stem.replace('-', '_')}.py").is_file()


@each_recipe
def test_a_recipe_tells_what_to_do_when_it_goes_wrong(path: Path) -> None:
    text = path.read_text("utf-8")
    plays = re.findall(r"^\| (System [XY](?: and System Y)?) \|", text, re.MULTILINE)[0].split(" and ")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading.startswith("System ")] == plays
    assert headings[-3:] == ["On a miss", "When the pool is full", "A safe retry"]


@each_recipe
def test_a_printed_recipe_has_none_of_the_examples_left(path: Path) -> None:
    text = filled(recipe(path.stem), Filling("https://cti.example.com:8443", "hotline", "5557654321", "ivr", "agents"))
    assert re.findall(r"127\.0\.0\.1|system-y|\busername\b|5550000000", text) == []
    for side, user in (("X", "ivr"), ("Y", "agents")):
        if part := re.findall(rf"^## System {side}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL):
            assert user in part[0]
            assert "https://" in part[0]


def test_the_index_has_every_recipe() -> None:
    index = (ROOT / "docs" / "recipes" / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| \[([\w-]+)\]\(\1\.md\) \|", index, re.MULTILINE)) == [each.stem for each in RECIPES]
