"""Write docs/openapi.json anew: ``python3 scripts/openapi.py``."""

from environment import ROOT, ready, run

_PROGRAM = """
import json
import sys
from pathlib import Path
from cticache.web.openapi.document import document
readable = json.dumps(document(), ensure_ascii=False, indent=1) + "\\n"
Path(sys.argv[1]).write_text(readable, encoding="utf-8", newline="\\n")
"""

if __name__ == "__main__":
    run(ready(), "-c", _PROGRAM, ROOT / "docs" / "openapi.json")
