"""Have every fault befall the service, and put what came of it into docs/faults.md: ``python3 scripts/faults.py``.

It is the long form of tests/process/test_faults.py, and takes half an hour. Arguments go to pytest.
TEST_REDIS names the server program, as for the tests. The document is left alone if a fault was left out.
"""

import datetime
import os
import platform
import re
import subprocess
import sys

from environment import ROOT, ready

_DOCUMENT = ROOT / "docs" / "faults.md"
_ROW = re.compile(r"^\| .* \|$", re.MULTILINE)
_RUN = re.compile(r"^On .*?\n\n.*?(?=\n\n)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Run the tests; 1 when one failed."""
    python = ready("embedded", "test")
    tests = [python, "-m", "pytest", "-n0", "-q", "--long", "tests/process/test_faults.py", *sys.argv[1:]]
    ran = subprocess.run(tests, cwd=ROOT, capture_output=True, text=True, check=False)
    print(ran.stdout)
    if len(sys.argv) == 1 and "left out" not in ran.stdout:
        write(ran.stdout)
    return ran.returncode


def write(said: str) -> None:
    """Put the rows that the tests told into the document."""
    rows = "\n".join(_ROW.findall(said))
    lead = (
        f"On {datetime.datetime.now(datetime.UTC):%d %B %Y}, on {os.cpu_count()} cores, with Python "
        f"{platform.python_version()} and {_server(said)}:"
    )
    text = _DOCUMENT.read_text("utf-8")
    _DOCUMENT.write_text(_RUN.sub(lambda _: f"{lead}\n\n{rows}", text, count=1), "utf-8")


def _server(said: str) -> str:
    """The server that the tests told of."""
    told = re.search(r"^The faults befell (.*)$", said, re.MULTILINE)
    return told[1] if told else "a server"


if __name__ == "__main__":
    sys.exit(main())
