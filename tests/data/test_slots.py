"""A script's slots go by their names: the header orders them, and one too many or too few is told."""

import ast
import inspect
from collections.abc import Iterator
from itertools import chain

import pytest

from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.link.connection import Command

SCRIPTS = read_scripts()


class Recording:
    """Keeps the commands that it is to run."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def run(self, commands: list[Command]) -> list[object]:
        self.commands += commands
        return [1] * len(commands)

    def again(self, commands: list[Command], began: float) -> list[object]:
        return self.run(commands)

    def drop(self) -> None:
        raise AssertionError("nothing is refused here")


def given() -> Iterator[tuple[str, set[str]]]:
    """Each script that the store runs, and the names of the arguments that it gives."""
    for node in chain.from_iterable(ast.walk(ast.parse(inspect.getsource(kind))) for kind in Store.__mro__[:-1]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_run":
            script = node.args[0]
            assert isinstance(script, ast.Constant)
            yield str(script.value), {str(word.arg) for word in node.keywords}
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[2], ast.Dict):
            script, _, arguments = node.elts
            assert isinstance(script, ast.Constant)
            yield str(script.value), {str(key.value) for key in arguments.keys if isinstance(key, ast.Constant)}


def test_the_store_gives_each_script_what_its_header_names() -> None:
    scripts = Scripts(Recording(), SCRIPTS)
    said = dict(given())
    assert said.keys() == SCRIPTS.keys()
    assert said == {name: set(scripts._slots[name][0]) for name in SCRIPTS}


def test_the_header_orders_the_arguments_and_the_last_slot_may_be_open_ended() -> None:
    runner = Recording()
    scripts = Scripts(
        runner, {"one": "#!lua\n-- ARGV[1]  first  x\n-- ARGV[2]     second  x\n-- ARGV[3...]  rest  x\n"}
    )
    scripts.run([("one", ["k"], {"rest": ["a", "b"], "second": 2, "first": "f"})])
    assert runner.commands[-1][2:] == (1, "k", "f", 2, "a", "b")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ttl": 1}, "ttl"),
        ({"ttl_ms": None}, "ttl_ms"),
        ({"ttl_ms": None, "ttl": 1}, "ttl, ttl_ms"),
    ],
    ids=["too many", "too few", "misspelt"],
)
def test_a_name_too_many_or_too_few_is_told_at_the_call(
    store: Store, change: dict[str, int | None], named: str
) -> None:
    right: dict[str, int | None] = dict.fromkeys(store._scripts._slots["lease"][0], 1)
    arguments = {name: value for name, value in (right | change).items() if value is not None}
    with pytest.raises(TypeError, match=f"^lua/lease.lua and what it is given differ in {named}$"):
        store._run("lease", [], **arguments)
