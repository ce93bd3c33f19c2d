"""The service among those of Windows: it is installed, started, stopped, looked at, removed."""

import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple

import pywintypes
import win32api
import win32con
import win32security
import win32service

from cticache.errors import UserError
from cticache.service import event_log, refusals

_RESTARTS_MS = (1_000, 5_000, 30_000)
"""After how long it is started again where it died once, twice, more often; after a day without that, it is once."""
_DAY_S = 86_400
_PATIENCE_S = 60.0
"""For how long Windows may take no order; and how much longer than it says the service may start or stop."""
_LOOKS_S = 0.1
_SERVICES = r"SYSTEM\CurrentControlSet\Services"
_BUILT_IN = {"localsystem": "LocalSystem"} | {
    name.lower(): rf"NT AUTHORITY\{name}" for name in ("LocalService", "NetworkService")
}
_STATES = {
    win32service.SERVICE_STOPPED: "stopped",
    win32service.SERVICE_START_PENDING: "starting",
    win32service.SERVICE_STOP_PENDING: "stopping",
    win32service.SERVICE_RUNNING: "running",
}


class Found(NamedTuple):
    """What Windows knows of the service."""

    state: str
    process: int
    """0 where there is none."""
    code: int
    """With which exit code it ended last."""
    account: str
    command: str


