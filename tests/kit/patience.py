"""How long a test waits for what is about to be, before it fails."""

import os
import sys

PATIENCE_S = float(os.environ.get("TEST_PATIENCE", "90" if sys.platform == "win32" else "20"))
"""Under Wine a process takes seconds to start. It is less where the code is broken on purpose: there tests wait in vain
by the hundred."""
