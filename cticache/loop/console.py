"""Ctrl+C, which a terminal sends to all processes in it, as a console of Windows does; it is the parent's affair."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """A process that is started within it never hears of Ctrl+C: its parent tells it when to end.

    It would have ended in the middle of its imports, with a traceback. A process inherits what its parent ignores: on
    POSIX the mask of the thread that starts it, which keeps the parent's own Ctrl+C until afterwards; on Windows a flag
    of the whole process (SetConsoleCtrlHandler without a handler), so that one within these milliseconds is lost.
    """
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - not needed elsewhere

        kernel = ctypes.WinDLL("kernel32")
        kernel.SetConsoleCtrlHandler(None, True)
        try:
            yield
        finally:
            kernel.SetConsoleCtrlHandler(None, False)
    else:
        # Else the first start would start it, and that takes SIGINT out of the mask again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ready(ends: Sequence[Any], timeout_s: float) -> list[Any]:
    """Which pipes can be read and which processes have ended; none after ``timeout_s``, or after a signal.

    On Windows the wait of the main thread ends at Ctrl+C, whose handler has run by then, with EINTR: PEP 475, by which
    Python would go on waiting, covers no wait of multiprocessing there.
    """
    try:
        return wait(ends, timeout_s)
    except InterruptedError:
        return []
