"""Write docs/openapi.json anew: ``python3 scripts/openapi.py``."""

from environment import ROOT, ready, run

_PROGRAM = """
import sys
from pathlib import Path
from cticache.web.openapi.document import text
Path(sys.argv[1]).write_text(text(), encoding="utf-8", newline="\\n")
"""

if __name__ == "__main__":
    run(ready(), "-c", _PROGRAM, ROOT / "docs" / "openapi.json")
