"""The documentation as text: its documents, and the code in them."""

import re
from pathlib import Path

from kit.checkout import ROOT

DOCS = {
    path: path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"))
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def inline(doc: Path) -> list[str]:
    """What stands between backticks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", DOCS[doc]))]


def lines(doc: Path) -> list[str]:
    """The same, and each line of the blocks."""
    return [*inline(doc), *(line for block in BLOCK.finditer(DOCS[doc]) for line in block[2].splitlines())]
