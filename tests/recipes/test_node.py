"""docs/recipes/node.md, by Node.js."""

import json
import subprocess

from kit.ecmascript import node
from kit.recipes import AsBoth, Printed


def _told(code: str, function: str, *arguments: str) -> str | None:
    """What the function comes to that the code defines; nothing for undefined."""
    last = f"{function}(...{json.dumps(arguments)}).then((told) => process.stdout.write(JSON.stringify(told) || ''));"
    done = subprocess.run([node(), "-e", code + last], capture_output=True, check=True, encoding="utf-8")
    return json.loads(done.stdout) if done.stdout else None


class TestNode(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        return str(_told(Printed.of("node", url, pool).block("System X", "js"), "lease", ani, value, call))

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        return _told(Printed.of("node", url).block("System Y", "js"), "take", dnis, ani, call)
