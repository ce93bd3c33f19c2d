"""What the signals to end do, and what the others do not."""

import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger(__name__)

_TO_END = [signal.SIGTERM, signal.SIGINT]
if sys.platform == "win32":
    _TO_END.append(signal.SIGBREAK)


@contextmanager
def ended_by_signals(
    code: int, stop: Callable[[str], None] | None = None, hurry: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Within it, a signal to end calls ``stop`` with its name or raises SystemExit(code), for an orderly end.

    The second one calls ``hurry``, if there is one; later ones are ignored. SIGHUP, by which a terminal ends what was
    started on it, is a signal to end too, unless something else is done about it already: nohup has it ignored.

    Once ``stop`` was called they stay ignored beyond it: what is left to do comes to its end.
    """
    ends = list(_TO_END)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        ends.append(signal.SIGHUP)

    stops = False

    def end_it(number: int, _frame: FrameType | None) -> None:
        for end in ends:
            signal.signal(end, hasten if hurry else signal.SIG_IGN)
        if not stop:
            raise SystemExit(code)
        nonlocal stops
        stops = True
        stop(signal.Signals(number).name)

    def hasten(number: int, _frame: FrameType | None) -> None:
        for end in ends:
            signal.signal(end, signal.SIG_IGN)
        if hurry:
            hurry(signal.Signals(number).name)

    before = {end: signal.signal(end, end_it) for end in ends}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, signal.SIG_IGN if stops else handler or signal.SIG_DFL)


@contextmanager
def hangups_ignored() -> Iterator[None]:
    """Within it SIGHUP does nothing but leave a line in the log. It goes before ``ended_by_signals``."""
    if sys.platform == "win32":
        yield
        return
    heard: queue.SimpleQueue[bool] = queue.SimpleQueue()  # a signal may come while it puts: it can be put to again

    def tell() -> None:
        while heard.get():
            _log.warning("SIGHUP is ignored: it ends nothing and reloads nothing; SIGTERM stops the service")

    telling = threading.Thread(target=tell, name="hangups", daemon=True)
    telling.start()
    before = signal.signal(signal.SIGHUP, lambda _signal, _frame: heard.put(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before or signal.SIG_DFL)
        heard.put(False)
        telling.join()


def leave_signals_to_the_parent() -> None:
    """Ignore all signals to end, in a worker: they often come to all processes, and the parent says what is to happen.

    Its pipe says it. A worker that cannot hear the parent any more ends by itself.
    """
    for each in _TO_END:
        signal.signal(each, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
