"""Print a file of users for a hardened Redis: ``python3 scripts/redis_acl.py``. Arguments go to ``cticache acl``."""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready(), "-m", "cticache", "acl", *sys.argv[1:])
