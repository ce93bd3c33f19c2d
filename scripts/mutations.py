"""Break the code on purpose, and see a test fail each time: ``python3 scripts/mutations.py``. Arguments are words.

With words, only mutations with one of them in their sentence or in a file's name are tried; with ``--quarter`` a
quarter of them, each commit another one. Each row of scripts/mutations/*.toml is a mutation; rows.py there says what is
in it.

Exit status 1 means that a mutation survived, that a row does not fit the code, or that the tests fail with nothing
changed; with ``--tested`` they are not run so, as they have just passed.

TEST_REDIS names the server under test, see tests/kit/servers.py; a server that is already running is used by one test
run at a time. Without it, each test run has a server of its own, from a package.
"""

import sys

from environment import ready, run

if __name__ == "__main__":
    run(ready("embedded", "test"), "scripts/mutations", *sys.argv[1:])
