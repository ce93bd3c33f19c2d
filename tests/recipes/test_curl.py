"""docs/recipes/curl.md, by Bash and curl."""

import subprocess

from kit.recipes import AsBoth, Printed


def _run(script: str, example: str, *arguments: str) -> str:
    """What the functions of the script print that is called as its last line has it, but with these arguments."""
    functions, _, call = script.rstrip().rpartition("\n\n")
    assert call.startswith(f"{example} '")
    command = ["bash", "-euc", f'{functions}\n{example} "$@"', "bash", *arguments]
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


class TestCurl(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        script = Printed.of("curl", url, pool).block("System X", "bash")
        return _run(script, "lease", ani, value, call).removesuffix("\n")

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        return _run(Printed.of("curl", url).block("System Y", "bash"), "take", dnis, ani, call) or None
