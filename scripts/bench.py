"""Measure cticache beside what it is compared with: ``python3 scripts/bench.py``; beside another commit of it:
``python3 scripts/bench.py --against REV``. ``--help`` lists the options.

It installs what it needs (a venv, and if there is npm, a folder in it for the Node baseline); wrk and redis-server must
be on PATH. Only ratios within one run mean anything: everything that is compared is measured in turn, round by round.
"""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready("bench"), "scripts/bench", *sys.argv[1:])
