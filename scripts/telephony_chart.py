"""Measure what a hand-over adds to the set-up of a call, and put it into docs/telephony.md and docs/set-up-time.svg.

``python3 scripts/telephony_chart.py``: it is the long form of tests/telephony/test_set_up_time.py, and takes half a
minute. kamailio, its modules and sipp must be installed, as for those tests; TEST_REDIS names the server program.
"""

import datetime
import os
import platform
import re
import subprocess
import sys
from html import escape
from typing import NamedTuple

from environment import ROOT, ready

_DOCUMENT, _CHART = ROOT / "docs" / "telephony.md", ROOT / "docs" / "set-up-time.svg"
_TABLE = re.compile(r"^On .*?\n\n\| part .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
_LINE = re.compile(
    r"^set-up (.*), (with|without) a hand-over: median ([\d.]+) ms, 95th percentile ([\d.]+) ms, 99th ([\d.]+) ms, "
    r"of (\d+) calls$",
    re.MULTILINE,
)
_WIDTH, _LEFT, _RIGHT = 880, 150, 90
_BAR, _GAP, _BLOCK = 15, 5, 30
_STYLE = """
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .with { fill: #0969da } .without { fill: #818b98 } .reach { stroke: #59636e; stroke-width: 1.5 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif }
  .head { font-weight: 600; font-size: 15px }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
    .with { fill: #4493f8 } .without { fill: #848d97 } .reach { stroke: #9198a1 }
  }
"""


class Row(NamedTuple):
    """The calls of one kind, on one part of their way. Milliseconds."""

    part: str
    how: str
    median: float
    most: float
    """The 95th percentile."""
    nearly_all: float
    """The 99th."""
    calls: int


def main() -> int:
    """Run the test; 1 when it failed."""
    load = os.getloadavg()[0]
    command = [ready("embedded", "test"), "-m", "pytest", "-n0", "-q", "--long", "tests/telephony/test_set_up_time.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(ran.stdout)
    if ran.returncode == 0:
        rows = [
            Row(part, how, *map(float, times), int(calls)) for part, how, *times, calls in _LINE.findall(ran.stdout)
        ]
        where = f"{_first('^set-up times with (.*)$', ran.stdout)}, {_first('^Redis under test: ([^,]*)', ran.stdout)}"
        where = f"with {where} and Python {platform.python_version()}"
        where = f"on {os.cpu_count()} cores, whose load average was {load:.1f} before, {where}"
        _CHART.write_text(drawn(rows, where), "utf-8")
        lead = f"On {datetime.datetime.now(datetime.UTC):%d %B %Y},\n{where}:"
        text = _DOCUMENT.read_text("utf-8")
        _DOCUMENT.write_text(_TABLE.sub(lambda _: f"{lead}\n\n{table(rows)}", text, count=1), "utf-8")
    return ran.returncode


def table(rows: list[Row]) -> str:
    """The rows, for the document."""
    lines = ["| part of the way | hand-over | median | 95th percentile | 99th percentile |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.part} | {row.how} | {row.median:.2f} ms | {row.most:.2f} ms | {row.nearly_all:.2f} ms |"
        for row in rows
    ]
    return "\n".join(lines)


def drawn(rows: list[Row], where: str) -> str:
    """The SVG: a bar to the median, a line from there to the 95th percentile."""
    most = max(row.most for row in rows)
    parts = [_text(20, 34, f"Set-up of a call, {rows[0].calls} calls of each kind, 50 of each a second", "ink head")]
    y, part = 42.0, ""
    for row in rows:
        if row.part != part:
            part = row.part
            y += _BLOCK
            parts.append(_text(20, y, part, "soft"))
            y += 8
        median, reach = (_LEFT + (_WIDTH - _LEFT - _RIGHT) * ms / most for ms in (row.median, row.most))
        middle = y + _BAR / 2
        parts += [
            _text(_LEFT - 10, y + 12, row.how, "ink", "end"),
            f'<rect class="{row.how}" x="{_LEFT}" y="{y:g}" width="{median - _LEFT:.1f}" height="{_BAR}" rx="2"/>',
            f'<line class="reach" x1="{median:.1f}" x2="{reach:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
            f'<line class="reach" x1="{reach:.1f}" x2="{reach:.1f}" y1="{y + 3:g}" y2="{y + _BAR - 3:g}"/>',
            _text(reach + 7, y + 12, f"{row.median:.2f} ms", "ink"),
        ]
        y += _BAR + _GAP
    y += 24
    parts.append(_text(20, y, "Bar: the median, which the figure is. Line: as far as the 95th percentile.", "soft"))
    parts.append(_text(20, y + 20, where[0].upper() + where[1:], "soft"))
    height = y + 40
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">',
            "<title>How long calls take to be set up, with a hand-over and without</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height:.0f}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
