"""The release before this one as a program, kept whole in tests/releases: what it wrote without a number is format 1.

It is the last state of main before the operator's page, which brought minutes, events, lessees and releases of calls:
the furthest apart that two releases are of which one is upgraded to the other. The next release puts its own beside it,
``git archive COMMIT cticache lua config.ini LICENSE | xz -9e``, under the number of its format.
"""

import tarfile
from pathlib import Path

RELEASES = Path(__file__).resolve().parents[1] / "releases"
_MAIN = "import sys\n\nfrom cticache.__main__ import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"


def unpacked(folder: Path, format_: int = 1) -> str:
    """What Python runs in place of ``-m cticache`` to have that release: a folder with a program."""
    with tarfile.open(RELEASES / f"format-{format_}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    (folder / "__main__.py").write_text(_MAIN, "utf-8")
    return str(folder)
