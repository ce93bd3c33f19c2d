"""Take the pictures of the operator's page into docs/screenshots: ``python3 scripts/screenshots.py``.

It starts a service on the Redis under test, and Chromium; Debian has that in the package chromium.
"""

from environment import ROOT, ready, run

_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from kit.pictures import take_all
take_all(Path(sys.argv[1]))
"""

if __name__ == "__main__":
    run(ready("embedded", "test"), "-c", _PROGRAM, ROOT / "docs" / "screenshots")
