"""Write docs/man anew, the pages of the manual: ``python3 scripts/manpages.py``."""

from environment import ROOT, ready, run

_PROGRAM = """
import sys
from pathlib import Path
from cticache.cli import new_parser
from cticache.commands.manual import pages
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
written = pages(new_parser())
for left in folder.glob("*.1"):
    if left.name not in written:
        left.unlink()
for name, text in written.items():
    (folder / name).write_text(text, encoding="utf-8", newline="\\n")
"""

if __name__ == "__main__":
    run(ready(), "-c", _PROGRAM, ROOT / "docs" / "man")
