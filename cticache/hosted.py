"""What Windows runs for its service: ``python -m cticache.hosted NAME CONFIG``.

Windows gives a process thirty seconds to say that it is there, at a start of the machine, too. So that is said before
anything else is imported.
"""

import os
import sys
from pathlib import Path


def main() -> int:
    """Serve until Windows says that it is to end; the exit code."""
    if sys.platform != "win32":
        sys.exit("cticache.hosted is what Windows runs; on this system it is `cticache serve`")
    # What the interpreter itself has to say is said to nobody.
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it is to stay open
    name, config = sys.argv[1:]
    from cticache.service.session import Session  # noqa: PLC0415 - as the module says

    session = Session(name)
    session.begin()
    from cticache.commands.service import serve  # noqa: PLC0415 - as the module says

    return serve(session, name, Path(config))


if __name__ == "__main__":
    sys.exit(main())
