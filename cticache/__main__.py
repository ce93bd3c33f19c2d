"""The command ``cticache``, also as ``python -m cticache``.

Importing all the rest takes so long that a signal to end may come meanwhile. So it has its handler before anything else
is imported, and this module imports next to nothing at its top.
"""

import os
import signal
import sys
from types import FrameType

_SERVE = "serve"
"""The one command that is there to be ended: that is no failure of it."""


def main() -> int:
    """Run the command that ``sys.argv`` names; the exit code."""
    _end_at_signals(0 if _SERVE in sys.argv[1:2] else 1)
    try:
        from cticache import cli  # noqa: PLC0415 - not before the handlers are there

        return cli.main()
    finally:
        _ignore(*_to_end())  # what is left to do takes a moment, and the exit code stands


def _end_at_signals(code: int) -> None:
    """Until a command sets its own handlers a signal to end ends the process: nothing has been begun that needs an end.

    At once, and not by an exception: importlib would print one that comes while it looks after its locks, and go on.
    Once serve is called a terminal that goes does nothing to it.
    """

    def end(_signal: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for each in _to_end():
        signal.signal(each, end)
    if sys.platform != "win32" and not code:
        _ignore(signal.SIGHUP)


def _ignore(*signals: signal.Signals) -> None:
    for each in signals:
        signal.signal(each, signal.SIG_IGN)


def _to_end() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return signal.SIGTERM, signal.SIGINT, signal.SIGBREAK
    return signal.SIGTERM, signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
