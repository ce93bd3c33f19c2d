"""How long a test waits for what is about to be, before it fails."""

import os
import sys
import time
from collections.abc import Callable

PATIENCE_S = float(os.environ.get("TEST_PATIENCE", "90" if sys.platform == "win32" else "20"))
"""Under Wine a process takes seconds to start. It is less where the code is broken on purpose: there tests wait in vain
by the hundred."""


def until(true: Callable[[], object], *, looks_s: float) -> None:
    """Look every so often whether it has come to be; AssertionError if it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(looks_s)
