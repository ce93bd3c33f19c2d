"""ECMAScript, run by Node.js in contexts that know nothing of each other."""

import json
import shutil
import subprocess
from typing import Any

_LOOP = r"""
const vm = require('vm');
const contexts = {};
require('readline').createInterface({input: process.stdin}).on('line', (line) => {
  const [name, code] = JSON.parse(line);
  contexts[name] = contexts[name] || vm.createContext({});
  let told;
  try { told = {value: vm.runInContext(code, contexts[name])}; } catch (error) { told = {error: String(error)}; }
  process.stdout.write(JSON.stringify(told) + '\n');
});
"""


def node() -> str:
    """Where Node.js is; LookupError, which says how to get it, where it is not."""
    path = shutil.which("node")
    if not path:
        raise LookupError("node is not installed; on Debian: apt-get install nodejs")
    return path


class Interpreter:
    """One Node.js."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [node(), "-e", _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def run(self, context: str, code: str) -> Any:
        """What the code comes to in this context; None for what JSON cannot say. AssertionError if it throws."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([context, code]) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        assert "error" not in told, (code, told)
        return told.get("value")

    def close(self) -> None:
        """End it."""
        self._process.communicate()
