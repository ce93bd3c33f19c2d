"""Break the code on purpose and see a test fail, each time: ``python3 scripts/mutations.py``. Arguments are words.

With words, only mutations that have one of them in their sentence or in a file's name are tried. A row of
scripts/mutations/*.toml is a mutation, rows.py there says what is in it. Exit status 1 tells that a mutation survived,
that a row does not fit the code, or that the tests fail with nothing changed.

TEST_REDIS names the server under test, see tests/kit/servers.py; a server that is already there is used by one test
run at a time. Without it the server comes from a package, each test run having its own.
"""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready("embedded", "test"), "scripts/mutations", *sys.argv[1:])
