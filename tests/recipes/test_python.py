"""docs/recipes/python.md, by this Python."""

from typing import Any

from kit.recipes import AsBoth, Printed


def _defined(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/recipes/python.md", "exec"), names)
    return names


class TestPython(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        return str(_defined(Printed.of("python", url, pool).block("System X", "python"))["lease"](ani, value, call))

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        found: str | None = _defined(Printed.of("python", url).block("System Y", "python"))["take"](dnis, ani, call)
        return found
