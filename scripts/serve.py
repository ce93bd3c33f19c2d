"""Run the service: ``python3 scripts/serve.py``. Arguments go to ``cticache serve``."""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready("embedded"), "-m", "cticache", "serve", *sys.argv[1:])