class Registered:
    """One service of Windows, by its name. What Windows refuses is a UserError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def install(self, runs: str, account: str, password: str | None, stop_s: float, *, manual: bool) -> str:
        """Have Windows start it with itself, unless ``manual``, and again where it dies; its account.

        ``runs``: what stands behind python.exe.

        Without an account it is one of its own, ``NT SERVICE\\NAME``, with no password and few rights.
        """
        account = _BUILT_IN.get(account.lower(), account) or rf"NT SERVICE\{self._name}"
        with self._told(account), _Handles() as handles:
            if not account.startswith(("NT SERVICE\\", "LocalSystem")):
                win32security.LookupAccountName(None, account.removeprefix(".\\"))
            scm = handles.scm(win32service.SC_MANAGER_CREATE_SERVICE | win32service.SC_MANAGER_CONNECT)
            program, environment = interpreter()
            service = handles.keep(
                win32service.CreateService(
                    scm,
                    self._name,
                    f"cticache ({self._name})" if self._name != "cticache" else "cticache",
                    win32service.SERVICE_ALL_ACCESS,
                    win32service.SERVICE_WIN32_OWN_PROCESS,
                    win32service.SERVICE_DEMAND_START if manual else win32service.SERVICE_AUTO_START,
                    win32service.SERVICE_ERROR_NORMAL,
                    f'"{program}" -P{runs}',
                    None,
                    0,
                    None,
                    None if account == "LocalSystem" else account,
                    password,
                )
            )
            try:
                event_log.register(self._name)
                self._describe(service, stop_s)
                if environment:
                    key = win32api.RegCreateKey(win32con.HKEY_LOCAL_MACHINE, rf"{_SERVICES}\{self._name}")
                    win32api.RegSetValueEx(key, "Environment", 0, win32con.REG_MULTI_SZ, environment)
            except BaseException:
                win32service.DeleteService(service)
                raise
        return account

    def start(self) -> Found:
        """Start it; what has become of it once it runs, or has ended."""
        with self._told(), _Handles() as handles:
            service = handles.service(self._name, win32service.SERVICE_START | win32service.SERVICE_QUERY_STATUS)
            until = time.monotonic() + _PATIENCE_S
            while True:
                try:
                    win32service.StartService(service, None)
                    break
                except pywintypes.error as error:
                    if error.winerror != refusals.LOCKED or time.monotonic() > until:
                        raise
                time.sleep(_LOOKS_S)
            self._wait(service, "starting")
        return self.found()

    def stop(self) -> None:
        """Have it end in good order, and wait for that."""
        with self._told(), _Handles() as handles:
            service = handles.service(self._name, win32service.SERVICE_STOP | win32service.SERVICE_QUERY_STATUS)
            win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
            self._wait(service, "stopping", "running")
        if self.found().state != "stopped":
            raise UserError(f"the service {self._name} has not stopped in the time that it gave: see its log")

    def remove(self) -> None:
        """Stop it, and have Windows know it no longer."""
        if self.found().state != "stopped":
            self.stop()
        with self._told(), _Handles() as handles:
            win32service.DeleteService(handles.service(self._name, win32service.SERVICE_ALL_ACCESS))
            event_log.forget(self._name)
        until = time.monotonic() + _PATIENCE_S
        while self._is_there():  # as long as its process, or a window of the services, knows it
            if until < time.monotonic():
                raise UserError(refusals.said(refusals.GOES, "", self._name, ""))
            time.sleep(_LOOKS_S)

    def found(self) -> Found:
        """What Windows knows of it."""
        with self._told(), _Handles() as handles:
            rights = win32service.SERVICE_QUERY_STATUS | win32service.SERVICE_QUERY_CONFIG
            service = handles.service(self._name, rights)
            status = win32service.QueryServiceStatusEx(service)
            config = win32service.QueryServiceConfig(service)
        code = status["Win32ExitCode"]
        return Found(
            _STATES.get(status["CurrentState"], "in between"),
            status["ProcessId"],
            status["ServiceSpecificExitCode"] if code == refusals.OWN_CODE else code,
            config[7],
            config[3],
        )

    def others(self) -> dict[str, str]:
        """What Windows runs for each other service, by its name."""
        found = {}
        with self._told(), _Handles() as handles:
            scm = handles.scm(win32service.SC_MANAGER_CONNECT | win32service.SC_MANAGER_ENUMERATE_SERVICE)
            of_own, any_state = win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_STATE_ALL
            names = [each["ServiceName"] for each in win32service.EnumServicesStatusEx(scm, of_own, any_state, None)]
            for name in set(names) - {self._name}:
                with suppress(pywintypes.error):  # one that may not be looked at, or is just removed
                    service = handles.service(name, win32service.SERVICE_QUERY_CONFIG)
                    found[name] = win32service.QueryServiceConfig(service)[3]
        return found

    def _is_there(self) -> bool:
        with _Handles() as handles:
            try:
                handles.service(self._name, win32service.SERVICE_QUERY_STATUS)
            except pywintypes.error:
                return False
        return True

    def _describe(self, service: Any, stop_s: float) -> None:
        actions = [(win32service.SC_ACTION_RESTART, ms) for ms in _RESTARTS_MS]
        failure = {"ResetPeriod": _DAY_S, "RebootMsg": "", "Command": "", "Actions": actions}
        does = "Hands a caller's data from one telephone system to another."
        for level, told in (
            (win32service.SERVICE_CONFIG_DESCRIPTION, does),
            (win32service.SERVICE_CONFIG_FAILURE_ACTIONS, failure),
            (win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO, int(stop_s * 1000)),
        ):
            try:
                win32service.ChangeServiceConfig2(service, level, told)
            except pywintypes.error as error:
                if error.winerror != refusals.WRONG_LEVEL:  # Wine's, which does not know all of them
                    raise

    def _wait(self, service: Any, *states: str) -> None:
        """Wait while it is in such a state, as long as it said that it would take, and some more."""
        began = time.monotonic()
        while True:
            status = win32service.QueryServiceStatusEx(service)
            longest = status["WaitHint"] / 1000 + _PATIENCE_S
            if _STATES.get(status["CurrentState"]) not in states or time.monotonic() - began > longest:
                return
            time.sleep(_LOOKS_S)

    def _told(self, account: str = "") -> Any:
        return refusals.told(pywintypes.error, self._name, account)


def interpreter() -> tuple[str, list[str]]:
    """The python.exe that Windows is to start, and what its environment must have.

    That of a virtual environment only starts another, of which Windows would know nothing.
    """
    if sys.prefix == sys.base_prefix:
        return sys.executable, []
    return sys._base_executable, [f"__PYVENV_LAUNCHER__={sys.executable}"]  # type: ignore[attr-defined]


class _Handles:
    """Handles of Windows that are closed at the end of the context."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def __enter__(self) -> "_Handles":
        return self

    def __exit__(self, *_why: object) -> None:
        for handle in reversed(self._kept):
            with suppress(pywintypes.error):
                win32service.CloseServiceHandle(handle)

    def keep(self, handle: Any) -> Any:
        self._kept.append(handle)
        return handle

    def scm(self, rights: int = win32service.SC_MANAGER_CONNECT) -> Any:
        return self.keep(win32service.OpenSCManager(None, None, rights))

    def service(self, name: str, rights: int) -> Any:
        return self.keep(win32service.OpenService(self.scm(), name, rights))
