"""A terminal on which a block of lines takes the place of the one before."""

import os
import shutil
import sys
from collections.abc import Sequence

_HOME, _REST_OF_LINE, _BELOW, _ALL = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"
"""Control sequences of ECMA-48: the cursor to the first line, and what is erased."""
_STDOUT, _SEQUENCES = -11, 0x4
"""STD_OUTPUT_HANDLE and ENABLE_VIRTUAL_TERMINAL_PROCESSING."""


class Screen:
    """Standard output, as a terminal; where it is none, each block stands below the one before."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty() and _knows_sequences()
        self._begin = _ALL

    def show(self, block: Sequence[str]) -> None:
        """Print the block; of one that is higher than the terminal the lines that fit."""
        if not self._is_terminal:
            print("\n".join(block), end="\n\n", flush=True)
            return
        fit = max(2, shutil.get_terminal_size().lines - 1)
        if len(block) > fit:
            block = [*block[: fit - 1], f"{len(block) - fit + 1} lines more: name the pools to look at"]
        print(self._begin + _HOME, *(f"{line}{_REST_OF_LINE}\n" for line in block), _BELOW, sep="", end="", flush=True)
        self._begin = ""


def _knows_sequences() -> bool:
    """Whether the terminal does what control sequences say; a console of Windows must be told to."""
    if sys.platform != "win32":
        return os.environ.get("TERM", "dumb") != "dumb"
    import ctypes  # noqa: PLC0415 - nobody else needs it

    kernel = ctypes.windll.kernel32
    console, mode = kernel.GetStdHandle(_STDOUT), ctypes.c_uint32()
    return bool(
        kernel.GetConsoleMode(console, ctypes.byref(mode)) and kernel.SetConsoleMode(console, mode.value | _SEQUENCES)
    )
