"""Processes by their numbers, on every system: whether one lives, killing it, Ctrl+C to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

KILLED = 15 if sys.platform == "win32" else -9
"""The exit code of a process that ``kill`` has ended."""
_STILL_ACTIVE = 259
_QUERY = 0x1000
"""PROCESS_QUERY_LIMITED_INFORMATION"""
_CTRL_C = """
import ctypes, sys
kernel = ctypes.WinDLL("kernel32", use_last_error=True)
kernel.FreeConsole()
if not kernel.AttachConsole(int(sys.argv[1])):
    sys.exit(f"AttachConsole: error {ctypes.get_last_error()}")
kernel.SetConsoleCtrlHandler(None, True)  # this process is in that console, too, by now
if not kernel.GenerateConsoleCtrlEvent(0, 0):
    sys.exit(f"GenerateConsoleCtrlEvent: error {ctypes.get_last_error()}")
"""


def kill(pid: int) -> None:
    """End the process as the task manager does, with no word to it."""
    os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)  # SIGTERM: TerminateProcess there


def ctrl_c(pid: int) -> None:
    """Ctrl+C in the console of this process, which reaches all in it; on POSIX to its process group.

    The process must have a console or a session of its own.
    """
    if sys.platform == "win32":
        subprocess.run(
            [sys.executable, "-c", _CTRL_C, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=True
        )
    else:
        os.killpg(pid, signal.SIGINT)


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet collected does not."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = wintypes.HANDLE(kernel.OpenProcess(_QUERY, False, pid))
        if not handle:
            return False
        code = wintypes.DWORD()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == _STILL_ACTIVE
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
