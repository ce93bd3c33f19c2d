"""An option stands in config.ini, is declared by a class, and is used somewhere; a test names the one that is not."""

import ast
import re
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from marshmallow import ValidationError

import cticache
from cticache.config import SAMPLE
from cticache.config.sections import SECTIONS
from cticache.options import Section, Text, declared

DECLARED = [(name, option) for name, section in SECTIONS.items() for option in section.options]


@pytest.fixture(scope="module")
def read() -> set[str]:
    """The names of all attributes that the code reads and does not call."""
    sources = [ast.parse(path.read_text("utf-8")) for path in Path(cticache.__file__).parent.rglob("*.py")]
    nodes = [node for source in sources for node in ast.walk(source)]
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and id(node) not in called}


def shipped() -> list[tuple[str, str]]:
    """Each section's word and option in config.ini, those that stand in its comments too."""
    found, section = [], ""
    for line in SAMPLE.read_text("utf-8").splitlines():
        if header := re.fullmatch(r"(?:; )?\[(\w+)(?::[\w-]+)?\]", line):
            section = header[1]
        elif option := re.match(r"(?:; )?([a-z_]+) = ?", line):
            found.append((section, option[1]))
    return found


@pytest.mark.parametrize(("section", "option"), DECLARED)
def test_every_option_that_is_declared_is_in_config_ini(section: str, option: str) -> None:
    assert (section, option) in shipped()


@pytest.mark.parametrize(("section", "option"), shipped())
def test_every_option_in_config_ini_is_declared(section: str, option: str) -> None:
    assert option in SECTIONS[section].options


@pytest.mark.parametrize(("section", "option"), DECLARED)
def test_every_option_that_is_declared_is_used(section: str, option: str, read: set[str]) -> None:
    assert SECTIONS[section].options[option] in read


@pytest.mark.parametrize("section", SECTIONS)
def test_every_attribute_is_an_option_but_the_name(section: str) -> None:
    attributes = {field.name for field in fields(SECTIONS[section].made)}
    assert attributes - set(SECTIONS[section].options.values()) == ({"name"} if section in ("pool", "user") else set())


def test_an_option_without_a_default_must_be_given() -> None:
    @dataclass
    class Made:
        word: str = declared(Text(str, missing="is missing: give one"))
        other: str = declared(Text(str), "x")

    with pytest.raises(ValidationError) as wrong:
        Section(Made).load({})
    assert wrong.value.messages == {"word": ["is missing: give one"]}
    assert Section(Made).load({"word": "y"}) == {"word": "y"}
