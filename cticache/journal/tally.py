"""How often each code was answered or each other thing happened, by all the processes that serve together."""

import logging
import multiprocessing
from collections.abc import Iterable
from ctypes import Array, c_uint64

from cticache.errors import refusals

CODES = tuple(sorted({kind.code for kind in refusals()}))
"""The code of every refusal."""
_log = logging.getLogger(__name__)


class Tally:
    """A row of counts for each process, in memory that all of them share.

    Each writes its own row alone, so they need no lock, which a process that is killed would keep for ever; and what a
    process has counted outlives it. A Tally can be given to a process that is being started, and to no other.
    """

    def __init__(self, processes: int = 1, codes: Iterable[str] = CODES) -> None:
        self._at = {code: at for at, code in enumerate(codes)}
        cells = processes * len(self._at)
        self._cells: Array[c_uint64] | list[int] = [0] * cells
        if processes > 1:
            try:
                self._cells = multiprocessing.get_context("spawn").RawArray(c_uint64, cells)
            except OSError as error:  # neither /dev/shm nor a folder for temporary files
                _log.warning("no memory to share: each process counts for itself: %s", error)

    def add(self, code: str, process: int = 0) -> None:
        """Count one more of this code in the row of a process; one thread of it at a time."""
        self._cells[process * len(self._at) + self._at[code]] += 1

    def totals(self) -> dict[str, int]:
        """How often there was each, by all processes since the service was started."""
        return {code: sum(self._cells[at :: len(self._at)]) for code, at in self._at.items()}
