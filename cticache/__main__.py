"""``python -m cticache`` is ``cticache``."""

import sys

from cticache.cli import main

sys.exit(main())
