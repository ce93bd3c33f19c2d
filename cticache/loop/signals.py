"""What the signals to end do, and what the others do not."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

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
def reloads_at_hangups(reload: Callable[[], object]) -> Iterator[None]:
    """Within it SIGHUP calls ``reload``, which only takes note of that, and ends nothing. It goes before
    ``ended_by_signals``. A terminal that goes sends one, too: the file is read again then, which does no harm.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda _signal, _frame: reload() and None)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before or signal.SIG_DFL)


def leave_signals_to_the_parent() -> None:
    """Ignore all signals to end, in a worker: they often come to all processes, and the parent says what is to happen.

    Its pipe says it. A worker that cannot hear the parent any more ends by itself.
    """
    for each in _TO_END:
        signal.signal(each, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
