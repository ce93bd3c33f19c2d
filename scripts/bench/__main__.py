"""Measures cticache beside what it is compared with, and writes a table and a chart."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from chart import drawn
from load import allow_files
from machine import Busy, described, missing_programs
from processes import Programs
from report import lines, written
from rows import rows
from sections import FULL_PACE, QUICK, Bench
from servers import Servers, quiet_environment

_SECTIONS = ("get", "post", "handoff", "connections", "crowd", "close", "idle", "newcomers", "distance", "workers",
             "pools", "memory")  # fmt: skip


def main() -> int:
    """Measure; 0 when that went through, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes; the figures are not worth quoting")
    parser.add_argument("--only", action="append", choices=_SECTIONS, metavar="NAME",
                        help=f"one section, may be repeated: {', '.join(_SECTIONS)}")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("bench.md"), help="the tables; default: %(default)s")
    parser.add_argument("--chart", type=Path, default=Path("bench.svg"), help="the chart; default: %(default)s")
    options = parser.parse_args()
    if lacking := missing_programs():
        sys.exit(lacking)
    signal.signal(signal.SIGTERM, _end)
    quiet_environment()
    allow_files()
    machine, began, busy = described(), time.monotonic(), Busy()
    with tempfile.TemporaryDirectory(prefix="cticache-bench-") as folder:
        programs = Programs(Path(folder))
        try:
            bench = Bench(Servers(programs, Path(folder)), QUICK if options.quick else FULL_PACE)
            for name, measure in bench.sections().items():
                if not options.only or name in options.only:
                    print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
                    measure()
        except KeyboardInterrupt:
            sys.exit("stopped: nothing is written")
        finally:
            programs.stop_all()
    machine.append(("other programs meanwhile", f"{busy.share():.0%} of the CPU time of all cores"))
    found = rows(bench.record)
    asked = [*(["--quick"] if options.quick else []), *(f"--only {name}" for name in options.only or ())]
    command = " ".join(["python3 scripts/bench.py", *asked])
    minutes = (time.monotonic() - began) / 60
    options.out.write_text(written(bench.record, found, machine, command, minutes, quick=options.quick), "utf-8")
    options.chart.write_text(drawn(bench.record, f"{dict(machine)['CPU']}; {command}"), "utf-8")
    print(f"\n{lines(found)}\n\n{minutes:.1f} minutes; written to {options.out} and {options.chart}")
    return 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
