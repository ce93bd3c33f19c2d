"""Runs the tests of a tree in a process of their own.

Where the system can fork, that process has imported other people's packages already: it takes longer than most tests.
"""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PROCESSES = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
_IMPORTED = [
    "pytest", "hypothesis", "falcon.testing", "waitress.server", "redis.sentinel", "hiredis", "argon2", "greenlet",
    "marshmallow", "phonenumbers.phonenumberutil", "prometheus_client", "testcontainers.core.container",
]  # fmt: skip
"""None of it is the product's, of which each tree has its own."""

_PATIENCE_S = "8"
"""Most tests of broken code fail by waiting for what never comes."""

if sys.platform != "win32":
    PROCESSES.set_forkserver_preload(_IMPORTED)


def test(tree: Path, output: Path, status: Path, tests: Sequence[str]) -> None:
    """Run the tests of a tree; pytest's exit status goes to a file: the fork server does not always hear of it."""
    with output.open("wb") as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": ""}  # for the processes that tests start
    os.environ["TEST_PATIENCE"] = _PATIENCE_S
    code = pytest.main(
        ["-q", "-x", "-n0", "-W", "ignore::pytest.PytestAssertRewriteWarning",
         "--hypothesis-profile", "unshrunk", "--hypothesis-seed", "0", "-p", "no:cacheprovider", *tests]
    )  # fmt: skip
    status.write_text(str(int(code)), "utf-8")
