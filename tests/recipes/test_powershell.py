"""docs/recipes/powershell.md: the requests that Invoke-RestMethod sends, by a reader of the script."""

from kit.powershell import called
from kit.recipes import AsBoth, Printed


class TestPowerShell(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        script = Printed.of("powershell", url, pool).block("System X", "powershell")
        return str(called(script, (ani, value, call)))

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        return called(Printed.of("powershell", url).block("System Y", "powershell"), (dnis, ani, call))
