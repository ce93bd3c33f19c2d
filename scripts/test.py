"""Run the tests: ``python3 scripts/test.py``. Arguments go to pytest.

TEST_REDIS names the server under test, see tests/kit/servers.py. ``--long`` runs the long forms of tests;
``--topology`` runs the store's tests on a primary behind a sentinel, or on a cluster.
"""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready("embedded", "test"), "-m", "pytest", *sys.argv[1:])
