"""The chart: bars at 64 connections, and GETs a second over the number of connections. SVG by hand, text as text."""

from html import escape
from math import ceil, log10

from load import Load
from record import Record, middle
from servers import TITLES

_WIDTH = 880
_LEFT, _RIGHT = 236, 64
_BAR, _GAP, _BLOCK = 15, 5, 26
_OPERATIONS = {"get": "GET", "post": "POST", "handoff": "hand-off (POST, then DELETE)"}
_BARS = ("batch", "threads", "node", "fastapi", "falcon", "hello", "floor")
_PLOT_HEIGHT = 230
_STYLE = """
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .batch { fill: #0969da; stroke: #0969da } .threads { fill: #6ea8e6; stroke: #6ea8e6 }
  .node { fill: #bc4c00; stroke: #bc4c00 } .fastapi { fill: #8250df; stroke: #8250df }
  .falcon { fill: #1a7f37; stroke: #1a7f37 } .hello { fill: #818b98; stroke: #818b98 }
  .floor { fill: #b6bec9; stroke: #b6bec9 }
  .line { fill: none; stroke-width: 2.5 } .batch.line { stroke-width: 4 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif }
  .head { font-weight: 600; font-size: 15px }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
    .batch { fill: #4493f8; stroke: #4493f8 } .threads { fill: #2f5f9e; stroke: #2f5f9e }
    .node { fill: #db6d28; stroke: #db6d28 } .fastapi { fill: #ab7df8; stroke: #ab7df8 }
    .falcon { fill: #3fb950; stroke: #3fb950 } .hello { fill: #848d97; stroke: #848d97 }
    .floor { fill: #565e68; stroke: #565e68 } .line { fill: none }
  }
"""


def drawn(record: Record, machine: str) -> str:
    """The SVG."""
    bars = _bar_values(record)
    curves = _curves(record)
    parts: list[str] = []
    y = 34.0
    parts.append(_text(20, y, "Requests a second, 64 connections, one process each", "ink head"))
    y += 14
    most = max((value for values in bars.values() for value in values.values()), default=1.0)
    for operation, values in bars.items():
        if not values:
            continue
        y += _BLOCK
        parts.append(_text(20, y, _OPERATIONS[operation], "soft"))
        y += 8
        for name, value in values.items():
            length = (_WIDTH - _LEFT - _RIGHT) * value / most
            parts.append(_text(_LEFT - 10, y + 12, _short(name), "ink", "end"))
            parts.append(f'<rect class="{name}" x="{_LEFT}" y="{y:g}" width="{length:.1f}" height="{_BAR}" rx="2"/>')
            parts.append(_text(_LEFT + length + 7, y + 12, f"{value:,.0f}", "ink"))
            y += _BAR + _GAP
    if curves:
        y += 44
        parts.append(_text(20, y, "GETs a second over the number of connections", "ink head"))
        y += 20
        parts += _plot(curves, y)
        y += _PLOT_HEIGHT + 44
    y += 18
    parts.append(_text(20, y, machine, "soft"))
    height = y + 20
    title = "cticache and its alternatives: requests a second"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height:.0f}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _bar_values(record: Record) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for operation in _OPERATIONS:
        values[operation] = {}
        for name in _BARS:
            connections = record.hello_connections if name == "hello" else 64
            if rounds := record.of(operation, name, Load(operation, connections)):
                values[operation][name] = middle([one.rate for one in rounds])
    return values


def _curves(record: Record) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for (name, load), rounds in record.all_runs().items():
        if name in _BARS and load.operation == "get" and not load.close and load.connections in (1, 8, 64, 256, 1000):
            curves.setdefault(name, []).append((load.connections, middle([one.rate for one in rounds])))
    ordered = {name: sorted(curves[name]) for name in _BARS if name in curves}
    return {name: points for name, points in ordered.items() if len(points) > 1}


def _plot(curves: dict[str, list[tuple[int, float]]], top: float) -> list[str]:
    left, right, bottom = 76.0, _WIDTH - 226.0, top + _PLOT_HEIGHT
    step = _step(max(rate for points in curves.values() for _, rate in points))
    most = step * ceil(max(rate for points in curves.values() for _, rate in points) / step)
    ticks = sorted({connections for points in curves.values() for connections, _ in points})
    first, last = log10(ticks[0]), log10(ticks[-1])

    def x_of(connections: int) -> float:
        return left + (right - left) * (log10(connections) - first) / (last - first or 1)

    def y_of(rate: float) -> float:
        return bottom - _PLOT_HEIGHT * rate / most

    parts = []
    for at in range(round(most / step) + 1):
        y = y_of(at * step)
        parts.append(f'<line class="grid" x1="{left:g}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 10, y + 4, f"{at * step:,.0f}", "soft", "end"))
    parts += [_text(x_of(connections), bottom + 20, f"{connections:,}", "soft", "middle") for connections in ticks]
    labels = _apart([(y_of(points[-1][1]), name) for name, points in curves.items()])
    for name, points in reversed(curves.items()):
        path = " ".join(f"{x_of(connections):.1f},{y_of(rate):.1f}" for connections, rate in points)
        parts.append(f'<polyline class="{name} line" style="fill:none" points="{path}"/>')
        parts += [
            f'<circle class="{name}" cx="{x_of(connections):.1f}" cy="{y_of(rate):.1f}" r="3"/>'
            for connections, rate in points
        ]
        y = labels[name]
        parts.append(f'<rect class="{name}" x="{right + 14:.1f}" y="{y - 5:.1f}" width="10" height="10" rx="2"/>')
        parts.append(_text(right + 30, y + 4, _short(name), "ink"))
    return parts


def _apart(wanted: list[tuple[float, str]]) -> dict[str, float]:
    """Labels near the ends of their lines, without overlaps."""
    placed: dict[str, float] = {}
    last = float("-inf")
    for y, name in sorted(wanted):
        last = max(y, last + 18)
        placed[name] = last
    return placed


def _step(most: float) -> float:
    """A round distance between grid lines, of which there are four to nine."""
    power = 10.0 ** int(log10(most))
    return next(power * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if most / (power * part) <= 8)


def _short(name: str) -> str:
    return {"hello": "bare hello, waitress", "floor": "bare hello, no threads", "fastapi": "FastAPI, uvicorn",
            "falcon": "Falcon + redis-py, waitress"}.get(name, TITLES[name])  # fmt: skip


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
