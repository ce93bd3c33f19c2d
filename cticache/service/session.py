"""A process as Windows runs it for a service: it says how it is, and hears that it is to end.

The main thread serves, for only that one hears signals; Windows is heard by another. Its order to stop becomes SIGTERM
in this process, so that the service ends as it does in a terminal: it drains, answers what is under way, and a second
order ends the drain.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pywintypes
import servicemanager
import win32api
import win32con
import win32service

from cticache.service import refusals

_log = logging.getLogger(__name__)

_START_S = 60
"""What a start is said to take at most."""
_JUST_ENDS_S = 5.0
_ORDERS = {
    win32service.SERVICE_CONTROL_STOP: "to stop",
    win32service.SERVICE_CONTROL_SHUTDOWN: "to stop, for it shuts down",
    win32service.SERVICE_CONTROL_PRESHUTDOWN: "to stop, for it is about to shut down",
}


class Session:
    """What this process is to Windows, from ``begin`` on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reload: Callable[[], object] | None = None
        self._stop_s = 0.0
        self._known = threading.Event()
        self._over = threading.Event()
        self._has_said = threading.Event()
        self._code = 0
        self._refused: pywintypes.error | None = None
        self._handle: Any = None
        self._thread = threading.Thread(target=self._listen, name="windows", daemon=True)

    def begin(self) -> None:
        """Be known to Windows; UserError if it is not Windows that has started this process."""
        # A user who logs off is told to all services, and the C library makes SIGBREAK of it, which would end this one.
        win32api.SetConsoleCtrlHandler(is_of_no_concern, True)
        self._thread.start()
        self._known.wait()
        with refusals.told(pywintypes.error, self._name):
            if self._refused:
                raise self._refused

    @contextmanager
    def reloads(self, reload: Callable[[], object]) -> Iterator[None]:
        """Within it this is called where Windows says that parameters have changed (SERVICE_CONTROL_PARAMCHANGE)."""
        self._reload = reload
        try:
            yield
        finally:
            self._reload = None

    def runs(self, stop_s: float) -> None:
        """Say that it runs, and takes orders; ``stop_s``: in how many seconds it ends after one."""
        self._stop_s = stop_s
        orders = win32service.SERVICE_ACCEPT_STOP | win32service.SERVICE_ACCEPT_PRESHUTDOWN
        if self._reload:
            orders |= win32service.SERVICE_ACCEPT_PARAMCHANGE
        self._say(win32service.SERVICE_RUNNING, orders=orders)

    def ended(self, code: int) -> None:
        """Say that it has ended, with this exit code: what Windows would do about a crash it does not do then."""
        self._code = code
        self._over.set()
        self._has_said.wait(_JUST_ENDS_S)

    def SvcRun(self) -> None:  # noqa: N802 - pywin32's name
        """What pywin32 calls in a thread of its own, which ends with the process."""
        self._say(win32service.SERVICE_START_PENDING, hint_s=_START_S)
        self._known.set()
        self._over.wait()
        self._say(win32service.SERVICE_STOPPED, code=self._code)
        self._has_said.set()
        threading.Event().wait()  # on its return pywin32 would say that it has stopped with 0

    def _listen(self) -> None:
        try:
            servicemanager.PrepareToHostSingle(self._hosted)
            servicemanager.StartServiceCtrlDispatcher()
        except pywintypes.error as error:
            self._refused = error
            self._known.set()

    def _hosted(self, arguments: list[str]) -> "Session":
        self._handle = servicemanager.RegisterServiceCtrlHandler(arguments[0], self._ordered, True)
        return self

    def _ordered(self, order: int, _kind: int, _data: object) -> None:
        if order in _ORDERS:
            _log.info("Windows tells the service %s", _ORDERS[order])
            self._say(win32service.SERVICE_STOP_PENDING, hint_s=self._stop_s)
            signal.raise_signal(signal.SIGTERM)
        elif order == win32service.SERVICE_CONTROL_PARAMCHANGE and self._reload:
            self._reload()

    def _say(self, state: int, *, hint_s: float = 0, orders: int = 0, code: int = 0) -> None:
        error = refusals.OWN_CODE if code else 0
        of_own = win32service.SERVICE_WIN32_OWN_PROCESS
        told = (of_own, state, orders, error, code, 1 if hint_s else 0, int(hint_s * 1000))
        win32service.SetServiceStatus(self._handle, told)


def is_of_no_concern(event: int) -> bool:
    """Whether an event of the console is nothing to a service: Windows tells it by an order that it is to end."""
    return event in (win32con.CTRL_LOGOFF_EVENT, win32con.CTRL_SHUTDOWN_EVENT)
