"""Keep what this release leaves in Redis, in tests/releases, for later ones: ``python3 scripts/keep_data.py``.

Once for each format, when the next one is begun: tests/kit/kept.py says what is in the file.
"""

from environment import ROOT, ready, run

_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from kit import kept; kept.write()"

if __name__ == "__main__":
    run(ready("embedded", "test"), "-c", _PROGRAM, ROOT / "tests")
