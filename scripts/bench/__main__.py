"""Measures cticache beside other servers, and writes a table and a chart; or beside another commit of it."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from against import Against
from chart import drawn
from load import allow_files
from machine import Busy, described, host, missing_programs
from processes import Programs
from report import lines, listed, written
from rows import rows
from sections import FULL_PACE, QUICK, Bench
from servers import Servers, quiet_environment

_SECTIONS = ("get", "post", "handoff", "connections", "crowd", "close", "idle", "newcomers", "distance", "workers",
             "pools", "memory")  # fmt: skip


def main() -> int:
    """Measure; 0 when that could be done, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes; the figures are not worth quoting")
    parser.add_argument("--only", action="append", choices=_SECTIONS, metavar="NAME",
                        help=f"one section, may be repeated: {', '.join(_SECTIONS)}")  # fmt: skip
    parser.add_argument("--against", metavar="REV",
                        help="instead: the CPU of this checkout and of another commit, on the packages installed "
                             "here; HEAD, with nothing changed, shows how far such figures can be trusted")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=15,
                        help="pairs of runs with --against, two or more, 25 s each; default: %(default)s")  # fmt: skip
    parser.add_argument("--out", type=Path, help="the tables; default: bench.md, with --against: none")
    parser.add_argument("--chart", type=Path, default=Path("bench.svg"), help="the chart; default: %(default)s")
    options = parser.parse_args()
    if options.against and (options.quick or options.only or options.pairs < 2):
        parser.error("--against goes with --pairs, two or more, and --out")
    if lacking := missing_programs():
        sys.exit(lacking)
    signal.signal(signal.SIGTERM, _end)
    quiet_environment()
    allow_files()
    if options.against:
        _against(options)
    else:
        _all(options)
    return 0


def _all(options: argparse.Namespace) -> None:
    machine, began, busy = described(), time.monotonic(), Busy()
    with _programs() as (programs, folder):
        bench = Bench(Servers(programs, folder), QUICK if options.quick else FULL_PACE)
        for name, measure in bench.sections().items():
            if not options.only or name in options.only:
                print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
                measure()
    machine.append(busy.told())
    found = rows(bench.record)
    asked = [*(["--quick"] if options.quick else []), *(f"--only {name}" for name in options.only or ())]
    command = " ".join(["python3 scripts/bench.py", *asked])
    minutes = (time.monotonic() - began) / 60
    out = options.out or Path("bench.md")
    out.write_text(written(bench.record, found, machine, command, minutes, quick=options.quick), "utf-8")
    options.chart.write_text(drawn(bench.record, f"{dict(machine)['CPU']}; {command}"), "utf-8")
    print(f"\n{lines(found)}\n\n{minutes:.1f} minutes; written to {out} and {options.chart}")


def _against(options: argparse.Namespace) -> None:
    machine, busy = host(), Busy()
    with _programs() as (programs, folder):
        against = Against(programs, folder, options.against)
        against.measure(options.pairs)
    machine.append(busy.told())
    command = f"`python3 scripts/bench.py --against {options.against} --pairs {options.pairs}`"
    text = "\n\n".join(["# Benchmark against another commit", command, listed(machine), against.report()]) + "\n"
    print(f"\n{text}")
    if options.out:
        options.out.write_text(text, "utf-8")


@contextmanager
def _programs() -> Iterator[tuple[Programs, Path]]:
    """What starts programs, and a folder for their files; both end with this."""
    with tempfile.TemporaryDirectory(prefix="cticache-bench-") as folder:
        programs = Programs(Path(folder))
        try:
            yield programs, Path(folder)
        except KeyboardInterrupt:
            sys.exit("stopped: nothing is written")
        finally:
            programs.stop_all()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
